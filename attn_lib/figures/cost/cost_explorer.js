// Choose sizes: the chart, the table and the formula show what each mechanism then costs.

// The layout of cost_chart.py, in the same pixels.
const HEIGHT = 340;
const LEFT = 52;
const TOP = 26;
const BOTTOM = 40;
const LETTER = 6.8;
const LABEL = 15;

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

// [tag, attributes, text or lists …] as an element of SVG or MathML; text stays text.
function build(namespace, [tag, attributes, ...children]) {
  const made = document.createElementNS(namespace, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.map((child) => (typeof child === "string" ? child : build(namespace, child))));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";
const MATHML = "http://www.w3.org/1998/Math/MathML";

const powerOfTen = (exponent, unit) => `${10 ** (exponent % 3)} ${" kMGTP"[Math.floor(exponent / 3)].trim()}${unit}`.trim();
const pixels = (value) => String(Math.floor(10 * value + 0.5) / 10);

// What all numbers follow from: the formulas at a setting.
function reader(model) {
  const mechanisms = model.get("mechanisms");
  const letters = model.get("letters");
  const at = (mechanism, sizes) => {
    const set = Object.entries(sizes).filter(([, size]) => size !== null);
    return { ...mechanism.own, ...Object.fromEntries(set) };
  };
  const value = (mechanism, sizes) => {
    const count = model.get("count");
    const numbers = evaluate(mechanism.trees[count], at(mechanism, sizes));
    return Math.round(model.get("counts")[count].factor * numbers);
  };
  // Powers of ten around all that the sliders reach: the axis stands still while they move.
  function decades() {
    let corners = [{}];
    for (const [letter, { stops }] of Object.entries(letters))
      corners = corners.flatMap((corner) => [stops[0] ?? stops[1], stops.at(-1)].map((stop) => ({ ...corner, [letter]: stop })));
    const reached = mechanisms.flatMap((mechanism) => corners.map((corner) => value(mechanism, corner))).filter(Boolean);
    if (!reached.length) return [0, 1];
    return [String(Math.min(...reached)).length - 1, String(Math.max(...reached)).length];
  }
  const growth = (mechanism, sizes, along) => {
    const now = value(mechanism, sizes);
    const then = value(mechanism, { ...sizes, [along]: 2 * (at(mechanism, sizes)[along] ?? 1) });
    return now ? `× ${(Math.floor((200 * then + now) / (2 * now)) / 100).toFixed(2)}` : "–";
  };
  return { mechanisms, letters, at, value, decades, growth, ranges: {} };
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

const stroke = ([colour, dashes], d) => ["path", { d, stroke: colour, "stroke-dasharray": dashes || "none" }];
const mark = ([colour, , shape], x, y) =>
  ["path", { class: "attn-mark", d: shape, transform: `translate(${pixels(x)},${pixels(y)})`, stroke: colour, fill: colour }];
const swatch = (look) =>
  ["svg", { viewBox: "0 0 40 14", width: 40, height: 14, "aria-hidden": "true" }, stroke(look, "M0,7H40"), mark(look, 20, 7)];

// Where a chart of that width has its parts.
function layout(mechanisms, stops, [low, high], width) {
  const right = width - 26 - LETTER * Math.max(...mechanisms.map(({ name }) => [...name].length));
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
    ["text", { x: 4, y: 14, class: "attn-title" }, title],
    ["text", { x: pixels((LEFT + right) / 2), y: HEIGHT - 6, class: "attn-x" }, axis],
  ];
  for (let decade = decades[0]; decade <= decades[1]; decade++) {
    const height = pixels(y(10 ** decade));
    made.push(["path", { class: "attn-rule", d: `M${LEFT},${height}H${pixels(right)}` }]);
    made.push(["text", { x: LEFT - 6, y: height, class: "attn-y" }, powerOfTen(decade, unit)]);
  }
  let free = 0; // where the label before ends
  for (const stop of stops) {
    if (x(stop) < free) continue;
    made.push(["text", { x: pixels(x(stop)), y: bottom + 16, class: "attn-x" }, String(stop)]);
    free = x(stop) + LETTER * String(stop).length + 2;
  }
  return made;
}

function draw(scene, places) {
  const { x, y, right, bottom } = places;
  const drawn = scene.lines.filter(({ values }) => Math.min(...values) > 0);
  drawn.sort((a, b) => b.chosen - a.chosen); // the broad one beneath the others
  const heights = spread(drawn.map(({ values }) => y(values.at(-1))), TOP, bottom);
  const curves = drawn.map(({ look, values, chosen }) => {
    const points = values.map((value, i) => `${pixels(x(scene.stops[i]))},${pixels(y(value))}`);
    const [tag, attributes] = stroke(look, `M${points.join("L")}`);
    return [tag, { ...attributes, class: chosen ? "attn-curve attn-chosen" : "attn-curve" }];
  });
  const labels = drawn.flatMap(({ name, look, values, at, value, chosen }, i) => [
    ["path", { class: "attn-leader", d: `M${pixels(right + 2)},${pixels(y(values.at(-1)))}L${pixels(right + 14)},${pixels(heights[i])}`, stroke: look[0] }],
    ["text", { x: pixels(right + 18), y: pixels(heights[i]), class: chosen ? "attn-name attn-chosen" : "attn-name" }, name],
    ...(at === undefined ? [] : [mark(look, x(at), y(value))]),
  ]);
  const said = `${scene.title} against ${scene.axis}: one line a mechanism, with the numbers in the table below`;
  return ["svg", { viewBox: `0 0 ${scene.width} ${HEIGHT}`, role: "img", "aria-label": said },
    ...axes(scene, places),
    ...(scene.now === null ? [] : [["path", { class: "attn-guide", d: `M${pixels(x(scene.now))},${TOP}V${bottom}` }]]),
    ...curves, ...labels];
}

function makeTable(model, costs) {
  const heads = ["mechanism", "", ""].map((head) => element("th", { scope: "col" }, head));
  const caption = element("caption");
  const rows = costs.mechanisms.map(({ name, look }) => {
    const own = element("small");
    const [number, growth] = [element("td"), element("td")];
    const first = element("th", { scope: "row" }, build(SVG, swatch(look)), " ", element("span", {}, name), " ", own);
    return { el: element("tr", {}, first, number, growth), own, number, growth };
  });
  const el = element("table", { class: "attn-numbers" }, caption,
    element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows.map((row) => row.el)));

  function update(sizes) {
    const along = model.get("along");
    heads[1].textContent = model.get("counts")[model.get("count")].title;
    heads[2].textContent = `when ${costs.letters[along].doubles}`;
    caption.textContent = `b = ${model.get("batch")}, c = ${sizes.c}, h = w = ${sizes.side}`;
    costs.mechanisms.forEach((mechanism, i) => {
      const at = costs.at(mechanism, sizes);
      const own = Object.keys(mechanism.own).map((letter) => [letter, at[letter]]);
      rows[i].own.textContent = [...own, ...Object.entries(mechanism.fixed)].map((pair) => pair.join(" = ")).join(", ");
      rows[i].number.textContent = costs.value(mechanism, sizes).toLocaleString("en");
      rows[i].growth.textContent = costs.growth(mechanism, sizes, along);
      rows[i].el.classList.toggle("attn-chosen", mechanism.name === model.get("chosen"));
    });
  }
  return { el, update };
}

