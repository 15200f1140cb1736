"""`fleetview-agent health`: does the agent on this machine do its work? For a container's health check.

It asks about the agent, not about the device: restarting the agent mends no full disk. The running agent writes how it is
into its state folder; whether it runs at all, the lock there tells, in whatever process namespace this is asked.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from fleetview_agent.store import Status, Store

MISSED_REPORTS = 3
MAX_OFFLINE_S = 300.0
"""Without a link. Shorter ones are for the agent to get over."""


class Verdict(NamedTuple):
    """Whether the agent is in order, and what there is to say about it."""

    healthy: bool
    words: str


def judge_status(status: Status | None, *, boot_id: str, now_s: float, max_offline_s: float = MAX_OFFLINE_S) -> Verdict:
    """The verdict on what a running agent last said of itself. `now_s` is of the machine's monotonic clock."""
    if status is None:
        return Verdict(healthy=False, words="the agent runs, but has not reported how it is")
    silent_s = now_s - status.at_s
    if status.boot_id != boot_id or silent_s > MISSED_REPORTS * status.interval_s:
        return Verdict(healthy=False, words=f"the agent (pid {status.pid}) hangs: no report for {silent_s:.0f} s")
    if status.link == "up":
        return Verdict(healthy=True, words=f"connected for {now_s - status.link_since_s:.0f} s")
    offline_s = now_s - status.link_since_s
    why = f": {status.link_words}" if status.link_words else ""
    words = f"not connected for {offline_s:.0f} s{why}"
    return Verdict(healthy=offline_s <= max_offline_s, words=words)


def verdict(store: Store, *, boot_id: str, max_offline_s: float = MAX_OFFLINE_S) -> Verdict:
    """The verdict on the agent that keeps its state there."""
    try:
        running = store.is_held()
    except OSError as err:
        return Verdict(healthy=False, words=f"{store.folder} cannot be read: {err.strerror}")
    if not running:
        return Verdict(healthy=False, words=f"no agent runs with its state in {store.folder}")
    return judge_status(store.status(), boot_id=boot_id, now_s=time.monotonic(), max_offline_s=max_offline_s)
