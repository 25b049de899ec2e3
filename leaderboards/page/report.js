"use strict";
// Everything that comes from a model, a judge or a data file is put into the page as text (textContent), never as HTML.
const $ = (id) => document.getElementById(id);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined && text !== null) node.textContent = String(text);
  return node;
};
const data = JSON.parse($("data").textContent);
const of = (chunk, id) => Object.hasOwn(chunk, id) ? chunk[id] : undefined; // a sample may be called "constructor"

// -- chunks: gzip in base64, inside the page or in scripts beside it (a page opened from disk may load no JSON) ---------
const loading = { waiting: {}, known: {} };
window.dama = { take: (name, packed) => loading.waiting[name](packed) }; // called by the scripts beside the page
const unpack = async (packed) => {
  const bytes = Uint8Array.from(atob(packed.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
};
const chunk = (name) => {
  loading.known[name] ??= new Promise((resolve, reject) => {
    const inside = $("chunk-" + name);
    if (inside) return resolve(inside.textContent);
    if (!data.folder) return resolve(null);
    loading.waiting[name] = resolve;
    const script = document.createElement("script");
    script.src = data.folder + "/" + name + ".js";
    script.onerror = () => reject(new Error("cannot read " + script.src + ": keep the folder beside the page"));
    document.head.append(script);
  }).then((packed) => (packed === null ? {} : unpack(packed)));
  return loading.known[name];
};

// -- theme, panels ------------------------------------------------------------------------------------------------------
const dark = () => document.documentElement.dataset.theme === "dark" ||
  (document.documentElement.dataset.theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
const remember = (key, value) => { try { localStorage.setItem(key, value); } catch { /* a page from disk may have no storage */ } };
const recall = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
document.documentElement.dataset.theme = recall("dama-theme") || "auto";
$("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = dark() ? "light" : "dark";
  remember("dama-theme", document.documentElement.dataset.theme);
});
const tabs = all(".tabs button");
const showPanel = (number) => {
  all(".panel").forEach((panel) => { panel.hidden = panel.dataset.panel !== number; });
  tabs.forEach((tab) => { const on = tab.dataset.panel === number; tab.setAttribute("aria-selected", on); tab.tabIndex = on ? 0 : -1; });
};
tabs.forEach((tab, i) => {
  tab.addEventListener("click", () => { showPanel(tab.dataset.panel); fillRuns(); if (ticket) refresh(); });
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) { const next = tabs[(i + step + tabs.length) % tabs.length]; next.focus(); next.click(); }
  });
});
if (tabs.length) showPanel("0");

// -- ranking: sort, filter ----------------------------------------------------------------------------------------------
all("table.ranking").forEach((table) => {
  const first = table.tHead.rows[0].cells[0];
  const heads = [first, ...table.tHead.rows[1].cells];
  heads.forEach((head, column) => head.querySelector(".sort")?.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (row) => row.cells[column].dataset.v;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      return (up ? 1 : -1) * (Number(x) - Number(y));
    });
    table.tBodies[0].append(...rows);
  }));
});
$("filter").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  all("table.ranking tbody tr").forEach((row) => {
    row.hidden = words.length > 0 && !words.some((word) => row.dataset.method.toLowerCase().includes(word));
  });
});
const groups = [...new Set(all("th.group").map((head) => head.dataset.group))];
groups.forEach((name) => $("benchmarks").append(new Option(name, name)));
$("benchmarks").addEventListener("change", (event) => all("table.ranking [data-group]").forEach((cell) => {
  cell.hidden = event.target.value !== "" && cell.dataset.group !== event.target.value;
}));
const setReference = () => {
  const name = $("reference").value;
  all(".delta").forEach((delta) => { delta.hidden = delta.dataset.to !== name; });
  all(".forest").forEach((chart) => { chart.hidden = chart.dataset.reference !== name; });
};
$("reference").addEventListener("change", setReference);
if (!document.querySelector('.delta[data-to="dpo"]')) $("reference").value = "base";
setReference();
$("details").addEventListener("change", (event) => document.body.classList.toggle("hide-details", !event.target.checked));

// -- drill-down ---------------------------------------------------------------------------------------------------------
const STATES = [["good", "✓ good"], ["bad", "✗ bad"], ["failed", "! failed"], ["", "no verdict"]];
const PER_PAGE = 30;
let rows = [], shown = 0, pictures = {}, ticket = 0;
const conditions = new Map(data.evaluations.map((e) => [e.condition, e]));
for (const [key, e] of conditions) $("d-condition").append(new Option(e.title, key));
const option = (e) => new Option(e.run + " (" + e.scored + ")", e.id);
// A panel is known by its number; a page of one panel has no tabs. An evaluation's rows: its row in each panel's table,
// and the row that stands beside it there (its DPO, or the base).
const openPanel = () => tabs.find((tab) => tab.getAttribute("aria-selected") === "true")?.dataset.panel ?? "0";
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
  const node = make("article", "sample");
  const about = make("div");
  if (of(pictures, group)) { const img = make("img"); img.src = of(pictures, group); img.alt = "picture of sample " + id; img.loading = "lazy"; about.append(img); }
  const question = make("p", "q", prompt);
  question.dir = "auto";
  about.append(question, make("p", "what", "sample " + id));
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
  $("d-list").replaceChildren();
  $("d-more").hidden = true;
  $("d-count").textContent = "The answers of " + run + " are not in this page: it would be too large. " + KEEP_ALL +
    " keeps all of them in files beside the page.";
};
const refresh = async () => {
  const [a, b] = [evaluation("d-a"), evaluation("d-b")];
  if (!a || !b) { ticket += 1; $("d-count").textContent = "no answers stored"; return; }
  const mine = ++ticket;
  $("d-count").textContent = "loading…";
  try {
    const [samples, left, right, images] = await Promise.all([chunk("s" + a.data), chunk("v" + a.id), chunk("v" + b.id), chunk("p" + a.data)]);
    if (mine !== ticket) return;
    pictures = images;
    const every = [...samples].map(([id, prompt, group, truth]) => [id, prompt, group, truth, of(left, id), of(right, id)]).filter((row) => row[4] || row[5]);
    rows = every.filter(wanted($("d-show").value, $("d-search").value.toLowerCase()));
    $("d-count").textContent = rows.length.toLocaleString() + " of " + every.length.toLocaleString() + " samples";
    $("d-list").replaceChildren();
    shown = 0;
    more();
  } catch (error) { $("d-count").textContent = error.message; }
};
$("d-more").addEventListener("click", more);
$("d-condition").addEventListener("change", () => { fillRuns(evaluation("d-a")?.run, evaluation("d-b")?.run); refresh(); });
["d-a", "d-b", "d-show"].forEach((id) => $(id).addEventListener("change", refresh));
let typing;
$("d-search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(refresh, 200); });
document.addEventListener("click", (event) => {
  const figure = event.target.closest(".figure");
  if (!figure) return;
  const { condition, run } = figure.dataset;
  if (data.evaluations.some((e) => e.condition === condition && e.run === run)) {
    $("d-condition").value = condition;
    fillRuns(run);
    refresh();
  } else {
    leftOut(run);
  }
  $("samples").scrollIntoView();
});
fillRuns();
// The first look at the answers unpacks them, not the opening of the page.
new IntersectionObserver((entries, observer) => {
  if (entries.some((entry) => entry.isIntersecting)) { observer.disconnect(); if (!ticket) refresh(); }
}, { rootMargin: "300px" }).observe($("samples"));
