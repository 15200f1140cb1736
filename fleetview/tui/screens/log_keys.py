"""The keys of the log screen.

`e` and `w` go down, with shift up; so do `n` and `N`, as in lnav and less.
"""

from __future__ import annotations

from textual.binding import Binding, BindingType

from fleetview.tui.view import OPENS_INPUT, opens_filter

LOG_BINDINGS: list[BindingType] = [
    Binding("escape,backspace", "back", "back", id="logs.back", tooltip="Take the filter away; back to where you came from"),
    opens_filter("logs.filter", "Show only what a filter lets through"),
    Binding("e", "seek('ERROR', 1)", "error", id="logs.next_error", tooltip="To the next error"),
    Binding("E", "seek('ERROR', -1)", "error", id="logs.previous_error", tooltip="To the error before"),
    Binding("w", "seek('WARN', 1)", "warning", id="logs.next_warning", tooltip="To the next warning"),
    Binding("W", "seek('WARN', -1)", "warning", id="logs.previous_warning", tooltip="To the warning before"),
    Binding("o", "trace", "same trace", id="logs.trace", tooltip="Only the trace of this record, on all devices"),
    Binding("t", "time", "time", id="logs.time", tooltip="Go to a time: -15m, 14:05, a date", priority=OPENS_INPUT),
    Binding("p,space", "pause", "pause", key_display="p", id="logs.pause", tooltip="Hold still, or follow again"),
    Binding("f", "find", "find", id="logs.find", tooltip="Find records without hiding the others", priority=OPENS_INPUT),
    Binding("i", "histogram", "histogram", id="logs.histogram", tooltip="Into the histogram"),
    Binding("m", "mark", "mark", id="logs.mark", tooltip="Mark this record, or take its mark away"),
    Binding("y", "copy(False)", "copy", id="logs.copy", tooltip="Copy the record as a line"),
    Binding("G,end", "follow", "follow", key_display="G", id="logs.follow", tooltip="To the end, and follow"),
    Binding("plus,equals_sign", "level(1)", "level", id="logs.level_up", tooltip="Fewer records: a higher level"),
    Binding("minus", "level(-1)", "level", id="logs.level_down", tooltip="More records: a lower level"),
    Binding("n", "find_on(1)", "next", show=False, id="logs.find_next", tooltip="To the next record found"),
    Binding("N", "find_on(-1)", "previous", show=False, id="logs.find_previous", tooltip="To the record found before"),
    Binding("D", "only('device')", "this device", id="logs.only_device", tooltip="Only the device of this record"),
    Binding("S", "only('service')", "this service", id="logs.only_service", tooltip="Only the service of this record"),
    Binding("d", "device", "device", id="logs.device", tooltip="The device of this record"),
    Binding(
        "x",
        "export",
        "export",
        id="logs.export",
        tooltip="Write what is shown to a file, as JSON lines",
        priority=OPENS_INPUT,
    ),
    Binding("z", "wrap", "wrap", id="logs.wrap", tooltip="Long records in several lines, or cut"),
    Binding("c", "clock", "clocks", id="logs.clock", tooltip="Times by our clock, where a device's is wrong"),
    Binding("M", "next_mark", "next mark", show=False, id="logs.next_mark", tooltip="To the next marked record"),
    Binding("F", "fields", "fields", show=False, id="logs.fields", tooltip="Other fields behind the message, or none"),
    Binding("I", "chart", "chart", show=False, id="logs.chart", tooltip="Show the histogram, or hide it"),
    Binding("Y", "copy(True)", "copy JSON", show=False, id="logs.copy_json", tooltip="Copy the record as JSON"),
]
