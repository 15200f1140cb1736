"""The charts of a device and the metrics of the fleet on a source that answers as tests say."""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from fleetview.core.devicecolumns import DeviceColumn
from fleetview.core.panels import DEVICE_CHARTS, WHOSE, DeviceLabels, Panel
from fleetview.core.series import Answer, Series
from fleetview.core.servers import Verdict
from fleetview.feeds.web import AskError
from fleetview.tui.chart_lines import GUTTER
from fleetview.tui.glyphs import ASCII, UNICODE, Glyphs
from fleetview.tui.metrics import Monitoring
from fleetview.tui.screens.charts import DeviceChartsScreen
from fleetview.tui.screens.metrics import MetricsScreen
from tui.stage import Stage, Told, address, dashboard

Values = Mapping[tuple[tuple[str, str], ...], Callable[[float], float | None]]
OWN, LOW, MEDIAN, HIGH = (((WHOSE, whose),) for whose in ("own", "low", "median", "high"))


@dataclass
class FakeSource:
    """Answers every query alike, or as its beginning says."""

    values: Values = field(default_factory=dict)
    special: dict[str, Values] = field(default_factory=dict)
    problem: str | None = None
    warnings: tuple[str, ...] = ()
    partial: bool = False
    asked: list[tuple[str, float, float, float]] = field(default_factory=list)
    closed: bool = False
    holds: asyncio.Event | None = None

    async def range(self, promql: str, start_unix_s: float, end_unix_s: float, step_s: float) -> Answer:
        self.asked.append((promql, start_unix_s, end_unix_s, step_s))
        times = [start_unix_s + place * step_s for place in range(round((end_unix_s - start_unix_s) / step_s) + 1)]
        return await self._answer(promql, times)

    async def instant(self, promql: str) -> Answer:
        self.asked.append((promql, 0.0, 0.0, 0.0))
        return await self._answer(promql, [0.0])

    async def _answer(self, promql: str, times: list[float]) -> Answer:
        if self.holds is not None:
            await self.holds.wait()
        if self.problem is not None:
            raise AskError(Verdict(None, self.problem))
        chosen = next((values for word, values in self.special.items() if word in promql), self.values)
        series = []
        for labels, value in chosen.items():
            points = [(at, found) for at in times if (found := value(at)) is not None]
            series.append(
                Series(dict(labels), array("d", [at for at, _ in points]), array("d", [found for _, found in points]))
            )
        return Answer(tuple(series), self.warnings, (), self.partial, 0.0, 0.0)

    async def names(self) -> tuple[str, ...]:
        return ("fleet_device_cpu_ratio", "fleet_device_up")

    async def labels(self) -> tuple[str, ...]:
        return ("device", "site")

    def per_minute(self) -> int:
        return len(self.asked)

    def close(self) -> None:
        self.closed = True


def monitoring(source: FakeSource, **more: object) -> Monitoring:
    return Monitoring(lambda: source, **more)  # type: ignore[arg-type]


def fleet() -> Told:
    told = Told()
    told.online("gw-1", "gw-2", "gw-3")
    return told


async def charts(stage: Stage) -> DeviceChartsScreen:
    opened = stage.app.open_device(stage.told.fleet.devices[address("gw-1")])
    if opened is not None:
        await opened
    await stage.press("m")
    screen = stage.app.screen
    assert isinstance(screen, DeviceChartsScreen)
    return screen


def course() -> Values:
    return {OWN: lambda _: 0.9, LOW: lambda _: 0.1, MEDIAN: lambda _: 0.2, HIGH: lambda _: 0.3}


# -- a device


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_a_device_beside_its_peers(size: tuple[int, int], glyphs: Glyphs) -> None:
    source = FakeSource(course(), special={"ALERTS": {}})
    async with dashboard(fleet(), monitoring=monitoring(source), size=size, glyphs=glyphs) as stage:
        await charts(stage)
        await stage.see("CPU  90%  peers 20% (10% to 30%)")
        assert "Prometheus, 0s ago" in stage.text
        assert "queries/min" in stage.text
        assert len(source.asked) == len(DEVICE_CHARTS) + 1, "one query a chart for device and peers, one for its alerts"
        if glyphs is ASCII:
            assert stage.text.isascii()
            assert "*" * 30 in stage.text
        screen = stage.app.screen
        assert isinstance(screen, DeviceChartsScreen)
        for _, start, end, step in source.asked:
            assert step >= 15, "no finer than what is scraped"
            assert (end - start) / step <= screen.columns
    assert source.closed


