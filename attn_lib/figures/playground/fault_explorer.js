// A trained network is broken: what it then says of one image, and of all held-out ones, counted in the background.

const SLICE = 12; // milliseconds of a frame for networks: what is not done by then goes on in the next

const CHOICES = ["fault", "factor", "scene"];
const best = (logits) => (logits.every(Number.isFinite) ? logits.indexOf(Math.max(...logits)) : -1);
const faultName = (fault) => PHRASES[fault || "fault"];

// Runs the network as trained and with faults. What comes before the broken layer is computed once for each scene.
function makeRunner(model, scenes) {
  const layers = model.get("layers"), where = model.get("where"), weights = model.get("weights");
  const from = layers.findIndex(({ name }) => name === where), before = (i) => (i + scenes.length - 1) % scenes.length;
  const kept = [], broken = {};
  let now = 0; // the scene that runs

  function network(fault, factor) {
    const key = `${fault} ${fault === "scores_times" ? factor : ""}`;
    const steps = () => FAULTS[fault](factor, () => kept[before(now)]);
    return (broken[key] ??= { run: makeNetwork(layers, weights, { [where]: steps() }), answers: [] });
  }

  function* features(i) {
    if (kept[i]) return;
    let x = scenes[i].image();
    const front = network("", 1).run(x);
    for (let layer = 0; layer < from; layer++) {
      x = front.next().value;
      yield;
    }
    kept[i] = x;
  }

  // Logits and maps of a scene.
  function* say(fault, factor, i) {
    yield* features(i);
    yield* features(before(i));
    const layers = network(fault, factor).run(kept[i], from);
    for (;;) {
      now = i; // others may have run since the last layer
      const { done, value } = layers.next();
      if (done) return value;
      yield;
    }
  }

  // The answers to all scenes, those first that are not known yet.
  function* answer(fault, factor, i) {
    const { answers } = network(fault, factor);
    if (answers[i] === undefined) answers[i] = best((yield* say(fault, factor, i)).logits);
    return answers[i];
  }

  // The next scene, as far as answers are known, to which the fault gives another; else the one where one was.
  function differing(fault, factor, i) {
    const [before, after] = [network("", 1), network(fault, factor)].map(({ answers }) => answers);
    const next = scenes.map((_, step) => (i + 1 + step) % scenes.length);
    return next.find((at) => after[at] !== undefined && after[at] !== before[at]) ?? i;
  }

  return { say, answer, differing };
}

// The bars and the words that count right answers.
function makeTally(root, scenes) {
  const tally = hole(root, "tally"), words = hole(root, "told"), name = hole(root, "after-name"), count = scenes.length;
  const row = (which, right, seen) => {
    hole(root, `${which}-bar`).setAttribute("style", `width: ${Math.floor((100 * right) / (seen || 1) + 0.5)}%`);
    hole(root, which).textContent = fill(PHRASES.right_of, { right, seen });
  };
  return (fault, { before, after, changed, seen }) => {
    const done = seen === count;
    name.textContent = fill(PHRASES.faulty, { fault: faultName(fault) });
    row("before", before, seen);
    row("after", after, seen);
    tally.setAttribute("aria-busy", String(!done));
    words.textContent = done ? fill(fault ? PHRASES.cost : PHRASES.unbroken, { before, after, changed, count }) : fill(PHRASES.counting, { seen, count });
  };
}

