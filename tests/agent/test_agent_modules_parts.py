"""What running modules takes of the system, part by part."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.programs import free_port
from support.wait import until, wait_until

from fleetview_agent.followed import MAX_LINE_BYTES
from fleetview_agent.modules.guard import Guard
from fleetview_agent.modules.output import BURST_LINES, LINES_A_SECOND, Allowance, Lines, Output, Sink
from fleetview_agent.modules.probes import Question, Tally
from fleetview_agent.modules.process import MARK, SpawnError, environment, kill_marked, spawn, startable, status_words
from fleetview_agent.modules.spec import Limits, ModuleSpec, Probe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def probe(**fields: Any) -> Probe:
    return Probe.model_validate(fields)


# Lines


@given(st.lists(st.text("ab\n\r", max_size=8), max_size=8), st.integers(0, 4))
def test_lines_are_those_of_the_text_however_it_arrives(parts: list[str], most: int) -> None:
    lines, found, left_out = Lines(), list[bytes](), 0
    for part in parts:
        complete, more = lines.feed(part.encode(), most)
        assert len(complete) <= most
        assert not more or len(complete) == most
        found += [line.data for line in complete]
        left_out += more
    text = "".join(parts)
    assert len(found) + left_out == text.count("\n")
    if not left_out:
        found += [line.data for line in lines.rest()]
        whole = [line.removesuffix("\r").encode() for line in text.split("\n")]
        assert found == (whole if text and not text.endswith("\n") else whole[:-1])


def test_of_an_endless_line_only_its_beginning_is_kept() -> None:
    lines = Lines()
    for _ in range(100):
        assert lines.feed(b"x" * 65536, 10) == ([], 0)
    ((line,), _) = lines.feed(b"\n", 10)
    assert len(line.data) == MAX_LINE_BYTES
    assert line.length == 100 * 65536


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 10_000)), max_size=50))
def test_no_more_than_the_allowance_is_ever_taken(steps: list[tuple[float, int]]) -> None:
    allowance, now_s, taken = Allowance(), 0.0, 0
    for pause_s, wanted in steps:
        now_s += pause_s
        lines = min(wanted, allowance.at(now_s))
        allowance.take(lines)
        taken += lines
        assert 0 <= allowance.at(now_s) <= BURST_LINES
        assert taken <= BURST_LINES + now_s * LINES_A_SECOND + 1


def sink(taken: list[dict[str, Any]], *, full: bool = False) -> Sink:
    return Sink(taken.extend, lambda: full, time.monotonic, lambda: 1_700_000_000_000)


async def test_while_the_spool_is_full_output_is_counted_and_the_module_is_not_held_up() -> None:
    taken: list[dict[str, Any]] = []
    output = Output("m", sink(taken, full=True))
    spec = ModuleSpec(command=["x"])
    process = await spawn(["sh", "-c", "seq 30000"], spec, "s/m", outlets(output))
    output.begin()
    assert await process.wait() == 0
    output.close()
    assert output.dropped == 30_000
    assert taken == []


async def test_what_was_written_last_arrives_and_no_descriptor_is_left() -> None:
    before = open_descriptors()
    taken: list[dict[str, Any]] = []
    for _ in range(5):
        output = Output("m", sink(taken))
        process = await spawn(["sh", "-c", "seq 1000; printf end >&2"], ModuleSpec(command=["x"]), "s/m", outlets(output))
        output.begin()
        await process.wait()
        output.close()
    Output("m", sink(taken)).close()
    assert [record["message"] for record in taken if record.get("outlet") is None] == [str(n) for n in range(1, 1001)] * 5
    assert [record["message"] for record in taken if record.get("outlet") == "stderr"] == ["end"] * 5
    del process
    assert open_descriptors() <= before + 1


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def outlets(output: Output) -> Any:
    from fleetview_agent.modules.process import Outlets

    return Outlets(output.stdout, output.stderr)


# Probes


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=40))
def test_a_question_is_over_after_so_many_misses_in_a_row(retries: int, answers: list[bool]) -> None:
    tally = Tally(probe(tcp=1, retries=retries, start_period_s=10))
    for yes in answers:
        assert not tally.is_over(yes=yes, since_start_s=9.9), "the start period does not count"
    for index, yes in enumerate(answers):
        recent = answers[: index + 1][-retries:]
        assert tally.is_over(yes=yes, since_start_s=10.0) is (len(recent) == retries and not any(recent))


def test_a_question_is_asked_often_at_first_and_then_at_its_interval() -> None:
    tally = Tally(probe(tcp=1, interval_s=1, start_period_s=10))
    pauses = []
    for _ in range(6):
        tally.is_over(yes=False, since_start_s=0)
        pauses.append(round(tally.next_in_s(0), 3))
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1, 1]
    assert Tally(probe(tcp=1, interval_s=7, start_period_s=0)).next_in_s(0) == 7


@asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.read(4096))
        writer.write(answer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], requests


def ask(**fields: Any) -> Question:
    return Question(probe(timeout_s=5, **fields), ModuleSpec(command=["x"]), "s/m")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", None),
        (b"HTTP/1.0 204\r\n\r\n", None),
        (b"HTTP/1.1 302 Found\r\n\r\n", None),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "answered 404"),
        (b"HTTP/1.1 503 x\r\n", "answered 503"),
        (b"SSH-2.0-OpenSSH 200\r\n", "did not answer in HTTP"),
        (b"", "did not answer in HTTP"),
        (b"x" * 100_000, "did not answer in HTTP"),
    ],
)
async def test_a_question_by_http(answer: bytes, words: str | None) -> None:
    async with server(answer) as (port, requests):
        found = await ask(http=f"http://127.0.0.1:{port}/ready?x=1").answer()
        assert found is None if words is None else words in (found or "")
        assert requests[0].startswith(f"GET /ready?x=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode())


async def test_a_question_by_tcp_by_command_and_by_file(tmp_path: Path) -> None:
    async with server(b"") as (port, _):
        assert await ask(tcp=port).answer() is None
    assert "refused" in (await ask(tcp=free_port()).answer() or "").lower()
    assert await ask(command=["true"]).answer() is None
    assert await ask(command=["false"]).answer() == "false: exit status 1"
    assert "cannot be started" in (await ask(command=["no-such-program-here"]).answer() or "")
    file = tmp_path / "ready"
    assert await ask(file=str(file)).answer() == f"{file} is not there"
    file.touch()
    question = ask(file=str(file))
    assert "not made anew" in (await question.answer() or ""), "it is of the process before"
    os.utime(file, (1, 1))
    assert await question.answer() is None


async def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    question = Question(
        probe(command=["sh", "-c", f"echo $$ > {pid}; sleep 1000; :"], timeout_s=0.5), ModuleSpec(command=["x"]), "s/m"
    )
    assert "did not answer within 0.5 s" in (await question.answer() or "")
    if pid.exists():  # on a slow machine it may not have come that far
        await until(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists())


# Processes


def test_the_environment_of_a_module() -> None:
    base = {"PATH": "/bin", "FLEETVIEW_AGENT_BROKER_URL": "mqtt://user:sesame@b", "HOME": "/home/agent", "COLOUR": "red"}
    spec = ModuleSpec(command=["x"], env={"COLOUR": "blue"}, user="root")
    assert environment(base, spec, "s/m") == {
        "PATH": "/bin",
        "HOME": "/root",
        "USER": "root",
        "LOGNAME": "root",
        "COLOUR": "blue",
        MARK: "s/m",
    }


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exit status 0"), (3, "exit status 3"), (-9, "killed by SIGKILL"), (-200, "killed by signal 200")],
)
def test_how_a_process_ended(status: int, words: str) -> None:
    assert status_words(status) == words
    assert status_words(-signal.SIGXCPU, Limits(cpu_time_s=3)) == "killed by SIGXCPU: cpu_time_s = 3 is used up"


async def test_a_limit_above_what_the_system_allows_is_named() -> None:
    import resource

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most >= 2**20:
        pytest.skip("the system allows all that can be configured")
    with pytest.raises(SpawnError, match=r"limits\.open_files = 1048576 is above"):
        await spawn(["true"], ModuleSpec(command=["true"], limits=Limits(open_files=2**20)), "s/m")


def test_the_guard_kills_the_groups_it_knows_and_whoever_bears_the_mark() -> None:
    def sleeper(**environ: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "1000"], env={"PATH": os.environ["PATH"], **environ}, start_new_session=True)

    ours, gone, marked, foreign = sleeper(), sleeper(), sleeper(**{MARK: "s1/m"}), sleeper(**{MARK: "s2/m"})
    processes = (ours, gone, marked, foreign)
    try:
        guard = Guard("s1")
        guard.add(gone.pid)
        guard.add(ours.pid)
        guard.remove(gone.pid)
        guard.close()
        wait_until(lambda: ours.poll() is not None and marked.poll() is not None)
        assert gone.poll() is None
        assert foreign.poll() is None
        kill_marked(f"{MARK}=s2/m".encode() + b"\0")
        wait_until(lambda: foreign.poll() is not None)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_a_guard_that_was_killed_is_no_end_of_the_agent() -> None:
    guard = Guard("s1")
    assert guard._process is not None
    guard._process.kill()
    guard._process.wait()
    guard.add(2**22 + 1)  # above every process id
    guard.remove(2**22 + 1)
    guard.close()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"command": ["no-such-program-here"]}, "no program 'no-such-program-here'"),
        ({"command": ["sh"], "cwd": "/no/such/folder"}, "cwd /no/such/folder is not a folder"),
        ({"command": ["sh"], "user": "nobody-we-know"}, "no user is called 'nobody-we-know'"),
    ],
)
def test_what_could_not_be_started_is_told_before(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(SpawnError, match=words):
        startable(ModuleSpec.model_validate(fields))


def test_what_could_be_started_is_told_too() -> None:
    assert (startable(ModuleSpec(command=["sh"])) or "").endswith("/sh")
    assert startable(ModuleSpec()) is None
