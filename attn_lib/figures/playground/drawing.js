// What a network makes of the canvas, in words and pictures: as view.py and picture.py have it.

const whole = (share) => `${Math.floor(100 * share + 0.5)} %`;
const percentOf = (weight) => (weight < 0 ? `-${percent(-weight)}` : percent(weight));
const placeWords = (row, column) => fill(PHRASES.place, { row: row + 1, column: column + 1 });

// Rows and columns of n positions: an image halved as often as it takes, or else a row.
function gridOf(n, size) {
  for (let halved = 1; halved <= 128; halved *= 2) {
    const [rows, columns] = size.map((length) => Math.ceil(length / halved));
    if (rows * columns === n) return [rows, columns];
  }
  return [1, n];
}

function probabilities(logits) {
  const highest = Math.max(...logits);
  const shares = Array.from(logits, (logit) => Math.exp(logit - highest));
  const sum = shares.reduce((a, b) => a + b, 0);
  return shares.map((share) => share / sum);
}

// The map that is shown of a layer: its kind, weights in rows of `columns`, and whose query they are.
function shownMap(layers, maps, size, query) {
  const last = layers.findLast((layer) => layer.name !== undefined);
  if (!last) return { kind: "none", weights: [] };
  const { name, kind } = last.spatial ?? last;
  const { shape, values } = maps.find((map) => map.name === name);
  if (KINDS[kind] === "shares") return { kind: "shares", weights: values.subarray(0, shape[1]) };
  if (KINDS[kind] !== "relation") return { kind: KINDS[kind], weights: values, columns: shape.at(-1) };
  const [n, m] = shape, [rows, columns] = gridOf(m, size), queries = gridOf(n, size);
  if (query !== null) {
    const at = Math.min(query, n - 1);
    const place = [Math.floor(at / queries[1]), at % queries[1]];
    return { kind: "relation", weights: values.subarray(at * m, (at + 1) * m), rows, columns, query: place, queries };
  }
  const weights = Float64Array.from({ length: m }, (_, key) => {
    let sum = 0;
    for (let i = key; i < values.length; i += m) sum += values[i];
    return sum / n;
  });
  return { kind: "relation", weights, rows, columns, query: null, queries };
}

function verdictOf(shares, classes, answer) {
  if (!shares.every(Number.isFinite)) return PHRASES.nothing;
  const best = shares.indexOf(Math.max(...shares));
  return fill(best === answer ? PHRASES.right : PHRASES.wrong, { name: classes[best], share: whole(shares[best]) });
}

// How much of each cell lies inside the digit's square.
function inSquare({ place: [top, left], side }, [h, w], [rows, columns]) {
  const overlap = (start, cell, i) => Math.max(0, Math.min((i + 1) * cell, start + side) - Math.max(i * cell, start)) / cell;
  return Float64Array.from({ length: rows * columns }, (_, i) =>
    overlap(top, h / rows, Math.floor(i / columns)) * overlap(left, w / columns, i % columns));
}

function noteOf(map, canvas, size) {
  const { kind, weights, columns } = map;
  if (kind === "none") return PHRASES.none;
  if (!weights.every(Number.isFinite)) return PHRASES.nothing;
  const least = Math.min(...weights), most = Math.max(...weights);
  const ends = { low: percentOf(least), high: percentOf(most) };
  if (kind in PHRASES) return fill(PHRASES[kind], { count: weights.length, ...ends });
  const at = weights.indexOf(most);
  let said = fill(PHRASES.most, { place: placeWords(Math.floor(at / columns), at % columns), share: ends.high });
  if (kind === "relation") said = (map.query ? fill(PHRASES.query, { place: placeWords(...map.query) }) : PHRASES.mean_query) + said;
  const sum = weights.reduce((a, b) => a + b, 0);
  if (least >= 0 && sum > 0) {
    const inside = inSquare(canvas, size, [weights.length / columns, columns]);
    const share = weights.reduce((total, weight, i) => total + weight * inside[i], 0) / sum;
    said += fill(PHRASES.inside, { share: percent(share), even: percent(inside.reduce((a, b) => a + b) / inside.length) });
  }
  return said;
}

// Features (3, h, w) as pixels of a canvas.
function toPixels({ h, w, values }) {
  const pixels = new ImageData(w, h);
  for (let i = 0; i < h * w; i++)
    for (let channel = 0; channel < 4; channel++) pixels.data[4 * i + channel] = channel < 3 ? 255 * values[channel * h * w + i] : 255;
  return pixels;
}

// The map over the image in grey, or the channels' gates as bars; around the digit, a line.
function drawMap(context, map, image, canvas, colours) {
  const { h, w } = image, { kind, weights, columns } = map, width = context.canvas.width, height = context.canvas.height;
  context.fillStyle = "black";
  context.fillRect(0, 0, width, height);
  if (kind === "channels" || kind === "shares") {
    const bar = width / weights.length;
    context.fillStyle = WEIGHT;
    weights.forEach((gate, i) => context.fillRect(i * bar + 1, height * (1 - gate), bar - 1, height * gate));
    return;
  }
  const rows = weights.length / columns;
  const least = Math.min(...weights), low = kind === "positions" ? least : Math.min(0, least), high = Math.max(...weights);
  const pixels = new ImageData(w, h), n = h * w;
  for (let i = 0; i < n; i++) {
    const grey = 0.75 * 255 * (0.299 * image.values[i] + 0.587 * image.values[n + i] + 0.114 * image.values[2 * n + i]);
    let level = 0;
    if (kind !== "none") {
      const cell = Math.floor((Math.floor(i / w) * rows) / h) * columns + Math.floor(((i % w) * columns) / w);
      level = Math.round(255 * Math.sqrt((weights[cell] - low) / (high - low || 1)));
    }
    const share = 0.9 * Math.sqrt(level / 255);
    for (let channel = 0; channel < 3; channel++) pixels.data[4 * i + channel] = grey * (1 - share) + colours[3 * level + channel] * share;
    pixels.data[4 * i + 3] = 255;
  }
  const small = new OffscreenCanvas(w, h);
  small.getContext("2d").putImageData(pixels, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, width, height);
  const line = (colour, thick, x, y, wide, tall) => {
    Object.assign(context, { strokeStyle: colour, lineWidth: thick });
    context.strokeRect(x + thick / 2, y + thick / 2, wide - thick, tall - thick);
  };
  const [top, left, side] = [...canvas.place, canvas.side].map((length) => SCALE * length);
  line("white", 2, left, top, side, side);
  if (map.query) {
    const tall = height / map.queries[0], wide = width / map.queries[1];
    line(QUERY, 3, map.query[1] * wide, map.query[0] * tall, wide, tall);
  }
}
