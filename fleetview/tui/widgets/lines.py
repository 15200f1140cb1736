"""Widgets that draw lines of spans and repaint only the cells that changed.

A region that is refreshed is sent to the terminal whole; a DataTable repaints all of itself for one cell. Here a tick
compares what stands on the screen with what should stand there, and refreshes the differing cells alone.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from fleetview.tui.spans import EMPTY, STYLE_NAMES, Line, StyleName, ascii_only, changed_range, pad

_CLASSES = {f"span--{name}" for name in STYLE_NAMES}


class _Styles:
    """The theme's styles by name. Textual's own cache is emptied by every refresh, and this is asked for every span."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._known: dict[str, Style] = {}

    @property
    def _ascii(self) -> bool:
        return self._widget.app.has_class("-ascii")

    def get(self, name: StyleName | str) -> Style:
        style = self._known.get(name)
        if style is None:
            # Whole styles have their transparency worked out, partial ones say what a rule sets at all (Textual 8.2).
            whole = self._widget.get_component_rich_style(f"span--{name}")
            style = self._widget.get_component_rich_style(f"span--{name}", partial=True)
            style += Style(color=whole.color if style.color else None, bgcolor=whole.bgcolor if style.bgcolor else None)
            self._known[name] = style
        return style

    def forget(self) -> None:
        self._known.clear()

    def strip(self, line: Line, width: int, base: Style, over: Style | None = None) -> Strip:
        # Neighbours of one style in one segment: each segment costs some thirty bytes of escape sequences on the way.
        segments = []
        for name, spans in groupby(line, key=attrgetter("style")):
            style = base + self.get(name)
            text = "".join(span.text for span in spans)
            if self._ascii and not text.isascii():
                text = ascii_only(text)
            segments.append(Segment(text, style + over if over else style))
        return Strip(segments, width)


class Lines(Widget):
    """A block of lines that does not scroll. A subclass says which."""

    COMPONENT_CLASSES = _CLASSES
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(id=id)
        self._styles_by_name = _Styles(self)
        self._shown: list[Line] = []

    def lines(self, width: int, height: int) -> list[Line]:
        """The lines to show."""
        raise NotImplementedError

    def repaint(self) -> None:
        """Bring the screen up to date."""
        width, height = self.size
        if not width or not height:
            return
        wanted = self._wanted(width, height)
        ranges = (
            (y, changed_range(self._shown[y] if y < len(self._shown) else None, line)) for y, line in enumerate(wanted)
        )
        regions = [Region(span[0], y, span[1] - span[0], 1) for y, span in ranges if span is not None]
        self._shown = wanted
        if regions:
            self.refresh(*regions)

    def _wanted(self, width: int, height: int) -> list[Line]:
        found = [pad(line, width) for line in self.lines(width, height)[:height]]
        return found + [pad(EMPTY, width)] * (height - len(found))

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        if len(self._shown) != height:
            self._shown = self._wanted(width, height)
        line = self._shown[y] if y < len(self._shown) else EMPTY
        return self._styles_by_name.strip(line, width, self.rich_style)

    def on_resize(self) -> None:
        self._shown = []
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles_by_name.forget()


