"""The look and the script of a report's page: nothing is loaded, light and dark, desktop and phone."""

from __future__ import annotations

from typing import Final

__all__ = ["CSS", "POLICY", "SCRIPT"]

POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; media-src data:"
)
"""The page may use what is in it and ask nobody for anything."""

CSS: Final = """
:root { color-scheme: light dark; --ink: #1c2128; --soft: #59636e; --line: #d1d9e0; --back: #fff; --card: #f6f8fa;
  --accent: #0b6e66; --bad: #b42318; --c0: #0b6e66; --c1: #6e7781; --c2: #2f6fb0; --c3: #b3591d; --c4: #8250df;
  --c5: #a0455f; --c6: #57760f; --c7: #8a6d00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa5b1; --line: #30363d; --back: #0d1117;
  --card: #161b22; --accent: #56d4c4; --bad: #ff8b80; --c0: #56d4c4; --c1: #8b949e; --c2: #79b8ff; --c3: #f0a070;
  --c4: #c8a6ff; --c5: #f08ca6; --c6: #b4cf5e; --c7: #e0c050; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header, footer { max-width: 1180px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 28px; }
h1 { font-size: 1.65rem; font-weight: 650; letter-spacing: -.02em; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 40px 0 10px; padding-top: 6px; }
p { margin: 6px 0; max-width: 86ch; }
.soft, caption, .below { color: var(--soft); }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin-top: 12px; padding-bottom: 12px;
  border-bottom: 1px solid var(--line); }
a { color: var(--accent); }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .86em; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px;
  overflow-x: auto; }
.scroll { container-type: inline-size; overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 10px 12px; }
th, td { padding: 6px 12px; text-align: right; vertical-align: top; border-top: 1px solid var(--line); }
thead th { background: var(--card); vertical-align: top; white-space: nowrap; }
th.word, td.word, tbody th { text-align: left; }
tbody th { font-weight: 500; }
.figures tbody td, .figures tbody th { white-space: nowrap; }
.figures tbody td.word { white-space: normal; min-width: 9em; }
.below { display: block; font-size: .8em; font-weight: 400; }
td.main { background: color-mix(in srgb, var(--accent) 8%, transparent); font-weight: 600; }
td.better { color: var(--accent); font-weight: 600; } td.worse { color: var(--bad); font-weight: 600; }
ul { padding-left: 20px; margin: 6px 0; } li { overflow-wrap: anywhere; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 360px), 1fr)); gap: 14px; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; }
figcaption { font-weight: 600; font-size: .92em; margin-bottom: 4px; }
svg.plot { display: block; width: 100%; height: auto; }
svg.plot text { font-size: 13px; fill: var(--soft); } svg.plot g text { fill: var(--ink); }
svg.plot .grid { stroke: var(--line); } svg.plot rect { fill: currentColor; fill-opacity: .16; stroke: currentColor; }
svg.plot circle { fill: currentColor; fill-opacity: .5; } svg.plot .median { stroke: currentColor; stroke-width: 3; }
.s0 { color: var(--c0); } .s1 { color: var(--c1); } .s2 { color: var(--c2); } .s3 { color: var(--c3); }
.s4 { color: var(--c4); } .s5 { color: var(--c5); } .s6 { color: var(--c6); } .s7 { color: var(--c7); }
.controls { display: flex; flex-wrap: wrap; gap: 10px 18px; align-items: end; margin: 10px 0; }
.controls label { display: grid; gap: 2px; font-size: .85em; color: var(--soft); }
select, input { font: inherit; color: var(--ink); background: var(--back); border: 1px solid var(--line);
  border-radius: 6px; padding: 5px 8px; min-width: 0; }
button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; text-align: inherit; }
thead button { font-weight: 600; } thead button::after { content: " \\2195"; color: var(--soft); opacity: .6; }
th[aria-sort=ascending] button::after { content: " \\2191"; color: var(--accent); opacity: 1; }
th[aria-sort=descending] button::after { content: " \\2193"; color: var(--accent); opacity: 1; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
.open { color: var(--accent); text-decoration: underline; text-underline-offset: 3px; }
.open::before { content: "\\25B8"; display: inline-block; width: 1.1em; text-decoration: none; }
.open[aria-expanded=true]::before { content: "\\25BE"; }
.missing { color: var(--soft); font-style: italic; }
tr.detail > td { background: var(--card); text-align: left; padding: 14px 16px; white-space: normal; }
tr.detail > td > div { position: sticky; left: 16px; width: calc(100cqw - 32px); }
.strip { display: block; width: 100%; max-width: 720px; border-radius: 6px; margin: 8px 0 12px; }
.sounds { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); gap: 14px; }
.sound { background: var(--back); border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; }
.sound b { display: block; } .sound audio { width: 100%; height: 36px; margin: 6px 0; }
.sound img { display: block; width: 100%; height: 84px; border-radius: 4px; }
.sound p { font-size: .86em; margin: 6px 0 0; overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: .86em; margin-top: 48px; padding-bottom: 32px; }
@media (max-width: 640px) { main, header, footer { padding: 0 12px; } th, td { padding: 5px 8px; } }
@media print { .controls, nav { display: none; } }
"""

