"""``workbench devices`` as a person meets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from workbench import cli
from workbench.data import sources
from workbench.devices.device import DeviceCard, catalog, write_cards


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``workbench devices *arguments``."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["devices", *map(str, arguments)])
    captured = capsys.readouterr()
    return caught.value.code or 0, captured.out, captured.err


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    status, _, err = run(capsys, *arguments)
    assert status == 2, err
    (line,) = err.splitlines()
    return line.removeprefix("workbench: ")


@pytest.fixture(autouse=True)
def no_data_of_our_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The bundled measurements are made anew from time to time; nothing here depends on what they hold."""
    (tmp_path / "bundled").mkdir()
    monkeypatch.setattr(sources, "BUNDLED", tmp_path / "bundled")
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with one measured device on a board of its own."""
    card = DeviceCard(
        "mine", hardware="my board", family="mobile-cpu", cores=4, peak_fp32_gflops=50, source="measured [here] :b:"
    )
    write_cards(tmp_path / "data" / "devices.yaml", {"mine": card})
    return tmp_path / "data"


def test_list_has_every_hardware_once(capsys):
    status, out, _ = run(capsys, "list")
    assert status == 0
    rows = [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")]
    assert sorted(rows) == sorted({card.hardware for card in catalog().values()})
    assert "1080ti_1 +3" in out
    assert "…" not in out, "nothing is cut, however narrow the terminal"


def test_list_can_be_narrowed(capsys, data):
    status, out, _ = run(capsys, "list", "--family", "server-tpu")
    assert status == 0
    assert "google-tpu-v4" in out
    assert "229" in out, "the ridge: 275000 / 1200"
    assert "gtx-1080-ti" not in out
    assert "did you mean 'server-tpu'" in refused(capsys, "list", "--family", "server-tpuu")
    status, out, _ = run(capsys, "list", "--measured", "--data", data)
    assert status == 0
    assert ("my board" in out, "gtx-1080-ti" in out) == (True, False)
    assert "measured" in run(capsys, "list", "--data", data)[1]
    assert "Data folder" in refused(capsys, "list", "--data", data / "none")


def test_show_gives_unit_and_source_of_each_figure_and_says_what_is_unknown(capsys, data):
    status, out, _ = run(capsys, "show", "raspi4")
    assert status == 0
    (bandwidth,) = [line for line in out.splitlines() if "Memory bandwidth" in line]
    assert all(word in bandwidth for word in ("12.8", "GB/s", "3200 MT/s"))
    unknown = out[out.index("Unknown:") :]
    assert "Peak fp32" in unknown
    assert "Cores" not in unknown
    assert "not checked" in run(capsys, "show", "google-pixel-2")[1]
    assert "measured [here] :b:" in run(capsys, "show", "mine", "--data", data)[1], "brackets are text, not markup"


def test_hardware_can_be_named_in_place_of_a_device(capsys):
    _, by_device, _ = run(capsys, "show", "1080ti_1")
    _, by_hardware, _ = run(capsys, "show", "gtx-1080-ti")
    assert by_device.split("\n", 1)[1] == by_hardware.split("\n", 1)[1]
    assert ("batch 1" in by_device, "batch" in by_hardware) == (True, False)


def test_an_unknown_device_is_answered_with_the_like(capsys):
    assert "'nvidia-h100-sxm'" in refused(capsys, "show", "H100")
    assert "did you mean 'raspi4'" in refused(capsys, "show", "rapi4")
    assert "did you mean 'raspi4'" in refused(capsys, "compare", "pixel3", "rapi4")


def test_compare_gives_ratios_to_the_first(capsys):
    status, out, _ = run(capsys, "compare", "nvidia-a100-sxm-40gb", "nvidia-h100-sxm", "raspi4")
    assert status == 0
    (bandwidth,) = [line for line in out.splitlines() if "Memory bandwidth" in line]
    assert "1,555" in bandwidth
    assert "3,350\N{NO-BREAK SPACE}(×2.15)" in bandwidth
    (peak,) = [line for line in out.splitlines() if "Peak fp32" in line]
    assert "unknown" in peak


def test_compare_writes_one_page_that_works_offline(capsys, tmp_path):
    page = tmp_path / "pages" / "compare.html"
    status, out, _ = run(capsys, "compare", "rtx-4090", "nvidia-t4", "hailo-8", "--out", page)
    assert status == 0
    assert str(page) in out
    text = page.read_text()
    assert "Content-Security-Policy" in text
    assert "Not drawn, since peak or bandwidth is not known: hailo-8" in text
    assert "NVIDIA Ada GPU Architecture whitepaper" in text
    (tmp_path / "file").touch()
    assert "Cannot write" in refused(capsys, "compare", "rtx-4090", "--out", tmp_path / "file" / "x.html")


def test_devices_of_which_no_roof_is_known_are_compared_without_one(capsys, tmp_path):
    page = tmp_path / "compare.html"
    assert run(capsys, "compare", "hailo-8", "google-coral-edge-tpu", "--out", page)[0] == 0
    assert "No roofline can be drawn" in page.read_text()


def test_check_says_each_mistake_and_exits_with_one(capsys, tmp_path):
    assert run(capsys, "check")[0] == 0
    file = tmp_path / "devices.yaml"
    file.write_text("mine: {cors: 4}\nyours: {clock_ghz: 1500, source: a sheet}\ntheirs: {cores: 4}\n")
    status, out, err = run(capsys, "check", file)
    assert status == 1
    assert out == ""
    assert len(err.splitlines()) == 3
    assert all(word in err for word in ("did you mean 'cores'", "clock_ghz 1500", "cores has no source"))
    assert "Cannot read" in refused(capsys, "check", tmp_path / "none.yaml")


def test_the_command_is_installed_and_loads_nothing_heavy():
    program = (
        "import sys, workbench.cli.devices\n"
        "print([name for name in ('pandas', 'plotly', 'torch', 'rich.console') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
