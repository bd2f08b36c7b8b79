"""Keys that are meant for a panel's controls and not for the notebook around them."""

from __future__ import annotations

import anywidget


class OwnKeys(anywidget.AnyWidget):
    """Invisible; keeps JupyterLab from taking the keys that are pressed on the controls of the box that it is in.

    In command mode an arrow would leave a dropdown for the next cell, and a letter would insert one.
    """

    # JupyterLab looks for the attribute at the element that has the focus, not at those around it.
    _esm = """
    const own = (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true");
    function render({ el }) {
        el.style.display = "none";
        const listen = () => el.isConnected
            ? el.closest(".widget-vbox")?.addEventListener("focusin", own)
            : setTimeout(listen, 50);
        listen();
    }
    export default { render };
    """