function makeControls(model, root) {
  const count = model.get("digits").byteLength / 64, names = ["", ...model.get("faults")], follow = [];
  holes(root, "fault").forEach((el, i) => {
    const set = control(el, () => tell(model, "fault", names[i]));
    follow.push(() => set(model.get("fault") === names[i]));
  });
  hole(root, "fault").form.addEventListener("submit", (event) => event.preventDefault());
  const add = (name, onChoose, show, say = null) => {
    const el = hole(root, name);
    if (!el) return;
    const set = control(el, onChoose, say);
    follow.push(() => set(show()));
  };
  const chooseFactor = (place) => {
    model.set("factor", FACTORS[place]);
    tell(model, "fault", "scores_times");
  };
  add("factor", chooseFactor, () => FACTORS.indexOf(model.get("factor")), (place) => fill(PHRASES.factor, { factor: FACTORS[place] }));
  add("scene", (number) => tell(model, "scene", number - 1), () => model.get("scene") + 1, (number) => fill(PHRASES.scene, { number, count }));
  add("one-query", (on) => tell(model, "query", on ? centre(model, model.get("size").map((length) => Math.ceil(length / 4))) : null), () => model.get("query") !== null);
  return () => follow.forEach((each) => each());
}

function render({ model: given, el }) {
  const root = adopt(given, el), scenes = makeScenes(given), [h, w] = given.get("size");
  const accepts = { fault: among(["", ...given.get("faults")]), factor: among(FACTORS), scene: below(scenes.length), query: maybe(below(h * w)) };
  const guarded = guard(given, accepts);
  // What hands.js asks of a canvas, it hears of the scene.
  const model = { ...guarded, get: (name) => scenes[guarded.get("scene")].canvas[name] ?? guarded.get(name) };
  const picture = makeCanvas(hole(root, "picture"), w, h, { role: "img" }), colours = bytes(given.get("colours"));
  const panels = holes(root, "panel").map((figure) => makePanel(figure, model, colours));
  const spec = given.get("layers").find(({ name }) => name === given.get("where"));
  const runner = makeRunner(given, scenes), showTally = makeTally(root, scenes), showControls = makeControls(model, root);
  let preview = null, near = false, framed = false, working = null, counted = null;

  function* showScene(fault, factor, i, query) {
    const { canvas, answer, image: paint } = scenes[i], image = paint();
    picture.context.putImageData(toPixels(image), 0, 0);
    picture.canvas.setAttribute("aria-label", fill(PHRASES.shown, { name: model.get("classes")[answer] }));
    picture.show();
    const layers = [spec[SHOWN_PARTS[fault]] ?? spec];
    const titles = [PHRASES.trained, fill(PHRASES.faulty, { fault: faultName(fault) })];
    for (const [which, own] of ["", fault].entries()) {
      const said = yield* runner.say(own, factor, i);
      panels[which].show({ title: titles[which], layers }, said, image, canvas, query, answer);
    }
  }

  function* work([fault, factor, scene], query) {
    yield* showScene(fault, factor, scene, query);
    counted = { before: 0, after: 0, changed: 0, seen: 0 };
    for (const [i, { answer }] of scenes.entries()) {
      const before = yield* runner.answer("", 1, i), after = yield* runner.answer(fault, factor, i);
      counted.before += before === answer;
      counted.after += after === answer;
      counted.changed += before !== after;
      counted.seen += 1;
    }
  }

  function frame() {
    framed = false;
    const first = performance.now();
    while (working && performance.now() - first < SLICE) if (working.next().done) working = null;
    if (counted) showTally(model.get("fault"), counted);
    if (working) ask();
  }

  function ask() {
    if (framed || !near) return;
    framed = true;
    requestAnimationFrame(frame);
  }

  // What was begun is left: all that it computed is kept.
  function update() {
    working = work(CHOICES.map(model.get), preview ?? model.get("query"));
    counted = null;
    showControls();
    hole(root, "tally").setAttribute("aria-busy", "true");
    ask();
  }

  for (const panel of panels)
    followQueries(panel, model, (query) => {
      if (query === preview) return;
      preview = query;
      update();
    });
  hole(root, "differing").addEventListener("click", () => {
    const [fault, factor, scene] = CHOICES.map(model.get);
    tell(model, "scene", runner.differing(fault, factor, scene));
  });
  for (const name of Object.keys(accepts)) model.on(`change:${name}`, update);
  update();
  whenNear(el, () => {
    near = true;
    ask();
  });
}

export default { render };
