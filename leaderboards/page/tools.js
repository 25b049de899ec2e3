// -- the open panel's table as text, pictures in large, paper -----------------------------------------------------------
const say = (text) => { $("copied").textContent = text; setTimeout(() => { $("copied").textContent = ""; }, 2500); };
const toClipboard = async (text) => {
  try { await navigator.clipboard.writeText(text); return; } catch { /* not allowed here: the older way */ }
  const area = make("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
};
all("[data-copy]").forEach((button) => button.addEventListener("click", async (event) => {
  const texts = await chunk("t" + openPanel()), kind = button.dataset.copy;
  if (!texts[kind]) return say("nothing to copy");
  if (event.shiftKey) return download("leaderboard." + kind, texts[kind], "text/plain");
  await toClipboard(texts[kind]);
  say("copied");
}));
document.addEventListener("click", (event) => {
  const small = event.target.closest(".zoom")?.querySelector("img");
  if (!small) return;
  const large = make("img");
  large.src = small.src;
  large.alt = small.alt;
  $("large").replaceChildren(large, make("p", "", small.alt));
  $("large").showModal();
});
$("large").addEventListener("click", () => $("large").close());
let opened = [];
addEventListener("beforeprint", () => { opened = all("details[data-print]:not([open])"); opened.forEach((each) => { each.open = true; }); });
addEventListener("afterprint", () => opened.forEach((each) => { each.open = false; }));
apply();
