// The canvas that a reader plays with: painted as canvas.py paints it, and carried in a URL.

// What canvases are made of, and what the reader has made of it.
function makePainter(model) {
  const digits = bytes(model.get("digits")), pattern = new Int8Array(bytes(model.get("pattern")));
  const [h, w] = model.get("size"), n = h * w;
  const colour = model.get("colour"), pieces = model.get("pieces"), start = model.get("start");

  function cover(image, ink, side, [fromRow, fromColumn], length, [top, left], [...rgb]) {
    for (let row = 0; row < length; row++)
      for (let column = 0; column < length; column++) {
        const share = ink[(fromRow + row) * side + fromColumn + column];
        if (share === 0) continue;
        for (let channel = 0; channel < 3; channel++) {
          const at = channel * n + (top + row) * w + left + column;
          image[at] += share * (rgb[channel] / 255 - image[at]);
        }
      }
  }

  const ink = (digit, side) => enlarge(digits.subarray(64 * digit, 64 * (digit + 1)), side);

  return (canvas) => {
    const image = Float32Array.from(pattern, (steps) => GROUND + (canvas.noise / 100 / PATTERN) * steps);
    const scraps = (moved) => {
      for (let i = 0; i < canvas.scraps; i++) {
        const [digit, side, row, column, ...rgb] = pieces[i], place = canvas.scrap_places[i];
        if (place.some((part, axis) => part !== start.scrap_places[i][axis]) === moved)
          cover(image, ink(digit, side), side, [row, column], SCRAP, place, rgb);
      }
    };
    scraps(false);
    cover(image, ink(canvas.digit, canvas.side), canvas.side, [0, 0], canvas.side, canvas.place, colour);
    scraps(true);
    painted(canvas.paint, n).forEach((bears, i) => {
      if (bears) for (let channel = 0; channel < 3; channel++) image[channel * n + i] = PAINT;
    });
    return { c: 3, h, w, values: image.map((value) => Math.min(1, Math.max(0, value))) };
  };
}

// A digit of 8×8 pixels, 0 to 16, brought to a side, 0 to 1, by PyTorch's bicubic interpolation.
function enlarge(digit, side) {
  const near = (t) => ((1.25 * t - 2.25) * t) * t + 1; // within 1 of a pixel
  const far = (t) => ((-0.75 * t + 3.75) * t - 6) * t + 3; // within 2
  const taps = Array.from({ length: side }, (_, i) => {
    const at = ((i + 0.5) * 8) / side - 0.5, first = Math.floor(at), t = at - first;
    return [far(1 + t), near(t), near(1 - t), far(2 - t)].map((weight, k) => [Math.min(7, Math.max(0, first - 1 + k)), weight]);
  });
  const rows = taps.map((tap) => Array.from({ length: 8 }, (_, column) =>
    tap.reduce((sum, [row, weight]) => sum + (weight * digit[8 * row + column]) / 16, 0)));
  return Float32Array.from({ length: side * side }, (_, i) =>
    Math.min(1, Math.max(0, taps[i % side].reduce((sum, [column, weight]) => sum + weight * rows[Math.floor(i / side)][column], 0))));
}

// Which of n pixels bear paint: a bit each, the highest of a byte first, in base64 for URLs; "" for none.
function painted(code, n) {
  const text = atob(code.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from({ length: n }, (_, i) => (code ? (text.charCodeAt(i >> 3) >> (7 - (i & 7))) & 1 : 0));
}

function encodePaint(pixels) {
  if (!pixels.includes(1)) return "";
  const packed = new Uint8Array(Math.ceil(pixels.length / 8));
  pixels.forEach((bears, i) => (packed[i >> 3] |= bears << (7 - (i & 7))));
  return btoa(String.fromCharCode(...packed)).replaceAll("+", "-").replaceAll("/", "_");
}

// What each trait may be. Where the digit is depends on its size too, which may be about to change.
function makeChoices(model) {
  const [h, w] = model.get("size"), pieces = model.get("pieces").length;
  const upTo = (most) => below(most + 1), bits = 4 * Math.ceil(Math.ceil((h * w) / 8) / 3); // letters of base64
  const place = (side) => (at) => listOf(2, Number.isInteger)(at) && upTo(h - side)(at[0]) && upTo(w - side)(at[1]);
  const side = (length) => Number.isInteger(length) && between(SIDES[0], Math.min(SIDES[1], h, w))(length);
  return {
    digit: below(model.get("digits").byteLength / 64), place: place(SIDES[0]), side, scraps: upTo(pieces), noise: upTo(NOISES[1]),
    scrap_places: listOf(pieces, place(SCRAP)), paint: (code) => code === "" || (typeof code === "string" && code.length === bits && /^[\w-]+={0,2}$/.test(code)),
    network: below(model.get("networks").length), query: maybe(below(h * w)),
  };
}

const HASH = "#canvas=";

function toHash({ digit, place, side, scraps, scrap_places, noise, paint }) {
  return HASH + [digit, ...place, side, scraps, noise, ...scrap_places.flat()].join(".") + (paint && `.${paint}`);
}

// The canvas that a URL carries, or null where it carries none, or a damaged one.
function fromHash(hash, model) {
  if (!hash.startsWith(HASH)) return null;
  const pieces = model.get("pieces").length, [h, w] = model.get("size");
  const parts = hash.slice(HASH.length).split(".");
  const numbers = parts.slice(0, 6 + 2 * pieces), paint = parts[numbers.length] ?? "";
  if (parts.length > numbers.length + 1 || numbers.length < 6 + 2 * pieces || !numbers.every((part) => /^\d{1,4}$/.test(part))) return null;
  const [digit, top, left, side, scraps, noise, ...flat] = numbers.map(Number);
  const scrap_places = Array.from({ length: pieces }, (_, i) => flat.slice(2 * i, 2 * i + 2));
  const canvas = { digit, place: [top, left], side, scraps, noise, scrap_places, paint }, accepts = makeChoices(model);
  const whole = Object.entries(canvas).every(([name, value]) => accepts[name](value)) && top + side <= h && left + side <= w;
  return whole ? canvas : null;
}
