"""The view of the log equals its plain meaning: the logbook's content, filtered and sorted, however the work was cut up."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetview.core import sorted_rows
from fleetview.core.histogram import LEVELS
from fleetview.core.logbook import UNTOLD_SHARE, Entry, Logbook
from fleetview.core.logview import HOLD_BACK_MS, LOOKED_AT_ONCE, LogView, Question, Step
from fleetview.core.query.gaps import gap_filter
from fleetview.core.received import Received
from fleetview.core.sorted_rows import GAP_BIT, Gap, Row, bit
from fleetview_agent.wire import Address, Channel, Level, LogBatch

STARTED_S = 1_795_000_000
DEVICES = [Address("acme", "plant-7", f"gw-{number}") for number in range(3)]
LEVEL_NAMES = ["DEBUG", "INFO", "WARN", "ERROR", "?!"]


def at_once() -> bool:
    return True


def never() -> bool:
    return False


@dataclass
class Play:
    """A logbook that is told records, on a clock that stands."""

    book: Logbook = field(default_factory=Logbook)
    now_s: float = STARTED_S
    seqs: dict[Address, int] = field(default_factory=dict)

    @property
    def now_ms(self) -> int:
        return int(self.now_s * 1000)

    def log(
        self, device: int = 0, number: int = 1, *, level: str = "INFO", age_s: float = 0.0, skip: int = 0, message: str = "m"
    ) -> None:
        address = DEVICES[device]
        first = self.seqs.get(address, 0) + skip
        self.seqs[address] = first + number
        time = self.now_s - age_s
        records = [
            {"timestamp": time, "level": level, "service": f"s{device}", "message": f"{message} {first + index}"}
            for index in range(number)
        ]
        batch = LogBatch.model_construct(stream="L1", first_seq=first, records=records)
        self.book.add(address, batch, Received(address, Channel.LOG, batch, b"", False, 0.0, self.now_s))


def settle(view: LogView, now_ms: int) -> None:
    while view.step(now_ms, at_once).more:
        continue


def naive(play: Play, question: Question, address: Address | None = None, *, up_to: int | None = None) -> list[str]:
    """What should be shown."""
    found: list[tuple[int, int, str]] = []
    for entry in play.book:
        if (address is not None and entry.address != address) or (up_to is not None and entry.number > up_to):
            continue
        skew_ms = question.skew_ms(entry.address) if question.skew_ms is not None and not entry.time_is_receipt else 0
        ms = min(entry.time_ms - skew_ms, entry.received_ms)
        passes = entry.level >= question.level and (question.test is None or question.test(entry))
        gap = entry.hole is not None and (passes or (question.gap_test is not None and question.gap_test(entry)))
        found += [(ms, 2 * entry.number, "gap")] * gap + [(ms, 2 * entry.number + 1, f"record {entry.number}")] * passes
    return [f"{what} at {order // 2}" for _, order, what in sorted(found)]


def shown(view: LogView) -> list[str]:
    return [
        f"gap at {row.entry.number}" if isinstance(row, Gap) else f"record {row.number} at {row.number}" for row in view.rows
    ]


def odd(entry: Entry) -> bool:
    return entry.number % 2 == 1


def skewed(address: Address) -> int:
    return {DEVICES[0]: 0, DEVICES[1]: 20_000, DEVICES[2]: -7_000}[address]


QUESTIONS = [
    Question(),
    Question(level=Level.WARN),
    Question(test=odd),
    Question(level=Level.INFO, test=odd, gap_test=lambda _: True),
    Question(skew_ms=skewed),
]
log_action = st.tuples(
    st.just("log"), st.integers(0, 2), st.sampled_from([1, 3, 90]), st.sampled_from(LEVEL_NAMES),
    st.sampled_from([0.0, 0.2, 5.0, 400.0, -30.0]), st.sampled_from([0, 0, 2]),
)  # fmt: skip
actions = st.one_of(
    log_action, log_action, st.tuples(st.just("wait"), st.sampled_from([0.1, 0.6, 30.0])),
    st.tuples(st.just("step"), st.integers(1, 4)), st.tuples(st.just("ask"), st.sampled_from(QUESTIONS)),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(actions, max_size=30),
    st.sampled_from([None, DEVICES[1]]),
    st.sampled_from([60, 150, 10_000]),
    st.sampled_from([1, 2, 7, sorted_rows.CHUNK]),
)
def test_whatever_the_order_of_steps_the_view_is_filter_and_sort(
    steps: list[tuple[object, ...]], address: Address | None, max_records: int, chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_rows, "CHUNK", chunk)
        _play(steps, address, max_records)


def _play(steps: list[tuple[object, ...]], address: Address | None, max_records: int) -> None:
    play = Play(Logbook(max_records=max_records, device_share=0.7))
    view = LogView(play.book, address)
    for name, *rest in steps:
        match name, rest:
            case "log", [int(device), int(number), str(level), float(age_s), int(skip)]:
                play.log(device, number, level=level, age_s=age_s, skip=skip)
            case "wait", [float(seconds)]:
                play.now_s += seconds
            case "step", [int(number)]:
                for _ in range(number):
                    view.step(play.now_ms, at_once)
            case "ask", [Question() as question]:
                view.ask(question)
    settle(view, play.now_ms + HOLD_BACK_MS)
    wanted = naive(play, view.question, address)
    assert shown(view) == wanted
    assert [shown_at(view, index) for index in range(len(view.rows))] == wanted
    records = [entry for entry in play.book if address is None or entry.address == address]
    assert view.shown + view.hidden == len(records)
    assert view.gaps == sum(each.startswith("gap") for each in wanted)
    assert view.complete
    _agrees(view)


def shown_at(view: LogView, index: int) -> str:
    row = view.rows[index]
    assert view.position(row) == index
    return f"gap at {row.entry.number}" if isinstance(row, Gap) else f"record {row.number} at {row.number}"


def _agrees(view: LogView) -> None:
    """Histogram and search say what the rows say."""
    columns = view.histogram.columns(50)
    levels = [row.level for row in view.rows if isinstance(row, Entry)]
    total = 0 if columns is None else columns.older + sum(map(sum, columns.counts))
    assert total == len(levels)
    if columns is not None and not columns.older:
        for place, level in enumerate(LEVELS):
            assert sum(counts[place] for counts in columns.counts) == levels.count(level)
    rows = list(view.rows)
    for mask in (bit(Level.ERROR), bit(Level.WARN) | bit(Level.ERROR), GAP_BIT):
        places = [index for index, row in enumerate(rows) if _bit_of(row) & mask]
        for index in (-1, 0, len(rows) // 2, len(rows)):
            assert view.rows.seek(index, 1, mask) == next((at for at in places if at > index), None)
            assert view.rows.seek(index, -1, mask) == next((at for at in reversed(places) if at < index), None)


def _bit_of(row: Row) -> int:
    return GAP_BIT if isinstance(row, Gap) else bit(row.level)


def test_the_newest_are_looked_at_first_and_each_step_is_short() -> None:
    play = Play()
    play.log(0, 5000)
    view = LogView(play.book)
    first = view.step(play.now_ms, at_once)
    assert first.more
    assert view.shown == LOOKED_AT_ONCE
    assert view.rows[-1 + len(view.rows)] is play.book.of(DEVICES[0], 1)[0]
    assert not view.complete
    assert 0 < view.looked_at < 0.1
    settle(view, play.now_ms)
    assert (view.shown, view.looked_at) == (5000, 1.0)


def test_a_record_of_a_megabyte_counts_as_many() -> None:
    play = Play()
    for _ in range(20):
        play.log(0, message="x" * 200_000)
    view = LogView(play.book)
    asked: list[int] = []

    def over() -> bool:
        asked.append(view.shown)
        return False

    settle_steps = view.step(play.now_ms, over)
    assert not settle_steps.more
    assert len(asked) >= 19


def test_new_records_wait_for_older_ones_of_others_but_not_those_that_were_there() -> None:
    play = Play()
    play.log(0)
    view = LogView(play.book)
    assert view.step(play.now_ms, never) == Step(changed=True)
    assert view.shown == 1
    play.log(0)
    step = view.step(play.now_ms, never)
    assert (step.waiting, step.new, view.shown) == (True, 0, 1)
    play.now_s += 0.3
    play.log(1, age_s=0.4)
    play.now_s += 0.3
    assert view.step(play.now_ms, never).new == 1
    play.now_s += 0.3
    assert view.step(play.now_ms, never) == Step(new=1, changed=True)
    assert shown(view) == naive(play, view.question)


def test_nobody_waits_for_a_receipt_in_the_future() -> None:
    play = Play()
    view = LogView(play.book)
    play.log(0)
    assert view.step(play.now_ms - 3_600_000, never).new == 1


def test_a_view_that_nobody_kept_up_to_date_begins_anew() -> None:
    play = Play(Logbook(max_records=100, device_share=1.0))
    play.log(0, 100)
    view = LogView(play.book)
    settle(view, play.now_ms)
    for _ in range(20):
        play.log(0, 1000)
        assert sum(entry.size_bytes for entry in view._dropped.entries) <= play.book.max_bytes * UNTOLD_SHARE
    assert view.step(play.now_ms + HOLD_BACK_MS, at_once).restarted
    settle(view, play.now_ms + HOLD_BACK_MS)
    assert shown(view) == naive(play, view.question)
    assert view.hidden == 0


def test_a_moment_is_found() -> None:
    play = Play()
    for _ in range(10):
        play.now_s += 1
        play.log(0)
    view = LogView(play.book)
    settle(view, play.now_ms)
    assert view.index_at(int((STARTED_S + 4) * 1000)) == 3
    assert view.index_at(0) == 0
    assert view.index_at(play.now_ms + 1) == 10


@pytest.mark.parametrize(
    ("text", "sees"),
    [
        ("level>=warn", True),
        ("level>=warn service:other", True),
        ("-level:info", True),
        ("device:gw-0 level:error", True),
        ("device:gw-1", False),
        ("-device:gw-0", False),
        ("device:gw-1 or level:error", True),
        ("device:gw-1 or exists(service)", True),
        ('"some text"', False),
        (".code:500 level:error", False),
        ("trace:4bf9*", False),
    ],
)
def test_a_gap_is_hidden_by_where_it_is_not_by_what_nobody_knows(text: str, sees: bool) -> None:
    play = Play()
    play.log(0)
    play.log(0, skip=5)
    gap_before = play.book.of(DEVICES[0], 1)[0]
    assert gap_filter(text)(gap_before) is sees


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_a_gap_goes_with_its_record_wherever_the_rows_are_cut(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorted_rows, "CHUNK", chunk)
    play = Play(Logbook(max_records=4, device_share=1.0))
    view = LogView(play.book)
    for number in range(12):
        play.log(0, skip=3 if number % 2 else 0)
        play.now_s += 1
        settle(view, play.now_ms)
        assert shown(view) == naive(play, view.question)
        assert view.gaps == sum(isinstance(row, Gap) for row in view.rows)
