// Point at a position of an image: each panel shows where it looks, or who looks at it.

const PIXELS = 480; // of a canvas's width: two for each that a reader sees, on a wide page
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const CHOICES = ["query", "cell", "layer", "head", "direction", "opacity", "links"];

const isRelation = (panel) => panel.kind === "relation";
const scaleOf = (panel) => (panel.kind === "gate" ? "gate" : "weight"); // gates do not share a sum
const isReversed = (panel, state) => isRelation(panel) && state.direction === DIRECTIONS[1];
const place = (cell, columns) => fill(PHRASES.place, { row: Math.floor(cell / columns) + 1, column: (cell % columns) + 1 });
const within = (index, count) => Math.min(count - 1, Math.max(0, index));
const upTo = (count) => Array.from({ length: count }, (_, i) => i);
const sum = (numbers) => numbers.reduce((all, number) => all + number, 0);

// The cell of another grid in which the centre of a position lies.
function placeIn([rows, columns], [gridRows, gridColumns], position) {
  const below = Math.floor(((2 * Math.floor(position / gridColumns) + 1) * rows) / (2 * gridRows));
  return below * columns + Math.floor(((2 * (position % gridColumns) + 1) * columns) / (2 * gridColumns));
}

// What a panel shows in a state, as Python's attention_map has it: weights on a grid of cells.
function makeReader(model) {
  const grid = model.get("grid");
  const weights = bytes(model.get("weights")), peaks = model.get("peaks"), levels = model.get("levels");
  return (panel, state) => {
    const [start, first] = panel.start;
    const n = isRelation(panel) ? grid[0] * grid[1] : 1, m = panel.cells[0] * panel.cells[1];
    const reverse = isReversed(panel, state), layer = panel.layers > 1 ? state.layer : 0;
    const heads = panel.heads > 1 && state.head !== null ? [state.head] : upTo(panel.heads);
    const key = placeIn(panel.cells, grid, state.query);
    const drawn = new Float64Array(reverse ? n : m);
    for (const head of heads)
      for (let i = 0; i < drawn.length; i++) {
        const query = reverse ? i : isRelation(panel) ? state.query : 0;
        const row = (layer * panel.heads + head) * n + query;
        drawn[i] += panel.floors[layer][head] + weights[start + row * m + (reverse ? key : i)] * (peaks.getFloat32(first + 4 * row, true) / levels);
      }
    return { cells: reverse ? grid : panel.cells, weights: drawn.map((weight) => weight / heads.length) };
  };
}

// The strongest weights of a relation, strongest first.
function strongest(panel, { weights }, count) {
  const order = Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a] || a - b);
  return order.slice(0, isRelation(panel) ? count : 0).filter((at) => weights[at] > 0);
}

// The ends of each scale: weights go from 0 to the highest drawn, gates from the lowest to the highest.
function scales(panels, drawn) {
  const ends = {};
  panels.forEach((panel, i) => {
    const name = scaleOf(panel), [low, high] = ends[name] ?? [name === "gate" ? 1 : 0, 0];
    ends[name] = [Math.min(low, ...drawn[i].weights), Math.max(high, ...drawn[i].weights)];
  });
  return ends;
}

// How much of each cell lies inside the box.
function coverage(box, [rows, columns], [height, width]) {
  const overlap = (start, stop, cell, size) => Math.max(0, Math.min(stop, (cell + 1) * size) - Math.max(start, cell * size)) / size;
  return Float64Array.from({ length: rows * columns }, (_, i) =>
    overlap(box[0], box[2], i % columns, width / columns) * overlap(box[1], box[3], Math.floor(i / columns), height / rows));
}

// The layer and the head shown, of a panel that has several.
function describeChoice(panel, { layer, head }) {
  const chosen = panel.layers > 1 ? [fill(PHRASES.layer, { number: layer + 1 })] : [];
  if (panel.heads > 1) chosen.push(head === null ? PHRASES.mean_of_heads : fill(PHRASES.head, { number: head + 1 }));
  return chosen.length ? `${chosen.join(", ")}: ` : "";
}

