// A panel: the image in grey, weights over it, and what is chosen.

const PIXELS = 480; // of a canvas's width: two for each that a reader sees, on a wide page

// The image in grey, and dimmed, so that colour and brightness stand for weight alone.
function toGrey(image, [height, width]) {
  const context = build(["canvas", { width, height }]).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, width, height);
  for (let i = 0; i < data.data.length; i += 4) {
    const [r, g, b] = data.data.subarray(i, i + 3);
    data.data.fill(0.75 * (0.299 * r + 0.587 * g + 0.114 * b), i, i + 3);
  }
  context.putImageData(data, 0, 0);
  return context.canvas;
}

function makePanel(model, panel) {
  const [imageHeight, imageWidth] = model.get("size");
  const height = Math.round((PIXELS * imageHeight) / imageWidth);
  const grid = model.get("grid");
  const words = { role: "application", "aria-label": fill(PHRASES.keys, { name: panel.name }) };
  const canvas = build(["canvas", { width: PIXELS, height, tabindex: "0", ...words }]);
  const context = canvas.getContext("2d");
  const colours = bytes(model.get("colours"));
  const heat = build(["canvas", {}]).getContext("2d");
  let grey = null;

  const edges = (cell, [rows, columns]) =>
    [(cell % columns) * (PIXELS / columns), Math.floor(cell / columns) * (height / rows), PIXELS / columns, height / rows];

  function outline(colour, width, x, y, w, h) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(x + width / 2, y + width / 2, w - width, h - width);
  }

  function paint({ cells: [rows, columns], weights }, [low, high], opacity) {
    Object.assign(heat.canvas, { width: columns, height: rows });
    const pixels = heat.createImageData(columns, rows);
    weights.forEach((weight, i) => {
      const level = Math.round(255 * Math.sqrt((weight - low) / (high - low || 1))); // so that small weights show beside large ones
      pixels.data.set(colours.subarray(3 * level, 3 * level + 3), 4 * i);
      pixels.data[4 * i + 3] = opacity * Math.sqrt(255 * level); // nothing over the image where there is no weight
    });
    heat.putImageData(pixels, 0, 0);
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, PIXELS, height);
    if (grey) context.drawImage(grey, 0, 0, PIXELS, height);
    context.drawImage(heat.canvas, 0, 0, PIXELS, height);
  }

  // Lines to the middles of cells, as thick as their weights are high, and a dot at the end of each.
  function link(from, ends, colour) {
    const middle = ([x, y, w, h]) => [x + w / 2, y + h / 2];
    const paths = ends.map(([to]) => new Path2D(`M${middle(from)}L${middle(to)}`));
    for (const [strokeStyle, casing] of [["black", 5], ["white", 2]])
      paths.forEach((path, i) => {
        Object.assign(context, { strokeStyle, lineWidth: 5 * ends[i][1] + casing });
        context.stroke(path);
      });
    Object.assign(context, { fillStyle: colour, strokeStyle: "black", lineWidth: 2 });
    for (const [to] of ends) {
      context.beginPath();
      context.arc(...middle(to), 7, 0, 7);
      context.fill();
      context.stroke();
    }
  }

  // The number of the cell that is read stands beside it.
  function label(text, [x, y, w, h]) {
    const em = (14 * PIXELS) / (canvas.clientWidth || PIXELS); // 14 px to the reader
    Object.assign(context, { font: `600 ${em}px system-ui, sans-serif`, textAlign: "center", textBaseline: "middle", fillStyle: "rgba(0, 0, 0, 0.8)" });
    const half = (context.measureText(text).width + em) / 2;
    const middle = Math.min(PIXELS - half, Math.max(half, x + w / 2));
    const line = y > 1.6 * em ? y - 0.8 * em : y + h + 0.8 * em;
    context.fillRect(middle - half, line - 0.7 * em, 2 * half, 1.4 * em);
    context.fillStyle = "white";
    context.fillText(text, middle, line);
  }

  function draw(state, drawn, ends) {
    const reverse = isReversed(panel, state);
    paint(drawn, ends, state.opacity);
    const [left, above, right, below] = panel.box.map((edge, i) => (i % 2 ? (edge * height) / imageHeight : (edge * PIXELS) / imageWidth));
    if (right !== undefined) outline("white", 3, left, above, right - left, below - above);
    if (isRelation(panel)) {
      const asked = reverse ? panel.cells : grid;
      const marker = edges(placeIn(asked, grid, state.query), asked);
      const peak = Math.max(...drawn.weights);
      const ends = strongest(panel, drawn, state.links).map((at) => [edges(at, drawn.cells), drawn.weights[at] / peak]);
      link(marker, ends, reverse ? QUERY : KEY);
      outline("black", 7, ...marker);
      outline(reverse ? KEY : QUERY, 5, ...marker);
    }
    if (state.cell === null && isRelation(panel)) return;
    const read = placeIn(drawn.cells, grid, state.cell ?? state.query);
    const around = edges(read, drawn.cells);
    outline("black", 5, ...around);
    outline("white", 3, ...around);
    label(percent(drawn.weights[read]), around);
  }

  return { canvas, draw, setGrey: (image) => (grey = image) };
}
