"""One alert, rule or group, whole: its expression and threshold, what keeps it quiet, its labels, what to do about it."""

from __future__ import annotations

from fleetview.core.alertbook import AlertBook
from fleetview.core.alerts import Alert, AlertGroup, Rule
from fleetview.tui.alert_page import alert_document, group_document, rule_document
from fleetview.tui.alert_rows import rule_span, state_span
from fleetview.tui.screens.overlay import Overlay
from fleetview.tui.spans import Line, Span, visible


class AlertScreen(Overlay):
    """All that is known of an alert."""

    def __init__(self, alert: Alert | Rule | AlertGroup, book: AlertBook) -> None:
        super().__init__()
        self._alert, self._book = alert, book

    def heading(self) -> Line:
        alert = self._alert
        if isinstance(alert, AlertGroup):
            return (
                Span(f"{len(alert.alerts):,} alerts", "bold"),
                Span(f"   told together to {visible(alert.receiver)}", "dim"),
            )
        state = rule_span(alert, self.app.glyphs) if isinstance(alert, Rule) else state_span(alert, self.app.glyphs)
        severity = f"   {visible(alert.severity)}" if alert.severity else ""
        return (state, Span(f"  {visible(alert.name)}", "bold"), Span(severity, "dim"))

    def document(self, width: int) -> list[Line]:
        if isinstance(self._alert, AlertGroup):
            return group_document(self._alert, self._book, self.app.now(), width, self.app.glyphs)
        if isinstance(self._alert, Rule):
            return rule_document(self._alert, self.app.now(), width)
        return alert_document(self._alert, self._book, self.app.now(), width)
