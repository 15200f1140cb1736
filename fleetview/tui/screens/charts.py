"""The charts of a device over minutes or weeks, beside its peers: what is normal, and since when it is not."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from fleetview.core.ages import age
from fleetview.core.charts import Window
from fleetview.core.device import Device
from fleetview.core.happened import happened
from fleetview.core.panels import DEVICE_CHARTS, MOST_NAMED, DeviceChart, device_query, marks_query, window_of
from fleetview.core.roster import Changes, site_of
from fleetview.core.staged import WaveBegan, waves_of
from fleetview.tui.chart_lines import GUTTER
from fleetview.tui.device_pictures import (
    Picture,
    from_answer,
    from_heartbeats,
    layout,
    pictures_page,
    window_words,
)
from fleetview.tui.metrics import Found
from fleetview.tui.screens.device import Document
from fleetview.tui.spans import EMPTY, Line, Span, whole_spans, wrap
from fleetview.tui.view import Place, View
from fleetview.tui.widgets.bars import KeyLine, StatusBar, TitleLine

if TYPE_CHECKING:
    from textual.timer import Timer
    from textual.widget import AwaitMount

    from fleetview.core.charts import Span as TimeSpan
    from fleetview.core.series import Answer
    from fleetview.tui.app import FleetApp
    from fleetview.tui.fleet_rows import Now

SETTLED_S = 0.25
"""How long a window must stand before it is asked for: a key that is held asks once."""


def open_charts(app: FleetApp, device: Device) -> AwaitMount | None:
    """Show the charts of a device."""
    return app.go(("charts", device.address), lambda: DeviceChartsScreen(device))


class ChartPage(Document):
    """Charts one below the other. The keys for their time are here, for a scrolling widget's own arrows come first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "screen.pan(-1)", "earlier", id="charts.earlier", tooltip="A quarter of what is shown earlier"),
        Binding("right", "screen.pan(1)", "later", id="charts.later", tooltip="A quarter of what is shown later"),
        Binding("plus,equals_sign", "screen.zoom(1)", "zoom", key_display="+", id="charts.zoom_in", tooltip="Less time"),
        Binding("minus", "screen.zoom(-1)", "zoom", key_display="-", id="charts.zoom_out", tooltip="More time"),
        Binding("0", "screen.now", "now", id="charts.now", tooltip="Back to now"),
        Binding(
            "comma", "screen.read(-1)", "read", key_display=",", id="charts.read_earlier", tooltip="Read values earlier"
        ),
        Binding("full_stop", "screen.read(1)", "read", key_display=".", id="charts.read_later", tooltip="Read values later"),
        Binding("x", "screen.unread", "no crosshair", show=False, id="charts.unread", tooltip="Take the crosshair away"),
    ]

    class Pointed(Message):
        """A cell was clicked."""

        def __init__(self, x: int) -> None:
            super().__init__()
            self.x = x

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Pointed(event.x))


