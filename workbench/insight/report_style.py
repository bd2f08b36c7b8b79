"""How a report looks: one style sheet and nothing from the network."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f5f7f9; --surface: #ffffff; --ink: #1b2733; --muted: #5a6775; --line: #e1e6ec; --soft: #eef2f6;
  --accent: #0072b2; --ok: #00694d; --ok-soft: #e2f4ee; --attention: #9a4300; --attention-soft: #fdeedd;
  --shadow: 0 1px 2px rgba(27,39,51,.05), 0 6px 20px rgba(27,39,51,.045);
  --font: Inter, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #11161c; --surface: #19212a; --ink: #e6ebf0; --muted: #9dabb9; --line: #2b3642; --soft: #212b36;
    --accent: #62b5e8; --ok: #5fd3ab; --ok-soft: #14342b; --attention: #ffb366; --attention-soft: #3b2711;
    --shadow: none;
  }
  .plot > div { filter: invert(.905) hue-rotate(180deg) saturate(1.25); }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 24px; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.6 var(--font);
  font-feature-settings: "kern", "liga"; }
a { color: var(--accent); text-decoration-thickness: 1px; text-underline-offset: 3px; }
a:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; border-radius: 3px; }
code { font: .88em var(--mono); background: var(--soft); padding: .1em .35em; border-radius: 4px;
  overflow-wrap: anywhere; }
.top { background: var(--surface); border-bottom: 1px solid var(--line); }
.top > div { max-width: 1200px; margin: 0 auto; padding: 44px 32px 36px; }
.eyebrow { margin: 0 0 10px; color: var(--accent); font-size: 13px; font-weight: 650; letter-spacing: .07em;
  text-transform: uppercase; }
h1 { margin: 0; max-width: 32em; font-size: clamp(26px, 3.2vw, 36px); line-height: 1.18; font-weight: 700;
  letter-spacing: -.018em; text-wrap: balance; }
.lead { max-width: 46em; margin: 16px 0 0; color: var(--muted); font-size: 18px; line-height: 1.55; }
.lead p { margin: 0 0 .6em; } .lead p:last-child { margin: 0; }
.strip { display: grid; grid-template-columns: repeat(auto-fit, minmax(196px, 1fr)); gap: 14px;
  margin: 30px 0 0;
  padding: 0; list-style: none; }
.key { display: flex; flex-direction: column; padding: 16px 18px 14px; background: var(--surface);
  border: 1px solid var(--line); border-radius: 12px; }
.key .row { display: flex; align-items: center; justify-content: space-between; gap: 8px; min-height: 24px; }
.key .label { color: var(--muted); font-size: 14px; font-weight: 550; }
.key .value { margin: 4px 0 2px; font-size: 34px; line-height: 1.15; font-weight: 680; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.key .note { color: var(--muted); font-size: 13px; line-height: 1.4; }
.pill { flex: none; padding: 1px 9px; border-radius: 99px; font-size: 12px; font-weight: 650;
  white-space: nowrap; }
.ok .pill { color: var(--ok); background: var(--ok-soft); }
.attention .pill { color: var(--attention); background: var(--attention-soft); }
.ok.key { border-top: 3px solid var(--ok); } .attention.key { border-top: 3px solid var(--attention); }
.plain.key { border-top: 3px solid var(--line); }
.body { max-width: 1200px; margin: 0 auto; padding: 0 32px 40px; display: grid; gap: 40px;
  grid-template-columns: 190px minmax(0, 1fr); }
.contents { position: sticky; top: 0; align-self: start; padding: 40px 0 24px; max-height: 100vh;
  overflow-y: auto;
  font-size: 14px; line-height: 1.4; }
.contents b { display: block; margin-bottom: 10px; color: var(--muted); font-size: 12px; font-weight: 650;
  letter-spacing: .07em; text-transform: uppercase; }
.contents ol { margin: 0; padding: 0; list-style: none; border-left: 2px solid var(--line); }
.contents a { display: block; margin-left: -2px; padding: 6px 0 6px 14px; border-left: 2px solid transparent;
  color: var(--muted); text-decoration: none; }
.contents a:hover, .contents a.here { color: var(--ink); border-left-color: var(--accent); }
main { min-width: 0; padding-top: 8px; }
section { padding: 32px 0 6px; }
h2 { margin: 0 0 8px; font-size: 24px; line-height: 1.25; font-weight: 680; letter-spacing: -.012em; }
.text { max-width: 44em; } .text p { margin: 0 0 .8em; }
figure { margin: 16px 0 0; background: var(--surface); border: 1px solid var(--line); border-radius: 12px;
  box-shadow: var(--shadow); overflow: hidden; }
figcaption { padding: 16px 20px 12px; }
figcaption b { display: block; font-size: 16px; line-height: 1.35; font-weight: 650; }
figcaption span { display: block; color: var(--muted); font-size: 14px; line-height: 1.45; }
.plot { background: var(--surface); padding: 2px 6px 6px; overflow-x: auto;
  border-top: 1px solid var(--line); }
.plot > div { min-width: 620px; }
.plot noscript { display: block; padding: 24px; color: #5a6775; }
.below { margin: 0; padding: 10px 20px 13px; border-top: 1px solid var(--line); color: var(--muted);
  font-size: 13.5px;
  line-height: 1.5; }
.sheet { margin: 16px 0 0; background: var(--surface); border: 1px solid var(--line); border-radius: 12px;
  box-shadow: var(--shadow); overflow-x: auto; }
.sheet.halves { display: grid; grid-template-columns: repeat(auto-fit, minmax(330px, 1fr));
  align-items: start; }
.halves table + table { border-left: 1px solid var(--line); }
.halves td, .halves tbody th { height: 37px; }
table { width: 100%; border-collapse: collapse; font-size: 14.5px; line-height: 1.4;
  font-variant-numeric: tabular-nums; }
th, td { padding: 8px 12px; text-align: left; vertical-align: baseline;
  border-bottom: 1px solid var(--line); }
th { color: var(--muted); font-size: 13px; font-weight: 600; white-space: nowrap; }
th:first-child, td:first-child { padding-left: 20px; } th:last-child, td:last-child { padding-right: 20px; }
tbody tr:last-child td { border-bottom: 0; }
tbody th { color: var(--ink); font-size: inherit; font-weight: 450; white-space: normal; }
td:first-child { white-space: nowrap; }
td.number, th.number { text-align: right; }
td.value { font-weight: 600; overflow-wrap: anywhere; } td.unit { color: var(--muted); white-space: nowrap; }
.unknown { color: var(--muted); font-style: italic; font-weight: 400; }
footer { max-width: 1200px; margin: 0 auto; padding: 20px 32px 48px; color: var(--muted); font-size: 13.5px; }
footer > div { padding-top: 18px; border-top: 1px solid var(--line); } footer p { margin: 0 0 .4em; }
@media (max-width: 1060px) {
  .strip { grid-template-columns: 1fr 1fr; }
  .body { display: block; }
  .contents { position: static; max-height: none; padding: 22px 0 0; }
  .contents ol { display: flex; flex-wrap: wrap; gap: 8px; border: 0; }
  .contents a { margin: 0; padding: 4px 12px; border: 1px solid var(--line); border-radius: 99px;
    background: var(--surface); }
  .contents a:hover, .contents a.here { border-color: var(--accent); }
}
@media (max-width: 640px) {
  .top > div { padding: 30px 18px 26px; } .body { padding: 0 18px 30px; } footer { padding: 16px 18px 36px; }
  .strip { grid-template-columns: 1fr 1fr; gap: 10px; } .key { padding: 12px 13px; }
  .key .value { font-size: 27px; }
  .key .row { flex-wrap: wrap; } .lead { font-size: 17px; } th, td { padding: 8px 14px; }
}
@media print {
  .plot > div { filter: none !important; }
  :root { color-scheme: light; --paper: #fff; --surface: #fff; --ink: #000; --muted: #444; --line: #ccc;
    --soft: #f2f2f2; --accent: #00507c; --ok: #00553e; --ok-soft: #fff; --attention: #7a3500;
    --attention-soft: #fff; --shadow: none; }
  @page { size: A4; margin: 14mm 12mm; }
  body { font-size: 10.5pt; }
  .contents { display: none; } .body { display: block; padding: 0; } .top > div, footer { padding: 0 0 14px; }
  .strip { grid-template-columns: repeat(4, 1fr); } h2 { break-after: avoid; }
  .text { break-after: avoid; } figure, .key, tr { break-inside: avoid; } .plot { overflow: visible;
  zoom: .77; }
  .modebar-container, .updatemenu-container { display: none !important; }
  .pill { border: 1px solid currentcolor; }
}
"""

SCRIPT = """
const links = new Map([...document.querySelectorAll(".contents a")].map((a) => [a.hash.slice(1), a]));
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) {
    links.forEach((link) => link.classList.remove("here"));
    links.get(entry.target.id)?.classList.add("here");
  }
}, { rootMargin: "-15% 0px -75% 0px" });
document.querySelectorAll("main section").forEach((section) => seen.observe(section));
"""
