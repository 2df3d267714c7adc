// The weights of a layer's channels as bars; the chosen channel's feature map before and after them.

const MOVES = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };

const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const fixed = (number) => number.toFixed(2);

const countParts = (model) => Math.max(1, model.get("branches").length);

function countChannels(model) {
  const rows = model.get("series_names").length * model.get("image_names").length * countParts(model);
  return model.get("weights").byteLength / 4 / rows;
}

// The numbers of the figure, for the image and the network chosen now.
function makeReader(model) {
  const branches = model.get("branches");
  const images = model.get("image_names").map((_, image) => image);
  const parts = countParts(model), c = countChannels(model);
  const weights = floats(model.get("weights"));
  const [h = 0, w = 0] = model.get("grid");
  const features = bytes(model.get("features"));
  const scales = h ? floats(model.get("scales")) : [];
  const place = (part, channel, image) => ((model.get("series") * images.length + image) * parts + part) * c + channel;
  const weight = (part, channel, image = model.get("image")) => weights[place(part, channel, image)];
  return {
    images, parts, c, h, w, weight,
    names: branches.length ? branches : [PHRASES.gate],
    channels: Array.from({ length: c }, (_, channel) => channel),
    mean: (part, channel) => average(images.map((image) => weight(part, channel, image))),
    scale(channel) {
      const start = 2 * (model.get("series") * c + channel);
      return scales.slice(start, start + 2);
    },
    levels(part, channel) {
      const start = place(part, channel, model.get("image")) * h * w;
      return features.subarray(start, start + h * w);
    },
  };
}

const y = (weight) => FULL - Math.round(FULL * weight);

// So many bars, and the paths that show them; `start` is the place of the first.
function findChunks(root, { c }) {
  const found = holes(root, "chunk");
  const size = Math.ceil(c / found.length);
  return found.map((el, chunk) => ({
    start: chunk * size, size,
    svg: el.querySelector("svg"), parts: holes(el, "part"), mean: hole(el, "mean"), frame: hole(el, "chosen"), range: hole(el, "range"),
  }));
}

function drawBars(chunk, layer, order, ranked) {
  const here = order.slice(chunk.start, chunk.start + chunk.size);
  const paths = layer.names.map(() => "");
  let marks = "";
  here.forEach((channel, i) => {
    let below = 0, mean = 0;
    for (let part = 0; part < layer.parts; part++) {
      const above = below + layer.weight(part, channel);
      paths[part] += `M${BAR * i + GAP} ${y(below)}H${BAR * (i + 1) - GAP}V${y(above)}H${BAR * i + GAP}z`;
      below = above;
      mean += layer.mean(part, channel);
      if (part === 0 || part < layer.parts - 1) marks += `M${BAR * i} ${y(mean)}h${BAR}`; // above the last of several there is nothing
    }
  });
  paths.forEach((path, part) => chunk.parts[part].setAttribute("d", path));
  chunk.mean.setAttribute("d", marks);
  const first = ranked ? chunk.start + 1 : chunk.start; // ranks begin at 1, channels at 0
  chunk.range.textContent = fill(ranked ? PHRASES.ranks : PHRASES.channels, { first, last: first + here.length - 1 });
}

function drawFrame({ frame, start, size }, position) {
  const i = position - start;
  frame.setAttribute("d", i >= 0 && i < size ? `M${BAR * i} 0h${BAR}v${FULL}h-${BAR}z` : "");
}

function range(values) {
  return fill(PHRASES.range, { low: fixed(Math.min(...values)), high: fixed(Math.max(...values)), mean: fixed(average(values)) });
}

function describe(model, layer, channel) {
  const own = layer.names.map((name, part) => fill(PHRASES.own, { name, weight: fixed(layer.weight(part, channel)) }));
  return fill(PHRASES.words, {
    channel, own: own.join(", "), name: layer.names[0],
    images: layer.images.length, kind: model.get("kind"), over: range(layer.images.map((image) => layer.weight(0, channel, image))),
    c: layer.c, image: model.get("image_names")[model.get("image")], among: range(layer.channels.map((other) => layer.weight(0, other))),
  });
}