async def test_nothing_is_asked_again_before_its_time() -> None:
    source = FakeSource(course())
    async with dashboard(fleet(), monitoring=monitoring(source)) as stage:
        await charts(stage)
        await stage.see("CPU  90%")
        first = len(source.asked)
        await stage.tick(5)
        await stage.tick(5)
        assert len(source.asked) == first
        assert "Prometheus, 10s ago" in stage.text
        await stage.tick(50)
        await stage.see("Prometheus, 0s ago")
        assert len(source.asked) == 2 * first


async def test_zoom_pan_and_back_to_now() -> None:
    source = FakeSource(course())
    async with dashboard(fleet(), monitoring=monitoring(source)) as stage:
        await charts(stage)
        await stage.see("1h 00m until now")
        await stage.press("minus", "minus", "minus")
        assert "12h 00m until now" in stage.text
        await stage.press("left")
        assert "12h 00m until 07:2" in stage.text or "12h 00m until 07:30" in stage.text
        asked = len(source.asked)
        async with asyncio.timeout(10):
            while len(source.asked) == asked:
                await stage.pilot.pause(0.01)
        assert {round(end - start + step) for _, start, end, step in source.asked[asked:]} == {43200}
        assert len(source.asked) <= 2 * (len(DEVICE_CHARTS) + 1), "what was passed through was not asked for"
        await stage.press("0")
        assert "12h 00m until now" in stage.text
        await stage.press(*["plus"] * 12)
        assert "15m 00s until now" in stage.text


async def test_the_crosshair_reads_the_values_of_its_column() -> None:
    now = Told().now.unix_s
    source = FakeSource({OWN: lambda at: 0.25 if at < now - 1800 else 0.75, MEDIAN: lambda _: 0.5}, special={"ALERTS": {}})
    async with dashboard(fleet(), monitoring=monitoring(source)) as stage:
        screen = await charts(stage)
        await stage.see("CPU  75%")
        screen.cross = screen.columns // 4
        await stage.press("full_stop")
        assert "CPU  25%" in stage.text
        assert "^" in stage.text
        assert "what happened at" in "\n".join("".join(span.text for span in line) for line in screen.page._document)
        await stage.press("comma")
        assert screen.cross == screen.columns // 4
        await stage.press("x")
        assert "CPU  75%" in stage.text
        row = stage.row_of("CPU")
        await stage.pilot.click(offset=(GUTTER + 5, row + 2))
        assert screen.cross == 5


async def test_what_happened_is_marked_on_the_time_axis() -> None:
    told = fleet()
    told.heartbeat(address("gw-1"), release="1.4.2")
    told.wait(120)
    told.heartbeat(address("gw-1"), release="1.5.0")
    told.wait(300)
    told.heartbeat(address("gw-1"), release="1.5.0")
    now = told.now.unix_s
    alerts: Values = {(("alertname", "TooHot\x1b[31m"),): lambda at: 1.0 if at > now - 120 else None}
    source = FakeSource(course(), special={"ALERTS": alerts})
    async with dashboard(told, monitoring=monitoring(source), size=(160, 60)) as stage:
        screen = await charts(stage)
        await stage.press("plus", "plus")
        await stage.see("alert TooHot␛[31m fires")
        text = "\n".join("".join(span.text for span in line) for line in screen.page._document)
        assert "R 10:32:00  release 1.4.2 -> 1.5.0" in text
        axis = next(row for row in stage.rows if "R" in row and "A" in row and "─" in row)
        assert axis.index("R") < axis.index("A")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "CPU  -  no data"),
        ({OWN: lambda _: math.nan}, "NaN  not a number (NaN): nothing to divide by"),
        ({OWN: lambda _: math.inf}, "CPU  +Inf  infinite in"),
    ],
)
async def test_each_kind_of_nothing_has_its_word(values: Values, words: str) -> None:
    async with dashboard(fleet(), monitoring=monitoring(FakeSource(values)), size=(120, 60)) as stage:
        await charts(stage)
        await stage.see(words)


