"""Peer: latency is a straight line in the number of parameters, fitted to the probes."""

from __future__ import annotations

from workbench.predictor.baselines.flops import line_in

pretrain = line_in("parameters", lambda networks: networks.parameters)
