"""The kernel and what it grants: its version, control groups, access control, memory, open files."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from fleetview_agent.preflight.findings import Answer, Finding
from fleetview_agent.preflight.inquiry import Inquiry
from fleetview_agent.preflight.machine import Machine

KERNEL, CGROUP, CONFINEMENT, MEMORY, OPEN_FILES = "kernel", "cgroup", "access control", "memory", "open files"

LEAST_KERNEL = (5, 4)
AGENT_MIB = 50
"""What the agent itself may take."""
_SPARE_MIB = 64
_FILES_OF_THE_AGENT = 64
_FILES_PER_MODULE = 8
"""Two pipes, and what watching and probing takes."""
_NO_LIMIT = 1 << 50
"""Bytes: cgroup v1 writes a very large number for none."""


def kernel(inquiry: Inquiry) -> Answer:
    """Whether it is new enough."""
    release = inquiry.machine.text("proc/sys/kernel/osrelease")
    found = re.match(r"(\d+)\.(\d+)", release or "")
    if found is None:
        return Finding(KERNEL, "warning", "its version cannot be told: the agent is made for Linux, 5.4 or newer")
    if (int(found[1]), int(found[2])) < LEAST_KERNEL:
        return Finding(KERNEL, "error", f"{release} is older than 5.4: install a newer one")
    return Finding(KERNEL, "ok", f"{release}")


def cgroup(inquiry: Inquiry) -> Answer:
    """Whether there is the unified hierarchy, which limits of containers and units rest on."""
    controllers = inquiry.machine.text("sys/fs/cgroup/cgroup.controllers")
    if controllers is None:
        hybrid = inquiry.machine.file("sys/fs/cgroup/unified").exists()
        words = "version 1 is mounted" + (", and 2 beside it" if hybrid else "")
        words += ": boot with systemd.unified_cgroup_hierarchy=1, or MemoryMax= and limits of containers may not hold"
        return Finding(CGROUP, "warning", words)
    missing = [name for name in ("cpu", "memory", "pids") if name not in controllers.split()]
    if missing:
        words = f"version 2, without {', '.join(missing)}: on boards, boot with cgroup_enable=memory"
        return Finding(CGROUP, "warning", words)
    return Finding(CGROUP, "ok", "version 2")


def confinement(inquiry: Inquiry) -> Answer:
    """What SELinux or AppArmor does here. Neither is needed; one that only pretends is worth a word."""
    machine = inquiry.machine
    enforces = machine.text("sys/fs/selinux/enforce")
    label = (machine.text("proc/self/attr/current") or "").rstrip("\0") or "no label"
    if enforces is not None:
        if enforces == "1":
            return Finding(CONFINEMENT, "ok", f"SELinux enforces; this process is {label}")
        words = (
            f"SELinux is permissive, so it forbids nothing: setenforce 1 once ausearch -m avc shows no more; this is {label}"
        )
        return Finding(CONFINEMENT, "warning", words)
    if machine.text("sys/module/apparmor/parameters/enabled") == "Y":
        return Finding(CONFINEMENT, "ok", f"AppArmor is on; this process is {label}")
    return Finding(CONFINEMENT, "ok", "neither SELinux nor AppArmor: only the unit or the container confines the modules")


def memory(inquiry: Inquiry) -> Answer:
    """Whether there is enough for the agent and what its modules may take."""
    machine = inquiry.machine
    info = dict(re.findall(r"^(\w+):\s+(\d+) kB", machine.text("proc/meminfo") or "", re.MULTILINE))
    if "MemAvailable" not in info or "MemTotal" not in info:
        return Finding(MEMORY, "warning", "cannot be told: there is no /proc/meminfo to look at")
    total, available = int(info["MemTotal"]) // 1024, int(info["MemAvailable"]) // 1024
    limit = _group_limit(machine)
    if limit is not None:
        total, available = min(total, limit[0]), min(available, limit[1])
    bounds = [spec.limits.memory_mib for spec in inquiry.config.module_specs.values()]
    modules = sum(bound for bound in bounds if bound is not None)
    words = f"{available:,} of {total:,} MiB are free"
    if available < AGENT_MIB:
        return Finding(
            MEMORY, "error", f"{words}: the agent alone takes up to {AGENT_MIB}; end something, or raise the limit"
        )
    if available < AGENT_MIB + _SPARE_MIB:
        return Finding(MEMORY, "warning", f"{words}, which leaves modules little beside the agent: end something")
    if modules + AGENT_MIB > total:
        words = f"{words}, and limits.memory_mib of the modules add up to {modules:,}: lower them, or the kernel ends one"
        return Finding(MEMORY, "warning", words)
    return Finding(MEMORY, "ok", words)


def _group_limit(machine: Machine) -> tuple[int, int] | None:
    """What the control group of this process may have and has left, in MiB; None without a limit."""
    own = next((line[3:] for line in (machine.text("proc/self/cgroup") or "").splitlines() if line.startswith("0::")), "/")
    found: tuple[int, int] | None = None
    path = PurePosixPath(own)
    for group in (path, *path.parents):  # that of every group above it holds too
        folder = f"sys/fs/cgroup{'' if str(group) == '/' else group}"
        most, now = machine.text(f"{folder}/memory.max") or "", machine.text(f"{folder}/memory.current") or ""
        if most.isdigit() and now.isdigit() and int(most) < _NO_LIMIT:
            bound = (int(most) >> 20, max(0, int(most) - int(now)) >> 20)
            found = bound if found is None else (min(found[0], bound[0]), min(found[1], bound[1]))
    return found


def open_files(inquiry: Inquiry) -> Answer:
    """Whether it may have as many open as it needs."""
    limits = inquiry.machine.text("proc/self/limits") or ""
    found = re.search(r"^Max open files\s+(\d+|unlimited)", limits, re.MULTILINE)
    if found is None:
        return Finding(OPEN_FILES, "warning", "the limit cannot be told: look at ulimit -n")
    need = _FILES_OF_THE_AGENT + inquiry.log_files + _FILES_PER_MODULE * len(inquiry.config.module_specs)
    words = f"{found[1]} are allowed, about {need} are needed"
    if found[1] == "unlimited" or int(found[1]) >= 2 * need:
        return Finding(OPEN_FILES, "ok", words)
    mend = f"set LimitNOFILE={max(1024, 4 * need)} in the unit, or --ulimit nofile= of the container"
    return Finding(OPEN_FILES, "error" if int(found[1]) < need else "warning", f"{words}: {mend}")
