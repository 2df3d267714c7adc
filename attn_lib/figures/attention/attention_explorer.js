// Point at a position of an image: each panel shows where it looks, or who looks at it.

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

const most = (model, axis) => Math.max(...model.get("panels").map((panel) => panel[axis]));

function makeChoices(model) {
  const [rows, columns] = model.get("grid"), cell = below(rows * columns);
  const [layer, head] = ["layers", "heads"].map((axis) => below(most(model, axis)));
  return { query: cell, cell: maybe(cell), layer, head: maybe(head), direction: among(DIRECTIONS), opacity: between(0, 1), links: below(MOST_LINKS + 1) };
}

// What each control shows when its trait changes.
function makeControls(model, root) {
  const controls = [];
  const add = (name, trait, { read = (value) => value, show = (value) => value, say = null }) => {
    const el = hole(root, name);
    if (!el) return;
    const follow = control(el, (value) => tell(model, trait, read(value)), say);
    controls.push(() => follow(show(model.get(trait))));
  };
  const layers = most(model, "layers");
  add("layer", "layer", { read: (layer) => layer - 1, show: (layer) => layer + 1, say: (layer) => fill(PHRASES.layer_of, { layer, layers }) });
  add("head", "head", { read: (place) => (place ? place - 1 : null), show: (head) => (head === null ? 0 : head + 1) });
  add("direction", "direction", { read: (place) => DIRECTIONS[place], show: (direction) => DIRECTIONS.indexOf(direction) });
  add("links-shown", "links", { say: String });
  add("opacity", "opacity", { read: (share) => share / 100, show: (share) => Math.round(100 * share), say: (share) => fill(PHRASES.opacity, { share }) });
  add("hold", "cell", { read: (on) => (on ? model.get("query") : null), show: (cell) => cell !== null });
  return controls;
}

function render({ model: given, el }) {
  const root = adopt(given, el), choices = makeChoices(given), model = guard(given, choices), CHOICES = Object.keys(choices);
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
    image.onerror = () => root.append(build(["p", { role: "alert" }, PHRASES.missing]));
    image.onload = () => {
      const grey = toGrey(image, model.get("size"));
      panels.forEach((panel, i) => panel.image === which && made[i].setGrey(grey));
      shown = "";
      show();
    };
  });
}

export default { render };
