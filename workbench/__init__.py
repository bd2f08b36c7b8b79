"""A workbench for neural-network latency: profile, select probes, train, transfer, see why."""

__version__ = "0.1.0"
