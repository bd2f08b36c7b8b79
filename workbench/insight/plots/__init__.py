"""The figures, by subject; `workbench.insight.figures` lists them all."""
