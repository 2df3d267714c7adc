// A panel shows what one network makes of an image: its answer, the probabilities, its map.

// A canvas in place of a still picture, once there is something on it.
function makeCanvas(holder, width, height, words) {
  const canvas = build(["canvas", { width, height, ...words }]);
  return { canvas, context: canvas.getContext("2d"), show: () => canvas.parentNode ?? holder.replaceChildren(canvas) };
}

// A panel: what one network makes of the canvas.
function makePanel(figure, model, colours) {
  const [h, w] = model.get("size"), classes = model.get("classes");
  const [name, verdict, chart, bars, right, note, holder] =
    ["name", "verdict", "chart", "bars", "right", "note", "picture"].map((each) => hole(figure, each));
  const picture = makeCanvas(holder, w * SCALE, h * SCALE, {});
  let map = null;

  function show({ title, layers }, { logits, maps }, image, canvas, query, answer) {
    const shares = probabilities(logits), finite = shares.every(Number.isFinite);
    map = shownMap(layers, maps, [h, w], query);
    const said = noteOf(map, canvas, [h, w]);
    name.textContent = title;
    verdict.textContent = verdictOf(shares, classes, answer);
    const each = classes.map((label, i) => fill(PHRASES.bar, { name: label, share: whole(shares[i]) }));
    chart.setAttribute("aria-label", finite ? fill(PHRASES.chart, { all: each.join(", ") }) : PHRASES.nothing);
    const path = (share, i) => `M${BAR * i + 1} ${FULL - Math.floor(FULL * share + 0.5)}H${BAR * (i + 1) - 1}V${FULL}H${BAR * i + 1}z`;
    bars.setAttribute("d", finite ? shares.map(path).join("") : "");
    right.setAttribute("d", `M${BAR * answer} 0h${BAR}v${FULL}h-${BAR}z`);
    note.textContent = said;
    drawMap(picture.context, map, image, canvas, colours);
    const asked = map.kind === "relation";
    const words = asked ? { role: "application", tabindex: "0", "aria-label": `${fill(PHRASES.keys, { name: title })} ${said}` }
      : { role: "img", "aria-label": fill(PHRASES.map, { name: title, note: said }) };
    if (!asked) picture.canvas.removeAttribute("tabindex");
    for (const [attribute, value] of Object.entries(words)) picture.canvas.setAttribute(attribute, value);
    picture.show();
  }

  // The position under the pointer, where there are queries; else null.
  function under(event) {
    if (!map?.queries) return null;
    const area = picture.canvas.getBoundingClientRect(), [rows, columns] = map.queries;
    const along = (offset, length, count) => clamp(Math.floor((offset / length) * count), count - 1);
    return along(event.clientY - area.top, area.height, rows) * columns + along(event.clientX - area.left, area.width, columns);
  }

  return { canvas: picture.canvas, show, under, queries: () => map?.queries };
}
