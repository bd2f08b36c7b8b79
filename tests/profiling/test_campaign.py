"""A campaign: two real networks on two real platforms; then interrupted, failing and refused ones.

Nothing here asserts how long anything took.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn

from workbench.data.sources import load_table
from workbench.devices.backends import BACKENDS, Platform, get_platforms
from workbench.devices.detect import passport
from workbench.devices.device import read_cards
from workbench.profiling.campaign import CampaignSummary, measure_archs, profile
from workbench.profiling.journal import NETWORK, REFERENCE, SCHEMA, read_raw
from workbench.profiling.passes import CampaignConfig, Progress
from workbench.profiling.reduce import SUMMARY_COLUMNS, reduce_attempts, reduce_raw
from workbench.profiling.timing import nested_interquartile_mean
from workbench.spaces import get_space
from workbench.spaces.nasbench201 import NASBench201

SPACE = get_space("nasbench201")
ARCHS = [
    "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|",
    "|none~0|+|skip_connect~0|none~1|+|none~0|none~1|none~2|",
]
EAGER = [Platform("torch_eager", batch=1), Platform("torch_eager", batch=2)]
BURST = ["platform", "arch", "role", "attempt"]


class Done(NamedTuple):
    out: Path
    summary: CampaignSummary
    raw: pd.DataFrame
    steps: list[Progress]


@pytest.fixture(scope="module")
def platforms(missing) -> list[Platform]:
    """Eager torch and ONNX Runtime."""
    chosen = get_platforms(["torch-eager_fp32_t1_b1", "onnxruntime_fp32_t1_b1"])
    for platform in chosen:
        try:
            BACKENDS[platform.backend].require()
        except ValueError as error:
            missing(str(error))
    return chosen


@pytest.fixture(scope="module")
def done(tmp_path_factory, quick, platforms) -> Done:
    """The campaign that most tests look at; no test changes its folder."""
    out, steps = tmp_path_factory.mktemp("campaign") / "out", []
    summary = profile(SPACE, ARCHS, platforms, out, progress=steps.append, config=quick)
    return Done(out, summary, read_raw(out / "raw" / "nasbench201"), steps)


class Breaking(NASBench201):
    """NAS-Bench-201, but ``ARCHS[1]`` fails as ``how`` says: when it is built, or at a batch above one."""

    def __init__(self, how: str) -> None:
        self.how = how

    def module(self, arch: str) -> nn.Module:
        built = super().module(arch)
        if arch != ARCHS[1]:
            return built
        if self.how == "build":
            raise MemoryError("no room for\nthis network")
        return OneAtATime(built).eval()


class OneAtATime(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 1:
            raise RuntimeError("boom\nin many lines")
        return self.inner(x)


def test_the_files_are_those_of_the_contract(done, platforms):
    names = [platform.name for platform in platforms]
    assert done.summary.files.latencies == done.out / "nasbench201.parquet"
    schema = pq.read_schema(done.out / "nasbench201.parquet")
    assert schema.names == ["arch", *names]
    assert pa.types.is_string(schema.field("arch").type) or pa.types.is_large_string(schema.field("arch").type)
    assert all(schema.field(name).type == pa.float64() for name in names)
    cards = read_cards(done.out / "devices.yaml")
    assert list(cards) == names
    for card, platform in zip(cards.values(), platforms, strict=True):
        assert (card.batch_size, card.precision, card.threads) == (1, "fp32", 1)
        assert card.runtime == f"{platform.backend} {BACKENDS[platform.backend].require()}"
        assert card.source
        assert card.peak_fp32_gflops > 0


def test_the_workbench_reads_its_own_table(done, platforms):
    table = load_table("nasbench201", [platform.name for platform in platforms], [done.out])
    assert table.archs == ARCHS
    assert np.isfinite(table.frame.to_numpy()).all()
    assert (table.frame.to_numpy() > 0).all()
    pd.testing.assert_frame_equal(table.frame, done.summary.reduced.table)


def test_the_fingerprint_says_under_which_conditions(done):
    found = json.loads((done.out / "nasbench201_conditions.json").read_text())
    assert {"cpu_model", "runtimes", "passport", "stability", "microbench"} <= set(found)
    campaign = json.loads((done.out / "raw" / "nasbench201" / "campaign.json").read_text())
    assert campaign["passport"] == found["passport"]
    assert set(done.raw["campaign"]) == {campaign["campaign"]}
    measured = {"devices", "stability", "microbench"}
    assert found["passport"] == passport({key: value for key, value in found.items() if key not in measured})


def test_raw_rows_are_one_per_timed_run(done, quick, platforms):
    assert pa.Schema.from_pandas(done.raw).names == SCHEMA.names
    assert (done.raw["latency_ns"] > 0).all()
    assert done.raw["failure"].isna().all()
    bursts = done.raw.groupby(BURST)
    for _, burst in bursts:
        assert sorted(burst["repeat"]) == list(range(len(burst)))
        assert quick.timing.min_runs <= len(burst) <= quick.timing.max_runs
    networks = done.raw[done.raw["role"] == NETWORK]
    assert networks.groupby(BURST).ngroups == len(ARCHS) * len(platforms) * quick.passes
    assert set(networks["arch"]) == set(ARCHS)
    references = done.raw[done.raw["role"] == REFERENCE]
    assert references.groupby(["platform", "attempt"])["arch"].nunique().eq(3).all()
    assert not set(references["arch"]) & set(ARCHS)


def test_references_stand_before_and_behind_the_networks(done):
    for _, rows in done.raw.groupby("platform"):
        networks = rows.loc[rows["role"] == NETWORK, "started_at"]
        references = rows.loc[rows["role"] == REFERENCE, "started_at"]
        assert references.min() <= networks.min()
        assert networks.max() <= references.max()
    assert set(done.summary.drift["platform"]) == set(done.raw["platform"])
    assert np.isfinite(done.summary.drift["drift"]).all()


def test_the_tables_follow_from_the_raw_rows(done, quick):
    again = reduce_raw(done.out / "raw" / "nasbench201", quick.quality)
    written = pd.read_parquet(done.out / "nasbench201.parquet").set_index("arch")
    pd.testing.assert_frame_equal(again.table.loc[written.index, list(written)], written)
    summary = pd.read_parquet(done.out / "nasbench201_summary.parquet")
    assert list(summary) == SUMMARY_COLUMNS
    assert len(summary) == written.size
    for row in summary.itertuples():
        burst = done.raw[(done.raw["platform"] == row.platform) & (done.raw["arch"] == row.arch)]
        estimates = burst.groupby("attempt")["latency_ns"].apply(nested_interquartile_mean) * 1e-6
        assert row.low_ms <= row.estimate_ms <= row.high_ms
        assert row.attempts == len(estimates) == quick.passes
        assert written.loc[row.arch, row.platform] == row.estimate_ms
        if row.n_runs == len(burst):  # no attempt was in quarantine
            assert row.estimate_ms == pytest.approx(estimates.mean())
        else:
            assert row.estimate_ms in [pytest.approx(value) for value in estimates]


def test_progress_counts_to_the_end(done, quick, platforms):
    total = len(ARCHS) * len(platforms) * quick.passes
    stages = [step.label for step in done.steps if step.total == 0]
    assert stages == [step.label for step in done.steps[:3]], "three stages of preparation come first"
    counted = done.steps[3:]
    assert [step.done for step in counted] == list(range(1, total + 1))
    assert {step.total for step in counted} == {total}
    assert done.steps[-1].remaining_s == 0
    assert done.summary.measured == total
    assert (done.summary.repeated, done.summary.missing, len(done.summary.failures)) == (0, 0, 0)


def test_a_finished_campaign_measures_nothing_again(done, quick, platforms, tmp_path):
    out = shutil.copytree(done.out, tmp_path / "out")
    summary = profile(SPACE, ARCHS, platforms, out, config=quick)
    assert summary.measured == 0
    pd.testing.assert_frame_equal(read_raw(out / "raw" / "nasbench201"), done.raw)
    pd.testing.assert_frame_equal(summary.reduced.table, done.summary.reduced.table)
    assert (out / "nasbench201.parquet").read_bytes() == (done.out / "nasbench201.parquet").read_bytes()


def test_no_device_is_called_as_the_column_of_networks(platforms, quick, tmp_path, refusal):
    assert "other than 'arch'" in refusal(profile, SPACE, ARCHS, platforms[:1], tmp_path, device="arch", config=quick)
    assert not list(tmp_path.iterdir())


def test_another_call_may_ask_for_less_and_name_the_machine(done, quick, platforms, tmp_path):
    out = shutil.copytree(done.out, tmp_path / "out")
    summary = profile(SPACE, ARCHS[:1], platforms[:1], out, device="mine", config=quick)
    assert summary.measured == 0
    assert list(summary.reduced.table) == ["mine"]
    assert list(summary.reduced.table.index) == ARCHS[:1]
    assert set(summary.reduced.summary["platform"]) == {"mine"}
    assert (
        read_cards(out / "devices.yaml")["mine"].passport
        == read_cards(done.out / "devices.yaml")[EAGER[0].name].passport
    )
    both = profile(SPACE, ARCHS, platforms, out, device="mine", config=quick).reduced.table
    assert list(both) == [f"mine_{platform.name}" for platform in platforms]


def test_a_network_is_measured_once_however_often_it_is_named(tmp_path, quick):
    summary = profile(SPACE, ARCHS[:1] * 3, EAGER[:1] * 2, tmp_path, config=quick)
    assert summary.measured == quick.passes
    assert summary.missing == 0
    assert_no_duplicates(read_raw(tmp_path / "raw" / "nasbench201"))


KILLED = """
import sys
from workbench.devices.backends import get_platforms
from workbench.profiling.calm import CalmConfig
from workbench.profiling.campaign import profile
from workbench.profiling.passes import CampaignConfig
from workbench.profiling.quality import QualityConfig
from workbench.profiling.timing import TimingConfig
from workbench.spaces import get_space