async def test_partial_answers_are_called_so() -> None:
    source = FakeSource(course(), partial=True, warnings=("a store is away",))
    async with dashboard(fleet(), monitoring=monitoring(source), size=(160, 60)) as stage:
        await charts(stage)
        await stage.see("the server says that the answer is partial; a store")


async def test_without_an_answer_the_heartbeats_stand_in_and_it_is_said() -> None:
    told = Told()
    told.birth(address("gw-1"))
    told.heartbeat(address("gw-1"), resources={"cpu": 0.42})
    source = FakeSource(problem="Prometheus at http://p cannot answer now (HTTP 503)")
    async with dashboard(told, monitoring=monitoring(source), size=(120, 40)) as stage:
        await charts(stage)
        await stage.see("CPU  42%  from heartbeats")
        assert " Prometheus at http://p cannot answer now (HTTP 503)" in stage.text


async def test_what_is_not_current_is_called_so_and_dated() -> None:
    source = FakeSource(course())
    async with dashboard(fleet(), monitoring=monitoring(source)) as stage:
        await charts(stage)
        await stage.see("CPU  90%")
        source.problem = "Prometheus at http://p does not answer"
        await stage.tick(70)
        await stage.see("(10% to 30%)  not current")
        assert "Prometheus, 1m 10s ago" in stage.text
        assert " Prometheus at http://p does not answer" in stage.text


async def test_while_it_is_asked_that_is_said() -> None:
    source = FakeSource(course(), holds=asyncio.Event())
    async with dashboard(fleet(), monitoring=monitoring(source)) as stage:
        await charts(stage)
        await stage.see("asking Prometheus")
        assert "90%" not in stage.text


async def test_without_prometheus_there_are_the_heartbeats() -> None:
    told = Told()
    for name, cpu in (("gw-1", 0.42), ("gw-2", 0.1), ("gw-3", 0.3)):
        told.birth(address(name))
        told.heartbeat(address(name), resources={"cpu": cpu})
    async with dashboard(told) as stage:
        await charts(stage)
        assert "CPU  42%  peers 20% (15% to 25%)" in stage.text
        assert "heartbeats of the last hour (no Prometheus)" in stage.text
        await stage.press("escape")
        assert stage.app.screen.place[0] == "device"  # type: ignore[attr-defined]


async def test_peers_of_the_same_release() -> None:
    told = Told()
    for name, release, cpu in (("gw-1", "1.5.0", 0.42), ("gw-2", "1.4.2", 0.1), ("gw-3", "1.5.0", 0.3)):
        told.birth(address(name, "plant-1" if name != "gw-3" else "plant-2"))
        told.heartbeat(address(name, "plant-1" if name != "gw-3" else "plant-2"), release=release, resources={"cpu": cpu})
    async with dashboard(told) as stage:
        await charts(stage)
        assert "CPU  42%  peers 10%" in stage.text
        await stage.press("p")
        assert "CPU  42%  peers of 1.5.0 30%" in stage.text
    source = FakeSource(course())
    async with dashboard(told, monitoring=monitoring(source)) as stage:
        await charts(stage)
        await stage.see("CPU  90%")
        asked = len(source.asked)
        await stage.press("p")
        await stage.see("peers of 1.5.0 20%")
        assert 'tenant="acme",device!="gw-1",release="1.5.0"' in source.asked[asked][0]


async def test_labels_may_be_others() -> None:
    source = FakeSource(course())
    labels = DeviceLabels({"instance": "{device}:9100"})
    async with dashboard(fleet(), monitoring=monitoring(source, labels=labels)) as stage:
        await charts(stage)
        await stage.see("CPU  90%")
        assert 'instance="gw-1:9100"' in source.asked[0][0]
        assert 'instance=~"gw-2:9100|gw-3:9100"' in source.asked[0][0]


# -- the fleet


async def metrics(stage: Stage) -> MetricsScreen:
    await stage.press("M")
    screen = stage.app.screen
    assert isinstance(screen, MetricsScreen)
    return screen


