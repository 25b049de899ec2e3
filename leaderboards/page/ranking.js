// -- ranking: sort, benchmarks, what is out of sight --------------------------------------------------------------------
all("table.ranking").forEach((table) => {
  const heads = [table.tHead.rows[0].cells[0], ...table.tHead.rows[1].cells];
  const original = [...table.tBodies[0].rows];
  heads.forEach((head) => head.querySelector(".sort")?.addEventListener("click", () => {
    const name = head.querySelector(".sort").dataset.sort;
    const up = head.getAttribute("aria-sort") === "ascending";
    change({ sort: name && (up ? "-" : "") + name });
  }));
  appliers.push(() => {
    const down = view.sort?.startsWith("-");
    const column = view.sort ? heads.findIndex((head) => head.querySelector(".sort")?.dataset.sort === view.sort.slice(down ? 1 : 0)) : -1;
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    if (column < 0) return table.tBodies[0].append(...original);
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => row.cells[column].dataset.v;
    table.tBodies[0].append(...[...original].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      return (down ? -1 : 1) * (Number(x) - Number(y));
    }));
  });
});
const groups = [...new Set(all("th.group").map((head) => head.dataset.group))];
groups.forEach((name) => $("benchmarks").append(new Option(name, name)));
$("benchmarks").addEventListener("change", (event) => change({ only: event.target.value }));
appliers.push(() => {
  const only = groups.includes(view.only) ? view.only : "";
  $("benchmarks").value = only;
  all("table.ranking [data-group]").forEach((cell) => { cell.hidden = only !== "" && cell.dataset.group !== only; });
});
$("details").addEventListener("change", (event) => { document.body.classList.toggle("hide-details", !event.target.checked); hintAll(); });
// A table that is wider than its window names the benchmarks that are out of sight.
const hints = all(".ranked").map((scroll) => {
  const hint = scroll.previousElementSibling;
  const show = () => {
    const edge = scroll.getBoundingClientRect().right;
    const beyond = all("th.group", scroll).filter((head) => !head.hidden && head.getBoundingClientRect().right > edge + 8)
      .map((head) => (head.getBoundingClientRect().left < edge - 40 ? "the rest of " : "") + head.dataset.group);
    hint.hidden = !beyond.length || !scroll.offsetParent;
    scroll.classList.toggle("more", beyond.length > 0);
    hint.firstElementChild.textContent = "More to the right: " + beyond.join(", ") + " →";
  };
  hint.querySelector("button").addEventListener("click", () => scroll.scrollBy({ left: scroll.clientWidth * .7, behavior: "smooth" }));
  scroll.addEventListener("scroll", show, { passive: true });
  return show;
});
const hintAll = () => hints.forEach((show) => show());
addEventListener("resize", hintAll);
appliers.push(hintAll);

// -- the row that all others are compared with --------------------------------------------------------------------------
const choices = () => (data.panels[openPanel()]?.parts ?? []).map(([name]) => name);
const chosenReference = () => (choices().includes(view.against) ? view.against : data.panels[openPanel()]?.reference);
const inPlace = Object.fromEntries(data.panels.map((panel, i) => [i, panel.reference])); // what the page was written with
$("reference")?.addEventListener("change", (event) => change({ against: event.target.value === data.panels[openPanel()].reference ? "" : event.target.value }));
const put = (node, html) => { node.innerHTML = html; }; // of this page's own templates, escaped there
const markReference = () => {
  const name = chosenReference();
  all("tr[data-method]").forEach((row) => row.classList.toggle("is-reference", row.dataset.method === name));
  all(".series").forEach((series) => series.classList.toggle("is-reference", series.dataset.series === name));
  all(".panel:not([hidden]) table.ranking tbody").forEach((body) => {
    const reference = [...body.rows].find((row) => row.dataset.method === name);
    [...body.rows].forEach((row) => [...row.cells].forEach((cell, i) => {
      const tick = cell.querySelector(".mini .ref"), at = reference?.cells[i].querySelector(".mini")?.dataset.x;
      if (!tick) return;
      tick.setAttribute("visibility", at ? "visible" : "hidden");
      if (at) { tick.setAttribute("x1", at); tick.setAttribute("x2", at); }
    }));
  });
};
const showReference = async () => {
  const panel = openPanel(), name = chosenReference();
  if ($("reference")) {
    $("reference").replaceChildren(...choices().map((each) => new Option(each, each)));
    $("reference").value = name;
    $("reference").parentElement.hidden = !choices().length;
  }
  markReference();
  if (inPlace[panel] === name || !choices().length) return;
  inPlace[panel] = name;
  const part = await chunk(data.panels[panel].parts.find(([each]) => each === name)[1]);
  if (inPlace[panel] !== name || !part.cards) return; // another was chosen meanwhile
  const here = document.querySelectorAll(`.panel[data-panel="${panel}"]`);
  here.forEach((place) => {
    all("[data-part]", place).forEach((node) => put(node, part[node.dataset.part]));
    all("[data-delta]", place).forEach((node) => put(node, of(part.deltas, node.dataset.delta) ?? ""));
  });
  dressCharts();
  showMethods();
};
appliers.push(showReference);
