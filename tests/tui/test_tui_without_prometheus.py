"""What the screens show where there is no Prometheus, and while one that was started with us does not answer yet."""

from __future__ import annotations

import pytest

from fleetview.core.alertbook import AlertBook, Server
from fleetview.core.charts import RANGES_S, Window
from fleetview.core.panels import WORST
from fleetview.core.servers import Health, Standing, Verdict
from fleetview.feeds.alertwatch import Felt
from fleetview.feeds.web import AskError
from fleetview.tui.alert_desk import AlertSetup
from fleetview.tui.fleet_pictures import _KEPT
from fleetview.tui.glyphs import ASCII, UNICODE, Glyphs
from fleetview.tui.metrics import Monitoring
from tui.stage import FakeAlerts, Stage, Told, address, dashboard

ADVICE = "to get one in the demo: apt-get install prometheus prometheus-alertmanager"


def fleet() -> Told:
    told = Told()
    for name, cpu in (("gw-1", 0.97), ("gw-2", 0.1), ("gw-3", 0.2), ("gw-4", 0.3)):
        told.birth(address(name))
        told.heartbeat(address(name), resources={"cpu": cpu}, link={"rtt_ms": cpu * 100, "reconnects": 0})
    told.online("gw-5")
    told.state(address("gw-5"), "offline", reason="bye")
    return told


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 48)])
async def test_the_metrics_of_the_fleet_are_drawn_from_heartbeats(size: tuple[int, int], glyphs: Glyphs) -> None:
    async with dashboard(fleet(), size=size, glyphs=glyphs, monitoring=Monitoring(advice=ADVICE)) as stage:
        await stage.press("M")
        await stage.see("CPU, the highest  97%  all devices 25% (17.5% to 46.8%)")
        assert "no Prometheus; to get one in the demo: apt-get install prometheus" in stage.text
        assert all(len(row) <= size[0] for row in stage.rows)
        await stage.press("end")
        await stage.see("worst ten by CPU")
        at = stage.row_of("worst ten by CPU")
        assert "plant-1/gw-1" in stage.rows[at + 1]
        assert "plant-1/gw-2" in stage.rows[at + 4]
        await stage.see("devices by state")
        await stage.see("no device tells of memory, temperature, error rate, p95 latency")
        assert any(row.strip().startswith("online") and " 4  " in row for row in stage.rows)


async def test_the_worst_by_another_figure_and_what_is_not_kept() -> None:
    async with dashboard(fleet(), size=(120, 60)) as stage:
        await stage.press("M")
        await stage.see("--prometheus")
        await stage.press("w", *(["down"] * list(WORST).index("round trip")), "enter")
        await stage.see("worst ten by round trip")
        assert "97 ms" in stage.rows[stage.row_of("worst ten by round trip") + 1]
        await stage.press("w", *(["down"] * list(WORST).index("spool")), "enter")
        await stage.see("not kept of heartbeats; w chooses another figure")


def test_what_is_kept_can_be_chosen() -> None:
    assert _KEPT.keys() <= WORST.keys()


async def test_the_crosshair_and_the_window_work_there_too() -> None:
    monitoring = Monitoring(window=Window(RANGES_S.index(900)))
    async with dashboard(fleet(), monitoring=monitoring) as stage:
        await stage.press("M")
        await stage.see("15m 00s until now")
        await stage.press("minus")
        await stage.see("30m 00s until now")
        await stage.press("comma")
        await stage.see("CPU, the highest  97%")
        await stage.press("comma", "comma", "comma", "comma", "comma", "comma", "comma", "comma")
        await stage.see("CPU, the highest  -")


async def test_a_device_and_its_alerts_say_how_to_get_one() -> None:
    setup = AlertSetup(advice=ADVICE)
    async with dashboard(fleet(), alerts=setup, monitoring=Monitoring(advice=ADVICE)) as stage:
        opened = stage.app.open_device(stage.told.fleet.devices[address("gw-1")])
        assert opened is not None
        await opened
        await stage.press("m")
        await stage.see("CPU  97%")
        assert ADVICE in stage.text
        await stage.press("escape", "escape", "a")
        await stage.see(ADVICE)
        assert "FLEETVIEW_PROMETHEUS" not in stage.text


# -- one that is starting


class Starting:
    """Answers with `starting` until told otherwise."""

    def __init__(self) -> None:
        self.asked = 0

    async def range(self, *_: object) -> object:
        self.asked += 1
        raise AskError(Verdict(Health.STARTING, "Prometheus at http://p is starting"))

    async def instant(self, *_: object) -> object:
        return await self.range()

    def per_minute(self) -> int:
        return self.asked

    def close(self) -> None:
        pass


async def test_while_it_starts_charts_come_from_heartbeats_and_it_is_asked_soon_again() -> None:
    source = Starting()
    async with dashboard(fleet(), monitoring=Monitoring(lambda: source)) as stage:  # type: ignore[arg-type,return-value]
        await charts_of(stage, "gw-1")
        await stage.see("from Prometheus, which is starting")
        assert "CPU  97%" in stage.text
        asked = source.asked
        await stage.tick(0.5)
        assert source.asked == asked
        await stage.tick(1)
        await stage.pilot.pause()
        assert source.asked > asked


async def charts_of(stage: Stage, name: str) -> None:
    opened = stage.app.open_device(stage.told.fleet.devices[address(name)])
    assert opened is not None
    await opened
    await stage.press("m")


def book(health: Health, answered_mono_s: float | None = None) -> AlertBook:
    return AlertBook(servers=(Server("prometheus", "http://p", Standing(health, "", 0.0), answered_mono_s, 12),))


async def test_the_first_line_takes_a_start_calmly() -> None:
    alerts = FakeAlerts(book(Health.STARTING))
    async with dashboard(fleet(), alerts=AlertSetup(lambda: alerts)) as stage:
        await stage.tick(1)
        await stage.see("prometheus · starting")
        assert "alerts" not in stage.rows[0]
        await stage.press("a")
        await stage.see(" prometheus · starting   12 queries/min")


async def test_a_server_that_goes_or_comes_back_between_two_rounds_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetview.tui.alert_desk.FEEL_EVERY_S", 0.01)
    told = fleet()
    up, gone = book(Health.UP, told.now.mono_s), book(Health.UNREACHABLE, told.now.mono_s)
    felt = Felt(up, False)

    class Feed(FakeAlerts):
        async def feel(self, book: AlertBook) -> Felt:
            return felt

    alerts = Feed(up)
    async with dashboard(told, alerts=AlertSetup(lambda: alerts)) as stage:
        await stage.tick(1)
        await stage.see("prometheus ●")
        felt = Felt(gone, False)
        while stage.app.desk.book is not gone:
            await stage.pilot.pause(0.01)
        await stage.tick(1)
        await stage.see("prometheus ✗ unreachable")
        rounds = alerts.rounds
        felt = Felt(gone, True)
        while alerts.rounds == rounds:
            await stage.pilot.pause(0.01)
