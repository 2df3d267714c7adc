// What all figures use. It precedes each one's own script, in Jupyter and on a page.

const NAMESPACES = { svg: "http://www.w3.org/2000/svg", math: "http://www.w3.org/1998/Math/MathML" };

// A tree of skeleton.py, [tag, attributes, ...children], as an element; text stays text, never markup.
function build([tag, attributes, ...children], around = "http://www.w3.org/1999/xhtml") {
  if (tag === "#markup") return document.createRange().createContextualFragment(children[0]);
  const namespace = NAMESPACES[tag] ?? around;
  const made = document.createElementNS(namespace, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.map((child) => (typeof child === "string" ? child : build(child, namespace))));
  return made;
}

// The figure's elements: on a page they are there, in Jupyter they are built. From here on they respond.
function adopt(model, el) {
  if (!el.querySelector(".attn-living")) el.append(build(model.get("_skeleton")));
  const root = el.querySelector(".attn-living");
  model.on("change:alt", () => root.setAttribute("aria-label", model.get("alt")));
  for (const waiting of root.querySelectorAll("[data-live]")) waiting.style.visibility = "";
  // JupyterLab has shortcuts for bare keys: an arrow on a slider would move through the notebook instead.
  root.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey) event.stopPropagation();
  });
  return root;
}

// What a choice may be.
const below = (count) => (value) => Number.isInteger(value) && value >= 0 && value < count;
const between = (low, high) => (value) => typeof value === "number" && value >= low && value <= high;
const among = (values) => (value) => values.includes(value);
const maybe = (accepts) => (value) => value === null || accepts(value);
const listOf = (count, accepts) => (values) => Array.isArray(values) && values.length === count && values.every(accepts);

// The model of a figure whose choices may come from elsewhere, such as a slider linked to one of them: what Python would
// refuse is not chosen either, and the last choice stays. `accepts` says of each choice what it may be.
function guard(model, accepts) {
  const last = {}, refused = {};
  const get = (name) => {
    const value = model.get(name);
    if (!accepts[name] || accepts[name](value)) return (last[name] = value);
    if (refused[name] !== value) console.warn(`a figure cannot show ${name} = ${JSON.stringify(value)}; it keeps ${JSON.stringify(last[name])}`);
    refused[name] = value;
    return last[name];
  };
  Object.keys(accepts).forEach(get);
  const passed = ["set", "on", "save_changes", "send"].filter((name) => model[name]).map((name) => [name, model[name].bind(model)]);
  return { get, ...Object.fromEntries(passed) };
}

// The elements that bear a name, and the first of them.
const holes = (root, name) => [...root.querySelectorAll(`[data-hole="${name}"]`)];
const hole = (root, name) => root.querySelector(`[data-hole="${name}"]`);

// A list, slider, checkbox or radio button of the skeleton: `onChoose` gets the reader's choice, a place in the list,
// a number or a yes. What comes back shows a value, with the words that `say` has for it.
function control(el, onChoose, say = null) {
  const property = { range: "valueAsNumber", "select-one": "selectedIndex" }[el.type] ?? "checked";
  const output = say && el.parentElement.querySelector("output");
  const follow = () => {
    if (!say) return;
    output.textContent = say(el[property]);
    el.setAttribute("aria-valuetext", output.textContent);
  };
  el.addEventListener(el.type === "range" ? "input" : "change", () => {
    follow();
    onChoose(el[property]);
  });
  return (value) => {
    el[property] = value;
    follow();
  };
}

// A template of PHRASES with its places filled: as Python's str.format.
const fill = (template, values) => template.replace(/\{(\w+)\}/g, (_, name) => values[name]);

function bytes(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function floats(view) {
  return Float32Array.from({ length: view.byteLength / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

function percent(share) {
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

// Shares from a narrow range, with as many digits as tell its ends apart.
function percents(low, high, shares) {
  const digits = [0.1, 0.01, 0.001].filter((each) => high - low < each).length;
  return shares.map((share) => `${(100 * share).toFixed(digits)} %`);
}

// The model's trait follows the reader's choice, so that Python sees it.
function tell(model, name, value) {
  model.set(name, value);
  model.save_changes();
}
