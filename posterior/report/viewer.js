/* The viewer: what is shown, and the hands on it. */

const root = document.getElementById("viewer");
const part = (role) => root.querySelector(`[data-role="${role}"]`);
const canvasOf = (kind, name) => root.querySelector(`canvas[data-${kind}="${name}"]`);
const FRAMES_PER_SECOND = 5;

const scene = readScene();
const pairs = new Map();
const view = { pair: null, draw: 0, pick: { col: scene.nx >> 1, row: scene.nz >> 1 }, kept: false };
let pictures = {};
let timer = null;
let waiting = false;

function within(value, count) {
  return Math.min(count - 1, Math.max(0, Math.round(value)));
}

/** Redraw before the screen's next refresh, once however much has changed. */
function refresh() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    paint();
  });
}

function paint() {
  const { pair, pick, draw } = view;
  for (const section of SECTIONS) {
    const known = section === "draw" ? draw : 0;
    if (pictures[section]?.draw !== known) {
      pictures[section] = { draw: known, pixels: picture(pair, section, draw) };
    }
    drawSection(canvasOf("section", section), pair, pictures[section].pixels, pick);
  }
  const { quantity, maps, magnitude } = scene;
  const unit = quantity.unit ? ` (${quantity.unit})` : "";
  colourBar(canvasOf("bar", "values"), {
    map: maps[pair.map], limits: pair.limits.values, label: quantity.label,
  });
  colourBar(canvasOf("bar", "magnitude"), {
    map: maps[magnitude], limits: pair.limits.magnitude, label: `std, |error|${unit}`,
  });
  for (const name of ["vertical", "horizontal"]) {
    drawProfile(canvasOf("profile", name), pair, pick, { vertical: name === "vertical", draw });
  }
}

/** Bring words, numbers and controls in line with what is shown, then redraw. */
function update() {
  const { pair, pick, draw } = view;
  part("pair").value = pair.key;
  part("draw").max = String(pair.count);
  part("draw").value = String(draw + 1);
  part("count").textContent = `${draw + 1} of ${pair.count}`;
  part("draw-title").textContent = `Posterior draw ${draw + 1}`;
  const [x, z] = [scene.x[pick.col], scene.z[pick.row]];
  part("vertical-title").textContent = `Vertical profile at x = ${place(x)} ${scene.unit}`;
  part("horizontal-title").textContent = `Horizontal profile at z = ${place(z)} ${scene.unit}`;
  const metres = (value) => Number((value * scene.metres).toFixed(3));
  part("link").href = `#pair=${pair.key}&draw=${draw + 1}&x=${metres(x)}&z=${metres(z)}`;
  readOut();
  if (part("trace").open) part("trace").querySelector("pre").textContent = traceText(pair, pick, draw);
  refresh();
}

/** The values at the point picked. */
function readOut() {
  const { pair, pick, draw, kept } = view;
  const unit = scene.quantity.unit;
  const value = (name) => pair.value(name, pick.col, pick.row, draw);
  const number = (name) => `${shown(value(name))} ${unit}`;
  const interval = (level) => `${shown(value(`lower${level}`))} to ${shown(value(`upper${level}`))} ${unit}`;
  const rows = {
    x: `${place(scene.x[pick.col])} ${scene.unit}`,
    z: `${place(scene.z[pick.row])} ${scene.unit}${kept ? ", kept" : ""}`,
    Truth: number("truth"),
    Image: number("image"),
    Mean: number("mean"),
    Std: number("std"),
    "|Error|": number("error"),
    [`Draw ${draw + 1}`]: number("draw"),
    "50 % interval": interval("50"),
    "90 % interval": interval("90"),
  };
  const items = Object.entries(rows).map(([name, text]) => {
    const item = document.createElement("div");
    item.append(document.createElement("dt"), document.createElement("dd"));
    [item.firstChild.textContent, item.lastChild.textContent] = [name, text.trim()];
    return item;
  });
  part("readout").replaceChildren(...items);
}

