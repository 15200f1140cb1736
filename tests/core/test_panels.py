"""What is asked of Prometheus: whose series, which peers, and what a panel makes of an answer."""

from __future__ import annotations

import pytest

from fleetview.core.panels import DEVICE_CHARTS, WORST, DeviceLabels, Panel, device_query, position_of, window_of, worst
from fleetview_agent.wire import Address

ONE = Address("acme", "plant-1", "gw-1")
OTHERS = [Address("acme", "plant-1", name) for name in ("gw-2", "gw.3", "gw-1")]


def test_labels_of_the_exporter() -> None:
    labels = DeviceLabels()
    assert labels.own(ONE) == 'tenant="acme",site="plant-1",device="gw-1"'
    assert labels.peers(ONE, OTHERS) == 'tenant="acme",site="plant-1",device!="gw-1"'
    assert labels.by == "tenant, site, device"
    assert labels.peers(ONE, OTHERS, "1.5.0") == 'tenant="acme",device!="gw-1",release="1.5.0"', "at every site"


def test_labels_of_others() -> None:
    labels = DeviceLabels({"instance": "{device}:9100"})
    assert labels.own(ONE) == 'instance="gw-1:9100"'
    peers = labels.peers(ONE, OTHERS)
    assert peers == 'instance=~"gw-2:9100|gw\\\\.3:9100"', "escaped for the expression, and once more for the text"


def test_hostile_names_stay_within_their_quotes() -> None:
    hostile = Address("acme", "plant-1", 'x"} or vector(1) #')
    assert DeviceLabels().own(hostile).endswith('device="x\\"} or vector(1) #"')


def test_one_query_asks_for_a_device_and_its_peers() -> None:
    query = device_query(DEVICE_CHARTS[0], DeviceLabels(), ONE, DeviceLabels().peers(ONE, OTHERS), "60s")
    assert query.count("fleet_device_cpu_ratio{") == 4
    assert query.count('device="gw-1"') == 1
    assert [part in query for part in ("quantile(0.25", "quantile(0.5", "quantile(0.75")] == [True] * 3
    assert not {"SELECTOR", "BY", "WINDOW"} & set(query.replace("(", " ").replace("{", " ").split())


def test_a_point_looks_back_over_four_scrapes_at_least() -> None:
    assert window_of(15, 15) == "60s"
    assert window_of(600, 15) == "600s"
    assert window_of(0.25, 0.25) == "1s"


def test_thresholds() -> None:
    panel = Panel("x", "up", thresholds={"degraded": 1.0, "critical": 2.0})
    assert [panel.judge(value) for value in (None, 0.9, 1.0, 2.5, float("nan"))] == [
        None, None, "degraded", "critical", None,
    ]  # fmt: skip


def test_names_of_series_are_harmless() -> None:
    labels = {"__name__": "up", "site": "plant-1", "release": "1.5\x1b[31m"}
    assert Panel("x", "up", legend="{{release}} at {{ site }}{{nothing}}").name_of(labels) == "1.5␛[31m at plant-1-"
    assert Panel("x", "up").name_of(labels) == "release=1.5␛[31m site=plant-1"
    assert Panel("x", "up").name_of({}) == "all"
    assert len(Panel("x", "up").name_of({"a": "x" * 500})) <= 60


def test_windows_are_put_in() -> None:
    assert all("$window" not in worst(column).asked("60s") for column in WORST)
    assert "[60s]" in worst("errors logged").asked("60s")


@pytest.mark.parametrize(
    ("words", "column"),
    [
        ('Prometheus refuses the question (HTTP 400): invalid parameter "query": 1:5: parse error: unexpected ","', 4),
        ("1:1: parse error: no expression found in input", 0),
        ("2:1: parse error: of another line", None),
        ("unknown function", None),
        ("at 10:31: no", None),
    ],
)
def test_where_a_query_is_wrong(words: str, column: int | None) -> None:
    assert position_of(words) == column
