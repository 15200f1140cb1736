"""What becomes of configurations that are desired, one case at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.twindevice import NOW, VERIFY_S, WELL, Device, document, offer, sha256_of

from fleetview_agent.twin import model
from fleetview_agent.twin.decide import LONGEST_REASON, MOST_ATTEMPTS, boot
from fleetview_agent.twin.watch import Sample
from fleetview_agent.wire import ConfigOffer, ConfigReport, ReleaseOffer, document_sha256


def test_a_good_configuration_becomes_the_last_good_one_after_the_window_and_not_before() -> None:
    device = Device()
    device.wants(7, config=offer(document("a"), version=3))
    assert device.runs is not None
    device.passes(VERIFY_S - 1)
    assert sha256_of(device.last_good) is None
    assert device.report().last_good is None
    device.passes(1)
    assert device.last_good == device.runs
    assert device.statuses == [None, "pending", "applying", "applied"]
    sha256 = document_sha256(document("a"))
    assert device.report() == ConfigReport(version=3, sha256=sha256, status="applied", reason=None, last_good=3)
    assert device.state.kept.gen == 7


def test_one_that_makes_the_device_unwell_is_taken_back_and_says_why() -> None:
    device = Device()
    device.wants(1, config=offer(document("a")))
    device.passes(VERIFY_S)
    good = device.last_good
    device.wants(2, config=offer(document("b", well=False), version=2))
    device.passes(1)
    assert device.report().status == "rolled_back"
    assert device.report().reason == "module m failed: exit status 1"
    assert (device.report().version, device.report().last_good) == (2, 1)
    assert device.runs == device.last_good == good


def test_one_that_is_not_valid_never_runs() -> None:
    device = Device()
    device.wants(1, config=offer(document("a", valid=False)))
    assert device.statuses == [None, "pending", "rejected"]
    assert device.report().reason == "not valid"
    assert not [effect for effect in device.effects if isinstance(effect, model.Apply)]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"config": ConfigOffer(version=1)}, "it has no document"),
        ({"config": offer(document("a"), sha256="0" * 64)}, "the document was altered"),
        ({"config": offer(document("a")), "not_after": NOW}, "not_after 2026-11-22T12:00:00.000Z has passed"),
    ],
)
def test_what_cannot_be_accepted_is_rejected_with_the_reason(fields: dict[str, Any], words: str) -> None:
    device = Device()
    device.wants(1, **fields)
    assert device.report().status == "rejected"
    assert words in (device.report().reason or "")
    assert device.state.kept.gen == 1
    assert device.runs is None


def test_a_hash_in_capitals_or_none_at_all_is_in_order_and_so_is_a_term_that_is_not_over() -> None:
    device = Device()
    doc = document("a")
    device.wants(1, config=offer(doc, sha256=document_sha256(doc).upper()), not_after=NOW + timedelta(seconds=1))
    assert device.report().status == "applying"
    device.wants(2, config=offer(document("b"), sha256=None))
    assert device.report().sha256 == document_sha256(document("b"))


def test_older_generations_and_epochs_are_refused() -> None:
    device = Device()
    device.wants(5, epoch=3, config=offer(document("a")))
    for gen, epoch in ((4, 3), (4, None), (6, 2), (4, 4)):
        device.wants(gen, epoch=epoch, config=offer(document("b")))
        assert device.state.kept.gen == 5
        assert device.state.kept.version == 1
        assert device.report().sha256 == document_sha256(document("a"))
    assert device.state.kept.epoch == 4, "of a newer one the generation was too old, but now it is known"
    device.wants(6, epoch=3, config=offer(document("b")))
    assert device.state.kept.gen == 5


def test_the_same_generation_again_changes_nothing_and_another_content_needs_a_newer_epoch() -> None:
    device = Device()
    device.wants(1, epoch=1, config=offer(document("a")))
    before, told = device.state, list(device.told)
    device.wants(1, epoch=1, config=offer(document("a")))
    assert (device.state, device.told) == (before, told)
    device.wants(1, epoch=1, config=offer(document("b")))
    assert device.state.kept == before.kept
    device.wants(1, epoch=2, config=offer(document("b")))
    assert device.report().sha256 == document_sha256(document("b"))


def test_without_sections_a_generation_is_noted_and_nothing_else_changes() -> None:
    device = Device()
    device.wants(1, config=offer(document("a")))
    device.wants(2)
    assert device.state.kept.gen == 2
    assert device.report().status == "applying", "what was begun goes on"
    device.passes(VERIFY_S)
    assert device.report().status == "applied"
    device.happens(model.Withdrawn())
    assert device.report().status == "applied"


def test_what_runs_already_is_applied_at_once() -> None:
    device = Device()
    device.wants(1, config=offer(document("a")))
    device.passes(VERIFY_S)
    device.effects.clear()
    device.wants(2, config=offer(document("a"), version=9))
    assert (device.report().status, device.report().version, device.report().last_good) == ("applied", 9, 9)
    assert not [effect for effect in device.effects if isinstance(effect, model.Apply | model.Revert)]


def test_a_newer_one_ends_the_trying_of_an_older_one_whatever_becomes_of_it() -> None:
    for valid in (True, False):
        device = Device()
        device.wants(1, config=offer(document("a")))
        device.passes(VERIFY_S)
        device.wants(2, config=offer(document("b"), version=2))
        device.passes(VERIFY_S / 2)
        device.wants(3, config=offer(document("c", valid=valid), version=3))
        device.passes(VERIFY_S / 2)
        assert device.last_good is not None
        assert device.last_good.version == 1, "the older one had half of its time, the newer one too"
        if not valid:
            assert device.report().status == "rejected"
            assert device.runs == device.last_good
        device.passes(VERIFY_S / 2)
        assert device.last_good.version == (3 if valid else 1)


def test_a_newer_one_is_compared_with_how_the_device_was_before_the_older_one(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device()
    device.wants(1, config=offer(document("a")))
    monkeypatch.setattr(device, "sample", lambda: Sample("degraded", ["disk at 95%"], WELL.modules))
    device.passes(2)
    device.wants(2, config=offer(document("b"), version=2))
    device.passes(VERIFY_S)
    assert (device.report().status, device.report().reason) == ("rolled_back", "disk at 95%")


def test_the_one_that_is_tried_is_tried_on_when_a_newer_generation_says_the_same() -> None:
    device = Device()
    device.wants(1, config=offer(document("a")))
    device.passes(VERIFY_S - 1)
    device.wants(2, config=offer(document("a"), version=2))
    device.passes(1)
    assert (device.report().status, device.report().version, device.state.kept.gen) == ("applied", 2, 2)
    assert len([effect for effect in device.effects if isinstance(effect, model.Apply)]) == 1


def test_one_that_was_cut_short_is_tried_again_but_not_for_ever() -> None:
    device = Device()
    device.wants(1, config=offer(document("a")))
    for attempt in range(MOST_ATTEMPTS):
        assert device.state.kept.attempts == attempt + 1
        device.boot()
        assert device.runs is None, "it begins with the last good one"
        device.passes(VERIFY_S / 2)
    assert device.report().status == "rolled_back"
    assert "the agent ended 2 times" in (device.report().reason or "")


def test_a_stop_that_was_asked_for_is_no_attempt() -> None:
    device = Device()
    device.wants(1, config=offer(document("a")))
    for _ in range(MOST_ATTEMPTS + 1):
        device.happens(model.Stopped())
        assert device.state.watch is None, "modules that end now are no fault of what was tried"
        device.boot()
        device.passes(VERIFY_S / 2)
        assert (device.report().status, device.state.kept.attempts) == ("applying", 1)


def test_one_that_was_cut_short_and_then_withdrawn_is_not_tried_again() -> None:
    device = Device()
    device.wants(1, config=offer(document("a")))
    device.boot()
    assert device.report().status == "pending"
    device.happens(model.Withdrawn())
    device.passes(3 * VERIFY_S)
    assert (device.report().status, device.runs) == ("rolled_back", None)


def test_a_release_waits_for_the_configuration_beside_it() -> None:
    release = ReleaseOffer(version="2.0")
    device = Device()
    device.wants(1, config=offer(document("a")), release=release)
    assert not device.releases
    device.passes(VERIFY_S)
    assert device.releases == [model.OfferRelease(release, 1)]
    device.wants(1, config=offer(document("a")), release=release)
    assert len(device.releases) == 1
    device.wants(2, config=offer(document("b", valid=False)), release=release)
    (_, refused) = device.releases
    assert isinstance(refused, model.RefuseRelease)
    assert refused.reason == "the configuration of generation 2 is rejected"
    device.wants(3, release=release)
    assert device.releases[2:] == [model.OfferRelease(release, 3)]
    device.wants(4, release=release, not_after=NOW - timedelta(hours=1))
    late = device.releases[-1]
    assert "not_after" in getattr(late, "reason", "")
    device.boot()
    device.wants(4, release=release)
    assert device.releases[-1] == late, "it is not in time because the agent was restarted"
    device.happens(model.Withdrawn())
    assert device.releases[-1] == model.WithdrawRelease()


def test_a_release_is_handed_on_once_more_after_a_restart() -> None:
    device = Device()
    device.wants(1, release=ReleaseOffer(version="2.0"))
    device.boot()
    device.wants(1, release=ReleaseOffer(version="2.0"))
    assert device.releases == [model.OfferRelease(ReleaseOffer(version="2.0"), 1)] * 2


def test_on_a_full_disk_nothing_is_tried_and_nothing_becomes_good() -> None:
    device = Device(disk_is_full=True)
    device.wants(1, config=offer(document("a")))
    assert (device.report().status, device.report().reason, device.runs) == ("rejected", "no space", None)
    device = Device()
    device.wants(1, config=offer(document("a")))
    device.disk_is_full = True
    device.passes(VERIFY_S)
    assert (device.report().status, device.report().reason, device.runs) == ("rolled_back", "no space", None)


def test_a_last_good_one_that_does_not_fit_the_file_any_more_is_told_and_left_alone() -> None:
    good = model.Configuration(4, "x", {})
    state, effects = boot(model.Kept(gen=9), good, verify_s=1, now_s=0, problem="a cycle")
    assert state.running is None
    assert state.kept.gen == 9
    assert state.report() == ConfigReport(version=4, sha256="x", status="rejected", reason="a cycle", last_good=None)
    assert not [effect for effect in effects if isinstance(effect, model.Keep | model.KeepLastGood)]


def test_a_reason_is_never_longer_than_a_report_can_carry() -> None:
    device = Device()
    device.wants(1, config=offer(document("a")))
    device.happens(model.Failed("x" * 10_000))
    assert len(device.report().reason or "") == LONGEST_REASON
