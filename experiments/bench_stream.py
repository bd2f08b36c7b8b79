"""How fast a stream of FBNet networks is predicted, and how much memory that takes, beside the peers.

    python experiments/bench_stream.py [--networks 1000000] [--data FOLDER]

HODM's predictor (adapted to one device with 10 measurements) reads networks from a generator that draws them one by
one; the rate includes drawing, describing and predicting. The peers predict the networks of the table on the same
device; what is timed is the prediction alone, since they describe networks while they are pre-trained.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator

import numpy as np

from workbench.predictor.baselines import PEERS
from workbench.predictor.calibrate import interval_factor
from workbench.predictor.method import Probed
from workbench.predictor.roofline import ZeroShot
from workbench.spaces import get_space
from workbench.spaces.fbnet import BLOCKS, POSITIONS
from workbench.training.adapted import CHUNK, AdaptedPredictor
from workbench.training.fit import FitConfig, pretrain
from workbench.training.lesson import draw_lesson

SPACE, TARGET = "fbnet", "raspi4"
SOURCES = ("1080ti_1", "1080ti_32", "1080ti_64", "silver_4114", "silver_4210r", "samsung_a50", "pixel3", "samsung_s7")


def draw(count: int, seed: int = 0) -> Iterator[str]:
    """``count`` random networks, one at a time; the same one may come twice."""
    space, generator = get_space(SPACE), np.random.default_rng(seed)
    for start in range(0, count, CHUNK):
        for choice in generator.integers(len(BLOCKS), size=(min(CHUNK, count - start), len(POSITIONS))):
            yield space.format(tuple(BLOCKS[index] for index in choice))


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=1_000_000)
    parser.add_argument("--data", action="append", default=[])
    parser.add_argument("--peers", default="", help="names, separated by commas; none leaves them out")
    asked = parser.parse_args()
    lesson = draw_lesson(SPACE, [TARGET], SOURCES, asked.data, probes=10)
    parts = (lesson.sources, lesson.design, lesson.probes)
    probe_ms = lesson.table.frame.loc[lesson.probe_archs, TARGET].to_numpy()
    pretrained = pretrain(*parts, np.random.default_rng(0), FitConfig())
    zero_shot, card = ZeroShot(lesson.sources, lesson.design), lesson.table.cards[TARGET]
    factor = interval_factor(*parts[:2], len(lesson.probes), np.random.default_rng(0), zero_shot=zero_shot)
    predictor = AdaptedPredictor.of(pretrained, lesson.sources.networks, lesson.design)
    predictor = predictor.add(TARGET, probe_ms, card, factor, zero_shot.expectation(card))

    began, done, rate = time.perf_counter(), 0, 0.0
    for archs, _ in predictor.stream(draw(asked.networks), TARGET):
        done += len(archs)
        rate = done / (time.perf_counter() - began)
        print(f"\r{done:,} networks, {rate:,.0f} per s, {peak_mib():,.0f} MiB", end="", flush=True)
    print("\n| method | networks | per second | peak MiB |\n|---|---|---|---|")
    print(f"| hodm, stream | {done:,} | {rate:,.0f} | {peak_mib():,.0f} |")
    for name in filter(None, asked.peers.split(",")):
        adapt = PEERS[name](*parts, np.random.default_rng(0))
        predict = adapt(Probed(lesson.probes, probe_ms), card)
        began, count = time.perf_counter(), len(lesson.sources.networks)
        predict()
        rate = count / (time.perf_counter() - began)
        print(f"| {name}, prediction only | {count:,} | {rate:,.0f} | {peak_mib():,.0f} |", flush=True)


if __name__ == "__main__":
    main()
