// -- drill-down ---------------------------------------------------------------------------------------------------------
const STATES = [["good", "✓ good"], ["bad", "✗ bad"], ["failed", "! failed"], ["", "no verdict"]];
const PER_PAGE = 30;
let rows = [], shown = 0, pictures = {}, ticket = 0, seen = false, listed = "";
const conditions = new Map(data.evaluations.map((e) => [e.condition, e]));
for (const [key, e] of conditions) $("d-condition").append(new Option(e.title, key));
const option = (e) => new Option(e.run + " (" + e.scored + ")", e.id);
// An evaluation's rows: its row in each panel's table, and the row that stands beside it there (its DPO, or the base).
const rowOf = (e) => e?.rows[openPanel()]?.row;
const besides = (first, listed) => {
  const here = listed.filter((e) => e.run !== first?.run && rowOf(e) !== undefined);
  const wanted = here.filter((e) => rowOf(e) === first?.rows[openPanel()]?.beside);
  return wanted.find((e) => e.seed === first.seed) ?? wanted[0] ?? here.find((e) => rowOf(e) !== rowOf(first)) ?? here[0];
};
const fillRuns = (a, b) => {
  const listed = data.evaluations.filter((e) => e.condition === $("d-condition").value);
  $("d-condition").title = listed[0]?.about ?? "";
  const pick = (select, run) => {
    select.replaceChildren(...listed.map(option));
    const chosen = listed.find((e) => e.run === run);
    if (chosen) select.value = chosen.id;
  };
  const first = listed.find((e) => e.run === a) ??
    listed.find((e) => rowOf(e) === "dama") ?? listed.find((e) => rowOf(e) !== undefined) ?? listed[0];
  const other = listed.find((e) => e.run === b) ?? besides(first, listed) ?? listed.find((e) => e !== first) ?? first;
  pick($("d-a"), first?.run);
  pick($("d-b"), other?.run);
};
const evaluation = (select) => data.evaluations.find((e) => String(e.id) === $(select).value);
const marked = (text, words) => {
  const node = make("p", "answer");
  node.dir = "auto";
  const known = words.filter((w) => typeof w === "string" && w).map((w) => w.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (!known.length || text.length > 20000) { node.textContent = text; return node; }
  const pattern = new RegExp("(?<![\\p{L}])((?:" + known.join("|") + ")(?:s|es)?)(?![\\p{L}])", "giu");
  text.split(pattern).forEach((part, i) => node.append(i % 2 ? make("mark", "", part) : part));
  return node;
};
const side = (who, verdict) => {
  const [state, answer, words, figures, error, details, replies] = verdict ?? [2, null, [], [], "no answer stored", {}, []];
  const node = make("div", "side " + STATES[state][0]);
  const head = make("p", "who", who + "  ");
  head.append(make("span", "state", STATES[state][1]));
  node.append(head, answer === null ? make("p", "answer", "(no answer)") : marked(answer, words));
  if (error) node.append(make("p", "what", error));
  const chips = make("p", "chips");
  figures.forEach(([name, value]) => chips.append(make("span", "", name + " " + value)));
  node.append(chips);
  if (Object.keys(details).length || replies === null || replies.length) {
    const more = make("details");
    const said = replies === null ? ["the judge's reply: not recorded"] : replies.map(([judge, prompt, reply, why]) =>
      "judge " + (judge || "-") + ", prompt " + prompt + ": " + (reply === null ? "no reply (" + why + ")" : reply));
    const lines = Object.entries(details).map(([k, v]) => k + ": " + (typeof v === "string" ? v : JSON.stringify(v)));
    more.append(make("summary", "", "reply and verdict"), make("pre", "", [...said, ...lines].join("\n")));
    node.append(more);
  }
  return node;
};
const card = ([id, prompt, group, truth, a, b]) => {
  const node = make("article", "sample" + (id === view.sample ? " chosen-sample" : ""));
  node.dataset.sample = id;
  const about = make("div");
  if (of(pictures, group)) { const img = make("img"), zoom = make("button", "zoom"); zoom.type = "button"; zoom.title = "enlarge"; img.src = of(pictures, group); img.alt = "picture of sample " + id; img.loading = "lazy"; zoom.append(img); about.append(zoom); }
  const question = make("p", "q", prompt);
  question.dir = "auto";
  const name = make("p", "what"), link = make("a", "", "sample " + id);
  link.href = "#" + new URLSearchParams({ ...view, ...chosenPair(), sample: id });
  link.title = "the address of this sample";
  name.append(link);
  about.append(question, name);
  if (truth && Object.keys(truth).length) {
    const more = make("details");
    more.append(make("summary", "", "truth"), make("pre", "", JSON.stringify(truth, null, 1)));
    about.append(more);
  }
  node.append(about, side(evaluation("d-a").run, a), side(evaluation("d-b").run, b));
  return node;
};
const more = () => {
  $("d-list").append(...rows.slice(shown, shown + PER_PAGE).map(card));
  shown = Math.min(rows.length, shown + PER_PAGE);
  $("d-more").hidden = shown >= rows.length;
};
const wanted = (show, search) => ([id, prompt, , , a, b]) => {
  const [sa, sb] = [a ? a[0] : 2, b ? b[0] : 2];
  const fits = { all: true, verdict: sa !== sb, answer: a?.[1] !== b?.[1], a: sa === 0 && sb === 1, b: sa === 1 && sb === 0, bad: sa === 1, failed: sa === 2 || sb === 2 }[show];
  return fits && (!search || [id, prompt, a?.[1], b?.[1]].some((text) => (text ?? "").toLowerCase().includes(search)));
};
const KEEP_ALL = "python cli.py leaderboard --format html --out DIR";
const leftOut = (run) => {
  ticket += 1; // what was being loaded is no longer wanted
  rows = [];
  listed = "";
  $("d-list").replaceChildren();
  $("d-more").hidden = true;
  $("d-count").textContent = "The answers of " + run + " are not in this page: it would be too large. " + KEEP_ALL +
    " keeps all of them in files beside the page.";
};
const chosenPair = () => ({ condition: $("d-condition").value, a: evaluation("d-a")?.run ?? "", b: evaluation("d-b")?.run ?? "" });
/** Show the pair that is chosen, once the answers were looked at. */
const refresh = async () => {
  const [a, b] = [evaluation("d-a"), evaluation("d-b")];
  if (!a || !b) { ticket += 1; $("d-count").textContent = "no answers stored"; return; }
  const wish = [a.id, b.id, view.show, view.search].join(" ");
  if (wish === listed) return toSample();
  const mine = ++ticket;
  $("d-count").textContent = "loading…";
  try {
    const [samples, left, right, images] = await Promise.all([chunk("s" + a.data), chunk("v" + a.id), chunk("v" + b.id), chunk("p" + a.data)]);
    if (mine !== ticket) return;
    listed = wish;
    pictures = images;
    const every = [...samples].map(([id, prompt, group, truth]) => [id, prompt, group, truth, of(left, id), of(right, id)]).filter((row) => row[4] || row[5]);
    rows = every.filter(wanted($("d-show").value, (view.search ?? "").toLowerCase()));
    $("d-count").textContent = rows.length.toLocaleString() + " of " + every.length.toLocaleString() + (every.length === 1 ? " sample" : " samples");
    $("d-list").replaceChildren();
    shown = 0;
    more();
    toSample();
  } catch (error) { $("d-count").textContent = error.message; }
};
let scrolled = "";
const toSample = () => {
  all(".chosen-sample").forEach((node) => node.classList.remove("chosen-sample"));
  const at = rows.findIndex(([id]) => id === view.sample);
  if (!view.sample || at < 0) return;
  while (shown <= at) more();
  const node = all("#d-list .sample")[at];
  node.classList.add("chosen-sample");
  if (scrolled !== location.hash) node.scrollIntoView({ block: "center", behavior: "instant" });
  scrolled = location.hash;
};
$("d-more").addEventListener("click", more);
const pick = () => { seen = true; change({ ...chosenPair(), sample: "" }); };
$("d-condition").addEventListener("change", () => { fillRuns(evaluation("d-a")?.run, evaluation("d-b")?.run); pick(); });
["d-a", "d-b"].forEach((id) => $(id).addEventListener("change", pick));
$("d-show").addEventListener("change", () => { seen = true; change({ show: $("d-show").value === "all" ? "" : $("d-show").value, sample: "" }); });
let typing;
$("d-search").addEventListener("input", () => { clearTimeout(typing); seen = true; typing = setTimeout(() => change({ search: $("d-search").value }, { step: false }), 200); });
document.addEventListener("click", (event) => {
  const figure = event.target.closest(".figure");
  if (!figure) return;
  const { condition, run } = figure.dataset;
  seen = true;
  if (data.evaluations.some((e) => e.condition === condition && e.run === run)) {
    $("d-condition").value = condition;
    fillRuns(run);
    change({ ...chosenPair(), sample: "" });
    refresh();
  } else {
    leftOut(run);
  }
  $("samples").scrollIntoView();
});
let filled = "";
appliers.push(() => {
  const wish = [openPanel(), view.condition, view.a, view.b].join("\n");
  if (wish !== filled) {
    filled = wish;
    if (conditions.has(view.condition)) $("d-condition").value = view.condition;
    fillRuns(view.a, view.b);
  }
  $("d-show").value = view.show ?? "all";
  if (document.activeElement !== $("d-search")) $("d-search").value = view.search ?? "";
  seen ||= view.sample !== undefined;
  if (seen) refresh();
});
// The first look at the answers unpacks them, not the opening of the page.
new IntersectionObserver((entries, observer) => {
  if (entries.some((entry) => entry.isIntersecting)) { observer.disconnect(); if (!seen) { seen = true; refresh(); } }
}, { rootMargin: "300px" }).observe($("samples"));

