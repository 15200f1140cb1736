"""Names that are offered in a query: of metrics, or of labels where labels belong, and none within quotes."""

from __future__ import annotations

import pytest

from fleetview.core.promql import complete_promql

METRICS = ("up", "fleet_device_up", "fleet_device_cpu_ratio", "rated")
LABELS = ("site", "device", "release")


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("up", ["up", "fleet_device_up"]),
        ("rat", ["rated", "fleet_device_cpu_ratio", "rate"]),
        ("sum(rate(fleet_device_c", ["fleet_device_cpu_ratio"]),
        ("up{s", ["site", "release"]),
        ("up{site", ["site"]),
        ('up{site="d', []),
        ('up{site="a\\"d', []),
        ('up{site="a",d', ["device"]),
        ("up{} + fleet_device_u", ["fleet_device_up"]),
        ("sum by (de", ["device"]),
        ("sum without(site, de", ["device"]),
        ("sum by (site) (ups", []),
        ("", []),
        ("up ", []),
    ],
)
def test_what_fits(text: str, offered: list[str]) -> None:
    found = complete_promql(text, len(text), METRICS, LABELS)
    assert [each.text for each in found] == offered


def test_what_is_taken_replaces_the_whole_word() -> None:
    (found,) = complete_promql("sum(fleet_device_cpu_x)", 18, METRICS, LABELS)
    assert (found.start, found.end, found.text) == (4, 22, "fleet_device_cpu_ratio")