config = CampaignConfig(
    timing=TimingConfig(warmup_min_s=0.2, warmup_max_s=0.4, min_runs=3, max_runs=5),
    passes=2, quality=QualityConfig(calm=CalmConfig(retries=0)), gate_s=0.0, bench_s=0.0, quiet_s=0.0,
)
profile(get_space("nasbench201"), sys.argv[4:], get_platforms(sys.argv[2:4]), sys.argv[1], config=config)
"""


def test_a_killed_campaign_continues_without_duplicates(tmp_path, quick):
    out = tmp_path / "out"
    archs = SPACE.sample(3, np.random.default_rng(7))
    names = [platform.name for platform in EAGER]
    with subprocess.Popen([sys.executable, "-c", KILLED, str(out), *names, *archs], stderr=subprocess.PIPE) as process:
        try:
            wait_for_networks(out / "raw" / "nasbench201", process)
        finally:
            process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it was to be killed before its end"
    before = read_raw(out / "raw" / "nasbench201")
    assert not (out / "nasbench201.parquet").exists()
    finished = before[before["role"] == NETWORK].groupby(BURST).ngroups
    summary = profile(SPACE, archs, EAGER, out, config=quick)
    assert summary.measured == len(archs) * len(EAGER) * quick.passes - finished
    assert summary.missing == 0
    after = read_raw(out / "raw" / "nasbench201")
    pd.testing.assert_frame_equal(after.head(len(before)), before)
    assert_no_duplicates(after)
    assert list(pd.read_parquet(out / "nasbench201.parquet")["arch"]) == archs


def wait_for_networks(raw: Path, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Until the journal holds a network besides the three references."""
    deadline = time.monotonic() + seconds
    while len(list(raw.glob("segment-*.parquet"))) < 4:
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline, "nothing was measured"
        time.sleep(0.02)


