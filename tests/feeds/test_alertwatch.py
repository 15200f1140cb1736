"""The poller against a real Prometheus and a real Alertmanager, and against servers that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.programs import free_port
from support.servers import alertmanager, monitored, post_alerts

from fleetview.config import Flags, resolve
from fleetview.core.alerts import AlertState
from fleetview.core.servers import Health
from fleetview.core.silences import parse_matchers
from fleetview.feeds.alertwatch import AlertWatch
from fleetview.feeds.web import AskError

if TYPE_CHECKING:
    from pathlib import Path


def watch(folder: Path, scope: str | None = None, **servers: str) -> AlertWatch:
    flags = Flags(scope=scope, prometheus=servers.get("prometheus"), alertmanager=servers.get("alertmanager"))
    file = folder / "fleetview.toml"
    file.touch()
    return AlertWatch.of(resolve(flags, environ={}, file=file))


async def test_both_are_asked_and_silences_are_changed(tmp_path: Path) -> None:
    with monitored(tmp_path) as real:
        asked = watch(tmp_path, prometheus=real.prometheus, alertmanager=real.alertmanager)
        book = await asked.refresh()
        assert [server.standing.health for server in book.servers] == [Health.UP, Health.UP]
        assert all(server.answered_mono_s is not None for server in book.servers)
        hot = next(one for one in book.alerts if one.labels["device"] == "gw-1" and one.name == "TooHot")
        assert (hot.rule and hot.rule.group, hot.rule and hot.rule.health, hot.threshold) == ("fleet", "ok", "> 0.9")
        assert any("Broken cannot be evaluated" in note for note in book.notes)

        means = parse_matchers('alertname=TooHot, device="gw-1"')
        assert tuple(await asked.affected(means)) == (1, 1)
        made = await asked.silence(means, 3600, "ana", "new fan")
        book = await asked.refresh()
        hot = next(one for one in book.alerts if one.labels["device"] == "gw-1" and one.name == "TooHot")
        assert hot.state is AlertState.SILENCED
        (silence,) = book.silences_of(hot)
        assert (silence.id, silence.author, silence.comment) == (made, "ana", "new fan")

        await asked.extend(silence, 3600, "ben")
        (longer,) = (await asked.refresh()).silences.values()
        assert longer.ends_unix_s == pytest.approx(silence.ends_unix_s + 3600, abs=1)
        await asked.expire(longer)
        assert (await asked.refresh()).silences == {}
        asked.close()


async def test_a_switch_that_fires_no_more_is_noticed_and_a_scope_hides_what_is_elsewhere(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as url:
        post_alerts(url, {"alertname": "Watchdog"}, {"alertname": "Full", "site": "plant-8", "tenant": "acme"})
        asked = watch(tmp_path, "acme/plant-7", alertmanager=url)
        book = await asked.refresh()
        assert (book.switch, [one.name for one in book.alerts]) == (None, ["Watchdog"])
        await asked.silence(parse_matchers("alertname=Watchdog"), 60, "ana", "by mistake")
        assert "Watchdog" in ((await asked.refresh()).switch or "")
        asked.close()


async def test_nobody_is_there(tmp_path: Path) -> None:
    asked = watch(tmp_path, prometheus=f"http://127.0.0.1:{free_port()}")
    book = await asked.refresh()
    (server,) = book.servers
    assert (server.standing.health, server.answered_mono_s, book.alerts) == (Health.UNREACHABLE, None, ())
    assert book.switch is None
    with pytest.raises(AskError, match="no Alertmanager is configured"):
        await asked.affected(())
    asked.close()