function describe(model, panel, state, { cells, weights }) {
  const say = (phrase, share, values = {}) => fill(PHRASES[phrase], { share: percent(share), ...values });
  const chosen = describeChoice(panel, state);
  const gate = panel.kind === "gate", reverse = isReversed(panel, state);
  const peak = Math.max(...weights);
  if (reverse && peak === 0) return chosen + PHRASES.nobody;
  const best = reverse ? "most_from" : gate ? "highest" : "most";
  const said = [say(best, peak, { place: place(weights.indexOf(peak), cells[1]) })];
  if (gate) said.push(say("mean", sum(weights) / weights.length));
  if (panel.box.length && peak > 0) {
    const inside = coverage(panel.box, cells, model.get("size"));
    const share = sum(weights.map((weight, i) => weight * inside[i])) / sum(gate ? inside : weights);
    said.push(say(reverse ? "from_inside" : "inside", share));
  }
  const [read, asked] = [state.cell ?? state.query, state.query].map((at) => placeIn(cells, model.get("grid"), at));
  const own = isRelation(panel) && read === asked;
  said.push(say(reverse ? "read_from" : "read", weights[read], { place: own ? PHRASES.itself : place(read, cells[1]) }));
  if (reverse) said.push(fill(PHRASES.in_all, { times: ((sum(weights) * panel.cells[0] * panel.cells[1]) / weights.length).toFixed(1) }));
  return chosen + said.join("; ");
}

function describeLinks(panel, state, drawn) {
  const told = strongest(panel, drawn, state.links).map((at) =>
    fill(PHRASES.link, { place: place(at, drawn.cells[1]), share: percent(drawn.weights[at]) }));
  return told.length ? fill(PHRASES.links, { links: told.join(", ") }) : "";
}

// The image in grey, and dimmed, so that colour and brightness stand for weight alone.
function toGrey(image, [height, width]) {
  const context = build(["canvas", { width, height }]).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, width, height);
  for (let i = 0; i < data.data.length; i += 4) {
    const [r, g, b] = data.data.subarray(i, i + 3);
    data.data.fill(0.75 * (0.299 * r + 0.587 * g + 0.114 * b), i, i + 3);
  }
  context.putImageData(data, 0, 0);
  return context.canvas;
}