def assert_no_duplicates(raw: pd.DataFrame) -> None:
    assert not raw.duplicated([*BURST, "repeat"]).any()


def test_an_interruption_keeps_what_was_measured(tmp_path, quick):
    def interrupt(step: Progress) -> None:
        if step.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        profile(SPACE, ARCHS, EAGER, tmp_path, progress=interrupt, config=quick)
    assert read_raw(tmp_path / "raw" / "nasbench201").query("role == 'network'").groupby(BURST).ngroups == 2
    assert profile(SPACE, ARCHS, EAGER, tmp_path, config=quick).measured == 6


@pytest.mark.parametrize("how", ["build", "run"])
def test_a_failing_network_is_a_reason_and_never_a_number(tmp_path, quick, how):
    summary = profile(Breaking(how), ARCHS, EAGER, tmp_path, config=quick)
    raw = read_raw(tmp_path / "raw" / "nasbench201")
    broken = raw[raw["failure"].notna()]
    assert set(broken["arch"]) == {ARCHS[1]}
    assert broken["latency_ns"].isna().all()
    assert not broken["failure"].str.contains("\n").any()
    expected = "MemoryError: no room for this network" if how == "build" else "RuntimeError: boom in many lines"
    assert set(broken["failure"]) == {expected}
    failing = EAGER if how == "build" else EAGER[1:]
    assert set(summary.failures["platform"]) == {platform.name for platform in failing}
    assert set(summary.failures["arch"]) == {ARCHS[1]}
    assert set(summary.failures["failure"]) == {expected}
    table = pd.read_parquet(tmp_path / "nasbench201.parquet").set_index("arch")
    assert table.loc[ARCHS[0]].notna().all()
    if how == "build":
        assert ARCHS[1] not in table.index
    else:
        assert list(table.loc[ARCHS[1]].isna()) == [False, True]
    assert summary.missing == 0


def test_what_failed_is_tried_again_once_the_reason_is_gone(tmp_path, quick, refusal):
    message = refusal(profile, Breaking("build"), ARCHS[1:], EAGER, tmp_path, config=quick)
    assert "MemoryError: no room for this network" in message
    assert not (tmp_path / "nasbench201.parquet").exists()
    summary = profile(SPACE, ARCHS[1:], EAGER, tmp_path, config=quick)
    assert summary.measured == len(EAGER) * quick.passes
    assert summary.failures.empty
    assert summary.reduced.table.notna().all(axis=None)


