"""Panels and the labels of devices in the file: what they become, and what is said of those that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetview.config import ConfigError, resolve
from fleetview.core.devicecolumns import DeviceColumn
from fleetview.core.panels import DEFAULT_LABELS, Panel
from fleetview_agent.wire import Address

PANELS = """
[[panels]]
title = "busy"
query = "max by (site) (fleet_device_cpu_ratio)"
unit = "percent"
thresholds = { degraded = 0.8, critical = 1 }
legend = "{{site}}"
[contexts.plant]
[contexts.lab]
device_labels = { instance = "{device}:9100", job = "node" }
[[contexts.lab.panels]]
title = "up"
query = "up"
list = true
"""


def file(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> list[str]:
    path = file(folder, text)
    with pytest.raises(ConfigError) as caught:
        resolve(environ={"FLEETVIEW_CONTEXT": "plant"}, file=path)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def test_panels_of_the_file_and_of_a_context(tmp_path: Path) -> None:
    path = file(tmp_path, PANELS)
    plant = resolve(environ={"FLEETVIEW_CONTEXT": "plant"}, file=path)
    assert plant.panels == (
        Panel("busy", "max by (site) (fleet_device_cpu_ratio)", "percent", {"degraded": 0.8, "critical": 1.0}, "{{site}}"),
    )
    assert plant.device_labels.templates == DEFAULT_LABELS
    lab = resolve(environ={"FLEETVIEW_CONTEXT": "lab"}, file=path)
    assert lab.panels == (Panel("up", "up", list=True),)
    assert lab.device_labels.own(Address("acme", "plant-1", "gw-1")) == 'instance="gw-1:9100",job="node"'


def test_errors_name_the_panel_and_the_key(tmp_path: Path) -> None:
    assert problems(tmp_path, '[contexts.plant]\n[[panels]]\ntitle = "x"\n') == ["panels.0.query: query is missing"]
    found = problems(tmp_path, '[contexts.plant]\n[[contexts.plant.panels]]\ntitle = "x"\nquery = "up"\nunits = "s"\n')
    assert found == ["contexts.plant.panels.0.units: unknown key 'units'; did you mean 'unit'?"]
    found = problems(tmp_path, '[contexts.plant]\n[[panels]]\ntitle = "x"\nquery = "up"\nunit = "ms"\n')
    assert found == [
        "panels.0.unit: one of percent, seconds, celsius, bytes, bytes_per_second, per_second, count expected, not 'ms'",
    ]
    found = problems(tmp_path, '[contexts.plant]\n[[panels]]\ntitle = "x"\nquery = "up"\nthresholds = { warn = 1 }\n')
    assert found[0].startswith("panels.0.thresholds.warn: unknown key 'warn'")
    found = problems(tmp_path, '[contexts.plant]\npanels = "up"\n')
    assert found == ["contexts.plant.panels: a list of tables, such as [[panels]], expected, not 'up'"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ('{ instance = "{host}:1" }', "instance: unknown part {host}; known: {tenant}, {site}, {device}"),
        ('{ site = "{site}" }', "no label holds {device}: devices could not be told apart"),
        ('{ "a-b" = "{device}" }', "'a-b' cannot be the name of a label"),
    ],
)
def test_labels_that_cannot_be(tmp_path: Path, labels: str, words: str) -> None:
    found = problems(tmp_path, f"[contexts.plant]\ndevice_labels = {labels}\n")
    assert found == [f"contexts.plant.device_labels: {words}"]


def test_columns_of_the_file_and_of_a_context(tmp_path: Path) -> None:
    text = '[[columns]]\nname = "heat"\nquery = "max by ($by) (heat)"\nunit = "celsius"\nthresholds = { degraded = 60 }\n'
    text += '[contexts.plant]\n[contexts.lab]\n[[contexts.lab.columns]]\nname = "load"\nquery = "load"\nhistory = true\n'
    path = file(tmp_path, text)
    plant = resolve(environ={"FLEETVIEW_CONTEXT": "plant"}, file=path)
    assert plant.columns == (DeviceColumn("heat", "HEAT", "max by ($by) (heat)", "celsius", thresholds={"degraded": 60.0}),)
    lab = resolve(environ={"FLEETVIEW_CONTEXT": "lab"}, file=path)
    assert lab.columns == (DeviceColumn("load", "LOAD", "load", history=True),)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            '[[columns]]\nname = "cpu"\nquery = "x"\n',
            ["columns: 'cpu' cannot be a column's name: it is empty, or that of another one"],
        ),
        ('[[columns]]\nname = "a"\nquery = " "\n', ["columns: 'a' has no query"]),
        ('[[columns]]\nname = "a"\nquery = "x"\n' * 2, ["columns: 'a' is there twice"]),
        ('[[columns]]\nname = "a"\nquerry = "x"\n', ["columns.0.query: query is missing", "columns.0.querry: unknown key"]),
        ('columns = "x"\n', ["columns: a list of tables, such as [[columns]], expected, not 'x'"]),
    ],
)
def test_columns_that_cannot_be_are_named(tmp_path: Path, columns: str, words: list[str]) -> None:
    found = problems(tmp_path, f"{columns}[contexts.plant]\n")
    assert len(found) == len(words)
    assert all(each.startswith(begin) for each, begin in zip(found, words, strict=True)), found
