// The source of a module, line by line: choosing a line shows the tensors that are alive there.

function coloured(text, quantity) {
  return quantity ? element("span", { class: `attn-of-${quantity}` }, text) : text;
}

// Numbers across and down, in the scale of all boxes: `full` of them fill the width.
function makeBox(across, down, full) {
  const made = (tag, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const name in attributes) node.setAttribute(name, attributes[name]);
    return node;
  };
  const svg = made("svg", { viewBox: `0 0 ${full} ${down}`, preserveAspectRatio: "xMinYMin slice", "aria-hidden": "true" });
  svg.append(made("rect", { width: across, height: down }));
  return svg;
}

// A statement: its lines, and under them what they made. One that ran can be chosen.
function makeBlock({ step, lines, made }, choose) {
  const code = [
    ...lines.map((parts) => element("code", {}, ...(parts.length ? parts.map((part) => coloured(...part)) : [" "]))),
    ...made.map(([text, quantity]) => element("code", { class: "attn-made" }, coloured(text, quantity))),
  ];
  if (step < 0) return { el: element("div", { class: "attn-step attn-unrun" }, ...code) };
  const control = element("input", { type: "radio", name: "line" });
  control.addEventListener("change", () => choose(step));
  return { el: element("label", { class: "attn-step", "data-step": step }, control, ...code), control, step };
}

// A name: one state for each time that it is assigned, all in one place, and one for before.
function makeSlot(slot, full) {
  const ghost = element("div", { class: "attn-state attn-ghost" },
    element("span", {}, element("strong", {}, slot[0].name), " not yet"));
  const states = slot.map((state) =>
    element("div", { class: `attn-state${state.quantity && ` attn-of-${state.quantity}`}` },
      element("span", {}, element("strong", {}, state.name), " ", element("code", {}, state.sizes)), " ",
      element("small", {}, state.memory), makeBox(state.across, state.down, full)));
  const show = (now) => {
    const shown = slot.findLastIndex(({ step }) => step <= now);
    ghost.classList.toggle("attn-now", shown < 0);
    states.forEach((state, i) => {
      state.classList.toggle("attn-now", i === shown);
      state.classList.toggle("attn-new", slot[i].step === now);
    });
  };
  return { el: element("div", { class: "attn-slot" }, ghost, ...states), show };
}

function makeSection(method, model, choose) {
  const full = model.get("full");
  const blocks = method.blocks.map((block) => makeBlock(block, choose));
  const slots = method.slots.map((slot) => makeSlot(slot, full));
  const source = element("div", { class: "attn-source", role: "radiogroup", "aria-label": `Source of ${method.name}` }, ...blocks.map(({ el }) => el));
  const scale = element("div", { class: "attn-measure" }, makeBox(model.get("bar"), 1, full), element("span", {}, model.get("scale")));
  // A form of its own: radio buttons of the same name elsewhere are not of this group.
  const form = element("form", { class: "attn-columns" }, source,
    element("div", { class: "attn-tensors" }, ...slots.map((slot) => slot.el), scale));
  form.addEventListener("submit", (event) => event.preventDefault());
  const el = element("details", {},
    element("summary", {}, element("strong", {}, method.name), " ", element("span", {}, method.origin)), form);
  const show = (now) => {
    for (const block of blocks) block.el.classList.toggle("attn-now", block.step === now);
    for (const slot of slots) slot.show(now);
  };
  const check = (step) => {
    for (const block of blocks) if (block.control) block.control.checked = block.step === step;
  };
  const holds = (step) => method.start <= step && step < method.stop;
  return { el, source, show, check, holds, last: method.stop - 1, depth: method.depth };
}

function render({ model, el }) {
  const sections = model.get("methods").map((method) => makeSection(method, model, choose));
  const said = model.get("methods").flatMap(({ blocks }) => blocks).filter(({ step }) => step >= 0).map((block) => block.said);
  const output = element("output", { class: "attn-said" });
  const before = button("◀ Line before", () => choose(model.get("step") - 1));
  const next = button("Next line ▶", () => choose(model.get("step") + 1));
  let chosen = { step: -1, section: null };

  function show(section, step) {
    section.show(step);
    output.textContent = said[step];
    el.dataset.step = step;
  }

  function choose(step) {
    tell(model, "step", step);
    settle();
  }

  // The chosen line's section opens, with those around it; others close.
  function settle() {
    const step = model.get("step");
    if (step === chosen.step) return;
    const section = sections.find(({ holds }) => holds(step));
    if (section !== chosen.section) for (const each of sections) each.el.open = each.el.contains(section.el);
    chosen = { step, section };
    for (const each of sections) each.check(step);
    before.disabled = step === 0;
    next.disabled = step === said.length - 1;
    show(section, step);
  }

  for (const section of sections) {
    section.show(section.last);
    section.source.addEventListener("pointerover", (event) => {
      const step = event.target.closest("[data-step]")?.dataset.step;
      if (event.pointerType === "mouse" && step) show(section, Number(step));
    });
    section.source.addEventListener("pointerleave", () => {
      section.show(section.last);
      show(chosen.section, chosen.step);
    });
  }
  model.on("change:step", settle);

  // What a method called is folded into it.
  sections.forEach(({ el, depth }, i) => sections.slice(0, i).findLast((other) => other.depth < depth)?.el.append(el));

  ready(el, model);
  el.classList.add("attn-tracer");
  el.append(
    element("div", { class: "attn-controls" }, before, next, element("span", {}, "☞ Point at a line, or choose it."), output),
    ...sections.filter(({ depth }) => depth === 0).map((section) => section.el),
  );
  settle();
}

export default { render };
