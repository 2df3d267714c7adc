// A trained network runs in the page, on a canvas that the reader changes.

const CANVAS = ["digit", "place", "side", "scraps", "scrap_places", "noise", "paint"];
const TOOLS = ["move", "draw", "rub"];
const SLICE = 16; // milliseconds of a frame for networks: what is not done by then goes on in the next

// What each control shows when its trait changes, and does when the reader chooses.
function makeControls(model, root) {
  const each = perClass(model), follow = [];
  const add = (name, onChoose, show, say = null) => {
    const el = hole(root, name);
    if (!el) return;
    const set = control(el, onChoose, say);
    follow.push(() => set(show()));
  };
  const digit = () => model.get("digit");
  add("class", (chosen) => tell(model, "digit", chosen * each + (digit() % each)), () => answerOf(model));
  add("hand", (number) => tell(model, "digit", digit() - (digit() % each) + number - 1), () => (digit() % each) + 1, (number) => fill(PHRASES.hand, { number, each }));
  add("side", (side) => tell(model, "side", side), () => model.get("side"), (side) => fill(PHRASES.side, { side }));
  add("scraps", (count) => tell(model, "scraps", count), () => model.get("scraps"), String);
  add("noise", (share) => tell(model, "noise", share), () => model.get("noise"), (share) => fill(PHRASES.noise, { share }));
  add("network", (chosen) => tell(model, "network", chosen), () => model.get("network"));
  add("one-query", (on) => tell(model, "query", on ? centre(model, model.get("size").map((length) => Math.ceil(length / 4))) : null), () => model.get("query") !== null);
  hole(root, "clear").addEventListener("click", () => tell(model, "paint", ""));
  return () => follow.forEach((each) => each());
}

// On a page the address carries the canvas; in Jupyter the address is Jupyter's.
function followAddress(model, put) {
  if (!model.get("together") || typeof model.send === "function") return () => {};
  const read = () => {
    if (!location.hash.startsWith(HASH)) return;
    put(fromHash(location.hash, model) ?? model.get("start"));
  };
  read();
  addEventListener("hashchange", read);
  let waiting = 0;
  return (canvas) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => history.replaceState(history.state, "", toHash(canvas)), 300);
  };
}

function render({ model: given, el }) {
  const root = adopt(given, el), model = guard(given, makeChoices(given));
  const [h, w] = model.get("size"), colours = bytes(model.get("colours"));
  const paint = makePainter(model);
  const picture = makeCanvas(hole(root, "picture"), w, h, { role: "application", tabindex: "0" });
  const panels = holes(root, "panel").map((figure) => makePanel(figure, model, colours));
  const networks = model.get("networks").map(({ name, layers, start }) => ({ title: name, layers, start }));
  const read = () => Object.fromEntries(CANVAS.map((name) => [name, model.get(name)]));
  let canvas = read(), preview = null, image = null, near = false, framed = false;
  let waiting = [], working = null; // the panels that show an older canvas, and the work on one of them

  // Layer after layer, what a panel shows of the canvas as it is now. A network is made when it first has to say something.
  function* work(which) {
    const network = networks[model.get("together") ? which : model.get("network")];
    const now = { image, canvas, answer: answerOf(model) };
    if (!network.run) {
      const { buffer, byteOffset, byteLength } = model.get("weights");
      network.run = makeNetwork(network.layers, new DataView(buffer, byteOffset + network.start, byteLength - network.start));
      yield;
    }
    const said = yield* network.run(now.image);
    panels[which].show(network, said, now.image, now.canvas, preview ?? model.get("query"), now.answer);
  }

  // What has begun is ended before anything newer begins: while one drags, each frame shows something whole.
  function frame() {
    framed = false;
    const first = performance.now();
    if (!image) drawCanvas();
    while ((working || waiting.length) && performance.now() - first < SLICE) {
      working ??= work(waiting.shift());
      if (working.next().done) working = null;
    }
    if (working || waiting.length) ask();
    else root.dataset.shown = "";
  }

  function ask() {
    if (framed || !near) return;
    framed = true;
    requestAnimationFrame(frame);
  }

  function drawCanvas() {
    image = paint(canvas);
    picture.context.putImageData(toPixels(image), 0, 0);
    if (brush.at) {
      picture.context.strokeStyle = "white";
      picture.context.strokeRect(brush.at[1] - 1.5, brush.at[0] - 1.5, 4, 4);
    }
    const [row, column] = canvas.place.map((part) => part + 1);
    const words = fill(PHRASES.canvas, { name: className(model), row, column, ...canvas });
    picture.canvas.setAttribute("aria-label", `${words}. ${PHRASES.brush}`);
    picture.show();
  }

  // Whoever waits goes on waiting in the old order, so that the last of many is not always late.
  function update() {
    waiting = [...waiting, ...panels.keys()].filter((which, i, all) => all.indexOf(which) === i);
    delete root.dataset.shown;
    ask();
  }

  // What there is to see before any network has run.
  function settle() {
    canvas = read();
    const room = [h, w].map((length) => length - canvas.side);
    canvas.place = canvas.place.map((at, axis) => clamp(at, room[axis])); // a digit that grew moves inside
    if (canvas.place.join() !== model.get("place").join()) tell(model, "place", canvas.place);
    image = null;
    showControls();
    for (const show of things) show();
    update();
  }

  function change() {
    settle();
    write(canvas);
  }

  function put(next) {
    for (const name of CANVAS) model.set(name, next[name]);
    model.save_changes();
  }

  const chooser = hole(root, "tool"), tool = () => TOOLS[chooser.selectedIndex];
  const brush = makeBrush(model, picture, tool, () => near && (drawCanvas(), update()));
  const things = makeThings(root, model);
  const showControls = makeControls(model, root);
  control(chooser, () => (root.dataset.tool = tool()));
  hole(root, "again").addEventListener("click", () => put(model.get("start")));
  for (const panel of panels)
    followQueries(panel, model, (query) => {
      if (query === preview) return;
      preview = query;
      update();
    });
  const write = followAddress(model, put);
  for (const name of CANVAS) model.on(`change:${name}`, change);
  for (const name of ["network", "query"])
    model.on(`change:${name}`, () => {
      showControls();
      update();
    });
  root.dataset.tool = tool();
  settle();
  whenNear(el, () => {
    near = true;
    ask();
  });
}

export default { render };
