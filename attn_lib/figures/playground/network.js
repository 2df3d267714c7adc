// A trained network in plain JavaScript: it runs the layers that network.py wrote down, in their order.
// Features are { c, h, w, values }, a Float32Array in the order of (c, h, w). Each map that a layer computes on the way
// is { name, kind, shape, values }: a relation (n, m), a readout (h, w), gates (c, 1, 1), (1, h, w) or (c, h, w), or
// shares (branches, c).

const feature = (c, h, w, values = new Float32Array(c * h * w)) => ({ c, h, w, values });

// The weights one after another: `take(rows, depth)` gives the next matrix, whose rows are a step and multiples of it.
function reader(view) {
  let at = 0;
  return (rows, depth) => {
    const taken = new Float32Array(rows * depth);
    for (let i = 0; i < taken.length; at += 4)
      for (const step = view.getFloat32(at, true), end = i + depth; i < end; i++, at += 2) taken[i] = step * view.getInt16(at + 4, true);
    return taken;
  };
}

// a · bᵀ of a (rows, depth) and b (columns, depth), plus a bias for each row. Eight sums at a time: this is where
// nearly all of the time goes.
function multiply(a, b, rows, columns, depth, bias, relu) {
  const out = new Float32Array(rows * columns);
  const wholeRows = rows - (rows % 4), wholeColumns = columns - (columns % 2);
  for (let r = 0; r < wholeRows; r += 4)
    for (let c = 0; c < wholeColumns; c += 2) {
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0;
      const a0 = r * depth, a1 = a0 + depth, a2 = a1 + depth, a3 = a2 + depth, b0 = c * depth, b1 = b0 + depth;
      for (let k = 0; k < depth; k++) {
        const s = b[b0 + k], t = b[b1 + k];
        let weight = a[a0 + k];
        s0 += weight * s; t0 += weight * t;
        weight = a[a1 + k];
        s1 += weight * s; t1 += weight * t;
        weight = a[a2 + k];
        s2 += weight * s; t2 += weight * t;
        weight = a[a3 + k];
        s3 += weight * s; t3 += weight * t;
      }
      let at = r * columns + c;
      out[at] = s0; out[at + 1] = t0;
      out[(at += columns)] = s1; out[at + 1] = t1;
      out[(at += columns)] = s2; out[at + 1] = t2;
      out[(at += columns)] = s3; out[at + 1] = t3;
    }
  for (let r = 0; r < rows; r++) {
    for (let c = r < wholeRows ? wholeColumns : 0; c < columns; c++) {
      let sum = 0;
      for (let k = 0; k < depth; k++) sum += a[r * depth + k] * b[c * depth + k];
      out[r * columns + c] = sum;
    }
    if (bias) for (let at = r * columns, end = at + columns; at < end; at++) out[at] += bias[r];
  }
  if (relu) for (let i = 0; i < out.length; i++) if (out[i] < 0) out[i] = 0;
  return out;
}

// Some channels with zeros around them: (channels, h + 2·padding, w + 2·padding).
function padded(x, first, channels, padding) {
  if (!padding) return x.values.subarray(first * x.h * x.w, (first + channels) * x.h * x.w);
  const h = x.h + 2 * padding, w = x.w + 2 * padding, out = new Float32Array(channels * h * w);
  for (let channel = 0; channel < channels; channel++)
    for (let row = 0; row < x.h; row++) {
      const start = ((first + channel) * x.h + row) * x.w;
      out.set(x.values.subarray(start, start + x.w), (channel * h + row + padding) * w + padding);
    }
  return out;
}

// The pixels that each position of a convolution sees, one row a position: (h·w, channels·size·size).
function patches(x, first, channels, { size, stride, padding, dilation }, h, w) {
  const from = padded(x, first, channels, padding), tall = x.h + 2 * padding, wide = x.w + 2 * padding;
  const out = new Float32Array(h * w * channels * size * size), reach = size * dilation;
  let at = 0;
  for (let top = 0; top < h * stride; top += stride)
    for (let left = 0; left < w * stride; left += stride)
      for (let channel = 0, start = top * wide + left; channel < channels; channel++, start += tall * wide)
        for (let row = start, last = start + reach * wide; row < last; row += dilation * wide)
          for (let column = row; column < row + reach; column += dilation) out[at++] = from[column];
  return out;
}

// Maps of positions as rows of positions: (c, n) → (n, c).
function transpose(values, rows, columns) {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c];
  return out;
}

// A convolution or a linear layer; what follows it, a normalisation, is in its weights already.
function affine(spec, take) {
  const { inputs, outputs, size, stride, padding, dilation, groups, relu } = spec;
  const depth = (inputs / groups) * size * size, rows = outputs / groups;
  const weight = take(outputs, depth), bias = take(outputs, 1);
  const reach = dilation * (size - 1) + 1;
  const length = (side) => Math.floor((side + 2 * padding - reach) / stride) + 1;
  return (x) => {
    const h = length(x.h), w = length(x.w), y = feature(outputs, h, w);
    for (let group = 0; group < groups; group++) {
      const columns = patches(x, (group * inputs) / groups, inputs / groups, spec, h, w);
      const part = weight.subarray(group * rows * depth, (group + 1) * rows * depth);
      y.values.set(multiply(part, columns, rows, h * w, depth, bias.subarray(group * rows, (group + 1) * rows), relu), group * rows * h * w);
    }
    return y;
  };
}