class LineList(ScrollView, can_focus=True):
    """A scrolling list of lines with a cursor, and a header that stays. A subclass says which lines."""

    COMPONENT_CLASSES = _CLASSES
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor(-1)", "Up", show=False, id="list.up", tooltip="One line up"),
        Binding("down,j", "cursor(1)", "Down", show=False, id="list.down", tooltip="One line down"),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False, id="list.page_up", tooltip="One page up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="list.page_down", tooltip="One page down"),
        Binding("home", "end(-1)", "Top", show=False, id="list.top", tooltip="To the first line"),
        Binding("end,G", "end(1)", "Bottom", show=False, id="list.bottom", tooltip="To the last line"),
        Binding("enter", "choose", "open", key_display="enter", id="list.choose", tooltip="Open what is under the cursor"),
    ]

    class Chosen(Message):
        """Enter, or a click on the line under the cursor."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    class Moved(Message):
        """The person moved the cursor or scrolled."""

        def __init__(self, *, by_wheel: bool = False) -> None:
            super().__init__()
            self.by_wheel = by_wheel
            """Scrolled, with the cursor left where it was."""

    has_cursor = True

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(id=id)
        self._styles_by_name = _Styles(self)
        self._shown: dict[int, Line] = {}
        self._shown_width = 0
        self.cursor = 0

    # -- what a subclass says

    def row_count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def row(self, index: int, width: int) -> Line:
        """One row."""
        raise NotImplementedError

    def header(self, width: int) -> Line | None:  # noqa: ARG002
        """The line above the rows that does not scroll, if there is one."""
        return None

    def on_cursor_moved(self) -> None:
        """The cursor is on another row."""

    # -- painting

    @property
    def _header_height(self) -> int:
        return 0 if self.header(self.width) is None else 1

    @property
    def width(self) -> int:
        """Cells of a line; `size` counts those under the scrollbar, too (Textual 8.2)."""
        return self.scrollable_content_region.width

    @property
    def page(self) -> int:
        """Rows that fit."""
        return max(1, self.size.height - self._header_height)

    @property
    def at_bottom(self) -> bool:
        """Whether the last row is in sight."""
        return self.row_at(self.page - 1) >= self.row_count() - 1

    def row_at(self, y: int) -> int:
        """The row that stands in a line below the header; past the last one where there is none."""
        return self.scroll_offset.y + y

    def scroll_height(self) -> int:
        """The height that the scrollbar is for."""
        return self.row_count() + self._header_height

    def repaint(self) -> None:
        """Bring the visible cells up to date."""
        width, height = self.width, self.size.height
        if width <= 0 or not height:
            return
        self._match_width(width)
        regions: list[Region] = []
        shown: dict[int, Line] = {}
        for y in range(height):
            line = self._wanted(y, width)
            span = changed_range(self._shown.get(y), line)
            if span is not None:
                regions.append(Region(span[0], y, span[1] - span[0], 1))
            shown[y] = line
        self._shown = shown
        if regions:
            self.refresh(*regions)

    def set_rows_changed(self) -> None:
        """The number of rows may have changed: set the height to scroll over, and repaint."""
        size = Size(self.width, self.scroll_height())
        if size != self.virtual_size:
            self._set_virtual_size(size)
        self.repaint()

    def _set_virtual_size(self, size: Size) -> None:
        if self.show_vertical_scrollbar and size.height > self.size.height:
            # Assigned, it would lay out the screen and repaint all of this (Textual 8.2): of a log that somebody holds
            # still, only the scrollbar changes.
            self.set_reactive(LineList.virtual_size, size)
            self.vertical_scrollbar.window_virtual_size = size.height
        else:
            self.virtual_size = size

    def shift(self, rows: int, cursor: int) -> None:
        """Rows came or went above what is in sight, which stays where it is: nothing is painted but the scrollbar."""
        self.cursor += cursor
        if rows:
            y = self.scroll_offset.y + rows
            self.set_reactive(LineList.scroll_y, float(y))
            self.set_reactive(LineList.scroll_target_y, float(y))
            if self.show_vertical_scrollbar:
                self.vertical_scrollbar.position = y

    def _wanted(self, y: int, width: int) -> Line:
        header = self.header(width)
        if header is not None:
            if y == 0:
                return pad(header, width)
            y -= 1
        return self.line_at(y, width)

    def line_at(self, y: int, width: int) -> Line:
        """What stands in a line below the header."""
        index = self.row_at(y)
        return pad(self.row(index, width), width) if index < self.row_count() else pad(EMPTY, width)

    def _match_width(self, width: int) -> None:
        """Forget lines of another width: a scrollbar comes and goes without a resize."""
        if width != self._shown_width:
            self._shown_width = width
            self._shown = {}

    def render_line(self, y: int) -> Strip:
        width = self.width
        self._match_width(width)
        line = self._shown.get(y)
        if line is None:
            line = self._shown[y] = self._wanted(y, width)
        over = None
        below = y - self._header_height
        if self.has_cursor and self.cursor < self.row_count() and below >= 0 and self.row_at(below) == self.cursor:
            over = self._styles_by_name.get("cursor")
        return self._styles_by_name.strip(line, width, self.rich_style, over)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._shown = {}

    def on_resize(self) -> None:
        self._shown = {}
        self.set_rows_changed()
        self.show_cursor()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles_by_name.forget()
        self._shown = {}

    # -- moving

    def move_cursor(self, index: int) -> None:
        """Put the cursor on a row, scrolling as little as needed."""
        index = max(0, min(index, self.row_count() - 1))
        if index != self.cursor:
            before, self.cursor = self.cursor, index
            top = self.scroll_offset.y - self._header_height
            self.refresh(*(Region(0, row - top, self.width, 1) for row in (before, index) if row - top >= 0))
            self.on_cursor_moved()
        self.show_cursor()

    def show_cursor(self) -> None:
        """Scroll so far that the cursor is visible.

        By force: without, Textual (8.2) does not scroll what has no scrollbar yet, and rows that just came bring one.
        """
        if not self.has_cursor or not self.size.height:
            return
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, force=True)
        elif self.cursor >= top + self.page:
            self.scroll_to(y=self.cursor - self.page + 1, animate=False, force=True)

    def action_cursor(self, step: int) -> None:
        if self.has_cursor:
            self.move_cursor(self.cursor + step)
        else:
            self.scroll_relative(y=step, animate=False, force=True)
        self.post_message(self.Moved())

    def action_page(self, direction: int) -> None:
        self.action_cursor(direction * max(1, self.page - 1))

    def action_end(self, direction: int) -> None:
        if self.has_cursor:
            self.move_cursor(0 if direction < 0 else self.row_count() - 1)
        else:
            self.scroll_to(y=0 if direction < 0 else self.max_scroll_y, animate=False, force=True)
        self.post_message(self.Moved())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        return action != "choose" or self.has_cursor

    def action_choose(self) -> None:
        if self.cursor < self.row_count():
            self.post_message(self.Chosen(self.cursor))

    def on_click(self, event: events.Click) -> None:
        index = self.row_at(max(0, event.y - self._header_height))
        if event.y < self._header_height or index >= self.row_count() or not self.has_cursor:
            return
        if index == self.cursor:
            self.post_message(self.Chosen(index))
        else:
            self.move_cursor(index)
        self.post_message(self.Moved())

    def on_mouse_scroll_up(self) -> None:
        self.post_message(self.Moved(by_wheel=True))

    def on_mouse_scroll_down(self) -> None:
        self.post_message(self.Moved(by_wheel=True))
