// What a panel shows of its weights, and how it says it: as view.py does.

const isRelation = (panel) => panel.kind === "relation";
const scaleOf = (panel) => (panel.kind === "gate" ? "gate" : "weight"); // gates do not share a sum
const isReversed = (panel, state) => isRelation(panel) && state.direction === DIRECTIONS[1];
const place = (cell, columns) => fill(PHRASES.place, { row: Math.floor(cell / columns) + 1, column: (cell % columns) + 1 });
const within = (index, count) => Math.min(count - 1, Math.max(0, index));
const upTo = (count) => Array.from({ length: count }, (_, i) => i);
const sum = (numbers) => numbers.reduce((all, number) => all + number, 0);

// The cell of another grid in which the centre of a position lies.
function placeIn([rows, columns], [gridRows, gridColumns], position) {
  const below = Math.floor(((2 * Math.floor(position / gridColumns) + 1) * rows) / (2 * gridRows));
  return below * columns + Math.floor(((2 * (position % gridColumns) + 1) * columns) / (2 * gridColumns));
}

// What a panel shows in a state, as Python's attention_map has it: weights on a grid of cells.
function makeReader(model) {
  const grid = model.get("grid");
  const weights = bytes(model.get("weights")), peaks = model.get("peaks"), levels = model.get("levels");
  return (panel, state) => {
    const [start, first] = panel.start;
    const n = isRelation(panel) ? grid[0] * grid[1] : 1, m = panel.cells[0] * panel.cells[1];
    const reverse = isReversed(panel, state), layer = panel.layers > 1 ? state.layer : 0;
    const heads = panel.heads > 1 && state.head !== null ? [state.head] : upTo(panel.heads);
    const key = placeIn(panel.cells, grid, state.query);
    const drawn = new Float64Array(reverse ? n : m);
    for (const head of heads)
      for (let i = 0; i < drawn.length; i++) {
        const query = reverse ? i : isRelation(panel) ? state.query : 0;
        const row = (layer * panel.heads + head) * n + query;
        drawn[i] += panel.floors[layer][head] + weights[start + row * m + (reverse ? key : i)] * (peaks.getFloat32(first + 4 * row, true) / levels);
      }
    return { cells: reverse ? grid : panel.cells, weights: drawn.map((weight) => weight / heads.length) };
  };
}

// The strongest weights of a relation, strongest first.
function strongest(panel, { weights }, count) {
  const order = Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a] || a - b);
  return order.slice(0, isRelation(panel) ? count : 0).filter((at) => weights[at] > 0);
}

// The ends of each scale: weights go from 0 to the highest drawn, gates from the lowest to the highest.
function scales(panels, drawn) {
  const ends = {};
  panels.forEach((panel, i) => {
    const name = scaleOf(panel), [low, high] = ends[name] ?? [name === "gate" ? 1 : 0, 0];
    ends[name] = [Math.min(low, ...drawn[i].weights), Math.max(high, ...drawn[i].weights)];
  });
  return ends;
}

// How much of each cell lies inside the box.
function coverage(box, [rows, columns], [height, width]) {
  const overlap = (start, stop, cell, size) => Math.max(0, Math.min(stop, (cell + 1) * size) - Math.max(start, cell * size)) / size;
  return Float64Array.from({ length: rows * columns }, (_, i) =>
    overlap(box[0], box[2], i % columns, width / columns) * overlap(box[1], box[3], Math.floor(i / columns), height / rows));
}

// The layer and the head shown, of a panel that has several.
function describeChoice(panel, { layer, head }) {
  const chosen = panel.layers > 1 ? [fill(PHRASES.layer, { number: layer + 1 })] : [];
  if (panel.heads > 1) chosen.push(head === null ? PHRASES.mean_of_heads : fill(PHRASES.head, { number: head + 1 }));
  return chosen.length ? `${chosen.join(", ")}: ` : "";
}

function describe(model, panel, state, { cells, weights }) {
  const say = (phrase, share, values = {}) => fill(PHRASES[phrase], { share: percent(share), ...values });
  const chosen = describeChoice(panel, state);
  const gate = panel.kind === "gate", reverse = isReversed(panel, state);
  const peak = Math.max(...weights);
  if (reverse && peak === 0) return chosen + PHRASES.nobody;
  const best = reverse ? "most_from" : gate ? "highest" : "most";
  const said = [say(best, peak, { place: place(weights.indexOf(peak), cells[1]) })];
  if (gate) said.push(say("mean", sum(weights) / weights.length));
  if (panel.box.length && peak > 0) {
    const inside = coverage(panel.box, cells, model.get("size"));
    const share = sum(weights.map((weight, i) => weight * inside[i])) / sum(gate ? inside : weights);
    said.push(say(reverse ? "from_inside" : "inside", share));
  }
  const [read, asked] = [state.cell ?? state.query, state.query].map((at) => placeIn(cells, model.get("grid"), at));
  const own = isRelation(panel) && read === asked;
  said.push(say(reverse ? "read_from" : "read", weights[read], { place: own ? PHRASES.itself : place(read, cells[1]) }));
  if (reverse) said.push(fill(PHRASES.in_all, { times: ((sum(weights) * panel.cells[0] * panel.cells[1]) / weights.length).toFixed(1) }));
  return chosen + said.join("; ");
}

function describeLinks(panel, state, drawn) {
  const told = strongest(panel, drawn, state.links).map((at) =>
    fill(PHRASES.link, { place: place(at, drawn.cells[1]), share: percent(drawn.weights[at]) }));
  return told.length ? fill(PHRASES.links, { links: told.join(", ") }) : "";
}