SCRIPT: Final = """
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const body = document.querySelector("#clips tbody"), heads = document.querySelector("#clips thead tr");
const pick = document.getElementById("system"), find = document.getElementById("find");
const state = { system: data.main, column: data.key, down: null };
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const show = (metric, value) => (value * metric.scale).toFixed(metric.digits);
const value = (clip, name) => clip.values[state.system]?.[data.metrics.findIndex(m => m.name === name)] ?? null;

// What is worse than what: a clip without a value failed, which is worst.
function order(a, b) {
  const metric = data.metrics.find(m => m.name === state.column);
  if (!metric) {
    const [x, y] = [a, b].map(clip => clip[state.column] ?? "");
    return (state.down ? -1 : 1) * x.localeCompare(y, "en", { numeric: true });
  }
  const [x, y] = [a, b].map(clip => value(clip, metric.name));
  if (x === null || y === null) return ((x === null ? -1 : 0) + (y === null ? 1 : 0)) * (worstFirst(metric) ? 1 : -1);
  return (state.down ? -1 : 1) * (x - y);
}
const worstDown = metric => metric.higher === false;
const worstFirst = metric => state.down === worstDown(metric);

function drawHeads() {
  heads.replaceChildren();
  const columns = [["id", "clip"], ["text", "text"], ...data.metrics.map(m => [m.name, m.head])];
  for (const [name, label] of columns) {
    const word = name === "id" || name === "text";
    const button = make("button", { type: "button", textContent: label, title: "Sort by " + label });
    const head = make("th", { scope: "col", className: word ? "word" : "" }, button);
    if (state.column === name) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    button.onclick = () => {
      const metric = data.metrics.find(m => m.name === name);
      state.down = state.column === name ? !state.down : metric ? worstDown(metric) : false;
      state.column = name;
      draw();
      heads.children[columns.findIndex(c => c[0] === name)].firstChild.focus();
    };
    heads.append(head);
  }
}

function row(clip) {
  const media = data.media[clip.id];
  const name = media
    ? make("button", { type: "button", className: "open", textContent: clip.id, title: "Listen and look" })
    : document.createTextNode(clip.id);
  const line = make("tr", {}, make("th", { scope: "row", className: "word" }, name),
    make("td", { className: "word", textContent: clip.text ?? "" }));
  for (const metric of data.metrics) {
    const found = value(clip, metric.name);
    line.append(found === null ? make("td", { className: "missing", textContent: "missing" })
      : make("td", { textContent: show(metric, found) }));
  }
  if (media) {
    name.setAttribute("aria-expanded", "false");
    name.onclick = () => {
      const open = name.getAttribute("aria-expanded") === "true";
      name.setAttribute("aria-expanded", String(!open));
      if (open) line.nextSibling.remove();
      else line.after(make("tr", { className: "detail" }, make("td", { colSpan: line.children.length }, detail(clip))));
    };
  }
  return line;
}

function detail(clip) {
  const media = data.media[clip.id], box = make("div");
  if (clip.text) box.append(make("p", { textContent: "Said: " + clip.text }));
  if (media.strip) box.append(make("img", { className: "strip", src: media.strip,
    alt: "The mouth in pictures from the first frame to the last" }));
  const sounds = make("div", { className: "sounds" });
  for (const system of data.systems) {
    const sound = media.sounds[system], card = make("div", { className: "sound" }, make("b", { textContent: system }));
    if (sound) {
      const audio = make("audio", { controls: true, preload: "metadata", src: sound.audio });
      audio.setAttribute("aria-label", system + ", clip " + clip.id);
      audio.onplay = () => document.querySelectorAll("audio").forEach(other => other !== audio && other.pause());
      card.append(audio, make("img", { src: sound.picture,
        alt: "Spectrogram of " + system + ", " + sound.seconds.toFixed(1) + " s, 0 to 12 kHz" }));
    } else card.append(make("p", { className: "missing", textContent: "no sound" }));
    const heard = new Map();
    for (const [metric, words] of Object.entries(clip.heard[system] ?? {}))
      heard.set(words, [...(heard.get(words) ?? []), metric]);
    for (const [words, metrics] of heard)
      card.append(make("p", { textContent: "Heard (" + metrics.join(", ") + "): " + (words || "nothing") }));
    for (const reason of new Set(Object.values(clip.missing[system] ?? {})))
      card.append(make("p", { className: "missing", textContent: "Missing: " + reason }));
    sounds.append(card);
  }
  box.append(sounds);
  return box;
}

function draw() {
  drawHeads();
  const wanted = find.value.trim().toLowerCase();
  const chosen = data.clips.filter(c => (c.id + " " + (c.text ?? "")).toLowerCase().includes(wanted));
  body.replaceChildren(...chosen.sort(order).map(row));
  document.getElementById("count").textContent = chosen.length + " of " + data.clips.length + " clips";
}
state.down = worstDown(data.metrics.find(m => m.name === data.key));
pick.onchange = () => { state.system = pick.value; draw(); };
find.oninput = draw;
draw();
"""
