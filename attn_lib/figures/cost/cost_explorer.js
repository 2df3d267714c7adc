// Choose sizes: the chart, the table and the formula show what each mechanism then costs.

const OPERATIONS = {
  "+": (...terms) => terms.reduce((a, b) => a + b),
  "*": (...factors) => factors.reduce((a, b) => a * b),
  "/": (top, bottom) => top / bottom,
  "^": (base, exponent) => base ** exponent,
  floor: Math.floor,
  ceil: Math.ceil,
  max: Math.max,
  gcd: (a, b) => (b ? OPERATIONS.gcd(b, a % b) : a),
  log2: Math.log2,
};

// A formula's value where its letters have these sizes.
function evaluate(tree, sizes) {
  if (typeof tree === "number") return tree;
  if (typeof tree === "string") return sizes[tree];
  const [operation, ...parts] = tree;
  return OPERATIONS[operation](...parts.map((part) => evaluate(part, sizes)));
}

const powerOfTen = (exponent, unit) => `${10 ** (exponent % 3)} ${PREFIXES[Math.floor(exponent / 3)].trim()}${unit}`.trim();
const pixels = (value) => String(Math.floor(10 * value + 0.5) / 10);

// What a mechanism costs at a setting.
function makeReader(model) {
  const at = (mechanism, sizes) => {
    const set = Object.entries(sizes).filter(([, size]) => size !== null);
    return { ...mechanism.own, ...Object.fromEntries(set) };
  };
  const value = (mechanism, sizes) => {
    const count = model.get("count");
    return Math.round(model.get("counts")[count].factor * evaluate(mechanism.trees[count], at(mechanism, sizes)));
  };
  const growth = (mechanism, sizes) => {
    const along = model.get("along");
    const now = value(mechanism, sizes);
    const then = value(mechanism, { ...sizes, [along]: 2 * (at(mechanism, sizes)[along] ?? 1) });
    return now ? fill(PHRASES.growth, { times: (Math.floor((200 * then + now) / (2 * now)) / 100).toFixed(2) }) : PHRASES.no_growth;
  };
  const own = (mechanism, sizes) => {
    const all = at(mechanism, sizes);
    const known = [...Object.keys(mechanism.own).map((letter) => [letter, all[letter]]), ...Object.entries(mechanism.fixed)];
    return known.map(([letter, size]) => fill(PHRASES.size, { letter, size })).join(", ");
  };
  return { at, value, growth, own };
}

function spread(heights, top, bottom) {
  const order = heights.map((_, i) => i).sort((a, b) => heights[a] - heights[b]);
  const moved = [...heights];
  let edge = top;
  for (const i of order) edge = (moved[i] = Math.max(moved[i], edge)) + LABEL;
  edge = bottom;
  for (const i of order.reverse()) edge = (moved[i] = Math.min(moved[i], edge)) - LABEL;
  return moved;
}

// Where a chart of that width has its parts.
function findPlaces({ lines, stops, decades: [low, high] }, width) {
  const right = width - RIGHT - LETTER * Math.max(...lines.map(({ name }) => [...name].length));
  const bottom = HEIGHT - BOTTOM;
  const [first, last] = [Math.log(stops[0]), Math.log(stops.at(-1))];
  return {
    right, bottom,
    x: (size) => LEFT + ((right - LEFT) * (Math.log(size) - first)) / (last - first || 1),
    y: (value) => bottom - ((bottom - TOP) * (Math.log10(value) - low)) / (high - low),
  };
}

function axes({ title, axis, unit, stops, decades }, { right, bottom, x, y }) {
  const made = [
    ["text", { x: TITLE[0], y: TITLE[1], class: "attn-title" }, title],
    ["text", { x: pixels((LEFT + right) / 2), y: HEIGHT - AXIS, class: "attn-x" }, axis],
  ];
  for (let decade = decades[0]; decade <= decades[1]; decade++) {
    const height = pixels(y(10 ** decade));
    made.push(["path", { class: "attn-rule", d: `M${LEFT},${height}H${pixels(right)}` }]);
    made.push(["text", { x: LEFT - POWER, y: height, class: "attn-y" }, powerOfTen(decade, unit)]);
  }
  let free = 0; // where the label before ends
  for (const stop of stops) {
    if (x(stop) < free) continue;
    made.push(["text", { x: pixels(x(stop)), y: bottom + STOP, class: "attn-x" }, String(stop)]);
    free = x(stop) + LETTER * String(stop).length + BETWEEN;
  }
  return made;
}