// 2×2 max pooling; of an odd grid the last row and column stay.
function halve(x) {
  const y = feature(x.c, Math.ceil(x.h / 2), Math.ceil(x.w / 2)).values.fill(-Infinity);
  const h = Math.ceil(x.h / 2), w = Math.ceil(x.w / 2);
  x.values.forEach((value, i) => {
    const column = i % x.w, row = Math.floor(i / x.w) % x.h, channel = Math.floor(i / x.w / x.h);
    const at = (channel * h + (row >> 1)) * w + (column >> 1);
    if (value > y[at]) y[at] = value;
  });
  return feature(x.c, h, w, y);
}

// Rows of scores as rows of weights that sum to 1, in place.
function softmax(scores, columns) {
  for (let start = 0; start < scores.length; start += columns) {
    let highest = -Infinity, sum = 0;
    for (let i = start; i < start + columns; i++) highest = Math.max(highest, scores[i]);
    for (let i = start; i < start + columns; i++) sum += scores[i] = Math.exp(scores[i] - highest);
    for (let i = start; i < start + columns; i++) scores[i] /= sum;
  }
  return scores;
}

const sigmoid = (score) => 1 / (1 + Math.exp(-score));

// One number a channel, of its values at all positions.
function pool({ c, h, w, values }, kind) {
  const n = h * w;
  return feature(c, 1, 1, Float32Array.from({ length: c }, (_, channel) => {
    const own = values.subarray(channel * n, (channel + 1) * n);
    return kind === "max" ? own.reduce((a, b) => Math.max(a, b)) : own.reduce((a, b) => a + b) / n;
  }));
}

const tokens = (x) => transpose(x.values, x.c, x.h * x.w);
const scaled = (x, gate) => feature(x.c, x.h, x.w, x.values.map((value, i) => value * gate(i)));
const plus = (x, y) => feature(x.c, x.h, x.w, x.values.map((value, i) => value + y.values[i]));

// Σⱼ Aᵢⱼ vⱼ for weights (n, m) and values v (c, m), laid out as the queries are.
const gather = (weights, value, { h, w }) =>
  feature(value.c, h, w, multiply(value.values, weights, value.c, h * w, value.h * value.w));

const relation = (name, n, m, values) => ({ name, kind: "relation", shape: [n, m], values });
const gate = (name, shape, values) => ({ name, kind: "gate", shape, values });

const times = (values, factor) => (factor === 1 ? values : values.map((value) => factor * value));

// The steps of a layer that faults.js replaces: whose features decide the weights, how queries are read, the factor of
// scores, how they are normalised, how what was gathered lies in memory, how much of it is added; of gates, the pools,
// the planes of maximum and average, and what becomes of the gates of channels and of positions.
const STEPS = {
  source: (x) => x, queries: tokens, factor: 1, normalise: softmax, lay: (x) => x, added: 1,
  pools: null, planes: [0, 1], ofChannels: (gates) => gates, ofPositions: (gates) => gates,
};

