/* Data of the page: unpacking, lookup, and numbers as text. Arrays are (x, z) with z fastest, in the unit shown. */

const SECTIONS = ["truth", "image", "mean", "draw", "error", "std"];
const LINES = ["truth", "image", "mean", "std", "lower90", "lower50", "upper50", "upper90"];

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function parsed(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/** An array rounded to offset + step * code; the largest code stands for no value. */
class Values {
  constructor(packed) {
    const bytes = bytesOf(packed.codes);
    // Typed arrays take the machine's byte order, which is little-endian wherever a browser runs.
    this.codes = packed.bits === 16 ? new Uint16Array(bytes.buffer) : bytes;
    this.empty = 2 ** packed.bits - 1;
    this.offset = packed.offset;
    this.step = packed.step;
  }

  at(place) {
    const code = this.codes[place];
    return code === this.empty ? NaN : this.offset + this.step * code;
  }
}

/** Grid, quantity and colour maps, the same for all pairs. */
function readScene() {
  const scene = parsed("viewer-scene");
  [scene.nx, scene.nz] = scene.shape;
  for (const name of Object.keys(scene.maps)) scene.maps[name] = bytesOf(scene.maps[name]);
  scene.x = Float64Array.from({ length: scene.nx }, (_, i) => scene.origin[0] + i * scene.spacing[0]);
  scene.z = Float64Array.from({ length: scene.nz }, (_, i) => scene.origin[1] + i * scene.spacing[1]);
  return scene;
}

/** One pair: values of its sections and draws by cell. */
class Pair {
  constructor(key, scene) {
    const data = parsed(`viewer-pair-${key}`);
    Object.assign(this, { key, scene, count: data.count, of: data.of, map: data.map, errors: data.errors });
    this.limits = { values: data.limits, magnitude: [0, data.largest] };
    this.sections = {};
    for (const name of LINES) this.sections[name] = new Values(data.sections[name]);
    this.draws = new Values(data.draws);
    this.range = this.#range();
  }

  /** A value by section, cell and number of the draw, which counts from 0. */
  value(section, col, row, draw) {
    const place = col * this.scene.nz + row;
    if (section === "draw") return this.draws.at(draw * this.scene.nx * this.scene.nz + place);
    if (section === "error") {
      return Math.abs(this.sections.mean.at(place) - this.sections.truth.at(place));
    }
    return this.sections[section].at(place);
  }

  /** Smallest and largest value that profiles must show, the same at every point so that they do not jump. */
  #range() {
    let [low, high] = [Infinity, -Infinity];
    for (let place = 0; place < this.scene.nx * this.scene.nz; place += 1) {
      for (const name of ["truth", "lower90", "upper90"]) {
        const value = this.sections[name].at(place);
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    if (!(high > low)) return [Number.isFinite(low) ? low - 1 : -1, Number.isFinite(low) ? low + 1 : 1];
    const room = 0.04 * (high - low);
    return [low - room, high + room];
  }
}

/** A number to four digits, without an exponent where it can be read without one. */
function shown(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const small = size !== 0 && (size >= 1e5 || size < 1e-3);
  return (small ? value.toExponential(3) : String(Number(value.toPrecision(4)))).replaceAll("-", "−");
}

/** A position to the metre where the unit is the kilometre. */
function place(value) {
  return String(Number(value.toFixed(4)));
}

/** Round numbers within two limits, about as many as wanted. */
function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * (1 - 1e-9));
  const found = [];
  for (let number = Math.ceil(low / step - 1e-9); number * step <= high + 1e-9 * step; number += 1) {
    found.push(Number((number * step).toPrecision(12)));
  }
  return found;
}

/** The vertical profile as text: one line a depth, first the names of the columns. */
function traceText(pair, pick, draw) {
  const columns = [...LINES, "error", "draw"];
  const { scene } = pair;
  const lines = [[`depth (${scene.unit})`, ...columns].join(",")];
  for (let row = 0; row < scene.nz; row += 1) {
    const values = columns.map((name) => pair.value(name, pick.col, row, draw));
    lines.push([scene.z[row], ...values].map((value) => Number(value.toPrecision(8))).join(","));
  }
  return lines.join("\n");
}

/** What a link asks for: pair, draw from 1 on, x and z in metres; what it leaves out is undefined. */
function fragment(text) {
  const asked = new URLSearchParams(text.replace(/^#/, ""));
  const number = (name) => {
    const value = asked.has(name) && asked.get(name) !== "" ? Number(asked.get(name)) : NaN;
    return Number.isFinite(value) ? value : undefined;
  };
  return { pair: asked.get("pair") ?? undefined, draw: number("draw"), x: number("x"), z: number("z") };
}
