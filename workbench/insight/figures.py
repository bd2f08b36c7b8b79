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
from workbench.insight.plots.attention_difference import attention_difference
from workbench.insight.plots.costs import operator_costs
from workbench.insight.plots.devices import device_map, signature
from workbench.insight.plots.faithfulness import attention_faithfulness
from workbench.insight.plots.memory import bandwidth_sweep, roofline
from workbench.insight.plots.networks import block_diagrams, cell_graphs
from workbench.insight.plots.operators import network_roofline
from workbench.insight.plots.pareto import pareto, pareto_front
from workbench.insight.plots.predictions import predicted_against_measured, ranking
from workbench.insight.plots.probes import architecture_map, expected_width, left_out_curve, rank_disagreement
from workbench.insight.plots.quality import floors, training_curve, validation_by_device
from workbench.insight.plots.runs import run_curves, run_scores
from workbench.insight.plots.sweeps import critical_difference, factor_effects, level_curves
from workbench.insight.plots.timeline import reference_timeline
from workbench.insight.plots.transfer import error_by_quantile, learning_curve
from workbench.insight.plots.what_if import latency_change, rank_change
from workbench.insight.template import register_template, template

FIGURES: dict[str, Callable[..., go.Figure]] = {
    function.__name__: function
    for function in (
        architecture_map,
        attention_difference,
        attention_faithfulness,
        attention_map,
        bandwidth_sweep,
        block_diagrams,
        cell_graphs,
        critical_difference,
        device_map,
        error_by_quantile,
        expected_width,
        factor_effects,
        floors,
        latency_change,
        learning_curve,
        level_curves,
        left_out_curve,
        network_roofline,
        operator_costs,
        pareto,
        predicted_against_measured,
        rank_change,
        rank_disagreement,
        ranking,
        reference_timeline,
        roofline,
        run_curves,
        run_scores,
        signature,
        training_curve,
        validation_by_device,
    )
}

__all__ = [*FIGURES, "FIGURES", "pareto_front", "register_template", "template"]
