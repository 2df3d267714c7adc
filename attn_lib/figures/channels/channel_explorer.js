// The weights of a layer's channels as bars; the chosen channel's feature map before and after them.

const BARS = 64; // side by side, at most: on a phone each is then 5 pixels wide
const HEIGHTS = { 1: 9, 2: 6 }; // in rem, of one or two chunks of bars; of more: 3.5

const MOVES = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };

function vector(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// The numbers of the figure, for the image and the network chosen now.
function reader(model) {
  const branches = model.get("branches");
  const images = model.get("image_names").map((_, image) => image);
  const parts = Math.max(1, branches.length);
  const weights = floats(model.get("weights"));
  const c = weights.length / (model.get("series_names").length * images.length * parts);
  const [h = 0, w = 0] = model.get("grid");
  const features = bytes(model.get("features"));
  const scales = h ? floats(model.get("scales")) : [];
  const place = (part, channel, image) => ((model.get("series") * images.length + image) * parts + part) * c + channel;
  const weight = (part, channel, image = model.get("image")) => weights[place(part, channel, image)];
  return {
    images, parts, c, h, w, weight,
    names: branches.length ? branches : ["gate"],
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

function makeChunks(layer) {
  const { c, parts } = layer;
  const count = Math.ceil(c / BARS);
  const size = Math.ceil(c / count);
  const steps = Math.max(2, parts);
  const levels = Array.from({ length: steps + 1 }, (_, k) => k / steps);
  const line = levels.slice(1, -1).map((level) => `M0 ${y(level)}H${10 * size}`).join("");
  return Array.from({ length: count }, (_, chunk) => {
    const filled = layer.names.map((_, part) => vector("path", { class: "attn-part", "fill-opacity": 1 - part / parts }));
    const mean = vector("path", { class: "attn-mean" });
    const frame = vector("path", { class: "attn-chosen" });
    const label = element("span", { class: "attn-range" });
    const view = { viewBox: `0 0 ${10 * size} 1000`, preserveAspectRatio: "none", "aria-hidden": "true" };
    const svg = vector("svg", view, ...filled, vector("path", { class: "attn-level", d: line }), mean, frame);
    const axis = levels.map((level) => element("span", { style: `bottom: ${100 * level}%` }, `${Number(level.toPrecision(2))}`));
    return {
      svg, filled, mean, frame, label, size, start: chunk * size,
      el: element("div", { class: "attn-chunk", style: `--attn-height: ${HEIGHTS[count] ?? 3.5}rem` },
        element("div", { class: "attn-axis", "aria-hidden": "true" }, ...axis), svg, label),
    };
  });
}

const y = (weight) => 1000 - Math.round(1000 * weight);

function drawBars(chunk, layer, order, sorted) {
  const here = order.slice(chunk.start, chunk.start + chunk.size);
  const paths = layer.names.map(() => "");
  let marks = "";
  here.forEach((channel, i) => {
    let below = 0, mean = 0;
    for (let part = 0; part < layer.parts; part++) {
      const above = below + layer.weight(part, channel);
      paths[part] += `M${10 * i + 1} ${y(below)}H${10 * i + 9}V${y(above)}H${10 * i + 1}z`;
      below = above;
      mean += layer.mean(part, channel);
      if (part === 0 || part < layer.parts - 1) marks += `M${10 * i} ${y(mean)}h10`; // above the last of several there is nothing
    }
  });
  paths.forEach((path, part) => chunk.filled[part].setAttribute("d", path));
  chunk.mean.setAttribute("d", marks);
  chunk.label.textContent = sorted
    ? `ranks ${chunk.start + 1} to ${chunk.start + here.length}`
    : `channels ${chunk.start} to ${chunk.start + here.length - 1}`;
}

function range(values) {
  return `${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}, mean ${average(values).toFixed(2)}`;
}

function describe(model, layer, channel) {
  const [name] = layer.names;
  const own = layer.names.map((name, part) => `${name} ${layer.weight(part, channel).toFixed(2)}`).join(", ");
  const over = range(layer.images.map((image) => layer.weight(0, channel, image)));
  const among = range(layer.channels.map((other) => layer.weight(0, other)));
  const image = model.get("image_names")[model.get("image")];
  return `Channel ${channel}: ${own}. Over the ${layer.images.length} ${model.get("kind")}: ${name} ${over}. Over the ${layer.c} channels of ${image}: ${name} ${among}.`;
}

// weight × map + … = map: each a canvas of h × w pixels, in the colours of the channel's scale.
function makeSum(model, layer) {
  const colours = bytes(model.get("colours"));
  const captions = model.get("branches").length ? [...layer.names, "together"] : ["before", "after"];
  const terms = captions.map((caption) => {
    const canvas = element("canvas", { width: layer.w, height: layer.h, role: "img" });
    const sign = element("span", { class: "attn-sign" }, "=");
    const el = element("div", { class: "attn-term" }, sign, element("figure", {}, canvas, element("figcaption", {}, caption)));
    return { el, canvas, sign, caption, context: canvas.getContext("2d") };
  });

  function drawMap({ canvas, context, caption }, values, [low, high]) {
    const pixels = context.createImageData(layer.w, layer.h);
    values.forEach((value, i) => {
      const level = Math.round((255 * (value - low)) / (high - low || 1));
      pixels.data.set(colours.subarray(3 * level, 3 * level + 3), 4 * i);
      pixels.data[4 * i + 3] = 255;
    });
    context.putImageData(pixels, 0, 0);
    canvas.setAttribute("aria-label", `${caption}: ${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}`);
  }

  function draw(channel) {
    const [low, high] = layer.scale(channel);
    const after = new Float64Array(layer.h * layer.w);
    for (let part = 0; part < layer.parts; part++) {
      const weight = layer.weight(part, channel);
      const before = Float64Array.from(layer.levels(part, channel), (level) => low + (level / 255) * (high - low));
      before.forEach((value, i) => (after[i] += weight * value));
      terms[part].sign.textContent = `${part ? "+ " : ""}${weight.toFixed(2)} ×`;
      drawMap(terms[part], before, [low, high]);
    }
    drawMap(terms[layer.parts], after, [low, high]);
  }

  return { terms: terms.map(({ el }) => el), draw };
}

function makeChoices(model) {
  const radios = [];
  const labels = model.get("image_names").map((name, image) => {
    const radio = element("input", { type: "radio", name: "image" });
    radio.addEventListener("change", () => tell(model, "image", image));
    radios.push(radio);
    const picture = element("img", { src: model.get("pictures")[image], alt: `picture: ${name}` });
    // The picture's words are the choice's name; heard once, they need no second.
    return element("label", { class: "attn-choice" }, picture, element("span", {}, radio, " ", element("span", { "aria-hidden": "true" }, name)));
  });
  // Radio buttons are one group within their form: figures on one page do not share it.
  const form = element("form", {}, element("div", { class: "attn-choices", role: "radiogroup", "aria-label": model.get("kind") }, ...labels));
  const update = () => (radios[model.get("image")].checked = true);
  return { el: form, update };
}

function makeKey(model, layer) {
  const swatch = (kind, d, opacity = 1) =>
    vector("svg", { class: "attn-swatch", viewBox: "0 0 20 20", "aria-hidden": "true" }, vector("path", { class: kind, d, "fill-opacity": opacity }));
  const level = model.get("branches").length ? "equal shares" : "0.5, the gate of score 0";
  return element("div", { class: "attn-foot" },
    ...layer.names.map((name, part) => element("span", {}, swatch("attn-part", "M0 0H20V20H0z", 1 - part / layer.parts), ` ${name}`)),
    element("span", {}, swatch("attn-mean", "M0 10H20"), ` mean over the ${model.get("kind")}`),
    element("span", {}, swatch("attn-level", "M0 10H20"), ` ${level}`),
    element("span", { class: "attn-hint" }, "☞ Point at a bar, tap, or press arrow keys."));
}

function render({ model, el }) {
  const layer = reader(model);
  const chunks = makeChunks(layer);
  const sum = makeSum(model, layer);
  const choices = makeChoices(model);
  const input = element("img");
  const inputName = element("figcaption");
  const words = element("output", { class: "attn-words" });
  const scaleEnds = [element("span"), element("span")];
  const barsEl = element("div", {
    class: "attn-bars", role: "slider", tabindex: "0", "aria-label": "Channel", "aria-valuemin": 1, "aria-valuemax": layer.c,
  }, ...chunks.map((chunk) => chunk.el));
  let order = layer.channels;

  function show(channel) {
    const position = order.indexOf(channel);
    for (const { frame, start, size } of chunks) {
      const i = position - start;
      frame.setAttribute("d", i >= 0 && i < size ? `M${10 * i} 0h10v1000h-10z` : "");
    }
    words.textContent = describe(model, layer, channel);
    barsEl.setAttribute("aria-valuenow", position + 1);
    barsEl.setAttribute("aria-valuetext", `channel ${channel}`);
    el.dataset.channel = channel;
    if (!layer.h) return;
    sum.draw(channel);
    const [low, high] = layer.scale(channel);
    scaleEnds[0].textContent = `feature ${low.toFixed(2)}`;
    scaleEnds[1].textContent = `${high.toFixed(2)}, channel ${channel}, all ${model.get("kind")}`;
  }

  function update() {
    const image = model.get("image");
    order = [...layer.channels];
    if (model.get("sorted")) order.sort((one, other) => layer.weight(0, other) - layer.weight(0, one));
    for (const chunk of chunks) drawBars(chunk, layer, order, model.get("sorted"));
    input.src = model.get("pictures")[image];
    inputName.textContent = model.get("image_names")[image];
    input.alt = `input: ${inputName.textContent}`;
    choices.update();
    if (network) network.control.selectedIndex = model.get("series");
    ranked.control.checked = model.get("sorted");
    show(model.get("channel"));
  }

  const at = (position) => order[Math.min(layer.c - 1, Math.max(0, position))];
  const choose = (channel) => tell(model, "channel", channel);
  const step = (by) => choose(at(order.indexOf(model.get("channel")) + by));

  const network = model.get("series_names").length > 1
    ? select("Network", model.get("series_names"), model.get("series"), (series) => tell(model, "series", series)) : null;
  const ranked = checkbox(`highest ${layer.names[0]} first`, model.get("sorted"), (sorted) => tell(model, "sorted", sorted));
  const steps = element("span", { class: "attn-steps" }, button("Previous channel", () => step(-1)), " ", button("Next channel", () => step(1)));

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
  barsEl.addEventListener("keydown", (event) => {
    if (!(event.key in MOVES) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    step(MOVES[event.key]);
  });
  model.on("change:channel", () => show(model.get("channel")));
  for (const name of ["image", "series", "sorted"]) model.on(`change:${name}`, update);

  ready(el, model);
  el.classList.add("attn-channel-explorer");
  const controls = element("div", { class: "attn-controls" }, ...(network ? [network.el] : []), ranked.el, steps);
  el.append(choices.el, controls, barsEl, makeKey(model, layer), words);
  if (layer.h) {
    const scale = element("div", { class: "attn-scale" }, scaleEnds[0], " ", colourBar(bytes(model.get("colours"))), " ", scaleEnds[1]);
    el.append(
      element("div", { class: "attn-sum" }, element("figure", {}, input, inputName), ...sum.terms),
      element("div", { class: "attn-foot" }, scale),
    );
  }
  update();
}

export default { render };
