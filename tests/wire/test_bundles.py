"""Bundles of diagnostics: whatever way the pieces come, the bundle is what was sent, or it is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview_agent.spool import MAX_RECORD_BYTES, record_json
from fleetview_agent.wire.bundles import MAX_PACKED_BYTES, MAX_PIECES, PIECE_BYTES, Pieces, cut_bundle, pack_bundle

FIXED = {"timestamp": "t", "service": "s", "level": "INFO", "trace_id": None, "message": "m"}


def noise(size: int) -> bytes:
    """Bytes that no packer makes smaller."""
    import random

    return random.Random(size).randbytes(size)


@given(st.integers(0, MAX_PACKED_BYTES - 4096), st.randoms())
def test_pieces_come_in_any_order_and_as_often_as_they_like(size: int, order: Any) -> None:
    data = noise(size)
    records = list(cut_bundle(pack_bundle(data), "c1"))
    assert len(records) <= MAX_PIECES
    assert all(len(record_json({**FIXED, **record})) <= MAX_RECORD_BYTES for record in records)
    assert "cut" not in {name for record in records for name in record}
    came = records * 2
    order.shuffle(came)
    pieces = Pieces("c1")
    assert sum(pieces.take(record) for record in came) == len(records)
    assert pieces.bundle() == data


@given(st.integers(1, 3 * PIECE_BYTES), st.data())
def test_what_is_missing_or_altered_is_no_bundle(size: int, data: st.DataObject) -> None:
    records = list(cut_bundle(pack_bundle(noise(size)), "c1"))
    victim = data.draw(st.integers(0, len(records) - 1))
    if data.draw(st.booleans()):
        del records[victim]
    else:
        text = records[victim]["data"]
        records[victim]["data"] = ("B" if text[0] != "B" else "C") + text[1:]
    pieces = Pieces("c1")
    for record in records:
        pieces.take(record)
    with pytest.raises(ValueError):
        pieces.bundle()


scalars = st.none() | st.integers() | st.text(max_size=8) | st.floats() | st.booleans() | st.lists(st.none(), max_size=2)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"event": st.just("diagnostics"), "id": st.just("c1")},
            optional=dict.fromkeys(("piece", "pieces", "bytes", "sha256", "data"), scalars),
        ),
        max_size=8,
    )
)
def test_hostile_pieces_are_refused_in_words(records: list[dict[str, Any]]) -> None:
    pieces = Pieces("c1")
    taken = sum(pieces.take(record) for record in records)
    assert pieces.arrived == taken <= MAX_PIECES
    if taken < len(records):
        assert pieces.refused or taken


def test_pieces_of_others_are_not_taken() -> None:
    (record,) = cut_bundle(pack_bundle(b"{}"), "c1")
    pieces = Pieces("c1")
    assert not pieces.take({**record, "id": "c2"})
    assert not pieces.take({**record, "event": "gap"})
    assert pieces.take(record)
    assert not pieces.take({**record, "sha256": "0"})
    assert pieces.refused == "piece 1 is of another bundle"


def test_a_bomb_is_not_inflated() -> None:
    packed = pack_bundle(bytes(50_000_000))
    pieces = Pieces("c1")
    for record in cut_bundle(packed, "c1"):
        pieces.take(record)
    with pytest.raises(ValueError, match="bytes uncompressed"):
        pieces.bundle()


def test_what_is_too_large_is_not_cut() -> None:
    with pytest.raises(ValueError, match="are allowed"):
        list(cut_bundle(bytes(MAX_PACKED_BYTES + 1), "c1"))
