"""A shelf is a list from which things are taken, however far it grew meanwhile."""

from __future__ import annotations

from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetview.core.shelf import SEGMENT, Shelf

actions = st.one_of(
    st.tuples(st.just("add"), st.sampled_from([1, 7, SEGMENT, 3 * SEGMENT + 1])),
    st.tuples(st.just("drop one in"), st.sampled_from([1, 2, 3, 50])),
    st.tuples(st.just("keep one in"), st.sampled_from([2, 10, 700, 5000])),
    st.tuples(st.just("drop oldest"), st.integers(0, 2000)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(actions, max_size=8), st.integers(0, 8000))
def test_a_shelf_is_a_list_with_numbers(steps: list[tuple[str, int]], around: int) -> None:
    shelf: Shelf[str] = Shelf()
    model: dict[int, str] = {}
    for what, number in steps:
        if what == "add":
            for _ in range(number):
                thing = f"thing {shelf.last_number + 1}"
                model[shelf.add(thing)] = thing
        elif what == "drop oldest":
            for _ in range(min(number, len(model))):
                oldest = shelf.oldest()
                assert oldest == next(iter(model.values()))
                del model[min(model)]
                shelf.drop(int(oldest.split()[1]))
        else:
            doomed = [at for at in model if (at % number == 0) == (what == "drop one in")]
            for at in doomed:
                assert shelf.drop(at) == model.pop(at)
                assert shelf.drop(at) is None
    assert list(shelf) == list(model.values())
    assert len(shelf) == len(model)
    assert shelf.oldest() == next(iter(model.values()), None)
    assert [each for some in shelf.after(around) for each in some] == [each for at, each in model.items() if at > around]
    backwards = [each for some in shelf.before(around) for each in reversed(some)]
    assert backwards == [each for at, each in reversed(model.items()) if at < around]


def test_it_is_walked_while_it_changes() -> None:
    shelf: Shelf[int] = Shelf()
    for number in range(1, 3 * SEGMENT):
        shelf.add(number)
    walk = shelf.before(shelf.last_number + 1)
    seen = next(walk)
    for number in range(1, SEGMENT + 1):
        shelf.drop(number)
    shelf.add(0)
    seen = [each for some in walk for each in some] + seen
    assert seen == list(range(SEGMENT + 1, 3 * SEGMENT))
    upwards = shelf.after(SEGMENT)
    assert next(upwards)[0] == SEGMENT + 1
    shelf.drop(2 * SEGMENT + 5)
    assert 2 * SEGMENT + 5 not in next(upwards)


def test_what_is_left_of_many_takes_little() -> None:
    shelf: Shelf[int] = Shelf()
    for number in range(100 * SEGMENT):
        shelf.add(number)
    for number in range(1, 100 * SEGMENT + 1):
        if number % SEGMENT != 1:
            shelf.drop(number)
    assert len(shelf) == 100
    assert sum(len(segment.slots) for segment in shelf._segments) <= SEGMENT


def test_a_hole_in_the_middle_is_stepped_over() -> None:
    shelf: Shelf[int] = Shelf()
    for number in range(1, 3 * SEGMENT + 1):
        shelf.add(number)
    for number in range(SEGMENT + 1, 2 * SEGMENT + 1):
        shelf.drop(number)
    upwards = [each for some in islice(shelf.after(0), 10) for each in some]
    assert upwards == [*range(1, SEGMENT + 1), *range(2 * SEGMENT + 1, 3 * SEGMENT + 1)]
    assert next(shelf.after(SEGMENT + 5))[0] == 2 * SEGMENT + 1
    assert next(shelf.before(2 * SEGMENT))[-1] == SEGMENT