function makeFormula(model, costs) {
  const names = costs.mechanisms.map(({ name }) => name);
  const choice = select("Formula of", names, 0, (i) => tell(model, "chosen", names[i]));
  const text = element("p");
  let shown = "";
  function update() {
    const count = model.get("count");
    const { title, factor } = model.get("counts")[count];
    const index = names.indexOf(model.get("chosen"));
    if (shown === `${count} ${index}`) return; // sizes do not change a formula
    shown = `${count} ${index}`;
    const { terms, where } = costs.mechanisms[index].maths[count];
    const built = (trees) => trees.map((tree) => build(MATHML, tree));
    choice.control.selectedIndex = index;
    text.replaceChildren(`${title} of ${names[index]} = ${factor > 1 ? `${factor} × (` : ""}`,
      ...built(terms).flatMap((term, i) => (i ? [" ", term] : [term])), factor > 1 ? ")" : "",
      ...built(where).flatMap((math, i) => [i ? ", " : " where ", math]));
  }
  return { el: element("div", { class: "attn-formula" }, element("div", { class: "attn-controls" }, choice.el), text), update };
}

function makeControls(model, costs) {
  const keys = { count: Object.keys(model.get("counts")), along: Object.keys(costs.letters) };
  const set = (sizes) => tell(model, "sizes", { ...model.get("sizes"), ...sizes });
  const chooser = (label, trait, options) => select(label, options, 0, (i) => tell(model, trait, keys[trait][i]));
  const choices = {
    count: chooser("Measure", "count", Object.values(model.get("counts")).map(({ title }) => title)),
    along: chooser("along", "along", Object.values(costs.letters).map(({ label }) => label)),
  };
  const sliders = Object.entries(costs.letters).map(([letter, { label, stops }]) => {
    const range = { min: 0, max: stops.length - 1, step: 1, value: stops.indexOf(model.get("sizes")[letter]) };
    const made = slider(label, range, (i) => String(stops[i] ?? "each its own"), (i) => set({ [letter]: stops[i] }));
    return { ...made, letter, stops };
  });
  const stages = model.get("stages").map(([c, side]) => button(`${c} × ${side} × ${side}`, () => set({ c, side })));
  const group = element("span", { class: "attn-stages", role: "group", "aria-label": "Stages of ResNet-18" },
    element("span", {}, "ResNet-18: "), ...stages);
  const el = element("div", { class: "attn-controls" }, choices.count.el, choices.along.el,
    ...sliders.map((made) => made.el), ...(stages.length ? [group] : []));

  function update(sizes) {
    for (const trait in choices) choices[trait].control.selectedIndex = keys[trait].indexOf(model.get(trait));
    for (const { control, update, letter, stops } of sliders) {
      if (stops[control.value] === sizes[letter]) continue;
      control.value = stops.indexOf(sizes[letter]);
      update();
    }
  }
  return { el, update, set };
}

function render({ model, el }) {
  const costs = reader(model);
  const chart = element("div", { class: "attn-chart" });
  const [controls, table, formula] = [makeControls, makeTable, makeFormula].map((make) => make(model, costs));
  const hint = element("span", { class: "attn-hint" }, "☞ Point at the chart, or tap it.");
  let places = null; // of the chart that is drawn
  let pointed = null; // the stop under the pointer

  function sceneOf(sizes) {
    const [count, along, chosen] = ["count", "along", "chosen"].map((name) => model.get(name));
    const stops = costs.letters[along].stops.filter((stop) => stop !== null);
    const { title, unit } = model.get("counts")[count];
    return {
      title, unit, stops, axis: costs.letters[along].label, now: sizes[along], width: chart.clientWidth,
      decades: (costs.ranges[count] ??= costs.decades()),
      lines: costs.mechanisms.map((mechanism) => ({
        ...mechanism,
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
    for (const part of [controls, table, formula]) part.update(sizes);
    if (!chart.clientWidth) return; // not on the page yet: the observer below will tell
    const scene = sceneOf(sizes);
    places = { ...layout(costs.mechanisms, scene.stops, scene.decades, scene.width), scene };
    chart.replaceChildren(build(SVG, draw(scene, places)));
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

  ready(el, model);
  el.classList.add("attn-cost");
  el.append(controls.el, chart, element("div", { class: "attn-foot" }, hint), table.el, formula.el);
  show();
  new ResizeObserver(show).observe(chart);
}

export default { render };
