// The source of a module, line by line: choosing a line shows the tensors that are alive there.

const stepOf = (el) => Number(el.dataset.step);

// A method: its lines, and for each name the states in which its tensor may be.
function makeSection(details, choose) {
  const form = details.querySelector("form");
  const lines = holes(form, "line"), slots = holes(form, "slot").map((slot) => [...slot.children]);
  const checks = lines.map((line) => control(line.querySelector("input"), () => choose(stepOf(line))));
  form.addEventListener("submit", (event) => event.preventDefault());
  return {
    details,
    source: hole(form, "source"),
    last: stepOf(lines.at(-1)),
    check: (step) => lines.forEach((line, i) => checks[i](stepOf(line) === step)),
    show(step) {
      for (const line of lines) line.classList.toggle("attn-now", stepOf(line) === step);
      for (const states of slots) {
        const shown = states.findLast((state) => stepOf(state) <= step);
        for (const state of states) {
          state.classList.toggle("attn-now", state === shown);
          state.classList.toggle("attn-new", stepOf(state) === step);
        }
      }
    },
  };
}

function render({ model: given, el }) {
  const root = adopt(given, el), said = given.get("said");
  const model = guard(given, { step: below(said.length) });
  const choose = (step) => tell(model, "step", step);
  const sections = holes(root, "section").map((details) => makeSection(details, choose));
  const [words, before, next] = ["said", "before", "next"].map((name) => hole(root, name));
  let open = null; // the section of the chosen line

  function show(section, step) {
    section.show(step);
    words.textContent = said[step];
    root.dataset.step = step;
  }

  // Back from where the pointer was.
  function rest() {
    for (const section of sections) section.show(section.last);
    show(open, model.get("step"));
  }

  // The chosen line's section opens, with those around it; others close.
  function settle() {
    const step = model.get("step");
    const section = sections.find(({ last }) => step <= last);
    if (section !== open) for (const { details } of sections) details.open = details.contains(section.details);
    open = section;
    for (const { check } of sections) check(step);
    before.disabled = step === 0;
    next.disabled = step === said.length - 1;
    rest();
  }

  before.addEventListener("click", () => choose(model.get("step") - 1));
  next.addEventListener("click", () => choose(model.get("step") + 1));
  for (const section of sections) {
    section.source.addEventListener("pointerover", (event) => {
      const line = event.target.closest("[data-hole=line]");
      if (event.pointerType === "mouse" && line) show(section, stepOf(line));
    });
    section.source.addEventListener("pointerleave", rest);
  }
  model.on("change:step", settle);
  settle();
}

export default { render };
