"""The logbook keeps within its bounds, in order, without duplicates, and knows its holes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from core.driver import DEVICE, World
from fleetview.core.logbook import ENTRY_OVERHEAD_BYTES, MAX_STREAMS, Entry, Logbook
from fleetview.core.streams import MAX_HOLES
from fleetview_agent.wire import Address, Channel, Level

DEVICES = [Address("acme", "plant-7", f"gw-{number}") for number in range(4)]
lines = st.tuples(st.sampled_from(DEVICES), st.sampled_from([1, 10, 400, 3000]), st.integers(1, 4))


def _held_bytes(book: Logbook) -> int:
    """All that is held in memory, what is only marked as dropped included."""
    return sum(entry.size_bytes for entry in book._entries)


@settings(max_examples=100)
@given(st.lists(lines, max_size=60), st.sampled_from([0.25, 0.5, 1.0]))
def test_bounds_are_kept_and_what_they_drop_is_the_oldest_and_counted(
    sent: list[tuple[Address, int, int]], share: float
) -> None:
    book = Logbook(max_bytes=20_000, device_share=share)
    world = World(book)
    in_order: dict[Address, list[str]] = {address: [] for address in DEVICES}
    for number, (address, size, count) in enumerate(sent):
        message = f"{number}:" + "m" * size
        in_order[address] += [message] * count
        world.log(None, count, stream=None, message=message, address=address)
        assert book.bytes == sum(entry.size_bytes for entry in book) <= 20_000
        assert _held_bytes(book) <= 20_000 * 9 // 8
        for device in DEVICES:
            kept = book.of(device)
            assert sum(entry.size_bytes for entry in kept) <= 20_000 * share
            assert [entry.message for entry in kept] == in_order[device][len(in_order[device]) - len(kept) :]
    assert len(book) == len(list(book)) == sum(len(book.of(device)) for device in DEVICES)
    assert book.received == sum(map(len, in_order.values())) == len(book) + book.evicted
    assert all(one.number < other.number for one, other in pairwise(book))


def test_a_chatterer_pushes_out_its_own_records_and_nobody_elses() -> None:
    book = Logbook(max_bytes=40_000)
    world = World(book)
    world.log(0, 3, address=DEVICES[0])
    for number in range(1000):
        world.log(number, 1, address=DEVICES[1], message="m" * 500)
    assert len(book.of(DEVICES[0])) == 3
    assert book.evicted > 900


def test_a_record_counts_all_the_text_that_is_kept_of_it() -> None:
    book = Logbook()
    World(book).log(0, 1, service="s" * 1000, message="m" * 1000)
    (entry,) = book
    assert entry.size_bytes >= ENTRY_OVERHEAD_BYTES + 2 * 2000


@given(st.integers(0, 60))
def test_newer_than_gives_what_came_after(number: int) -> None:
    book = Logbook(max_bytes=30_000)
    world = World(book)
    for first in range(50):
        world.log(first, 1, address=DEVICES[first % 3], message="m" * 400)
    assert book.newer_than(number) == [entry for entry in book if entry.number > number]
    assert book.last_number == 50


def test_the_last_few_of_a_device() -> None:
    book = Logbook()
    World(book).log(0, 10)
    assert [entry.message for entry in book.of(DEVICE, 3)] == ["m7", "m8", "m9"]
    assert book.of(DEVICE, 0) == []
    assert book.of(DEVICES[0]) == []


def _numbers(entries: list[Entry]) -> list[int | None]:
    return [entry.seq for entry in entries]


def test_records_that_come_twice_are_kept_once() -> None:
    world = World()
    world.log(10, 5)
    world.log(12, 5)
    world.log(10, 7)
    book = world.fleet.logbook
    assert _numbers(book.of(DEVICE)) == [10, 11, 12, 13, 14, 15, 16]
    assert (book.duplicates, book.tally(DEVICE).duplicates, book.tally(DEVICE).records) == (10, 10, 7)
    world.log(10, 1, stream="another spool")
    assert book.tally(DEVICE).records == 8


def test_records_without_numbers_are_kept_as_often_as_they_come() -> None:
    world = World()
    for _ in range(2):
        world.send_bytes(Channel.LOG, b'{"msg":"m","level":"warn"}')
    book = world.fleet.logbook
    assert [(entry.seq, entry.level, entry.message) for entry in book] == [(None, Level.WARN, "m")] * 2
    assert (book.tally(DEVICE).records, world.device.log_gaps) == (2, 0)


def test_a_hole_stands_before_the_record_that_follows_it() -> None:
    world = World()
    world.log(0, 2)
    world.log(39, 2, event="gap", first_seq=2, count=37, reason="spool_full")
    entries = world.fleet.logbook.of(DEVICE)
    assert [entry.hole is not None for entry in entries] == [False, False, True, False]
    hole = entries[2].hole
    assert hole is not None
    assert (hole.first, hole.last, hole.owned, hole.reason) == (2, 38, True, "spool_full")
    assert (world.device.log_gaps, world.device.log_missing) == (1, 37)
    assert world.device.flags() == ["log_gap"]


def test_a_hole_is_still_shown_when_there_were_more_than_are_kept() -> None:
    world = World()
    for number in range(0, 2 * MAX_HOLES + 10, 2):
        world.log(number)
    last = world.fleet.logbook.of(DEVICE, 1)[0].hole
    assert last is not None
    assert last.last == 2 * MAX_HOLES + 7


def test_a_gap_that_is_filled_later_is_none() -> None:
    world = World()
    world.log(0, 2)
    world.log(5, 1)
    assert (world.device.log_gaps, world.device.log_missing) == (1, 3)
    world.log(2, 3)
    assert (world.device.log_gaps, world.device.log_missing) == (0, 0)


def test_what_the_reader_missed_is_no_gap_of_the_device() -> None:
    world = World()
    world.log(0, 2)
    world.blind(60)
    world.log(50, 1)
    assert world.device.log_gaps == 0
    world.log(52, 1)
    assert world.device.log_gaps == 1


def test_streams_of_a_device_are_bounded() -> None:
    world = World()
    for number in range(MAX_STREAMS + 3):
        world.log(0, 1, stream=f"L{number}")
    assert len(world.fleet.logbook._devices[DEVICE].streams) == MAX_STREAMS


def test_a_record_keeps_all_its_fields() -> None:
    world = World()
    world.send_bytes(
        Channel.LOG, b'{"message":"m","user":"u-17","deep":{"a":[1,null]},"odd":NaN,"big":123456789012345678901}'
    )
    (entry,) = world.fleet.logbook
    assert entry.extra() == {"user": "u-17", "deep": {"a": [1, None]}, "odd": "NaN", "big": 123456789012345678901}
