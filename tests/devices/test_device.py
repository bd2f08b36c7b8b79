"""Device cards: units in names, unknown never zero, mistakes named, the catalog complete."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import WorkbenchError
from workbench.devices.device import CAPABILITY_FIELDS, FAMILIES, DeviceCard, catalog, read_cards, write_cards

UNITS = ("_ghz", "_gflops", "_gops", "_gbps", "_kib", "_mib", "_gib", "_us")
TEXT = ("hardware", "family", "precision", "runtime", "source", "passport")

names = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1, max_size=12)
figures = st.floats(min_value=1e-12, max_value=1e15, allow_nan=False)
documents = st.dictionaries(st.sampled_from(("default", *CAPABILITY_FIELDS)), names.filter(str.strip), max_size=3)
cards = st.builds(
    lambda name, text, whole, numbers, sources: DeviceCard(name, **text, **whole, **numbers, **sources),
    names,
    st.fixed_dictionaries({}, optional=dict.fromkeys(set(TEXT) - {"source"}, names)),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("batch_size", "threads"), st.integers(1, 4096))),
    st.fixed_dictionaries({}, optional=dict.fromkeys(CAPABILITY_FIELDS, figures)),
    st.fixed_dictionaries({}, optional={"source": names | documents}),
)


def refusal(action, *arguments, **keywords) -> str:
    """The one sentence with which bad input is refused."""
    with pytest.raises(WorkbenchError) as caught:
        action(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write(tmp_path, text: str):
    path = tmp_path / "devices.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_figure_has_its_unit_in_its_name():
    assert [name for name in CAPABILITY_FIELDS if not name.endswith(UNITS)] == ["cores", "parallel_efficiency"]


def test_what_is_not_given_is_unknown():
    card = DeviceCard("mine")
    assert all(getattr(card, field.name) is None for field in dataclasses.fields(card) if field.name != "name")
    assert card.known() == {}


@pytest.mark.parametrize("name", [*CAPABILITY_FIELDS, "batch_size", "threads"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "8", True])
def test_an_impossible_figure_is_refused_by_name(name, value):
    message = refusal(DeviceCard, "mine", **{name: value})
    assert "'mine'" in message
    assert name in message


def test_half_a_thread_is_refused():
    assert "whole number" in refusal(DeviceCard, "mine", threads=1.5)


def test_text_must_be_text():
    for name in TEXT:
        assert name in refusal(DeviceCard, "mine", **{name: 4})


def test_each_figure_has_the_source_that_is_its_own_or_the_one_for_all():
    one = DeviceCard("mine", cores=4, clock_ghz=2, source="data sheet")
    assert (one.source_of("cores"), one.source_of("clock_ghz")) == ("data sheet", "data sheet")
    assert one.source_of("memory_gib") is None, "an unknown figure has no source"
    sources = {"default": "data sheet", "clock_ghz": "measured"}
    several = DeviceCard("mine", cores=4, clock_ghz=2, source=sources)
    assert (several.source_of("cores"), several.source_of("clock_ghz")) == ("data sheet", "measured")
    sources["cores"] = "changed"
    assert several.source_of("cores") == "data sheet", "the card keeps its own copy"
    assert DeviceCard("mine", cores=4, source={"clock_ghz": "measured"}).source_of("cores") is None
    assert DeviceCard("mine", cores=4).source_of("cores") is None
    assert hash(several) == hash(DeviceCard("mine", cores=4, clock_ghz=2))


def test_a_source_must_be_of_a_figure_and_say_something():
    assert "did you mean 'clock_ghz'" in refusal(DeviceCard, "mine", source={"clok_ghz": "data sheet"})
    assert "'family'" in refusal(DeviceCard, "mine", source={"family": "data sheet"})
    for empty in ("", " ", 4, None):
        assert "cores" in refusal(DeviceCard, "mine", source={"cores": empty})
    assert "mapping from figure" in refusal(DeviceCard, "mine", source=["data sheet"])
    assert "did you mean 'cores'" in refusal(DeviceCard("mine", cores=1).source_of, "core")


def test_a_family_of_ones_own_is_accepted():
    assert DeviceCard("mine", family="photonic-mesh").family == "photonic-mesh"
    assert "desktop-gpu" in FAMILIES


@given(st.dictionaries(names, cards, max_size=4))
def test_yaml_round_trip(tmp_path_factory, found):
    found = {name: dataclasses.replace(card, name=name) for name, card in found.items()}
    path = tmp_path_factory.mktemp("cards") / "devices.yaml"
    assert read_cards(write_cards(path, found)) == found


def test_figures_computed_with_numpy_can_be_written(tmp_path):
    card = DeviceCard("mine", cores=np.int64(2), clock_ghz=np.float64(2.5), l1_kib=np.float32(32))
    assert read_cards(write_cards(tmp_path / "devices.yaml", {"mine": card})) == {"mine": card}


def test_unknown_figures_are_left_out_of_the_file(tmp_path):
    text = write_cards(tmp_path / "devices.yaml", {"mine": DeviceCard("mine", cores=4)}).read_text()
    assert text.split() == ["mine:", "cores:", "4"]


def test_an_unknown_key_suggests_the_nearest(tmp_path):
    path = write(tmp_path, "mine: {memory_bandwith_gbps: 100}\n")
    message = refusal(read_cards, path)
    assert "did you mean 'memory_bandwidth_gbps'" in message
    assert "'mine'" in message


def test_hardware_is_shared_and_overridden(tmp_path):
    path = write(
        tmp_path,
        "hardware:\n  board: {cores: 4, memory_gib: 2}\n"
        "devices:\n  small: {hardware: board}\n  large: {hardware: board, memory_gib: 8}\n",
    )
    small, large = read_cards(path).values()
    assert (small.cores, small.memory_gib, small.hardware) == (4, 2, "board")
    assert (large.cores, large.memory_gib) == (4, 8)
    wrong = write(tmp_path, "hardware:\n  board: {cores: 4}\ndevices:\n  small: {hardware: bord}\n")
    assert "did you mean 'board'" in refusal(read_cards, wrong)


def test_hardware_that_no_device_names_is_a_device_of_its_own_name(tmp_path):
    path = write(
        tmp_path,
        "hardware:\n  board: {cores: 4}\n  chip: {cores: 1}\n  used: {cores: 2}\n"
        "devices:\n  small: {hardware: board}\n  used: {hardware: board}\n",
    )
    found = read_cards(path)
    assert list(found) == ["small", "used", "chip"], "a device keeps its name from hardware that nobody uses"
    assert (found["chip"].hardware, found["chip"].cores, found["chip"].batch_size) == ("chip", 1, None)
    assert found["used"].hardware == "board"


def test_a_device_adds_its_sources_to_those_of_its_hardware(tmp_path):
    path = write(
        tmp_path,
        "hardware:\n  board: {cores: 4, clock_ghz: 1, memory_gib: 2, source: {default: sheet, clock_ghz: shop}}\n"
        "devices:\n"
        "  plain: {hardware: board}\n"
        "  timed: {hardware: board, memory_gib: 8, launch_overhead_us: 3, source: measured}\n"
        "  named: {hardware: board, cores: 2, source: {cores: counted}}\n",
    )
    plain, timed, named = read_cards(path).values()
    asked = ("cores", "clock_ghz", "memory_gib", "launch_overhead_us")
    assert [plain.source_of(name) for name in asked] == ["sheet", "shop", "sheet", None]
    assert [timed.source_of(name) for name in asked] == ["sheet", "shop", "measured", "measured"]
    assert [named.source_of(name) for name in asked] == ["counted", "shop", "sheet", None]


@pytest.mark.parametrize(
    "text", ["- a list\n", "mine: 4\n", "mine: [1]\n", "a: {b: ]\n", "hardware: 3\ndevices: {}\n", "mine: {cores: 0}\n",
     "hardware: {a: 3}\ndevices: {}\n", "hardware: {a: 3}\ndevices: {b: {hardware: a}}\n", "mine: {source: 4}\n"],
)  # fmt: skip
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path, text):
    assert refusal(read_cards, write(tmp_path, text))


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path):
    assert "devices.yaml" in refusal(read_cards, tmp_path / "devices.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not valid YAML" in refusal(read_cards, tmp_path / "binary.yaml")


def test_an_empty_file_has_no_cards(tmp_path):
    assert read_cards(write(tmp_path, "# nothing yet\n")) == {}


def test_cards_cannot_be_written_where_a_file_is(tmp_path):
    (tmp_path / "file").touch()
    assert "Cannot write" in refusal(write_cards, tmp_path / "file" / "devices.yaml", {})


def test_the_catalog_that_is_handed_out_is_a_copy():
    catalog().clear()
    assert catalog()