// Layer by layer: from what was written down, `take`, which gives the next weights, and its steps, to a function of the
// features that adds what it computes on the way to `maps`.
const LAYERS = {
  affine,

  average: () => (x) => pool(x, "mean"),

  attention_pooling({ name, channels }, take) {
    const query = take(1, channels);
    return (x, maps) => {
      const positions = tokens(x), n = x.h * x.w;
      const weights = softmax(multiply(query, positions, 1, n, x.c), n);
      maps.push({ name, kind: "readout", shape: [x.h, x.w], values: weights });
      return feature(x.c, 1, 1, multiply(x.values, weights, x.c, 1, n));
    };
  },

  self_attention({ name, query, key, value, out, halved, gamma }, take, step) {
    const [toQuery, toKey, toValue, ...rest] = [query, key, value, ...out].map((part) => affine(part, take));
    const few = halved ? halve : (x) => x;
    return (x, maps) => {
      const from = step.source(x), keys = few(toKey(from)), values = few(toValue(x));
      const n = x.h * x.w, m = keys.h * keys.w;
      const scores = multiply(step.queries(toQuery(from)), tokens(keys), n, m, keys.c);
      const weights = step.normalise(times(scores, step.factor), m);
      maps.push(relation(name, n, m, weights));
      const attended = rest.reduce((y, layer) => layer(y), step.lay(gather(weights, values, x)));
      return plus(x, scaled(attended, () => step.added * gamma));
    };
  },

  non_local({ name, theta, phi, g, out, mode, scale, inner, pool: place }, take, step) {
    const [toTheta, toPhi, toG] = [theta, phi, g].map(([part]) => (part ? affine(part, take) : (x) => x));
    const compare = mode === "concatenation" ? take(1, 2 * inner) : null;
    const last = affine(out, take);
    const others = (part, x) => (place === "none" ? part(x) : place === "first" ? part(halve(x)) : halve(part(x)));
    return (x, maps) => {
      const from = step.source(x), mine = toTheta(from), theirs = others(toPhi, from), values = others(toG, x);
      const n = x.h * x.w, m = theirs.h * theirs.w;
      let weights = null;
      if (compare) {
        const ofI = multiply(compare.subarray(0, inner), step.queries(mine), 1, n, inner);
        const ofJ = multiply(compare.subarray(inner), tokens(theirs), 1, m, inner);
        weights = Float32Array.from({ length: n * m }, (_, at) => Math.max(0, step.factor * (ofI[Math.floor(at / m)] + ofJ[at % m])) / m);
      } else {
        const scores = multiply(step.queries(mine), tokens(theirs), n, m, mine.c);
        weights = times(scores, step.factor * (mode === "dot_product" ? 1 / m : scale));
        if (mode !== "dot_product") weights = step.normalise(weights, m);
      }
      maps.push(relation(name, n, m, weights));
      return step.added ? plus(x, last(step.lay(gather(weights, values, x)))) : x;
    };
  },

  // Squeeze-and-excitation pools by the mean, CBAM's channel gate by mean and maximum through the same two layers.
  channel_gate({ name, mlp, pools }, take, step) {
    const [squeeze, excite] = mlp.map((part) => affine(part, take));
    return (x, maps) => {
      const scores = (step.pools ?? pools).map((kind) => excite(squeeze(pool(x, kind)))).reduce(plus);
      const gates = step.ofChannels(times(scores.values, step.factor).map(sigmoid));
      maps.push(gate(name, [x.c, 1, 1], gates));
      return scaled(x, (i) => gates[Math.floor(i / (x.h * x.w))]);
    };
  },

  efficient_channel({ name, size }, take) {
    const kernel = take(1, size);
    return (x, maps) => {
      const averages = pool(x, "mean").values;
      const gates = averages.map((_, channel) =>
        sigmoid(kernel.reduce((sum, weight, k) => sum + weight * (averages[channel + k - (size >> 1)] ?? 0), 0)));
      maps.push(gate(name, [x.c, 1, 1], gates));
      return scaled(x, (i) => gates[Math.floor(i / (x.h * x.w))]);
    };
  },

  spatial_gate({ name, conv }, take, step) {
    const scored = affine(conv, take);
    return (x, maps) => {
      const n = x.h * x.w, pooled = feature(2, x.h, x.w), [most, mean] = step.planes.map((plane) => plane * n);
      pooled.values.fill(-Infinity, most, most + n);
      x.values.forEach((value, i) => {
        pooled.values[most + (i % n)] = Math.max(pooled.values[most + (i % n)], value);
        pooled.values[mean + (i % n)] += value / x.c;
      });
      const gates = step.ofPositions(times(scored(pooled).values, step.factor).map(sigmoid));
      maps.push(gate(name, [1, x.h, x.w], gates));
      return scaled(x, (i) => gates[i % n]);
    };
  },

  cbam({ name, channel, spatial }, take, step) {
    const [first, second] = [LAYERS.channel_gate(channel, take, step), LAYERS.spatial_gate(spatial, take, step)];
    return (x, maps) => {
      second(first(step.source(x), maps), maps);
      const n = x.h * x.w, [ofChannels, ofPositions] = maps.slice(-2).map(({ values }) => values);
      const gates = x.values.map((_, i) => ofChannels[Math.floor(i / n)] * ofPositions[i % n]);
      maps.push(gate(name, [x.c, x.h, x.w], gates));
      return scaled(x, (i) => gates[i]);
    };
  },

  // Without `select`, every branch has an even share.
  selective_kernel({ name, branches, select }, take) {
    const kernels = branches.map((part) => affine(part, take));
    const layers = select.map((part) => affine(part, take));
    return (x, maps) => {
      const seen = kernels.map((kernel) => kernel(x));
      const m = seen.length, n = x.h * x.w;
      const scores = layers.reduce((y, layer) => layer(y), pool(seen.reduce(plus), "mean")).values;
      const shares = layers.length ? transpose(softmax(transpose(scores, m, x.c), m), x.c, m) : new Float32Array(m * x.c).fill(1 / m);
      maps.push({ name, kind: "shares", shape: [m, x.c], values: shares });
      return seen.map((y, branch) => scaled(y, (i) => shares[branch * x.c + Math.floor(i / n)])).reduce(plus);
    };
  },
};

// A generator of an image (3, h, w) that returns the classes' logits, and the maps in the order of their making. It
// yields the features after each layer: who calls may do something else before the next, or start there another time,
// at the layer `from`. `replaced` has, by a layer's name, steps that are others than STEPS.
function makeNetwork(layers, weights, replaced = {}) {
  const take = reader(weights);
  const made = layers.map((layer) => LAYERS[layer.kind](layer, take, { ...STEPS, ...replaced[layer.name] }));
  return function* (image, from = 0) {
    const maps = [];
    let x = image;
    for (const layer of made.slice(from)) {
      x = layer(x, maps);
      yield x;
    }
    return { logits: x.values, maps };
  };
}