function makePanel(model, panel) {
  const [imageHeight, imageWidth] = model.get("size");
  const height = Math.round((PIXELS * imageHeight) / imageWidth);
  const grid = model.get("grid");
  const words = { role: "application", "aria-label": fill(PHRASES.keys, { name: panel.name }) };
  const canvas = build(["canvas", { width: PIXELS, height, tabindex: "0", ...words }]);
  const context = canvas.getContext("2d");
  const colours = bytes(model.get("colours"));
  const heat = build(["canvas", {}]).getContext("2d");
  let grey = null;

  const edges = (cell, [rows, columns]) =>
    [(cell % columns) * (PIXELS / columns), Math.floor(cell / columns) * (height / rows), PIXELS / columns, height / rows];

  function outline(colour, width, x, y, w, h) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(x + width / 2, y + width / 2, w - width, h - width);
  }

  function paint({ cells: [rows, columns], weights }, [low, high], opacity) {
    Object.assign(heat.canvas, { width: columns, height: rows });
    const pixels = heat.createImageData(columns, rows);
    weights.forEach((weight, i) => {
      const level = Math.round(255 * Math.sqrt((weight - low) / (high - low || 1))); // so that small weights show beside large ones
      pixels.data.set(colours.subarray(3 * level, 3 * level + 3), 4 * i);
      pixels.data[4 * i + 3] = opacity * Math.sqrt(255 * level); // nothing over the image where there is no weight
    });
    heat.putImageData(pixels, 0, 0);
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, PIXELS, height);
    if (grey) context.drawImage(grey, 0, 0, PIXELS, height);
    context.drawImage(heat.canvas, 0, 0, PIXELS, height);
  }

  // Lines to the middles of cells, as thick as their weights are high, and a dot at the end of each.
  function link(from, ends, colour) {
    const middle = ([x, y, w, h]) => [x + w / 2, y + h / 2];
    const paths = ends.map(([to]) => new Path2D(`M${middle(from)}L${middle(to)}`));
    for (const [strokeStyle, casing] of [["black", 5], ["white", 2]])
      paths.forEach((path, i) => {
        Object.assign(context, { strokeStyle, lineWidth: 5 * ends[i][1] + casing });
        context.stroke(path);
      });
    Object.assign(context, { fillStyle: colour, strokeStyle: "black", lineWidth: 2 });
    for (const [to] of ends) {
      context.beginPath();
      context.arc(...middle(to), 7, 0, 7);
      context.fill();
      context.stroke();
    }
  }

  // The number of the cell that is read stands beside it.
  function label(text, [x, y, w, h]) {
    const em = (14 * PIXELS) / (canvas.clientWidth || PIXELS); // 14 px to the reader
    Object.assign(context, { font: `600 ${em}px system-ui, sans-serif`, textAlign: "center", textBaseline: "middle", fillStyle: "rgba(0, 0, 0, 0.8)" });
    const half = (context.measureText(text).width + em) / 2;
    const middle = Math.min(PIXELS - half, Math.max(half, x + w / 2));
    const line = y > 1.6 * em ? y - 0.8 * em : y + h + 0.8 * em;
    context.fillRect(middle - half, line - 0.7 * em, 2 * half, 1.4 * em);
    context.fillStyle = "white";
    context.fillText(text, middle, line);
  }

  function draw(state, drawn, ends) {
    const reverse = isReversed(panel, state);
    paint(drawn, ends, state.opacity);
    const [left, above, right, below] = panel.box.map((edge, i) => (i % 2 ? (edge * height) / imageHeight : (edge * PIXELS) / imageWidth));
    if (right !== undefined) outline("white", 3, left, above, right - left, below - above);
    if (isRelation(panel)) {
      const asked = reverse ? panel.cells : grid;
      const marker = edges(placeIn(asked, grid, state.query), asked);
      const peak = Math.max(...drawn.weights);
      const ends = strongest(panel, drawn, state.links).map((at) => [edges(at, drawn.cells), drawn.weights[at] / peak]);
      link(marker, ends, reverse ? QUERY : KEY);
      outline("black", 7, ...marker);
      outline(reverse ? KEY : QUERY, 5, ...marker);
    }
    if (state.cell === null && isRelation(panel)) return;
    const read = placeIn(drawn.cells, grid, state.cell ?? state.query);
    const around = edges(read, drawn.cells);
    outline("black", 5, ...around);
    outline("white", 3, ...around);
    label(percent(drawn.weights[read]), around);
  }

  return { canvas, draw, setGrey: (image) => (grey = image) };
}

// What each control shows when its trait changes.
function makeControls(model, root) {
  const most = (axis) => Math.max(...model.get("panels").map((panel) => panel[axis]));
  const controls = [];
  const add = (name, trait, { read = (value) => value, show = (value) => value, say = null }) => {
    const el = hole(root, name);
    if (!el) return;
    const follow = control(el, (value) => tell(model, trait, read(value)), say);
    controls.push(() => follow(show(model.get(trait))));
  };
  const layers = most("layers");
  add("layer", "layer", { read: (layer) => layer - 1, show: (layer) => layer + 1, say: (layer) => fill(PHRASES.layer_of, { layer, layers }) });
  add("head", "head", { read: (place) => (place ? place - 1 : null), show: (head) => (head === null ? 0 : head + 1) });
  add("direction", "direction", { read: (place) => DIRECTIONS[place], show: (direction) => DIRECTIONS.indexOf(direction) });
  add("links-shown", "links", { say: String });
  add("opacity", "opacity", { read: (share) => share / 100, show: (share) => Math.round(100 * share), say: (share) => fill(PHRASES.opacity, { share }) });
  add("hold", "cell", { read: (on) => (on ? model.get("query") : null), show: (cell) => cell !== null });
  return controls;
}