// weight × map + … = map: each a canvas of h × w pixels, in the colours of the channel's scale.
function makeSum(model, root, layer) {
  const colours = bytes(model.get("colours"));
  const [signs, low, high] = [holes(root, "sign"), hole(root, "low"), hole(root, "high")];
  const maps = holes(root, "picture").map((picture) => {
    const canvas = build(["canvas", { width: layer.w, height: layer.h, role: "img" }]);
    picture.replaceChildren(canvas);
    return { canvas, context: canvas.getContext("2d"), caption: picture.parentElement.querySelector("figcaption").textContent };
  });

  function drawMap({ canvas, context, caption }, values, [lowest, highest]) {
    const pixels = context.createImageData(layer.w, layer.h);
    values.forEach((value, i) => {
      const level = Math.round((255 * (value - lowest)) / (highest - lowest || 1));
      pixels.data.set(colours.subarray(3 * level, 3 * level + 3), 4 * i);
      pixels.data[4 * i + 3] = 255;
    });
    context.putImageData(pixels, 0, 0);
    const ends = { low: fixed(Math.min(...values)), high: fixed(Math.max(...values)) };
    canvas.setAttribute("aria-label", fill(PHRASES.map, { caption, ...ends }));
  }

  return (channel) => {
    const scale = layer.scale(channel);
    const after = new Float64Array(layer.h * layer.w);
    for (let part = 0; part < layer.parts; part++) {
      const weight = layer.weight(part, channel);
      const before = Float64Array.from(layer.levels(part, channel), (level) => scale[0] + (level / 255) * (scale[1] - scale[0]));
      before.forEach((value, i) => (after[i] += weight * value));
      signs[part].textContent = fill(PHRASES.times, { weight: fixed(weight) });
      drawMap(maps[part], before, scale);
    }
    drawMap(maps[layer.parts], after, scale);
    low.textContent = fill(PHRASES.lowest, { low: fixed(scale[0]) });
    high.textContent = fill(PHRASES.highest, { high: fixed(scale[1]), channel, kind: model.get("kind") });
  };
}

// What shows the image chosen: the picture beside the maps, where there are any, and its name.
function makeInput(model, root, choices) {
  const [input, name] = [hole(root, "input"), hole(root, "input-name")];
  if (!input) return () => {};
  const urls = choices.map((radio) => radio.closest("label").querySelector("img").src);
  return (image) => {
    name.textContent = model.get("image_names")[image];
    if (input.src !== urls[image]) input.src = urls[image];
    input.alt = fill(PHRASES.input, { name: name.textContent });
  };
}

// What each control shows of the traits.
function makeControls(model, root, choices) {
  const radios = choices.map((radio, image) => control(radio, () => tell(model, "image", image)));
  const follow = { image: (image) => radios[image](true) };
  for (const name of ["series", "sorted"]) {
    const el = hole(root, name);
    if (el) follow[name] = control(el, (value) => tell(model, name, value));
  }
  return follow;
}

function render({ model: given, el }) {
  const root = adopt(given, el);
  const count = (names) => below(given.get(names).length);
  const model = guard(given, { image: count("image_names"), series: count("series_names"), channel: below(countChannels(given)) });
  const layer = makeReader(model);
  const chunks = findChunks(root, layer);
  const choices = holes(root, "choice");
  const controls = makeControls(model, root, choices);
  const showInput = makeInput(model, root, choices);
  const showSum = layer.h ? makeSum(model, root, layer) : () => {};
  const [bars, words] = [hole(root, "bars"), hole(root, "words")];
  let order = layer.channels;

  // The channel may be one that the pointer points at, instead of the chosen one.
  function show(channel) {
    const position = order.indexOf(channel);
    for (const chunk of chunks) drawFrame(chunk, position);
    words.textContent = describe(model, layer, channel);
    bars.setAttribute("aria-valuenow", position + 1);
    bars.setAttribute("aria-valuetext", fill(PHRASES.channel, { channel }));
    root.dataset.channel = channel;
    showSum(channel);
  }

  function update() {
    order = [...layer.channels];
    if (model.get("sorted")) order.sort((one, other) => layer.weight(0, other) - layer.weight(0, one));
    for (const chunk of chunks) drawBars(chunk, layer, order, model.get("sorted"));
    for (const [name, follow] of Object.entries(controls)) follow(model.get(name));
    showInput(model.get("image"));
    show(model.get("channel"));
  }

  const at = (position) => order[Math.min(layer.c - 1, Math.max(0, position))];
  const choose = (channel) => tell(model, "channel", channel);
  const step = (by) => choose(at(order.indexOf(model.get("channel")) + by));

  for (const { svg, start, size } of chunks) {
    const under = (event) => {
      const area = svg.getBoundingClientRect();
      const i = Math.floor(((event.clientX - area.left) / area.width) * size);
      return at(start + Math.min(size - 1, Math.max(0, i)));
    };
    svg.addEventListener("pointermove", (event) => show(under(event)));
    svg.addEventListener("pointerleave", () => show(model.get("channel")));
    svg.addEventListener("pointerup", (event) => choose(under(event))); // also where a finger has slid over the bars
  }
  hole(root, "previous").addEventListener("click", () => step(-1));
  hole(root, "next").addEventListener("click", () => step(1));
  bars.addEventListener("keydown", (event) => {
    if (!(event.key in MOVES) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    step(MOVES[event.key]);
  });
  model.on("change:channel", () => show(model.get("channel")));
  for (const name of ["image", "series", "sorted"]) model.on(`change:${name}`, update);
  update();
}

export default { render };
