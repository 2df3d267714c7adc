// What goes wrong in public code, as steps of a layer that are replaced: faults.py does the same to a layer of PyTorch.

const even = (gates) => gates.fill(gates.reduce((a, b) => a + b) / gates.length);

// By their names. `factor` is of scores, `other` gives the features of another image.
const FAULTS = {
  "": () => ({}),
  softmax_over_queries: () => ({
    normalise: (scores, m) => transpose(softmax(transpose(scores, scores.length / m, m), scores.length / m), m, scores.length / m),
  }),
  reshaped_queries: () => ({ queries: (x) => x.values }),
  reshaped_output: () => ({ lay: (x) => feature(x.c, x.h, x.w, tokens(x)) }),
  nothing_added: () => ({ added: 0 }),
  even_weights: () => ({ factor: 0 }),
  average_is_max: () => ({ pools: ["max", "max"] }),
  sigmoid_twice: () => ({ ofChannels: (gates) => gates.map(sigmoid) }),
  channel_gate_lost: () => ({ ofChannels: (gates) => gates.fill(1) }),
  averages_first: () => ({ planes: [1, 0] }),
  even_channels: () => ({ ofChannels: even }),
  even_positions: () => ({ ofPositions: even }),
  another_image: (_, other) => ({ source: other }),
  scores_times: (factor) => ({ factor }),
};

// The held-out scenes, made of what scenes.py packed: what is on each, the right answer, and how it is painted.
function makeScenes(model) {
  const numbers = new Uint16Array(bytes(model.get("scenes")).slice().buffer), digits = model.get("digits");
  const size = model.get("size"), count = digits.byteLength / 64, row = numbers.length / count;
  const pattern = new Int8Array(bytes(model.get("pattern")));
  const each = count / model.get("classes").length;
  return Array.from({ length: count }, (_, i) => {
    const [digit, side, top, left, red, green, blue, down, right, ...rest] = numbers.subarray(i * row, (i + 1) * row);
    const of = Array.from({ length: SCENE_SCRAPS }, (_, scrap) => rest.slice(9 * scrap, 9 * (scrap + 1)));
    const places = of.map((scrap) => scrap.slice(7));
    const canvas = { digit, side, place: [top, left], scraps: of.length, scrap_places: places, noise: SCENE_NOISE, paint: "" };
    const parts = { digits, size, colour: [red, green, blue], pieces: of.map((scrap) => scrap.slice(0, 7)), start: { scrap_places: places } };
    const image = () => {
      const made = { ...parts, pattern: rolled(pattern, size, down, right) };
      return makePainter({ get: (name) => made[name] })(canvas);
    };
    return { canvas, answer: Math.floor(digit / each), image };
  });
}

// Channels of an image, moved down and to the right; what leaves it comes in on the other side.
function rolled(pattern, [h, w], down, right) {
  return pattern.map((_, i) => {
    const column = i % w, row = Math.floor(i / w) % h, channel = Math.floor(i / (h * w));
    return pattern[(channel * h + ((row - down + h) % h)) * w + ((column - right + w) % w)];
  });
}
