"""How wide a place on the page is, told to the kernel: a figure is drawn before it is on the page."""

from __future__ import annotations

import anywidget
import traitlets

WATCH = """
function render({ model, el }) {
  el.style.height = "0";
  const watcher = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width > 0 && width !== model.get("pixels")) {
      model.set("pixels", width);
      model.save_changes();
    }
  });
  watcher.observe(el);
  return () => watcher.disconnect();
}
export default { render };
"""


class Width(anywidget.AnyWidget):
    """An invisible line as wide as what it stands in; ``pixels`` is 0 until the page has said how wide that is."""

    _esm = WATCH
    pixels = traitlets.Int(0).tag(sync=True)
