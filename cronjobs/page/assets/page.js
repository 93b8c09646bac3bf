// Keeps the page up to date, and lets marks of the timeline be read by keys. The page is
// right without it.
"use strict";

const period = 15000;
const live = ["main", "asof", "foot"];

// selector finds an element again after its page was replaced.
function selector(e) {
  if (e?.id) return "#" + CSS.escape(e.id);
  const link = e?.getAttribute("href");
  return link && `main a[href="${CSS.escape(link)}"]`;
}

// What is in sight, focused, open or chosen stays so when the contents are replaced.
function replace(page) {
  const focused = selector(document.activeElement);
  const open = [...document.querySelectorAll("details[open]")].map((d) => d.id);
  const scrolled = [...document.querySelectorAll(".scroll")].map((s) => [s.scrollLeft, s.scrollTop]);
  for (const id of live) {
    document.getElementById(id).replaceWith(page.getElementById(id));
  }
  for (const id of open) {
    const details = document.getElementById(id);
    if (details) details.open = true;
  }
  document.querySelectorAll(".scroll").forEach((s, i) => scrolled[i] && s.scrollTo(...scrolled[i]));
  if (focused) document.querySelector(focused)?.focus({ preventScroll: true });
  const mark = chosen && [...document.querySelectorAll(`#${chosen.lane} use`)].find((m) => m.textContent === chosen.title);
  if (mark) read(mark);
  document.title = page.title;
  document.getElementById("icon").setAttribute("href", page.getElementById("icon").getAttribute("href"));
}

function lost(why) {
  const seen = document.querySelector("#asof time").textContent;
  const text = `${why}. This is what was known at ${seen}.`;
  const alert = document.getElementById("lost");
  if (alert.textContent !== text) alert.textContent = text;
}

// Somebody who copies text is not disturbed, for some periods.
const patience = 4;
let patient = 0;

function selecting() {
  const busy = !getSelection().isCollapsed && patient < patience;
  patient = busy ? patient + 1 : 0;
  return busy;
}

let timer;

async function refresh() {
  clearTimeout(timer);
  try {
    if (selecting()) return;
    // Not the whole address: it may have the token in it, which fetch refuses.
    const answer = await fetch(location.origin + location.pathname + location.search, { cache: "no-store", signal: AbortSignal.timeout(period) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (page.getElementById("main")) {
      replace(page);
      document.getElementById("lost").textContent = "";
    } else if (answer.status === 401) {
      lost("The daemon needs the token again: load the page anew");
    } else {
      lost(`The daemon does not show this page (${`${answer.status} ${answer.statusText}`.trim()})`);
    }
  } catch (e) {
    lost(`The daemon does not answer (${e.name === "TimeoutError" ? "timeout" : "no connection"})`);
  } finally {
    timer = setTimeout(refresh, period);
  }
}

timer = setTimeout(refresh, period);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else refresh();
});

// chosen is the mark that is read, and survives a refresh.
let chosen;

function read(mark) {
  document.querySelectorAll("use.on").forEach((m) => m.classList.remove("on"));
  mark.classList.add("on");
  chosen = { lane: mark.closest("svg").id, title: mark.textContent };
  document.getElementById("readout").textContent = chosen.title;
}

function markAt(event) {
  const mark = event.target.closest?.(".track use");
  if (mark) read(mark);
}

document.addEventListener("pointerover", markAt);
document.addEventListener("click", markAt);
document.addEventListener("keydown", (event) => {
  if (!event.target.matches?.(".track svg[tabindex]")) return;
  const marks = [...event.target.querySelectorAll("use")];
  const at = marks.findIndex((m) => m.classList.contains("on"));
  const to = {
    ArrowLeft: at < 0 ? marks.length - 1 : Math.max(at - 1, 0),
    ArrowRight: at < 0 ? 0 : Math.min(at + 1, marks.length - 1),
    Home: 0,
    End: marks.length - 1,
  }[event.key];
  if (to === undefined || !marks.length) return;
  event.preventDefault();
  read(marks[to]);
});
