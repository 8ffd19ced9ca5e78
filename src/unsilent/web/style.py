"""The page's look: system fonts, one accent colour, light and dark, desktop and phone. Nothing is loaded."""

from __future__ import annotations

__all__ = ["CSS", "FONTS", "HEAD", "MONO"]

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

# A format that this browser does not show is read all the same, and what cannot be read is told in the page's own
# words: the player's message would contradict them.
HEAD = """
<script>
new MutationObserver(() => {
  for (const toast of document.querySelectorAll(".toast-body")) {
    if (toast.textContent.includes("Video not playable")) toast.style.display = "none";
  }
}).observe(document.documentElement, { childList: true, subtree: true });
</script>
"""

CSS = """
.gradio-container { max-width: 1120px !important; margin: 0 auto; }
#u-head h1 { font-size: 1.6rem; font-weight: 650; letter-spacing: -.02em; margin: .2rem 0 .1rem; }
#u-head p { margin: 0; color: var(--body-text-color-subdued); max-width: 62ch; }
.gradio-container .html-container { padding: 0; }
#u-video video, #u-spoken video { max-height: 320px; background: #000; }
#u-foot p { color: var(--body-text-color-subdued); font-size: .85rem; margin: .2rem 0; max-width: 90ch; }
#u-foot code { font-family: var(--font-mono); }
.u-note { padding: .6rem .8rem; border-radius: 8px; background: var(--block-background-fill);
  border: 1px solid var(--border-color-primary); overflow-wrap: anywhere; }
.u-error { border-color: #d1242f; background: color-mix(in srgb, #d1242f 10%, var(--body-background-fill));
  border-left-width: 4px; }
.u-warn { border-left: 4px solid #bf8700; padding: .3rem .7rem; margin: .5rem 0;
  background: color-mix(in srgb, #bf8700 9%, var(--body-background-fill)); border-radius: 6px; }
.u-spin { display: inline-block; width: .8em; height: .8em; margin-right: .5em; border-radius: 50%;
  border: 2px solid var(--border-color-primary); border-top-color: var(--color-accent); vertical-align: -.1em;
  animation: u-turn 1s linear infinite; }
@keyframes u-turn { to { transform: rotate(360deg); } }
@media (prefers-reduced-motion: reduce) { .u-spin { animation: none; } }
.u-progress { padding: .8rem; border: 1px solid var(--border-color-primary); border-radius: 8px;
  background: var(--block-background-fill); }
.u-bar { height: 6px; border-radius: 3px; background: var(--border-color-primary); overflow: hidden; }
.u-bar > div { height: 100%; background: var(--color-accent); transition: width .2s; }
.u-stages { list-style: none; margin: .7rem 0 0; padding: 0; display: grid; gap: .3rem; }
.u-stages li { margin: 0; display: flex; align-items: baseline; gap: .55rem; }
.u-dot { width: .55rem; height: .55rem; border-radius: 50%; border: 2px solid currentColor; flex: none; }
.u-done .u-dot { background: currentColor; }
.u-todo { color: var(--body-text-color-subdued); }
.u-now { font-weight: 600; }
.u-now .u-dot { border-color: var(--color-accent); }
.u-dim { color: var(--body-text-color-subdued); font-weight: 400; font-size: .9em; }
.u-synthetic { margin: 0 0 .6rem; }
.u-facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(6.5rem, 1fr)); gap: .5rem; margin: .6rem 0; }
.u-facts div { padding: .45rem .6rem; border: 1px solid var(--border-color-primary); border-radius: 8px; }
.u-facts dt, .u-about dt { color: var(--body-text-color-subdued); font-size: .8rem; }
.u-facts dd { margin: 0; font-variant-numeric: tabular-nums; font-weight: 600; }
.u-about { font-size: .9rem; }
.u-about p { margin: 0 0 .3rem; }
.u-about dl { margin: .4rem 0 0; }
.u-about dd { margin: 0 0 .4rem; }
.u-result details summary, .u-about details summary { cursor: pointer; color: var(--body-text-color-subdued); }
.u-table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin-top: .4rem; }
.u-table, .u-table tr, .u-table td { border: 0 !important; }
.u-table td { padding: .15rem 1.2rem .15rem 0; }
.u-table td:last-child { text-align: right; }
.u-empty { display: grid; place-content: center; text-align: center; min-height: 16rem; padding: 1rem;
  border: 1px dashed var(--border-color-primary); border-radius: 10px; color: var(--body-text-color-subdued); }
#u-faces .wrap { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.2rem, 1fr)); gap: .5rem; }
#u-faces label { flex-direction: column; align-items: center; gap: .35rem; padding: .6rem .4rem; }
#u-faces label::before { width: 96px; height: 96px; border-radius: 8px; background-size: cover; }
#u-faces label:first-of-type::before { content: "?"; display: grid; place-content: center; font-size: 2rem;
  background: var(--body-background-fill); color: var(--body-text-color-subdued); }
#u-faces label > span { margin: 0; }
#u-faces label:focus-within, .u-result summary:focus-visible, .u-about summary:focus-visible {
  outline: 2px solid var(--color-accent); outline-offset: 2px; }
#u-picture img { width: 100%; }
@media (max-width: 640px) { .gradio-container { padding: .6rem !important; } .u-empty { min-height: 7rem; } }
"""
