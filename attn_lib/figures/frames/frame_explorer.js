// Frames of a function over the grid of its choices. Where a kernel listens, it makes further ones.

// One picture of the frame. A new image replaces the old one only when it is there, so that none flickers.
function makePanel(figure, name) {
  let shown = figure.querySelector("img")?.getAttribute("src") ?? "";
  return (picture, words) => {
    if (picture.startsWith("<svg")) {
      if (picture !== shown) figure.innerHTML = picture; // matplotlib's own, its text escaped; it has no caption
    } else {
      const image = figure.querySelector("img") ?? build(["img", {}]);
      if (picture !== shown) image.src = picture;
      image.alt = name ? `${name}: ${words}` : words;
      if (!image.parentNode) figure.prepend(image);
    }
    shown = picture;
  };
}

function render({ model: given, el }) {
  const root = adopt(given, el);
  const names = given.get("names");
  const grid = given.get("grid");
  const live = typeof given.send === "function"; // a page's model has nobody to ask
  const offered = live ? given.get("offered") : grid;
  const known = (choice) => choice instanceof Object && names.every((name, axis) => given.get("offered")[axis].includes(choice[name]));
  const model = guard(given, { choice: known });
  const panels = holes(root, "panel").map((figure, i) => makePanel(figure, model.get("panels")[i]));
  const words = hole(root, "words");
  const error = hole(root, "error");
  const controls = holes(root, "choice").map((each, axis) => {
    const labels = offered[axis].map((value) => model.get("labels")[axis][model.get("offered")[axis].indexOf(value)]);
    const say = model.get("ranges")[axis] ? (place) => labels[place] : null;
    const show = control(each, (place) => choose(names[axis], offered[axis][place]), say);
    return (value) => show(offered[axis].indexOf(value));
  });

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
    controls.forEach((follow, axis) => follow(values[axis]));
    const found = frame(values);
    root.setAttribute("aria-busy", String(!found));
    root.classList.toggle("attn-failed", Boolean(found?.error));
    error.textContent = found?.error ?? "";
    words.textContent = found ? found.words ?? "" : PHRASES.computing;
    found?.pictures?.forEach((picture, i) => panels[i](picture, found.words));
  }

  function choose(name, value) {
    tell(model, "choice", { ...model.get("choice"), [name]: value });
    show();
  }

  model.on("change:choice", show);
  model.on("change:fresh", show);
  show();
}

export default { render };
