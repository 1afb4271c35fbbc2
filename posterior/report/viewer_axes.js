/* Canvases with axes: sharp on any screen, in the page's own colours. */

const FONT = "11px system-ui, 'Helvetica Neue', Arial, sans-serif";

/** A colour or other setting of the style sheet, which knows whether the page is light or dark. */
function style(name) {
  return getComputedStyle(document.getElementById("viewer")).getPropertyValue(`--${name}`).trim();
}

/** A canvas made as wide as it stands on the page and as high as told, cleared; units are CSS pixels. */
function sheet(canvas, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = FONT;
  return pen;
}

/** A linear map of values to pixels. */
function scaled([low, high], [first, last]) {
  return (value) => first + ((value - low) / (high - low)) * (last - first);
}

/** Ticks and names of both axes around a box; numbers near an end are drawn inwards. */
function axes(pen, box, { x, y, xLabel, yLabel }) {
  pen.strokeStyle = style("line");
  pen.fillStyle = style("ink");
  pen.lineWidth = 1;
  pen.strokeRect(box.left, box.top, box.width, box.height);
  const across = scaled(x, [box.left, box.left + box.width]);
  const down = scaled(y, [box.top, box.top + box.height]);
  pen.beginPath();
  pen.textAlign = "center";
  pen.textBaseline = "top";
  for (const value of ticks(Math.min(...x), Math.max(...x), box.width / 60)) {
    pen.moveTo(across(value), box.top + box.height);
    pen.lineTo(across(value), box.top + box.height + 4);
    pen.fillText(shown(value), across(value), box.top + box.height + 6);
  }
  pen.fillText(xLabel, box.left + box.width / 2, box.top + box.height + 20);
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const value of ticks(Math.min(...y), Math.max(...y), box.height / 40)) {
    pen.moveTo(box.left, down(value));
    pen.lineTo(box.left - 4, down(value));
    pen.fillText(shown(value), box.left - 6, down(value));
  }
  pen.stroke();
  pen.save();
  pen.translate(box.left - (box.label ?? 40), box.top + box.height / 2);
  pen.rotate(-Math.PI / 2);
  pen.textAlign = "center";
  pen.fillText(yLabel, 0, 0);
  pen.restore();
}

/** Colour of a value as an offset into a colour map of 256 colours. */
function colourAt(value, [low, high]) {
  const share = (value - low) / (high - low);
  return 3 * Math.min(255, Math.max(0, Math.floor(256 * share)));
}

/** A colour bar with its numbers and name. */
function colourBar(canvas, { map, limits, label }) {
  const pen = sheet(canvas, 50);
  const box = { left: 16, top: 2, width: canvas.clientWidth - 32, height: 10 };
  for (let step = 0; step < 256; step += 1) {
    pen.fillStyle = `rgb(${map.slice(3 * step, 3 * step + 3).join(",")})`;
    pen.fillRect(box.left + (step * box.width) / 256, box.top, box.width / 256 + 1, box.height);
  }
  pen.strokeStyle = style("line");
  pen.fillStyle = style("ink");
  pen.strokeRect(box.left, box.top, box.width, box.height);
  pen.textAlign = "center";
  pen.textBaseline = "top";
  const across = scaled(limits, [box.left, box.left + box.width]);
  pen.beginPath();
  for (const value of ticks(...limits, box.width / 60)) {
    pen.moveTo(across(value), box.top + box.height);
    pen.lineTo(across(value), box.top + box.height + 4);
    pen.fillText(shown(value), across(value), box.top + box.height + 6);
  }
  pen.stroke();
  pen.fillText(label, box.left + box.width / 2, box.top + box.height + 21);
}