async def test_the_default_panels() -> None:
    states = {(("state", "online"),): lambda _: 41.0, (("state", "lost"),): lambda _: 3.0}
    rates = {(("release", "1.5.0"),): lambda _: 0.07, (("release", "1.4.2"),): lambda _: 0.001}
    worst = {(("site", "p"), ("device", f"gw-{number}")): lambda _, number=number: number / 100 for number in range(10)}
    source = FakeSource({}, special={"connectivity": states, "errors_total": rates, "topk": worst})  # type: ignore[dict-item]
    async with dashboard(fleet(), monitoring=monitoring(source), size=(160, 60)) as stage:
        await metrics(stage)
        await stage.see("devices by state")
        await stage.see("✗ 7%")
        for words in ("a online", "41", "b lost", "worst ten by CPU", "log records by level  no data"):
            assert words in stage.text
        assert stage.row_of("p/gw-9") < stage.row_of("p/gw-8")
        await stage.press("w", "down", "enter")
        await stage.see("worst ten by memory")


async def test_panels_of_the_configuration() -> None:
    source = FakeSource({(("x", "y"),): lambda _: 1.0})
    panels = (Panel("mine [b]", "up[$window]", legend="{{x}}!"),)
    async with dashboard(fleet(), monitoring=monitoring(source, panels=panels)) as stage:
        await metrics(stage)
        await stage.see("y!")
        assert "mine [b]" in stage.text
        assert "devices by state" not in stage.text
        assert source.asked[0][0].startswith("up[60s]") or source.asked[0][0].startswith("up[")


async def test_a_query_of_ones_own_and_the_servers_own_words() -> None:
    source = FakeSource(problem='Prometheus refuses the question (HTTP 400): 1:5: parse error: unexpected ","')
    async with dashboard(fleet(), monitoring=monitoring(source)) as stage:
        await metrics(stage)
        await stage.press("e")
        await stage.type("sum(,)")
        await stage.press("enter")
        await stage.see("refuses the question (HTTP 400): 1:5: parse")
        row = stage.row_of("^")
        assert stage.rows[row - 1][stage.rows[row].index("^")] == ","
        source.problem = None
        source.values = {(): lambda _: 7.0}
        await stage.press("e")
        await stage.press(*["backspace"] * 6)
        await stage.type("up")
        await stage.press("enter")
        await stage.see("all")
        await stage.see(" 7")
        assert stage.row_of("up") < stage.row_of("devices by state")


async def test_names_are_offered() -> None:
    async with dashboard(fleet(), monitoring=monitoring(FakeSource())) as stage:
        screen = await metrics(stage)
        await stage.press("e")
        async with asyncio.timeout(10):
            while not screen.app.metrics.names.labels:
                await stage.pilot.pause(0.01)
        await stage.type("cpu")
        await stage.see("fleet_device_cpu_ratio")
        await stage.press("tab")
        await stage.type("{si")
        await stage.see("label")
        await stage.press("tab", "escape")
        assert "fleet_device_cpu_ratio{site" in stage.text
        assert screen.focused is screen.page


async def test_without_prometheus_it_says_what_to_do() -> None:
    async with dashboard(fleet()) as stage:
        await metrics(stage)
        assert "--prometheus" in stage.text
        await stage.press("escape", "colon")
        await stage.type("metrics")
        await stage.press("enter")
        assert isinstance(stage.app.screen, MetricsScreen)


async def test_a_legend_leaves_out_what_all_series_share() -> None:
    values: Values = {(("job", "fleet"), ("site", f"plant-{number}")): lambda _: 1.0 for number in (1, 2)}
    async with dashboard(fleet(), size=(120, 40), monitoring=monitoring(FakeSource(values))) as stage:
        await stage.press("M", "e")
        await stage.type("up")
        await stage.press("enter")
        await stage.see("site=plant-1")
        assert "job=fleet" not in stage.text


async def test_the_worst_ten_by_a_column_of_ones_own() -> None:
    heat = DeviceColumn("inlet", "INLET", "max by ($by) (heat{$selector})", "celsius", thresholds={"degraded": 40.0})
    source = FakeSource({(("device", "gw-1"),): lambda _: 41.0})
    async with dashboard(fleet(), size=(120, 60), monitoring=monitoring(source, columns=(heat,))) as stage:
        await stage.press("M", "w", "end", "enter")
        await stage.see("worst ten by inlet")
        await stage.see("▲ 41 C")
        assert "topk(10, max by (tenant, site, device) (heat{}))" in [query for query, *_ in source.asked]
