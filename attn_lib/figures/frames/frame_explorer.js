// Frames of a function over the grid of its choices. Where a kernel listens, it makes further ones.

function control(model, axis, values, onChange) {
  const name = model.get("names")[axis];
  const all = model.get("offered")[axis];
  const labels = values.map((value) => model.get("labels")[axis][all.indexOf(value)]);
  const label = name.replaceAll("_", " ");
  const choose = (place) => onChange(name, values[place]);
  if (!model.get("ranges")[axis]) {
    const made = select(label, labels, 0, choose);
    return { el: made.el, show: (value) => (made.control.selectedIndex = values.indexOf(value)) };
  }
  const range = { min: 0, max: values.length - 1, step: 1, value: 0 };
  const made = slider(label, range, (place) => labels[place], choose);
  const show = (value) => {
    made.control.value = values.indexOf(value);
    made.update();
  };
  return { el: made.el, show };
}

// One picture of the frame. A new image replaces the old one only when it is there, so that none flickers.
function makePanel(name) {
  const figure = element("figure");
  let shown = "";

  function draw(picture, words) {
    if (!picture.startsWith("<svg")) {
      const image = figure.querySelector("img") ?? element("img");
      if (picture !== shown) image.src = picture;
      image.alt = name ? `${name}: ${words}` : words;
      if (!image.parentNode) figure.prepend(image);
    } else if (picture !== shown) {
      figure.innerHTML = picture; // matplotlib's own, its text escaped
    }
    shown = picture;
  }

  if (name) figure.append(element("figcaption", {}, name));
  return { figure, draw };
}

function render({ model, el }) {
  const names = model.get("names");
  const grid = model.get("grid");
  const live = typeof model.send === "function"; // a page's model has nobody to ask
  const offered = live ? model.get("offered") : grid;
  const panels = model.get("panels").map(makePanel);
  const words = element("output");
  const room = element("span", { "aria-hidden": "true" }); // for the longest words, so that nothing jumps
  const error = element("pre", { class: "attn-error", role: "alert" });
  const controls = names.map((_, axis) => control(model, axis, offered[axis], choose));

  function chosen() {
    const choice = model.get("choice");
    const values = names.map((name) => choice[name]);
    const within = values.every((value, axis) => offered[axis].includes(value));
    return within ? values : grid.map((axis) => axis[0]);
  }

  function frame(values) {
    const places = values.map((value, axis) => grid[axis].indexOf(value));
    if (!places.includes(-1)) {
      const index = places.reduce((sum, place, axis) => sum * grid[axis].length + place, 0);
      const pictures = model.get("frames")[index].map((picture) => model.get("pictures")[picture]);
      return { pictures, words: model.get("words")[index] };
    }
    const fresh = model.get("fresh");
    return names.every((name, axis) => fresh.choice?.[name] === values[axis]) ? fresh : null;
  }

  function show() {
    const values = chosen();
    controls.forEach((made, axis) => made.show(values[axis]));
    const found = frame(values);
    el.setAttribute("aria-busy", String(!found));
    el.classList.toggle("attn-failed", Boolean(found?.error));
    error.textContent = found?.error ?? "";
    words.textContent = found ? found.words ?? "" : "computing …";
    found?.pictures?.forEach((picture, i) => panels[i].draw(picture, found.words));
  }

  function choose(name, value) {
    tell(model, "choice", { ...model.get("choice"), [name]: value });
    show();
  }

  ready(el, model);
  el.classList.add("attn-frames");
  room.textContent = model.get("words").reduce((a, b) => (b.length > a.length ? b : a));
  el.append(
    element("div", { class: "attn-controls" }, element("span", { class: "attn-hint" }, "☞"), ...controls.map((made) => made.el)),
    element("div", { class: "attn-panels" }, ...panels.map((panel) => panel.figure)),
    element("div", { class: "attn-words" }, words, room),
    error,
  );
  model.on("change:choice", show);
  model.on("change:fresh", show);
  show();
}

export default { render };