function render({ model, el }) {
  const root = adopt(model, el);
  const panels = model.get("panels");
  const [rows, columns] = model.get("grid");
  const read = makeReader(model);
  const [pictures, notes, links] = ["picture", "note", "links"].map((name) => holes(root, name));
  const made = panels.map((panel) => makePanel(model, panel));
  const controls = makeControls(model, root);
  const position = hole(root, "position");
  let shown = "";
  // `preview` is what the pointer points at, instead of what is chosen.
  function show(preview = {}) {
    const state = Object.fromEntries(CHOICES.map((name) => [name, preview[name] ?? model.get(name)]));
    if (JSON.stringify(state) === shown) return;
    shown = JSON.stringify(state);
    const drawn = panels.map((panel) => read(panel, state));
    const ends = scales(panels, drawn);
    panels.forEach((panel, i) => {
      made[i].draw(state, drawn[i], ends[scaleOf(panel)]);
      notes[i].textContent = describe(model, panel, state, drawn[i]);
      links[i].textContent = describeLinks(panel, state, drawn[i]);
    });
    for (const [name, [low, high]] of Object.entries(ends)) {
      const middle = low + (high - low) / 4;
      const texts = name === "gate" ? percents(low, high, [low, middle, high]) : ["0 %", percent(middle), percent(high)];
      hole(root, `low-${name}`).textContent = fill(PHRASES.low, { name: PHRASES[name], low: texts[0] });
      hole(root, `high-${name}`).textContent = fill(PHRASES.high, { quarter: texts[1], high: texts[2] });
    }
    const asked = !panels.some(isRelation) ? "position" : state.direction === DIRECTIONS[0] ? "query" : "key";
    position.textContent = fill(PHRASES[asked], { place: place(state.query, columns) });
    root.dataset.query = state.query;
  }

  const moves = () => (model.get("cell") === null ? "query" : "cell"); // what pointer and arrows move

  function under(event, canvas) {
    const area = canvas.getBoundingClientRect();
    const cell = (offset, length, count) => within(Math.floor((offset / length) * count), count);
    return cell(event.clientY - area.top, area.height, rows) * columns + cell(event.clientX - area.left, area.width, columns);
  }

  function onKey(event) {
    const step = STEPS[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const at = model.get(moves());
    tell(model, moves(), within(Math.floor(at / columns) + step[0], rows) * columns + within((at % columns) + step[1], columns));
  }

  for (const { canvas } of made) {
    canvas.addEventListener("pointermove", (event) => show({ [moves()]: under(event, canvas) }));
    canvas.addEventListener("pointerleave", () => show());
    canvas.addEventListener("click", (event) => tell(model, moves(), under(event, canvas)));
    canvas.addEventListener("keydown", onKey);
  }
  const settle = () => controls.forEach((follow) => follow());
  for (const name of CHOICES) model.on(`change:${name}`, () => (settle(), show()));

  settle();
  root.dataset.query = model.get("query");
  // The still picture stands until the next frame: a page of many figures is not held up by their drawing.
  requestAnimationFrame(() => {
    show();
    pictures.forEach((picture, i) => picture.replaceChildren(made[i].canvas));
  });

  model.get("images").forEach((src, which) => {
    const image = Object.assign(new Image(), { src });
    image.onload = () => {
      const grey = toGrey(image, model.get("size"));
      panels.forEach((panel, i) => panel.image === which && made[i].setGrey(grey));
      shown = "";
      show();
    };
  });
}

export default { render };
