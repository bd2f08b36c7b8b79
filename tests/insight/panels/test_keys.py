"""Every panel keeps the keys pressed on its controls to itself (that it works is seen in the browser)."""

from __future__ import annotations

import ipywidgets as widgets

from workbench.insight.panels.keys import OwnKeys
from workbench.insight.panels.panel import Panel


class Plain(Panel):
    def update(self, state):
        return None


def test_a_panel_holds_one():
    panel = Plain("A title", {"number": widgets.IntSlider(description="Number")}, [], {})
    assert sum(isinstance(child, OwnKeys) for child in panel.box.children) == 1
