"""``workbench predict``: a number with its interval, what was measured, and whether the device still is as it was."""

from __future__ import annotations

import pytest

from tests.toy import SOURCES, toy_frame, toy_networks, write_table
from workbench import cli
from workbench.data import sources
from workbench.devices.backends import Platform
from workbench.devices.device import DeviceCard, write_cards
from workbench.profiling.passport import conditions_here

NETWORKS = toy_networks(60)
PLATFORM = Platform("torch_eager")


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """Runs the command on toy devices of which one, ``server``, is said to be this machine under ``passport``."""
    monkeypatch.setattr(sources, "BUNDLED", tmp_path / "none")
    folder = write_table(tmp_path / "data", toy_frame(NETWORKS, SOURCES))

    def run(*arguments: str, passport: str | None = None) -> tuple[int, str, str]:
        passport = passport or conditions_here(PLATFORM)["passport"]
        card = DeviceCard(
            "server", runtime="torch_eager 2", precision="fp32", threads=1, batch_size=1, passport=passport
        )
        write_cards(folder / "devices.yaml", {"server": card})
        asked = ["predict", "--data", str(folder), "--method", "linear", *arguments]
        with pytest.raises(SystemExit) as caught:
            cli.main(asked)
        captured = capsys.readouterr()
        return caught.value.code or 0, captured.out, captured.err

    return run


def test_a_prediction_with_its_interval_and_what_was_measured(ask):
    arch = NETWORKS.archs[3]
    status, out, err = ask("--device", "server", "--arch", arch)
    assert (status, err) == (0, "")
    measured = SOURCES["server"].latency_ms(NETWORKS)[3]
    assert out.startswith(f"{arch} on server: ")
    assert f"measured {measured:.4g} ms" in out
    assert "90 % interval" in out


def test_another_passport_is_said_and_a_recalibration_is_offered(ask):
    status, _, err = ask("--device", "server", "--arch", NETWORKS.archs[3], passport="0123456789abcdef")
    assert status == 0
    assert "measured under other conditions (passport 0123456789abcdef)" in err
    assert "--recalibrate" in err


def test_a_recalibration_measures_five_networks_here(ask):
    arch = NETWORKS.archs[3]
    status, out, err = ask("--device", "server", "--arch", arch, "--recalibrate", passport="0123456789abcdef")
    assert status == 0
    assert "Measuring 5 networks on torch-eager_fp32_t1_b1" in err
    assert "times what was predicted" in err
    assert "90 % interval" in out
    assert "measured" not in out, "what was measured then is no comparison now"


def test_a_device_that_is_elsewhere_is_recalibrated_there(ask):
    status, out, err = ask("--device", "edge", "--arch", NETWORKS.archs[3], "--recalibrate")
    assert (status, out) == (2, "")
    assert "recalibrate on the device itself" in err
