"""One alert, whole: its expression and threshold, what keeps it quiet, its labels, what to do about it."""

from __future__ import annotations

from fleetview.core.alertbook import AlertBook
from fleetview.core.alerts import Alert
from fleetview.tui.alert_rows import alert_document, state_span
from fleetview.tui.screens.overlay import Overlay
from fleetview.tui.spans import Line, Span, visible


class AlertScreen(Overlay):
    """All that is known of an alert."""

    def __init__(self, alert: Alert, book: AlertBook) -> None:
        super().__init__()
        self._alert, self._book = alert, book

    def heading(self) -> Line:
        alert = self._alert
        severity = f"   {visible(alert.severity)}" if alert.severity else ""
        return (state_span(alert, self.app.glyphs), Span(f"  {visible(alert.name)}", "bold"), Span(severity, "dim"))

    def document(self, width: int) -> list[Line]:
        return alert_document(self._alert, self._book, self.app.now(), width)