function curve({ look: [colour, dashes], values, chosen }, stops, { x, y }) {
  const points = values.map((value, i) => `${pixels(x(stops[i]))},${pixels(y(value))}`);
  const named = chosen ? "attn-curve attn-chosen" : "attn-curve";
  return ["path", { d: `M${points.join("L")}`, stroke: colour, "stroke-dasharray": dashes, class: named }];
}

// What stands at a curve's right, its name and the leader to it; and the mark on it.
function end({ name, look: [colour, , shape], values, at, value, chosen }, height, { right, x, y }) {
  const [begin, stop, text] = LEADER.map((offset) => pixels(right + offset));
  const made = [
    ["path", { class: "attn-leader", d: `M${begin},${pixels(y(values.at(-1)))}L${stop},${pixels(height)}`, stroke: colour }],
    ["text", { x: text, y: pixels(height), class: chosen ? "attn-name attn-chosen" : "attn-name" }, name],
  ];
  if (at === undefined) return made;
  const place = `translate(${pixels(x(at))},${pixels(y(value))})`;
  return [...made, ["path", { class: "attn-mark", d: shape, transform: place, stroke: colour, fill: colour }]];
}

function draw(scene, places, width) {
  const { x, y, bottom } = places;
  const drawn = scene.lines.filter(({ values }) => Math.min(...values) > 0);
  drawn.sort((a, b) => b.chosen - a.chosen); // the broad one beneath the others
  const heights = spread(drawn.map(({ values }) => y(values.at(-1))), TOP, bottom);
  const guides = scene.now === null ? [] : [`M${pixels(x(scene.now))},${TOP}V${bottom}`];
  return ["svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": fill(PHRASES.chart, scene) },
    ...axes(scene, places),
    ...guides.map((d) => ["path", { class: "attn-guide", d }]),
    ...drawn.map((line) => curve(line, scene.stops, places)),
    ...drawn.flatMap((line, i) => end(line, heights[i], places))];
}

// One of an element's children is seen, or stands out.
const single = (el, chosen) => [...el.children].forEach((child, i) => child.toggleAttribute("data-chosen", i === chosen));

function makeTable(model, costs, root) {
  const mechanisms = model.get("mechanisms");
  const [own, numbers, growths] = ["own", "number", "growth"].map((name) => holes(root, name));
  return (sizes) => {
    hole(root, "setting").textContent = fill(PHRASES.setting, { batch: model.get("batch"), ...sizes });
    mechanisms.forEach((mechanism, i) => {
      own[i].textContent = costs.own(mechanism, sizes);
      numbers[i].textContent = costs.value(mechanism, sizes).toLocaleString("en");
      growths[i].textContent = costs.growth(mechanism, sizes);
    });
  };
}

// The controls, and all that shows one of several: what is counted, along which letter, of which mechanism.
function makeControls(model, root) {
  const names = model.get("mechanisms").map(({ name }) => name);
  const letters = model.get("letters");
  const keys = { count: Object.keys(model.get("counts")), along: Object.keys(letters), chosen: names };
  const set = (sizes) => tell(model, "sizes", { ...model.get("sizes"), ...sizes });
  const lists = Object.entries(keys).map(([trait, offered]) =>
    control(hole(root, trait), (i) => tell(model, trait, offered[i])));
  const sliders = Object.entries(letters).map(([letter, { stops }], i) => {
    const follow = control(holes(root, "size")[i], (i) => set({ [letter]: stops[i] }), (i) => String(stops[i] ?? PHRASES.own));
    return (sizes) => follow(stops.indexOf(sizes[letter]));
  });
  const stages = model.get("stages");
  holes(root, "stage").forEach((button, i) => button.addEventListener("click", () => set({ c: stages[i][0], side: stages[i][1] })));

  function update(sizes) {
    for (const follow of sliders) follow(sizes);
    const [count, along, chosen] = Object.entries(keys).map(([trait, offered]) => offered.indexOf(model.get(trait)));
    [count, along, chosen].forEach((place, i) => lists[i](place));
    single(hole(root, "measured"), count);
    single(hole(root, "doubled"), along);
    single(hole(root, "rows"), chosen);
    single(hole(root, "formula"), count * names.length + chosen);
  }
  return { update, set };
}

