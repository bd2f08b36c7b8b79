"""Passports: the same conditions are silent, others are said with the reason, what cannot be compared is left."""

from __future__ import annotations

import dataclasses
import json

import pytest

from workbench.devices.backends import PLATFORMS, Platform
from workbench.devices.detect import detect, differing, passport, platform_conditions
from workbench.devices.device import DeviceCard
from workbench.profiling.passport import changed_conditions, conditions_here, platform_of, recorded_conditions

PLATFORM = Platform("torch_eager", "fp32", threads=2, batch=8)


def card(platform: Platform = PLATFORM, **changes: object) -> DeviceCard:
    here = conditions_here(platform)
    return DeviceCard(
        "mine",
        runtime=f"{platform.backend} {here['version']}",
        precision=platform.precision,
        threads=platform.threads,
        batch_size=platform.batch,
        **{"passport": here["passport"], **changes},
    )


@pytest.mark.parametrize("platform", [platform for platform in PLATFORMS if platform.backend == "torch_eager"])
def test_a_card_says_how_its_networks_ran(platform):
    assert platform_of(card(platform)) == platform


def test_the_same_conditions_are_silent():
    assert changed_conditions(card()) is None


def test_other_conditions_are_said_with_what_changed():
    then = {**conditions_here(PLATFORM), "governor": "powersave", "version": "1.0"}
    then["passport"] = passport(then)
    sentence = changed_conditions(card(passport=then["passport"]), then)
    assert then["passport"] in sentence
    assert conditions_here(PLATFORM)["passport"] in sentence
    assert "governor: 'powersave', now" in sentence
    assert "version: '1.0', now" in sentence
    assert "\n" not in sentence
    assert "governor" not in changed_conditions(card(passport="0123"))


@pytest.mark.parametrize(
    "changes", [{"passport": None}, {"runtime": None}, {"runtime": "tflite 2.1"}, {"precision": None}]
)
def test_what_cannot_be_compared_is_left_alone(changes):
    assert changed_conditions(dataclasses.replace(card(), **changes)) is None


def test_each_way_to_run_has_a_passport_of_its_own_and_other_runtimes_do_not_matter():
    machine = detect()
    known = platform_conditions(machine, "torch_eager", "2.13", "fp32", 1)
    others = [
        ("onnxruntime", "2.13", "fp32", 1),
        ("torch_eager", "2.14", "fp32", 1),
        ("torch_eager", "2.13", "bf16", 1),
    ]
    others.append(("torch_eager", "2.13", "fp32", 2))
    found = {platform_conditions(machine, *run)["passport"] for run in others}
    assert len(found | {known["passport"]}) == 5
    upgraded = dataclasses.replace(machine, runtimes={**machine.runtimes, "onnxruntime": "99"})
    assert platform_conditions(upgraded, "torch_eager", "2.13", "fp32", 1) == known
    slower = dataclasses.replace(machine, governor="powersave")
    assert platform_conditions(slower, "torch_eager", "2.13", "fp32", 1)["passport"] != known["passport"]


def test_differing_names_both_values_and_never_the_hash():
    assert differing({"a": 1, "b": 2, "passport": "x"}, {"a": 1, "b": 3, "c": 4, "passport": "y"}) == {
        "b": (2, 3),
        "c": (None, 4),
    }


def test_recorded_conditions_are_found_by_their_passport(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "nasbench201_conditions.json").write_text("{")
    written = {"devices": {"mine": {"passport": "abc", "governor": "performance"}}}
    (tmp_path / "two" / "nasbench201_conditions.json").write_text(json.dumps(written))
    folders = [tmp_path / "none", tmp_path / "one", tmp_path / "two"]
    found = recorded_conditions("nasbench201", DeviceCard("mine", passport="abc"), folders)
    assert found == {"passport": "abc", "governor": "performance"}
    assert recorded_conditions("nasbench201", DeviceCard("mine", passport="def"), folders) is None
