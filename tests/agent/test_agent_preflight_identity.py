"""Preflight: the clock, and certificates."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.machines import World, asked, new_world, only
from support.tls import Authority

from fleetview_agent.preflight import Machine
from fleetview_agent.preflight.clock import KernelClock, offset, read_kernel_clock, request
from fleetview_agent.preflight.identity import certificate, chain, expiry, key
from fleetview_agent.preflight.network import clock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    return new_world(tmp_path)


# The clock


async def test_clock(world: World) -> None:
    def by_kernel(known: KernelClock | None) -> None:
        machine = world.inquiry.machine
        world.inquiry.machine = Machine(machine.root, machine.path, kernel_clock=lambda: known)

    assert (await only(clock, world))[0] == "warning"  # nobody tells
    by_kernel(KernelClock(in_step=False, error_s=16.0))
    found = await only(clock, world)
    assert (found[0], "systemd-timesyncd" in found[1]) == ("warning", True)
    by_kernel(KernelClock(in_step=True, error_s=0.0125))
    assert "12 ms" in (await only(clock, world))[1]
    world.inquiry.now = datetime(1970, 1, 1, tzinfo=UTC)
    assert (await only(clock, world))[0] == "error"


@pytest.mark.parametrize(("answer", "level"), [("yes", "ok"), ("no", "warning"), ("what?", "warning")])
async def test_a_clock_that_only_systemd_tells_of(world: World, tmp_path: Path, answer: str, level: str) -> None:
    program = tmp_path / "bin" / "timedatectl"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    assert (await only(clock, world))[0] == level


def test_the_kernels_own_word() -> None:
    known = read_kernel_clock()
    assert known is None or known.error_s >= 0


def ntp_answer(question: bytes, theirs_s: float, *, first: int = 0x24, stratum: int = 2) -> bytes:
    stamp = int((theirs_s + 2_208_988_800) % 2**32 * 2**32)
    return struct.pack("!BBBb3I2Q2Q", first, stratum, 0, 0, 0, 0, 0, 0, int.from_bytes(question[40:]), stamp, stamp)


@given(st.floats(-2e9, 2e9), st.floats(0, 5), st.integers(0, 4_000_000_000))
def test_how_far_two_clocks_are_apart(ahead_s: float, trip_s: float, ours_s: int) -> None:
    question = request()
    answer = ntp_answer(question, ours_s + trip_s / 2 - ahead_s)
    found = offset(question, answer, ours_s, ours_s + trip_s)
    assert found is not None
    assert found.in_step
    assert found.ahead_s == pytest.approx(ahead_s, abs=1e-3)
    assert found.within_s == pytest.approx(trip_s / 2, abs=1e-3)


@given(st.binary(max_size=80))
def test_what_is_no_answer(data: bytes) -> None:
    question = request()
    if data[24:32] != question[40:]:
        assert offset(question, data, 0.0, 1.0) is None


def test_an_answer_to_another_question_is_none() -> None:
    assert offset(request(), ntp_answer(request(), 1.0), 0.0, 1.0) is None


def test_an_answer_of_a_clock_that_is_not_in_step() -> None:
    question = request()
    for answer in (ntp_answer(question, 0, first=0xE4), ntp_answer(question, 0, stratum=16)):
        found = offset(question, answer, 0, 0)
        assert found is not None
        assert not found.in_step


# Certificates


def with_tls(folder: Path, cert: Path, key_file: Path, ca: Path | None) -> World:
    keys = {"tls_cert": str(cert), "tls_key": str(key_file), "tls_ca": None if ca is None else str(ca)}
    return new_world(folder, broker_url="mqtts://hub", **keys)


async def levels_of(world: World) -> list[str]:
    return [finding.level for check in (certificate, key, chain, expiry) for finding in await asked(check, world.inquiry)]


async def test_a_certificate_that_is_in_order(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue("gw-1")
    issued.key.chmod(0o600)
    world = with_tls(tmp_path, issued.cert, issued.key, authority.cafile)
    assert await levels_of(world) == ["ok"] * 5  # its own expiry, and that of the authority
    world.inquiry.now = issued.not_after - timedelta(days=2)
    assert await levels_of(world) == ["ok", "ok", "ok", "warning", "ok"]
    world.inquiry.now = issued.not_after + timedelta(days=1)
    assert await levels_of(world) == ["ok", "ok", "ok", "error", "ok"]
    world.inquiry.now = datetime(2001, 1, 1, tzinfo=UTC)
    assert await levels_of(world) == ["ok", "ok", "ok", "error", "error"]


async def test_a_key_of_another_certificate_and_one_that_is_no_secret(tmp_path: Path, authority: Authority) -> None:
    ours, other = authority.issue("gw-1"), authority.issue("gw-2")
    level, words = await only(key, with_tls(tmp_path, ours.cert, other.key, authority.cafile))
    assert (level, "does not belong" in words) == ("error", True)
    ours.key.chmod(0o644)
    level, words = await only(key, with_tls(tmp_path, ours.cert, ours.key, authority.cafile))
    assert (level, "chmod o=" in words) == ("warning", True)


async def test_a_certificate_of_another_authority(tmp_path: Path, authority: Authority) -> None:

    other = Authority(tmp_path / "other", "another authority")
    issued = authority.issue("gw-1")
    level, words = await only(chain, with_tls(tmp_path, issued.cert, issued.key, other.cafile))
    assert (level, "not issued by one of" in words) == ("warning", True)
    assert (await only(chain, with_tls(tmp_path, issued.cert, issued.key, None)))[0] == "warning"


async def test_an_expired_certificate_is_not_called_one_of_another_authority(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue("gw-1", expired=True)
    assert (await only(chain, with_tls(tmp_path, issued.cert, issued.key, authority.cafile)))[0] == "ok"


async def test_files_that_are_not_what_they_should_be(tmp_path: Path, authority: Authority) -> None:
    nothing = tmp_path / "nothing"
    assert (await only(certificate, with_tls(tmp_path, nothing, nothing, authority.cafile)))[0] == "error"
    nothing.write_text("no PEM")
    assert (await only(certificate, with_tls(tmp_path, nothing, nothing, authority.cafile)))[0] == "error"
    issued = authority.issue("gw-1")
    found = await asked(expiry, with_tls(tmp_path, issued.cert, issued.key, nothing).inquiry)
    assert [finding.level for finding in found] == ["ok", "error"]
