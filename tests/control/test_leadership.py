"""Who leads: nobody twice with one epoch, and the later of two is obeyed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetview.control.leadership import BEAT_S, SILENT_S, Leadership
from fleetview_agent.wire import Controller


def test_the_first_leads_and_says_so_again_and_again() -> None:
    one = Leadership("one", 4)
    assert one.may_lead(0.0)
    assert one.lead() == 5
    assert one.is_due(1.0)
    one.beat_s = 1.0
    assert not one.is_due(1.0 + BEAT_S - 1)
    assert one.is_due(1.0 + BEAT_S)


def test_who_comes_later_stands_by_until_the_other_is_gone() -> None:
    two = Leadership("two", 0)
    two.heard(Controller(id="one", epoch=3), 10.0)
    assert not two.may_lead(11.0)
    assert two.role == "standing_by"
    two.heard(None, 12.0)
    assert two.may_lead(12.0)
    assert two.lead() == 4


def test_a_leader_whose_will_never_came_counts_as_gone_after_a_while() -> None:
    two = Leadership("two", 0)
    two.heard(Controller(id="one", epoch=3), 10.0)
    assert not two.may_lead(10.0 + SILENT_S - 1)
    assert two.may_lead(10.0 + SILENT_S)


def test_after_a_crash_it_takes_up_its_own_lead() -> None:
    one = Leadership("one", 2)
    one.heard(Controller(id="one", epoch=3), 0.0)
    assert one.may_lead(0.0)
    assert one.lead() == 4


def test_who_is_deposed_steps_down_and_who_is_contradicted_says_it_again() -> None:
    one = Leadership("one", 0)
    one.lead()
    one.beat_s = 5.0
    assert not one.heard(Controller(id="two", epoch=1), 6.0)
    assert one.is_due(6.0)
    assert one.heard(Controller(id="two", epoch=2), 7.0)
    assert one.role == "standing_by"


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.booleans()), max_size=30))
def test_no_epoch_is_ever_given_twice(steps: list[tuple[str, bool]]) -> None:
    """Two controllers on one retained topic, in any order of takeovers and deliveries."""
    controllers = {name: Leadership(name, 0) for name in "ab"}
    retained: Controller | None = None
    given_out: list[int] = []
    for now, (name, delivers) in enumerate(steps):
        own = controllers[name]
        if delivers:
            own.heard(retained, float(now))
        elif own.role != "leading":
            own.heard(retained, float(now))  # what is retained is read before anybody leads
            if own.may_lead(float(now), insists=True):
                given_out.append(own.lead())
                retained = Controller(id=name, epoch=own.epoch)
    assert given_out == sorted(set(given_out))
