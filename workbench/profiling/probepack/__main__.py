"""Measure the networks of this probe pack here: python pack.zip [--out result.json] [--threads 1]"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

NEEDED = (3, 11)


def main() -> int:
    """Exit status: 0 measured, 2 one sentence of complaint, 130 interrupted."""
    parser = argparse.ArgumentParser(description="Measure the networks of this probe pack on this machine.")
    parser.add_argument("--out", type=Path, default=Path("result.json"), help="file to send back (result.json)")
    parser.add_argument("--threads", type=int, action="append", help="threads to measure with; repeatable")
    options = parser.parse_args()
    if sys.version_info < NEEDED:
        return _complain("Python {}.{} or newer is needed; run this with another Python.".format(*NEEDED))
    try:
        from workbench.config import WorkbenchError
        from workbench.profiling.probepack.pack import Pack
        from workbench.profiling.probepack.run import run_pack
    except ImportError as error:
        return _complain(f"{error}; run: python -m pip install onnxruntime numpy")
    try:
        run_pack(Pack(Path(__file__).parent), options.out, options.threads, _say)
    except WorkbenchError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return _complain("Stopped; the same command goes on where it ended.", 130)
    _say(f"Done. Please send back {options.out}.")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _complain(sentence: str, status: int = 2) -> int:
    sys.stderr.write(f"probe pack: {sentence}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