def test_a_disagreement_is_measured_again_within_limits(tmp_path, quick):
    never = dataclasses.replace(quick.quality, max_attempts=1, disagreement=-1.0, half_width=0.0)
    summary = profile(SPACE, ARCHS[:1], EAGER, tmp_path, config=dataclasses.replace(quick, quality=never))
    assert summary.repeated == len(EAGER)
    assert summary.measured == len(EAGER) * (quick.passes + 1)
    attempts = reduce_attempts(read_raw(tmp_path / "raw" / "nasbench201")).query("role == 'network'")
    assert set(attempts["attempt"]) == {0, 1, 2}


def test_references_come_between_networks(tmp_path, quick):
    config = dataclasses.replace(quick, reference_every=1, passes=1)
    profile(SPACE, ARCHS, EAGER[:1], tmp_path, config=config)
    attempts = reduce_attempts(read_raw(tmp_path / "raw" / "nasbench201")).sort_values("started_at")
    assert "".join(attempts["role"].str[0]) == "rrrnrrrnrrr"


def test_a_spent_budget_is_said_and_the_rest_is_left(tmp_path, quick, refusal):
    message = refusal(profile, SPACE, ARCHS, EAGER, tmp_path, 0.0, config=quick)
    assert "budget" in message
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    assert profile(SPACE, ARCHS, EAGER, tmp_path, config=quick).missing == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"archs": []}, "at least one network"),
        ({"archs": [ARCHS[0], "|nor_conv_3x3~0|"]}, "|nor_conv_3x3~0|"),
        ({"platforms": []}, "at least one platform"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(tmp_path, quick, refusal, changes, message):
    arguments = {"archs": ARCHS, "platforms": EAGER, **changes}
    out = tmp_path / "out"
    assert message in refusal(profile, SPACE, out=out, config=quick, **arguments)
    assert not out.exists()


def test_a_missing_package_is_refused_before_anything_is_written(tmp_path, quick, refusal, monkeypatch):
    backend = dataclasses.replace(BACKENDS["onnxruntime"], package="a-package-that-nobody-has")
    monkeypatch.setitem(BACKENDS, "onnxruntime", backend)
    platform = Platform("onnxruntime")
    assert "pip install" in refusal(profile, SPACE, ARCHS, [platform], tmp_path / "out", config=quick)
    assert "pip install" in refusal(measure_archs, SPACE, ARCHS, platform)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, quick, refusal):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        message = refusal(profile, SPACE, ARCHS, EAGER, out, config=quick)
        assert message.startswith("Cannot write")


def test_networks_measured_here_and_now(quick):
    steps: list[Progress] = []
    found = measure_archs(SPACE, ARCHS, EAGER[0], quick.timing, steps.append, rounds=2)
    assert list(found) == ["arch", "latency_ms", "low_ms", "high_ms", "n_runs"]
    assert list(found["arch"]) == ARCHS
    assert (found["low_ms"] <= found["latency_ms"]).all()
    assert (found["latency_ms"] <= found["high_ms"]).all()
    assert [(step.done, step.total) for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sorted(step.label for step in steps) == sorted(2 * ARCHS)


def test_here_and_now_a_failure_is_an_error(quick, refusal):
    message = refusal(measure_archs, Breaking("run"), ARCHS, EAGER[1], quick.timing)
    assert ARCHS[1] in message
    assert "RuntimeError: boom in many lines" in message


@pytest.mark.slow
def test_repeated_campaigns_with_the_usual_settings_agree_on_the_order(tmp_path):
    """The one test with the real settings: nothing is asserted of their speed, only that both have the same form."""
    small = CampaignConfig(reference_every=10)
    found = [profile(SPACE, ARCHS, EAGER[:1], tmp_path / str(run), config=small).reduced for run in range(2)]
    assert list(found[0].table.index) == list(found[1].table.index) == ARCHS
    assert all(reduced.table.notna().all(axis=None) for reduced in found)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_is_measured_beside_the_processor(tmp_path, quick):
    names = ["torch-eager_fp32_t1_b1", "torch-cuda_bf16_t1_b9", "cuda-graphs_fp32_t1_b1"]
    done = profile(SPACE, ARCHS[:2], get_platforms(names), tmp_path, config=quick)
    assert list(done.reduced.table) == names
    assert done.failures.empty
    cards = read_cards(tmp_path / "devices.yaml")
    assert cards[names[1]].family.endswith("-gpu")
    assert cards[names[1]].hardware != cards[names[0]].hardware
    assert all(cards[name].peak_fp32_gflops > 0 for name in names)
    found = json.loads((tmp_path / "nasbench201_conditions.json").read_text())
    assert set(found["microbench"]) == {"cpu", "cuda"}
