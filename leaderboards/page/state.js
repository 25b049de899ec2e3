"use strict";
// Text of a model, a judge or a data file is put into the page as text (textContent). HTML comes only from this page's own
// templates, which escape what they write: the parts of the references, packed like the answers.
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

// -- the view is in the address: what is not there has its default ------------------------------------------------------
// panel (its number), against (a row), sort (a column, "-" before it: descending), filter, only (a benchmark), condition,
// a, b (runs), show, search, sample.
const read = () => Object.fromEntries([...new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "")].filter(([, value]) => value !== ""));
let view = read();
const appliers = []; // each makes one part of the page show ``view``
const apply = () => appliers.forEach((show) => show());
/** Change the view: a step that "back" undoes, or (typing) none. Empty values go back to the default. */
const change = (changes, { step = true } = {}) => {
  const next = Object.fromEntries(Object.entries({ ...view, ...changes }).filter(([, value]) => value !== "" && value != null));
  const address = "#" + new URLSearchParams(next);
  if (address === "#" + new URLSearchParams(view)) return;
  view = next;
  if (step) location.hash = address.length > 1 ? address : "#top=";
  else location.replace(address.length > 1 ? address : "#top=");
  apply();
};
addEventListener("hashchange", () => {
  const next = read();
  const section = location.hash.length > 1 && !location.hash.includes("=");
  if (section || JSON.stringify(next) === JSON.stringify(view)) return; // the latter: our own change
  view = next;
  apply();
});
all(".top nav a, .skip").forEach((link) => link.addEventListener("click", (event) => {
  event.preventDefault(); // a section's address would overwrite the view
  document.querySelector(link.getAttribute("href")).scrollIntoView();
}));

// -- theme --------------------------------------------------------------------------------------------------------------
const root = document.documentElement;
const remember = (key, value) => { try { localStorage.setItem(key, value); } catch { /* a page from disk may have no storage */ } };
const recall = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
root.dataset.theme = recall("dama-theme") || "auto";
const dark = () => root.dataset.theme === "dark" || (root.dataset.theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
$("theme").addEventListener("click", () => {
  root.dataset.theme = dark() ? "light" : "dark";
  remember("dama-theme", root.dataset.theme);
});

// -- panels: known by their numbers; a page of one panel has no tabs ----------------------------------------------------
const tabs = all(".tabs button");
const openPanel = () => (data.panels[view.panel] ? view.panel : "0");
appliers.push(() => {
  all(".panel").forEach((panel) => { panel.hidden = panel.dataset.panel !== openPanel(); });
  tabs.forEach((tab) => { const on = tab.dataset.panel === openPanel(); tab.setAttribute("aria-selected", on); tab.tabIndex = on ? 0 : -1; });
});
tabs.forEach((tab, i) => {
  tab.addEventListener("click", () => change({ panel: tab.dataset.panel === "0" ? "" : tab.dataset.panel, a: "", b: "", sample: "" }));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) { const next = tabs[(i + step + tabs.length) % tabs.length]; next.focus(); next.click(); }
  });
});
