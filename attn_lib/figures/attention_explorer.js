// Point at a position of an image: each panel shows the weights of that position's row.

const PIXELS = 480; // of a canvas's side: two for each that a reader sees, on a wide page

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

// The weights of one map and query, and the largest of them.
function reader(model) {
  const [rows, columns] = model.get("grid");
  const [keyRows, keyColumns] = model.get("key_grid");
  const n = rows * columns;
  const m = keyRows * keyColumns;
  const weights = bytes(model.get("weights"));
  const peaks = model.get("peaks");
  return {
    rows, columns, keyRows, keyColumns, m,
    peak: (map, query) => peaks.getFloat32(4 * (map * n + query), true),
    row: (map, query) => weights.subarray((map * n + query) * m, (map * n + query + 1) * m),
  };
}

// The image in grey, and dimmed, so that colour and brightness stand for weight alone.
function toGrey(image, width, height) {
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, width, height);
  for (let i = 0; i < data.data.length; i += 4) {
    const [r, g, b] = data.data.subarray(i, i + 3);
    data.data.fill(0.75 * (0.299 * r + 0.587 * g + 0.114 * b), i, i + 3);
  }
  context.putImageData(data, 0, 0);
  return canvas;
}

function makePanel(model, relation, map, name) {
  const { keyRows, keyColumns, rows, columns } = relation;
  const [imageHeight, imageWidth] = model.get("size");
  const height = Math.round((PIXELS * imageHeight) / imageWidth);
  const canvas = element("canvas", {
    width: PIXELS, height, tabindex: "0", role: "application",
    "aria-label": `${name}: where the chosen position looks. Arrow keys choose another.`,
  });
  const context = canvas.getContext("2d");
  const cells = element("canvas", { width: keyColumns, height: keyRows });
  const cellContext = cells.getContext("2d");
  const heat = cellContext.createImageData(keyColumns, keyRows);
  const colours = bytes(model.get("colours"));
  let grey = null;

  function outline(colour, width, x, y, w, h) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(x + width / 2, y + width / 2, w - width, h - width);
  }

  function draw(query, top) {
    const share = relation.peak(map, query) / 255 / top; // from this row's steps to the scale of all panels
    const row = relation.row(map, query);
    for (let i = 0; i < row.length; i++) {
      const level = Math.round(255 * Math.sqrt(row[i] * share)); // so that small weights show beside large ones
      heat.data.set(colours.subarray(3 * level, 3 * level + 3), 4 * i);
      heat.data[4 * i + 3] = 0.9 * Math.sqrt(255 * level); // nothing over the image where there is no weight
    }
    cellContext.putImageData(heat, 0, 0);
    context.imageSmoothingEnabled = false;
    if (grey) context.drawImage(grey, 0, 0, PIXELS, height);
    context.drawImage(cells, 0, 0, PIXELS, height);
    const [left, above, right, below] = model.get("box");
    const x = PIXELS / imageWidth;
    const y = height / imageHeight;
    if (right !== undefined) outline("white", 3, left * x, above * y, (right - left) * x, (below - above) * y);
    const cellWidth = PIXELS / columns;
    const cellHeight = height / rows;
    const marker = [(query % columns) * cellWidth, Math.floor(query / columns) * cellHeight, cellWidth, cellHeight];
    outline("black", 7, ...marker);
    outline("#6cb4ff", 5, ...marker);
  }

  return { canvas, draw, setImage: (image) => (grey = toGrey(image, imageWidth, imageHeight)) };
}

// The legend: the colours from 0 to the largest weight drawn; a quarter of it lies in the middle.
function makeScale(colours) {
  const top = element("span");
  return { el: element("div", { class: "attn-scale" }, "weight 0 %", colourBar(colours), top), top };
}

// The share of a row's weight that lies inside the box: each cell counts by the part of it inside.
function massInside(row, relation, box, [imageHeight, imageWidth]) {
  const overlap = (start, stop, cell, size) => Math.max(0, Math.min(stop, (cell + 1) * size) - Math.max(start, cell * size)) / size;
  let inside = 0, all = 0;
  row.forEach((weight, i) => {
    const x = overlap(box[0], box[2], i % relation.keyColumns, imageWidth / relation.keyColumns);
    const y = overlap(box[1], box[3], Math.floor(i / relation.keyColumns), imageHeight / relation.keyRows);
    inside += weight * x * y;
    all += weight;
  });
  return inside / all;
}

function describe(model, relation, map, query) {
  const row = relation.row(map, query);
  const best = row.indexOf(Math.max(...row));
  const place = `row ${Math.floor(best / relation.keyColumns) + 1}, column ${(best % relation.keyColumns) + 1}`;
  const box = model.get("box");
  const inside = box.length ? `; ${percent(massInside(row, relation, box, model.get("size")))} inside the box` : "";
  return `most on ${place}: ${percent(relation.peak(map, query))}${inside}`;
}

function render({ model, el }) {
  const relation = reader(model);
  const { rows, columns } = relation;
  const names = model.get("names");
  const panels = names.map((name, map) => makePanel(model, relation, map, name));
  const notes = names.map(() => element("output"));
  const scale = makeScale(bytes(model.get("colours")));
  const place = element("span");
  const hint = element("span", { class: "attn-hint" }, "☞ Point, tap, or press arrow keys.");
  let shown = -1;

  function show(query) {
    if (query === shown) return;
    shown = query;
    const top = Math.max(...names.map((_, map) => relation.peak(map, query)));
    panels.forEach((panel, map) => {
      panel.draw(query, top);
      notes[map].textContent = describe(model, relation, map, query);
    });
    place.textContent = `Query: row ${Math.floor(query / columns) + 1}, column ${(query % columns) + 1}.`;
    scale.top.textContent = `${percent(top)}, middle ${percent(top / 4)}`;
    el.dataset.query = query;
  }

  function choose(query) {
    tell(model, "query", query);
    show(query);
  }

  function under(event, canvas) {
    const area = canvas.getBoundingClientRect();
    const cell = (offset, length, count) => Math.min(count - 1, Math.max(0, Math.floor((offset / length) * count)));
    return cell(event.clientY - area.top, area.height, rows) * columns + cell(event.clientX - area.left, area.width, columns);
  }

  function onKey(event) {
    const step = STEPS[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const query = model.get("query");
    const row = Math.min(rows - 1, Math.max(0, Math.floor(query / columns) + step[0]));
    const column = Math.min(columns - 1, Math.max(0, (query % columns) + step[1]));
    choose(row * columns + column);
  }

  for (const { canvas } of panels) {
    canvas.addEventListener("pointermove", (event) => show(under(event, canvas)));
    canvas.addEventListener("pointerleave", () => show(model.get("query")));
    canvas.addEventListener("click", (event) => choose(under(event, canvas)));
    canvas.addEventListener("keydown", onKey);
  }
  model.on("change:query", () => show(model.get("query")));

  ready(el, model);
  el.classList.add("attn-explorer");
  el.append(
    element("div", { class: "attn-panels" }, ...names.map((name, map) =>
      element("figure", {}, panels[map].canvas, element("figcaption", {}, element("strong", {}, name), " ", notes[map])))),
    element("div", { class: "attn-foot" }, element("span", {}, place, " ", hint), scale.el),
  );
  show(model.get("query"));

  const image = new Image();
  image.onload = () => {
    for (const panel of panels) panel.setImage(image);
    shown = -1;
    show(model.get("query"));
  };
  image.src = model.get("image");
}

export default { render };
