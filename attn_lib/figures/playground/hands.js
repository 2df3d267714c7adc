// What mouse, finger and keys do: move things, paint, and choose whose query a map shows.

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const clamp = (value, most) => Math.min(most, Math.max(0, value));
const short = (number) => String(Math.floor(100 * number + 0.5) / 100);
const bare = (event) => !event.altKey && !event.ctrlKey && !event.metaKey;

// Queries: what the pointer points at in a map of relations, clicks on, or reaches by arrow keys.
function followQueries(panel, model, preview) {
  const { canvas, under, queries } = panel;
  canvas.addEventListener("pointermove", (event) => event.pointerType === "mouse" && preview(under(event)));
  canvas.addEventListener("pointerleave", () => preview(null));
  canvas.addEventListener("click", (event) => under(event) !== null && tell(model, "query", under(event)));
  canvas.addEventListener("keydown", (event) => {
    const step = ARROWS[event.key];
    if (!step || !bare(event) || !queries()) return;
    event.preventDefault();
    const [rows, columns] = queries(), at = model.get("query") ?? centre(model, queries());
    tell(model, "query", clamp(Math.floor(at / columns) + step[0], rows - 1) * columns + clamp((at % columns) + step[1], columns - 1));
  });
}

// The position in the middle of the digit.
function centre(model, [rows, columns]) {
  const [h, w] = model.get("size"), [top, left] = model.get("place"), half = model.get("side") / 2;
  return Math.floor(((top + half) * rows) / h) * columns + Math.floor(((left + half) * columns) / w);
}

// What can be moved: the scraps, and last the digit. `at` reads its place, `to` sets it.
function makeThings(root, model) {
  const scraps = model.get("pieces").length, board = hole(root, "picture"), [h, w] = model.get("size");
  return holes(root, "thing").map((el, i) => {
    const isDigit = i === scraps;
    const side = () => (isDigit ? model.get("side") : SCRAP);
    const at = () => (isDigit ? model.get("place") : model.get("scrap_places")[i]);
    const to = (top, left) => {
      const place = [clamp(top, h - side()), clamp(left, w - side())];
      if (place.join() === at().join()) return;
      if (isDigit) tell(model, "place", place);
      else tell(model, "scrap_places", model.get("scrap_places").map((other, k) => (k === i ? place : other)));
    };
    let grip = null; // where the pointer holds it, in pixels of the canvas
    const pixel = (event) => {
      const area = board.getBoundingClientRect();
      return [((event.clientY - area.top) / area.height) * h, ((event.clientX - area.left) / area.width) * w];
    };
    el.addEventListener("pointerdown", (event) => {
      const [y, x] = pixel(event), [top, left] = at();
      grip = [y - top, x - left];
      el.setPointerCapture(event.pointerId);
    });
    el.addEventListener("pointermove", (event) => {
      if (!grip) return;
      const [y, x] = pixel(event);
      to(Math.round(y - grip[0]), Math.round(x - grip[1]));
    });
    for (const end of ["pointerup", "pointercancel"]) el.addEventListener(end, () => (grip = null));
    el.addEventListener("keydown", (event) => {
      const step = ARROWS[event.key];
      if (!step || !bare(event)) return;
      event.preventDefault();
      to(at()[0] + step[0], at()[1] + step[1]);
    });
    return () => {
      const [top, left] = at(), edges = { left: left / w, top: top / h, width: side() / w, height: side() / h };
      el.setAttribute("style", Object.entries(edges).map(([edge, share]) => `${edge}: ${short(100 * share)}%`).join("; "));
      const name = isDigit ? fill(PHRASES.the_digit, { name: className(model) }) : fill(PHRASES.scrap, { number: i + 1 });
      el.setAttribute("aria-label", fill(PHRASES.thing, { name, row: top + 1, column: left + 1 }));
      el.toggleAttribute("hidden", !isDigit && i >= model.get("scraps"));
    };
  });
}

const perClass = (model) => model.get("digits").byteLength / 64 / model.get("classes").length;
const answerOf = (model) => Math.floor(model.get("digit") / perClass(model));
const className = (model) => model.get("classes")[answerOf(model)];

// Paint: by pointer or finger, or by a brush that arrow keys move. `tool` says whether it paints or rubs out.
function makeBrush(model, picture, tool, redraw) {
  const { canvas } = picture, [h, w] = model.get("size");
  const brush = { at: null };
  let last = null;
  function dab(y, x) {
    const pixels = painted(model.get("paint"), h * w);
    for (let row = y - 1; row <= y + 1; row++)
      for (let column = x - 1; column <= x + 1; column++)
        if (row >= 0 && row < h && column >= 0 && column < w) pixels[row * w + column] = tool() === "draw" ? 1 : 0;
    tell(model, "paint", encodePaint(pixels));
  }
  // All pixels between two places: a fast finger leaves no gaps.
  function stroke(from, to) {
    const steps = Math.max(1, ...to.map((part, axis) => Math.abs(part - from[axis])));
    for (let i = 1; i <= steps; i++) dab(...to.map((part, axis) => Math.round(from[axis] + ((part - from[axis]) * i) / steps)));
  }
  const pixel = (event) => {
    const area = canvas.getBoundingClientRect();
    return [Math.floor(((event.clientY - area.top) / area.height) * h), Math.floor(((event.clientX - area.left) / area.width) * w)];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (tool() === "move") return;
    canvas.setPointerCapture(event.pointerId);
    last = pixel(event);
    dab(...last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    stroke(last, pixel(event));
    last = pixel(event);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (last = null));
  canvas.addEventListener("keydown", (event) => {
    const step = ARROWS[event.key];
    if (tool() === "move" || (!step && event.key !== " ") || !bare(event)) return;
    event.preventDefault();
    brush.at ??= [h >> 1, w >> 1];
    if (step) brush.at = [clamp(brush.at[0] + step[0], h - 1), clamp(brush.at[1] + step[1], w - 1)];
    else dab(...brush.at);
    redraw();
  });
  canvas.addEventListener("blur", () => {
    brush.at = null;
    redraw();
  });
  return brush;
}

// Nothing is computed before a figure is near the window.
function whenNear(el, then) {
  const watcher = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watcher.disconnect();
    then();
  }, { rootMargin: "50% 0px" });
  watcher.observe(el);
}