// What each trait may be.
function makeChoices(model) {
  const letters = model.get("letters"), known = Object.keys(letters);
  const whole = (sizes) => Object.keys(sizes).length === known.length && known.every((letter) => letters[letter].stops.includes(sizes[letter]));
  const names = model.get("mechanisms").map(({ name }) => name);
  return { count: among(Object.keys(model.get("counts"))), along: among(known), chosen: among(names), sizes: (sizes) => sizes instanceof Object && whole(sizes) };
}

function render({ model: given, el }) {
  const root = adopt(given, el), model = guard(given, makeChoices(given));
  const costs = makeReader(model);
  const chart = hole(root, "chart");
  const controls = makeControls(model, root);
  const updateTable = makeTable(model, costs, root);
  let places = null; // of the chart that is drawn
  let pointed = null; // the stop under the pointer

  function sceneOf(sizes) {
    const [count, along, chosen] = ["count", "along", "chosen"].map((name) => model.get(name));
    const stops = model.get("letters")[along].stops.filter((stop) => stop !== null);
    const { unit, decades } = model.get("counts")[count];
    return {
      title: PHRASES[count], axis: PHRASES[along], unit, stops, decades, now: sizes[along],
      lines: model.get("mechanisms").map((mechanism, i) => ({
        name: mechanism.name,
        look: LOOKS[i],
        values: stops.map((stop) => costs.value(mechanism, { ...sizes, [along]: stop })),
        at: costs.at(mechanism, sizes)[along],
        value: costs.value(mechanism, sizes),
        chosen: mechanism.name === chosen,
      })),
    };
  }

  function show() {
    const sizes = { ...model.get("sizes") };
    if (pointed !== null) sizes[model.get("along")] = pointed;
    controls.update(sizes);
    updateTable(sizes);
    const width = chart.clientWidth;
    if (!width) return; // not on the page yet
    const scene = sceneOf(sizes);
    places = { ...findPlaces(scene, width), scene };
    chart.replaceChildren(build(draw(scene, places, width)));
  }

  const nearest = (items, distance) => items.reduce((a, b) => (distance(b) < distance(a) ? b : a));
  function under(event) {
    const area = chart.getBoundingClientRect();
    const stop = nearest(places.scene.stops, (size) => Math.abs(places.x(size) - (event.clientX - area.left)));
    const height = event.clientY - area.top;
    const at = places.scene.stops.indexOf(stop);
    const off = ({ values }) => (values[at] > 0 ? Math.abs(places.y(values[at]) - height) : Infinity);
    return { stop, name: nearest(places.scene.lines, off).name };
  }

  function point(stop) {
    if (stop === pointed) return;
    pointed = stop;
    show();
  }
  chart.addEventListener("pointermove", (event) => point(under(event).stop));
  chart.addEventListener("pointerleave", () => point(null));
  chart.addEventListener("click", (event) => {
    const { stop, name } = under(event);
    tell(model, "chosen", name);
    controls.set({ [model.get("along")]: stop });
  });
  for (const name of ["sizes", "count", "along", "chosen"]) model.on(`change:${name}`, show);

  // It tells the first width as well, once the page is laid out: to ask for it before would cost that twice.
  new ResizeObserver(show).observe(chart);
}

export default { render };