class ChartView(View):
    """A screen of charts that share one time axis. A subclass draws them."""

    CSS_PATH = "charts.tcss"

    def __init__(self) -> None:
        super().__init__()
        self.window = Window()
        self.cross: int | None = None
        self._settling: Timer | None = None
        self._second = -1

    def compose(self) -> ComposeResult:
        yield StatusBar(id="status")
        yield TitleLine(id="title")
        yield ChartPage(id="page")
        yield KeyLine(id="keys")

    @property
    def page(self) -> ChartPage:
        """The charts."""
        return self.query_one(ChartPage)

    @property
    def settled(self) -> bool:
        """Whether nobody is choosing another time just now."""
        return self._settling is None

    def on_mount(self) -> None:
        self.window = self.app.metrics.monitoring.window
        self.page.focus()
        self.call_after_refresh(self.show_all)

    def on_resize(self) -> None:
        self.call_after_refresh(self.show_all)

    @property
    def columns(self) -> int:
        """Of one chart."""
        return layout(self.page.width, self.size.height)[1]

    def show(self, changes: Changes, now: Now) -> None:  # noqa: ARG002  # time goes on even when nothing else does
        self.query_one(StatusBar).repaint()
        if int(now.mono_s) == self._second:
            return  # a fleet that talks a lot changes none of this
        self._second = int(now.mono_s)
        if self.page.width > 0:
            if self.cross is not None:
                self.cross = min(self.cross, self.columns - 1)
            self.page.set_document(self.document(now))
        self.query_one(TitleLine).set_line(whole_spans(self.heading(now), self.size.width))
        self.query_one(KeyLine).repaint()

    def show_all(self) -> None:
        self._second = -1
        super().show_all()

    def document(self, now: Now) -> list[Line]:
        """The charts as lines."""
        raise NotImplementedError

    def heading(self, now: Now) -> Line:
        """The line above them."""
        raise NotImplementedError

    def asked_words(self, now: Now, found: list[Found]) -> Line:
        """Where it comes from, how old it is, and what that costs."""
        metrics = self.app.metrics
        times = [each.answered_mono_s for each in found if each.answered_mono_s is not None]
        if times:
            state = f"{age(now.mono_s - min(times))} ago"
        elif any(each.starting for each in found):
            state = "which is starting"
        else:
            state = "asking" if metrics.asking else "no answer yet"
        return (Span(f"   from Prometheus, {state}", "dim"), Span(f"   {metrics.per_minute} queries/min", "dim"))

    def kept_words(self) -> Line:
        """Where it comes from when there is no Prometheus."""
        return (Span("   heartbeats of the last hour (no Prometheus)", "dim"),)

    def advice(self) -> list[Line]:
        """How to come by a Prometheus, where there is none and an easy way."""
        metrics = self.app.metrics
        words = None if metrics.available else metrics.monitoring.advice
        if not words:
            return []
        lead = (Span(" "),)
        return [*((*lead, *line) for line in wrap(f"no Prometheus; {words}", self.page.width - 2, "dim")), EMPTY]

    # -- which time, and which moment of it

    def _choose(self, window: Window) -> None:
        if window == self.window:
            return
        self.window = window
        if self._settling is not None:
            self._settling.stop()
        self._settling = self.set_timer(SETTLED_S, self._settle)
        self.show_all()

    def _settle(self) -> None:
        self._settling = None
        self.show_all()

    def action_pan(self, steps: int) -> None:
        self._choose(self.window.panned(steps))

    def action_zoom(self, steps: int) -> None:
        self._choose(self.window.zoomed(steps))

    def action_now(self) -> None:
        self._choose(Window(self.window.size))

    def action_read(self, step: int) -> None:
        at = self.columns - 1 if self.cross is None else self.cross + step
        self.cross = max(0, min(at, self.columns - 1))
        self.show_all()

    def action_unread(self) -> None:
        self.cross = None
        self.show_all()

    def on_chart_page_pointed(self, event: ChartPage.Pointed) -> None:
        width = GUTTER + self.columns + 1
        x = event.x - (width + 3 if event.x >= width + 3 else 0)
        if GUTTER <= x < GUTTER + self.columns:
            self.cross = x - GUTTER
            self.show_all()