function choose(key) {
  if (!document.getElementById(`viewer-pair-${key}`)) return;
  if (!pairs.has(key)) pairs.set(key, new Pair(key, scene));
  view.pair = pairs.get(key);
  view.draw = within(view.draw, view.pair.count);
  pictures = {};
  const { count, of, errors } = view.pair;
  const unit = scene.quantity.unit;
  part("note").textContent =
    `${count} of ${of} draws are shown, in the order in which they were drawn. Values on this page are rounded: ` +
    `draws by at most ${shown(errors.draws)} ${unit}, all others by at most ${shown(errors.sections)} ${unit}. ` +
    "Colours are clipped at the ends of their bars. Profiles keep one scale for all points of a pair.";
}

function leaf(step) {
  const { count } = view.pair;
  view.draw = (view.draw + step + count) % count;
  update();
}

function play(on) {
  clearInterval(timer);
  timer = on ? setInterval(() => leaf(1), 1000 / FRAMES_PER_SECOND) : null;
  part("play").textContent = on ? "Pause" : "Play";
  part("play").setAttribute("aria-pressed", String(on));
}

/** Show what the page's address asks for; say whether it asked for anything. */
function followLink() {
  const asked = fragment(location.hash);
  if (asked.pair !== undefined) choose(asked.pair);
  if (asked.draw !== undefined) view.draw = within(asked.draw - 1, view.pair.count);
  const [x0, z0] = [scene.x[0], scene.z[0]];
  if (asked.x !== undefined) view.pick.col = within((asked.x / scene.metres - x0) / scene.spacing[0], scene.nx);
  if (asked.z !== undefined) view.pick.row = within((asked.z / scene.metres - z0) / scene.spacing[1], scene.nz);
  view.kept = view.kept || asked.x !== undefined || asked.z !== undefined;
  if (asked.pair !== undefined) root.scrollIntoView();
  update();
}

function pointAt(canvas, event, { keep }) {
  const cell = cellAt(canvas, event, scene);
  if (!cell) return;
  view.pick = cell;
  if (keep !== undefined) view.kept = keep;
  update();
}

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function sectionKey(event) {
  const step = event.shiftKey ? 8 : 1;
  if (event.key in MOVES) {
    const [dx, dz] = MOVES[event.key];
    view.pick = {
      col: within(view.pick.col + step * dx, scene.nx),
      row: within(view.pick.row + step * dz, scene.nz),
    };
    view.kept = true;
    update();
  } else if (event.key === "PageDown" || event.key === "PageUp") leaf(event.key === "PageDown" ? 1 : -1);
  else if (event.key === "Enter") {
    view.kept = !view.kept;
    update();
  } else return;
  event.preventDefault();
}

for (const section of SECTIONS) {
  const canvas = canvasOf("section", section);
  const title = canvas.parentElement.querySelector("h3").textContent;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", `${title}: section; arrow keys move the point picked`);
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") pointAt(canvas, event, { keep: true });
    else if (!view.kept) pointAt(canvas, event, {});
  });
  canvas.addEventListener("pointerdown", (event) => {
    pointAt(canvas, event, { keep: event.pointerType === "touch" || !view.kept });
  });
  canvas.addEventListener("keydown", sectionKey);
}
part("pair").addEventListener("change", (event) => {
  choose(event.target.value);
  update();
});
part("draw").addEventListener("input", (event) => {
  play(false);
  view.draw = within(Number(event.target.value) - 1, view.pair.count);
  update();
});
for (const [role, step] of [["back", -1], ["next", 1]]) {
  part(role).addEventListener("click", () => {
    play(false);
    leaf(step);
  });
}
part("play").addEventListener("click", () => play(timer === null));
part("trace").addEventListener("toggle", update);
// The slider knows the arrow keys by itself; from the buttons they leaf as well.
root.querySelector(".leaf").addEventListener("keydown", (event) => {
  if (event.target === part("draw") || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  play(false);
  leaf(event.key === "ArrowRight" ? 1 : -1);
  event.preventDefault();
});
addEventListener("hashchange", followLink);
addEventListener("resize", refresh);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
choose(part("pair").options[0].value);
followLink();
