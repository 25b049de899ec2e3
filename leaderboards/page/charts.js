// -- which methods are shown: the filter, and the lines that were pressed; in tables, cards and all charts --------------
const pressed = new Set();
$("filter")?.addEventListener("input", (event) => change({ filter: event.target.value }, { step: false }));
const filtered = (name) => {
  const words = (view.filter ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  return words.length > 0 && !words.some((word) => name.toLowerCase().includes(word));
};
const methods = new Set(all("[data-method]").map((node) => node.dataset.method));
const out = (name) => pressed.has(name) || (methods.has(name) && filtered(name));
/** Move the rows of a chart of rows together where some are hidden. */
const restack = (svg) => {
  const rows = all(".row", svg), foot = svg.querySelector(".foot");
  if (!rows.length || !foot) return;
  svg.dataset.top ??= rows[0].transform.baseVal[0].matrix.f;
  svg.dataset.below ??= svg.viewBox.baseVal.height - foot.transform.baseVal[0].matrix.f;
  let y = Number(svg.dataset.top);
  const start = y;
  rows.forEach((row) => {
    if (row.hasAttribute("hidden")) return;
    row.setAttribute("transform", `translate(0 ${y})`);
    y += Number(row.dataset.height);
  });
  foot.setAttribute("transform", `translate(0 ${y})`);
  all(".upright", foot).forEach((line) => line.setAttribute("y1", start - y));
  svg.setAttribute("viewBox", `0 0 ${svg.viewBox.baseVal.width} ${y + Number(svg.dataset.below)}`);
};
const showMethods = () => {
  if ($("filter") && document.activeElement !== $("filter")) $("filter").value = view.filter ?? "";
  all("[data-method]").forEach((node) => { node.hidden = filtered(node.dataset.method); });
  all("svg [data-series]").forEach((node) => node.toggleAttribute("hidden", out(node.dataset.series)));
  all(".legend [data-series]").forEach((node) => { node.classList.toggle("off", out(node.dataset.series)); node.setAttribute("aria-pressed", !out(node.dataset.series)); });
  all(".chart svg").forEach(restack);
};
appliers.push(showMethods);
const press = (name) => { pressed.has(name) ? pressed.delete(name) : pressed.add(name); $("readout").hidden = true; showMethods(); };
document.addEventListener("click", (event) => {
  const line = event.target.closest(".legend [data-series], .series[data-series]");
  if (line) press(line.dataset.series);
});

// -- a read-out at the pointer ------------------------------------------------------------------------------------------
const pointsOf = (series) => series.dataset.xy.split(" ").filter(Boolean).map((point) => point.split(",").map(Number));
const scalesOf = (svg) => {
  const [lowX, highX, startX, stopX, lowY, highY, startY, stopY] = svg.dataset.scales.split(" ").map(Number);
  return { x: (v) => startX + (v - lowX) / (highX - lowX) * (stopX - startX), y: (v) => startY + (v - lowY) / (highY - lowY) * (stopY - startY), startX, stopX, startY, stopY };
};
const titlesOf = (svg) => all("text.axis", svg).map((text) => text.textContent);
const readOff = (svg, event) => {
  const box = svg.getBoundingClientRect(), width = svg.viewBox.baseVal.width;
  const [px, py] = [(event.clientX - box.left) / box.width * width, (event.clientY - box.top) / box.width * width];
  const scales = scalesOf(svg), [across, up] = titlesOf(svg), lines = [];
  const shown = all(".series:not([hidden])", svg).map((series) => ({ name: series.dataset.label, colour: series.getAttribute("class"), points: pointsOf(series) }));
  let at = null;
  const near = shown.flatMap((s) => s.points.map((point) => ({ s, point, far: svg.dataset.read === "x" ? Math.abs(scales.x(point[0]) - px) : Math.hypot(scales.x(point[0]) - px, scales.y(point[1]) - py) })))
    .reduce((best, each) => (best && best.far <= each.far ? best : each), null);
  if (!near || px < scales.startX - 8 || near.far > (svg.dataset.read === "x" ? 60 : 40)) return null;
  at = near.point[0];
  if (svg.dataset.read === "x") {
    lines.push([across + " " + at, ""]);
    shown.forEach((s) => { const point = s.points.find((p) => p[0] === at); if (point) lines.push([s.name, point[1], s.colour]); });
  } else {
    lines.push([near.s.name, "", near.s.colour], [across, near.point[0]], [up, near.point[1]]);
  }
  return { at: scales.x(at), lines, scales };
};
const crossAt = (svg, found) => {
  let cross = svg.querySelector(".cross");
  if (!found) return cross?.remove();
  if (!cross) { cross = document.createElementNS(svg.namespaceURI, "line"); cross.setAttribute("class", "cross"); svg.prepend(cross); }
  for (const [name, value] of [["x1", found.at], ["x2", found.at], ["y1", found.scales.startY], ["y2", found.scales.stopY]]) cross.setAttribute(name, value);
};
document.addEventListener("pointermove", (event) => {
  const svg = event.target.closest?.("svg[data-read]");
  all("svg .cross").forEach((cross) => { if (cross.closest("svg") !== svg) cross.remove(); });
  const found = svg && readOff(svg, event), box = $("readout");
  box.hidden = !found;
  if (svg) crossAt(svg, found);
  if (!found) return;
  box.replaceChildren(...found.lines.map(([name, value, colour]) => {
    const line = make("p"), label = make("span", (colour ?? "").replace("series", ""), name);
    line.append(label, make("b", "", value));
    return line;
  }));
  const { width, height } = box.getBoundingClientRect();
  const [x, y] = [event.clientX + 16, event.clientY + 12];
  box.style.left = Math.max(4, x + width > innerWidth ? event.clientX - width - 12 : x) + "px";
  box.style.top = Math.max(4, y + height > innerHeight ? event.clientY - height - 12 : y) + "px";
});

// -- a chart as a file: the style sheet's values written into a copy of it ----------------------------------------------
const STYLED = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "font-family", "font-size", "font-weight", "paint-order", "text-anchor"];
const standalone = (svg) => {
  const copy = svg.cloneNode(true), from = [svg, ...all("*", svg)], to = [copy, ...all("*", copy)];
  from.forEach((node, i) => {
    const style = getComputedStyle(node);
    STYLED.forEach((name) => { if (node !== svg) to[i].setAttribute(name, style.getPropertyValue(name)); });
    [...to[i].attributes].filter((each) => each.name.startsWith("data-") || each.name === "class").forEach((each) => to[i].removeAttribute(each.name));
  });
  all("[hidden], .cross", copy).forEach((node) => node.remove());
  const { width, height } = svg.viewBox.baseVal, title = svg.closest("figure").querySelector("figcaption")?.textContent ?? "";
  copy.setAttribute("viewBox", `0 ${title ? -20 : 0} ${width} ${height + (title ? 20 : 0)}`);
  const ground = document.createElementNS(svg.namespaceURI, "rect"), head = document.createElementNS(svg.namespaceURI, "text");
  for (const [name, value] of [["y", title ? -20 : 0], ["width", width], ["height", height + 20], ["fill", getComputedStyle(document.querySelector(".charts > div")).backgroundColor]]) ground.setAttribute(name, value);
  for (const [name, value] of [["x", 4], ["y", -6], ["font-size", 13], ["font-weight", 600], ["font-family", "sans-serif"], ["fill", getComputedStyle(document.body).color]]) head.setAttribute(name, value);
  head.textContent = title;
  copy.prepend(ground, head);
  return { name: title || "chart", text: new XMLSerializer().serializeToString(copy) };
};
const download = (name, text, type) => {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};
const fileName = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 80) || "chart";
const dressCharts = () => all("figure.chart:not(.dressed)").forEach((figure) => {
  figure.classList.add("dressed");
  const button = make("button", "small save", "SVG");
  button.type = "button";
  button.title = "download this chart as SVG";
  button.addEventListener("click", () => { const { name, text } = standalone(figure.querySelector("svg")); download(fileName(name) + ".svg", text, "image/svg+xml"); });
  figure.append(button);
});
dressCharts();