class DeviceChartsScreen(ChartView):
    """The charts of one device."""

    CSS_PATH = "charts.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "back", "back", id="charts.back", tooltip="Back to where you came from"),
        Binding("p", "peers", "peers", id="charts.peers", tooltip="Beside the devices of its site, or of its release"),
    ]

    def __init__(self, device: Device) -> None:
        super().__init__()
        self._device = device
        self._found: list[Found] = []
        self._by_release = False

    @property
    def place(self) -> Place:
        return ("charts", self._device.address)

    @property
    def crumb(self) -> str:
        return f"metrics of {self._device.address.device}"

    def document(self, now: Now) -> list[Line]:
        self._device = self.app.fleet.devices.get(self._device.address, self._device)
        size = (self.page.width, self.size.height)
        self._found = []
        if self.app.metrics.available:
            pictures = [self._asked(chart, now) for chart in DEVICE_CHARTS]
        else:
            pictures = [self._kept(chart, now) for chart in DEVICE_CHARTS if chart.figure is not None]
        if self._release is not None:
            pictures = [replace(picture, whose=f"peers of {self._release[:20]}") for picture in pictures]
        span = pictures[0].span
        events = happened(self._device, self._marks(now), span, self._waves())
        return [*self.advice(), *self._problem(), *pictures_page(pictures, events, self.cross, size, self.app.glyphs)]

    def _waves(self) -> list[WaveBegan]:
        """Of the rollout that it is part of."""
        device = self._device
        if device.rollout is None:
            return []
        return list(waves_of(self.app.rollouts.board, rollout=device.rollout, tenant=device.address.tenant))

    def _problem(self) -> list[Line]:
        """Why Prometheus does not answer, in full: in a heading of a chart there is no room for it."""
        problem = next((found.problem for found in self._found if found.problem is not None), None)
        return [] if problem is None else list(wrap(f" {problem}", self.page.width, "degraded", indent=1))

    def _span(self, now: Now) -> TimeSpan:
        return self.window.span(now.unix_s, self.columns, self.app.metrics.monitoring.scrape_interval_s)

    def _asked(self, chart: DeviceChart, now: Now) -> Picture:
        metrics, span = self.app.metrics, self._span(now)
        monitoring, address = metrics.monitoring, self._device.address
        others = [peer.address for peer in self._peers()]
        peers = monitoring.labels.peers(address, others, self._release)
        window = window_of(span.step_s, monitoring.scrape_interval_s)
        query = device_query(chart, monitoring.labels, address, peers, window)
        found = metrics.course(query, span, self.window.back_s, ask=self.settled)
        self._found.append(found)
        if found.answer is not None and found.span is not None:
            return from_answer(chart, found.answer, found.span, self.columns, "not current" if found.problem else None)
        if found.problem is None and not found.starting:
            return Picture(chart, span, (None,) * self.columns, note="asking Prometheus")
        kept = self._kept(chart, now)
        return Picture(chart, kept.span, kept.own, kept.peers, "from heartbeats" if found.problem else "")

    def _kept(self, chart: DeviceChart, now: Now) -> Picture:
        span = self.window.span(now.unix_s, self.columns, 1.0)
        return from_heartbeats(
            chart, self.app.fleet, self._device, self._peers(), span, columns=self.columns, now_unix_s=now.unix_s
        )

    def _peers(self) -> list[Device]:
        """The other devices of its site or release: also those that are silent now, for they were not before."""
        fleet, device = self.app.fleet, self._device
        if self._release is not None:
            alike = (other for other in fleet.devices.values() if other.release == self._release and other is not device)
            return list(islice(alike, MOST_NAMED))
        others = sorted(fleet.sites.get(site_of(device), ()), key=lambda other: other.address)
        return [other for other in others if other is not device]

    @property
    def _release(self) -> str | None:
        """Whose devices are its peers; None for those of its site."""
        return self._device.release if self._by_release else None

    def _marks(self, now: Now) -> Answer | None:
        metrics = self.app.metrics
        if not metrics.available:
            return None
        query = marks_query(metrics.monitoring.labels, self._device.address)
        return metrics.course(query, self._span(now), self.window.back_s, ask=self.settled).answer

    def heading(self, now: Now) -> Line:
        lead = (
            Span(f" {self._device.address}", "bold"),
            Span(f"   {window_words(self.window, self._span(now))}", "plain"),
        )
        if not self.app.metrics.available:
            return (*lead, *self.kept_words())
        return (*lead, *self.asked_words(now, self._found), Span(f"   step {age(self._span(now).step_s)}", "dim"))

    def action_peers(self) -> None:
        if self._device.release is None:
            self.app.notify("it has told no release: its peers are those of its site")
            return
        self._by_release = not self._by_release
        self.show_all()

    def action_back(self) -> None:
        self.dismiss()
