"""Probe packs: networks that a colleague measures on a machine with nothing but Python and ONNX Runtime.

A pack is one zip that Python can run (``python pack.zip``). It holds the networks as ONNX, an input and the expected
output of each, the workbench's own modules that time them, and ``manifest.json`` with the SHA-256 of every other file;
the manifest's SHA-256 names the pack. What comes back is one JSON file with the raw samples of every timing.

Modules: ``make`` (needs torch) and ``read`` (needs pandas) stay here; ``__main__``, ``run``, ``result``, ``pack`` and
``checked`` go into the zip with what they import, and therefore need only the standard library, NumPy and ONNX Runtime.
"""
