"""Messages that the contract allows, for every channel."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

from hypothesis import strategies as st

from fleetview_agent.wire import (
    MODELS,
    AgentInfo,
    Birth,
    Certificate,
    Channel,
    Command,
    CommandResult,
    ConfigOffer,
    ConfigReport,
    Controller,
    Desired,
    Heartbeat,
    HostInfo,
    LinkInfo,
    LogAck,
    LogBatch,
    LogCounts,
    Message,
    ModuleInfo,
    PreflightFinding,
    PreflightReport,
    ReleaseOffer,
    ReleaseReport,
    Reported,
    Resources,
    RolloutCommand,
    RolloutSnapshot,
    SpoolInfo,
    State,
)

T = TypeVar("T")
S = st.SearchStrategy

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
ids = st.text(min_size=1, max_size=40)
words = st.text(max_size=40)
counts = st.integers(0, 2**63 - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)
fractions = st.floats(0, 1)
times = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)).map(  # noqa: DTZ001  # st wants them naive
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
)
"""As exact as the contract writes them: to the millisecond."""
json_values: S[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
json_objects: S[dict[str, Any]] = st.dictionaries(words, json_values, max_size=5)


def made(model: type[T], required: dict[str, S[Any]], optional: dict[str, S[Any]]) -> S[T]:
    """Instances of a model, each optional field given or not."""
    return st.fixed_dictionaries(required, optional=optional).map(lambda fields: model(**fields))


def maybe(inner: S[Any]) -> S[Any]:
    return st.none() | inner


hosts = made(
    HostInfo,
    {},
    {
        **dict.fromkeys(("arch", "os", "kernel", "hostname", "boot_id"), maybe(words)),
        **dict.fromkeys(("cpus", "memory_bytes"), maybe(counts)),
    },
)
births = made(
    Birth,
    {"session": ids, "device": ids, "heartbeat_interval_s": st.floats(0.001, 86400 * 7)},
    {
        "started_at": maybe(times),
        "agent": maybe(made(AgentInfo, {}, {"version": maybe(words)})),
        "deployment": maybe(st.sampled_from(["static", "container", "function"])),
        "host": maybe(hosts),
        "modules": st.lists(words, max_size=4),
        "labels": st.dictionaries(words, words, max_size=4),
        "certificate": maybe(made(Certificate, {}, {"sha256": maybe(words), "not_after": maybe(times)})),
    },
)
states = st.one_of(
    made(State, {"session": ids, "state": st.just("online"), "at": times}, {"reason": maybe(words)}),
    made(State, {"session": ids, "state": st.just("offline"), "at": times, "reason": ids}, {}),
    made(State, {"session": ids, "state": st.just("sleeping"), "at": times, "wake_by": times}, {"reason": maybe(words)}),
    made(State, {"session": ids, "state": st.just("lost")}, {"reason": maybe(words)}),
)
modules = made(
    ModuleInfo,
    {
        "name": words,
        "state": st.sampled_from(["waiting", "starting", "running", "backoff", "failed", "stopped"]),
    },
    {"version": maybe(words), "restarts": counts, "reason": maybe(words)},
)
resources = made(
    Resources, {}, {**dict.fromkeys(("cpu", "memory", "disk"), maybe(fractions)), "temperature_c": maybe(numbers)}
)
heartbeats = made(
    Heartbeat,
    {
        "session": ids,
        "seq": counts,
        "timestamp": times,
        "health": st.sampled_from(["ok", "degraded", "critical"]),
        "reasons": st.lists(words, min_size=1, max_size=3),
    },
    {
        "uptime_s": maybe(numbers),
        "resources": maybe(resources),
        "modules": st.lists(modules, max_size=3),
        "metrics": st.dictionaries(st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,20}", fullmatch=True), numbers, max_size=4),
        "logs": maybe(made(LogCounts, {}, dict.fromkeys(("debug", "info", "warn", "error"), counts))),
        "spool": maybe(
            made(SpoolInfo, {}, {**dict.fromkeys(("records", "bytes", "dropped"), counts), "oldest_s": maybe(numbers)})
        ),
        "link": maybe(made(LinkInfo, {}, {"rtt_ms": maybe(numbers), "reconnects": counts})),
        "release": maybe(words),
        "config": maybe(counts),
        "gen": maybe(counts),
    },
)
fixed_parts = st.fixed_dictionaries(
    {
        "timestamp": words,
        "service": words,
        "level": st.sampled_from(["DEBUG", "INFO", "WARN", "ERROR"]),
        "message": words,
    }
)
batches = made(
    LogBatch,
    {
        "stream": ids,
        "first_seq": counts,
        "records": st.lists(st.builds(lambda fixed, more: {**more, **fixed}, fixed_parts, json_objects), max_size=4),
    },
    {},
)
desired = made(
    Desired,
    {"gen": counts},
    {
        "epoch": maybe(counts),
        "rollout": maybe(words),
        "not_after": maybe(times),
        "config": maybe(
            made(ConfigOffer, {}, {"version": maybe(counts), "sha256": maybe(words), "document": maybe(json_objects)})
        ),
        "release": maybe(
            made(ReleaseOffer, {}, {**dict.fromkeys(("version", "url", "sha256"), maybe(words)), "size": maybe(counts)})
        ),
    },
)
config_reports = made(
    ConfigReport,
    {},
    {
        **dict.fromkeys(("version", "last_good"), maybe(counts)),
        **dict.fromkeys(("sha256", "reason"), maybe(words)),
        "status": maybe(st.sampled_from(["pending", "applying", "applied", "rejected", "rolled_back"])),
    },
)
release_words = [
    "queued",
    "downloading",
    "verifying",
    "staged",
    "applying",
    "checking",
    "committed",
    "rolled_back",
    "failed",
]
release_reports = made(
    ReleaseReport,
    {},
    {
        **dict.fromkeys(("version", "previous", "reason"), maybe(words)),
        "status": maybe(st.sampled_from(release_words)),
        "progress": maybe(fractions),
    },
)
preflights = made(
    PreflightReport,
    {},
    {
        "at": maybe(times),
        **dict.fromkeys(("ok", "warnings", "errors", "skipped"), counts),
        "findings": st.lists(
            made(
                PreflightFinding, {"subject": words}, {"level": maybe(st.sampled_from(["warning", "error"])), "words": words}
            ),
            max_size=2,
        ),
    },
)
reported = made(
    Reported,
    {"session": ids, "gen": counts},
    {
        "at": maybe(times),
        "config": maybe(config_reports),
        "release": maybe(release_reports),
        "preflight": maybe(preflights),
    },
)
commands = made(
    Command,
    {"verb": st.sampled_from(["restart_module", "set_log_level", "ping", "diagnostics"]), "expires_at": times},
    {"args": json_objects, "by": maybe(words)},
)
results = made(
    CommandResult,
    {"status": st.sampled_from(["accepted", "succeeded", "failed", "expired", "unknown_verb"])},
    {"message": maybe(words), "at": maybe(times)},
)
rollout_fields = st.dictionaries(words.filter(lambda name: name not in {"v", "verb", "channel"}), json_values, max_size=4)
messages: dict[Channel, S[Message]] = {
    Channel.BIRTH: births,
    Channel.STATE: states,
    Channel.HEARTBEAT: heartbeats,
    Channel.LOG: batches,
    Channel.LOG_ACK: made(LogAck, {"stream": ids, "through": counts}, {}),
    Channel.DESIRED: desired,
    Channel.REPORTED: reported,
    Channel.COMMAND: commands,
    Channel.COMMAND_RESULT: results,
    Channel.CONTROLLER: made(Controller, {"id": ids, "epoch": counts, "since": times}, {}),
    Channel.ROLLOUT: rollout_fields.map(RolloutSnapshot.model_validate),
    Channel.ROLLOUT_COMMAND: st.builds(
        lambda verb, more: RolloutCommand.model_validate({**more, "verb": verb}),
        st.sampled_from(["pause", "resume", "retry", "skip", "abort", "rollback"]),
        rollout_fields,
    ),
}
channels = st.sampled_from(list(MODELS))
