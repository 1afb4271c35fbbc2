/* Sections and profiles on their canvases. */

const MARGIN = { left: 46, right: 8, top: 4, bottom: 36 };
const LONGEST = 1.6; // height over width beyond which a narrow, deep section is drawn smaller

/** Where a section lies on its canvas, at true proportions. */
function sectionBox(canvas, scene) {
  const room = canvas.clientWidth - MARGIN.left - MARGIN.right;
  const proportion = (scene.nx * scene.spacing[0]) / (scene.nz * scene.spacing[1]);
  const height = Math.min(room / proportion, LONGEST * room);
  const width = height * proportion;
  return { left: MARGIN.left + (room - width) / 2, top: MARGIN.top, width, height };
}

/** The outer edges of a row of cells. */
function edges(positions, spacing) {
  return [positions[0] - spacing / 2, positions[positions.length - 1] + spacing / 2];
}

/** A section as a small picture, one pixel a cell. */
function picture(pair, section, draw) {
  const { nx, nz, maps, magnitude } = pair.scene;
  const signed = section !== "std" && section !== "error";
  const map = maps[signed ? pair.map : magnitude];
  const limits = pair.limits[signed ? "values" : "magnitude"];
  const small = document.createElement("canvas");
  [small.width, small.height] = [nx, nz];
  const pixels = new ImageData(nx, nz);
  for (let col = 0; col < nx; col += 1) {
    for (let row = 0; row < nz; row += 1) {
      const value = pair.value(section, col, row, draw);
      const pixel = 4 * (row * nx + col);
      if (Number.isNaN(value)) continue; // left transparent
      const colour = colourAt(value, limits);
      for (let part = 0; part < 3; part += 1) pixels.data[pixel + part] = map[colour + part];
      pixels.data[pixel + 3] = 255;
    }
  }
  small.getContext("2d").putImageData(pixels, 0, 0);
  return small;
}

/** A section with its axes and the lines through the point picked. */
function drawSection(canvas, pair, pixels, pick) {
  const { scene } = pair;
  const box = sectionBox(canvas, scene);
  const pen = sheet(canvas, box.height + MARGIN.top + MARGIN.bottom);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(pixels, box.left, box.top, box.width, box.height);
  const [x, y] = [edges(scene.x, scene.spacing[0]), edges(scene.z, scene.spacing[1])];
  axes(pen, box, { x, y, xLabel: `Distance (${scene.unit})`, yLabel: `Depth (${scene.unit})` });
  const across = scaled(x, [box.left, box.left + box.width])(scene.x[pick.col]);
  const down = scaled(y, [box.top, box.top + box.height])(scene.z[pick.row]);
  // Dark below bright, so that the lines stand out from every colour map.
  for (const [colour, width] of [["#00222e", 2.4], ["#2fd0ff", 1]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.beginPath();
    pen.moveTo(across, box.top);
    pen.lineTo(across, box.top + box.height);
    pen.moveTo(box.left, down);
    pen.lineTo(box.left + box.width, down);
    pen.stroke();
  }
}

/** The cell under a pointer, or null outside the section. */
function cellAt(canvas, event, scene) {
  const box = sectionBox(canvas, scene);
  const col = Math.floor(((event.offsetX - box.left) / box.width) * scene.nx);
  const row = Math.floor(((event.offsetY - box.top) / box.height) * scene.nz);
  return col >= 0 && row >= 0 && col < scene.nx && row < scene.nz ? { col, row } : null;
}

/** A line through all cells that a path visits, broken where there is no value. */
function trace(pen, cells, point) {
  pen.beginPath();
  let started = false;
  for (let cell = 0; cell < cells; cell += 1) {
    const [across, down] = point(cell);
    if (Number.isFinite(across) && Number.isFinite(down)) {
      if (started) pen.lineTo(across, down);
      else pen.moveTo(across, down);
      started = true;
    } else {
      started = false;
    }
  }
  pen.stroke();
}

/** The area between two lines. */
function band(pen, cells, lower, upper) {
  pen.beginPath();
  for (let cell = 0; cell < cells; cell += 1) pen.lineTo(...lower(cell));
  for (let cell = cells - 1; cell >= 0; cell -= 1) pen.lineTo(...upper(cell));
  pen.fill();
}

/** The posterior along the vertical or the horizontal line through the point picked. */
function drawProfile(canvas, pair, pick, { vertical, draw }) {
  const { scene } = pair;
  const height = vertical ? 400 : 300;
  const pen = sheet(canvas, height);
  const left = 68;
  const box = {
    left, top: 6, label: 59, width: canvas.clientWidth - left - 10, height: height - 6 - MARGIN.bottom,
  };
  const [positions, at] = vertical ? [scene.z, pick.row] : [scene.x, pick.col];
  const along = edges(positions, scene.spacing[vertical ? 1 : 0]);
  const [x, y] = vertical ? [pair.range, along] : [along, [...pair.range].reverse()];
  const across = scaled(x, [box.left, box.left + box.width]);
  const down = scaled(y, [box.top, box.top + box.height]);
  const value = (name, cell, number = draw) =>
    vertical ? pair.value(name, pick.col, cell, number) : pair.value(name, cell, pick.row, number);
  const line = (name, number) => (cell) =>
    vertical
      ? [across(value(name, cell, number)), down(positions[cell])]
      : [across(positions[cell]), down(value(name, cell, number))];
  pen.save();
  pen.beginPath();
  pen.rect(box.left, box.top, box.width, box.height);
  pen.clip();
  for (const level of ["90", "50"]) {
    pen.fillStyle = style(level === "90" ? "outer" : "inner");
    band(pen, positions.length, line(`lower${level}`), line(`upper${level}`));
  }
  const stroke = (colour, width, points) => {
    [pen.strokeStyle, pen.lineWidth] = [style(colour), width];
    trace(pen, positions.length, points);
  };
  for (let number = 0; number < pair.count; number += 1) stroke("draws", 0.6, line("draw", number));
  stroke("mean", 1.8, line("mean"));
  stroke("draw", 1.4, line("draw"));
  stroke("truth", 1.4, line("truth"));
  pen.setLineDash([4, 3]);
  stroke("line", 1, (cell) => {
    const end = cell === 0 ? 0 : 1;
    const here = positions[at];
    return vertical
      ? [box.left + end * box.width, down(here)]
      : [across(here), box.top + end * box.height];
  });
  pen.restore();
  const position = `${vertical ? "Depth" : "Distance"} (${scene.unit})`;
  const { label } = scene.quantity;
  axes(pen, box, { x, y, xLabel: vertical ? label : position, yLabel: vertical ? position : label });
}
