"""Every figure of the workbench: data in, Plotly figure out.

Each function checks its table where it enters, raises `WorkbenchError` on what is missing, and returns a
figure in the one template of `workbench.insight.template`, with units on its axes and its message as
subtitle.

Example: ``figures.predicted_against_measured(frame).show()``.
"""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go

from workbench.insight.plots.attention import attention_map
from workbench.insight.plots.costs import operator_costs
from workbench.insight.plots.devices import device_map, signature
from workbench.insight.plots.memory import bandwidth_sweep, roofline
from workbench.insight.plots.operators import network_roofline
from workbench.insight.plots.pareto import pareto, pareto_front
from workbench.insight.plots.predictions import predicted_against_measured, ranking
from workbench.insight.plots.quality import floors, training_curve
from workbench.insight.plots.timeline import reference_timeline
from workbench.insight.plots.transfer import error_by_quantile, learning_curve
from workbench.insight.template import register_template, template

FIGURES: dict[str, Callable[..., go.Figure]] = {
    function.__name__: function
    for function in (
        attention_map,
        bandwidth_sweep,
        device_map,
        error_by_quantile,
        floors,
        learning_curve,
        network_roofline,
        operator_costs,
        pareto,
        predicted_against_measured,
        ranking,
        reference_timeline,
        roofline,
        signature,
        training_curve,
    )
}

__all__ = [*FIGURES, "FIGURES", "pareto_front", "register_template", "template"]
