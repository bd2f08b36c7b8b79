"""Platforms: names that round-trip, and the list of the bundled measurements."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.devices.backends import BACKENDS, PLATFORMS, Platform, get_platforms, parse_platform

KINDS = [(name, precision) for name, backend in BACKENDS.items() for precision in backend.precisions]


@given(st.sampled_from(KINDS), st.integers(1, 512), st.integers(1, 4096))
def test_platform_names_round_trip(kind, threads, batch):
    platform = Platform(*kind, threads, batch)
    assert parse_platform(platform.name) == platform


def test_platforms_are_named_for_what_decides_their_speed():
    assert Platform("openvino", "int8").name == "openvino_int8_t1_b1"
    assert Platform("cuda_graphs", "bf16", batch=32).name == "cuda-graphs_bf16_t1_b32"


def test_bundled_platforms_are_distinct_and_for_the_cpu():
    assert len({platform.name for platform in PLATFORMS}) == len(PLATFORMS) >= 14
    assert not [platform for platform in PLATFORMS if "cuda" in platform.backend]
    assert get_platforms(None) == list(PLATFORMS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torch-eage_fp32_t1_b1", "did you mean 'torch-eager'"),
        ("onnxrumtime_fp32_t1_b1", "did you mean 'onnxruntime'"),
        ("onnxruntime_bf16_t1_b1", "onnxruntime' runs fp32"),
        ("torch-eager_fp31_t1_b1", "fp31"),
        ("torch-eager_fp32_t0_b1", "threads"),
        ("torch-eager_fp32_t1_b0", "batch"),
        ("torch-eager_fp32", "torch-eager_fp32_t"),
        ("onnxruntime", "such as onnxruntime"),
        ("fast", "BACKEND_PRECISION_tTHREADS_bBATCH"),
        ("", "BACKEND_PRECISION_tTHREADS_bBATCH"),
    ],
)
def test_an_unknown_platform_is_refused_with_the_nearest(refusal, name, message):
    assert message in refusal(parse_platform, name)
    assert message in refusal(get_platforms, [PLATFORMS[0].name, name])


def test_platforms_are_wanted_and_counted_once(refusal):
    name = PLATFORMS[0].name
    assert get_platforms([name, PLATFORMS[1].name, name]) == list(PLATFORMS[:2])
    assert "platform" in refusal(get_platforms, [])


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", None, True])
def test_threads_and_batch_are_whole_numbers(refusal, value):
    for name in ("threads", "batch"):
        assert name in refusal(Platform, "torch_eager", **{name: value})


def test_naming_platforms_imports_no_runtime():
    program = (
        "import sys; from workbench.devices.backends import get_platforms; get_platforms(None)\n"
        "print([name for name in ('torch', 'onnx', 'onnxruntime', 'openvino') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
