// What all figures use. It precedes each one's own script, in Jupyter and on a page.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children); // strings become text, never markup
  return made;
}

function bytes(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function floats(view) {
  return Float32Array.from({ length: view.byteLength / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

function percent(weight) {
  return `${(100 * weight).toFixed(weight < 0.0995 ? 1 : 0)} %`;
}

// Controls are the browser's own, each inside its label. `onChange` gets the new value.

function select(label, options, value, onChange) {
  const control = element("select", {}, ...options.map((option, i) => element("option", { value: i }, option)));
  control.selectedIndex = value;
  control.addEventListener("change", () => onChange(control.selectedIndex));
  return { el: element("label", { class: "attn-control" }, `${label} `, control), control };
}

function slider(label, { min, max, step, value }, say, onInput) {
  const control = element("input", { type: "range", min, max, step });
  control.value = value;
  const output = element("output");
  const update = () => {
    output.textContent = say(Number(control.value));
    control.setAttribute("aria-valuetext", output.textContent);
  };
  control.addEventListener("input", () => {
    update();
    onInput(Number(control.value));
  });
  update();
  return { el: element("label", { class: "attn-control" }, `${label} `, control, " ", output), control, update };
}

function checkbox(label, checked, onChange) {
  const control = element("input", { type: "checkbox" });
  control.checked = checked;
  control.addEventListener("change", () => onChange(control.checked));
  return { el: element("label", { class: "attn-control" }, control, ` ${label}`), control };
}

function button(label, onClick) {
  const control = element("button", { type: "button", class: "attn-button" }, label);
  control.addEventListener("click", onClick);
  return control;
}

// The model's trait follows the reader's choice, so that Python sees it.
function tell(model, name, value) {
  model.set(name, value);
  model.save_changes();
}

function ready(el, model) {
  el.classList.add("attn-living");
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", model.get("alt"));
  // JupyterLab has shortcuts for bare keys: an arrow on a slider would move through the notebook instead.
  el.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey) event.stopPropagation();
  });
}

// The colour map from left to right.
function colourBar(colours) {
  const stops = [0, 51, 102, 153, 204, 255].map((i) => `rgb(${colours.subarray(3 * i, 3 * i + 3).join()})`);
  return element("span", { class: "attn-bar", style: `background: linear-gradient(to right, ${stops})` });
}
