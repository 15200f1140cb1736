"""The releases on the disk of a device: which are there, which is linked as the one that runs, how far an update has got.

What was remembered decides what runs, and the link follows it: `recover` makes both agree again after a cut of power.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from fleetview_agent import durable
from fleetview_agent.release import inventory, manifest
from fleetview_agent.release.errors import RefusedError, ReleaseError
from fleetview_agent.release.model import Final, Job, Offer, Outcome, Stage, State

_log = logging.getLogger(__name__)

_STATE = ".update.json"
_DOWNLOAD = ".download"
_STAGING = ".unpacking"


@dataclass(frozen=True, slots=True)
class Recovered:
    """What there is when the agent starts."""

    state: State
    release: manifest.Manifest | None
    """What runs."""
    problem: str | None = None
    """What went wrong with what should run, in words."""


class Shelf:
    """The folder of releases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.download = folder / _DOWNLOAD
        self.staging = folder / _STAGING
        """Where a release is unpacked before it has its name."""
        self._tidying = threading.Lock()
        """What is being written has a name for the moment that would be taken away with the leftovers."""

    def path(self, version: str) -> Path:
        """The folder of a release."""
        return self.folder / version

    def linked(self) -> str | None:
        """The release that `current` points to."""
        try:
            return manifest.version_of(os.readlink(self.folder / manifest.LINK))  # noqa: PTH115  (its text, not a path)
        except (OSError, ValueError):
            return None

    def versions(self) -> list[str]:
        """The releases that are there, the newest first."""
        try:
            found = [
                path for path in self.folder.iterdir() if path.name[0] != "." and path.is_dir() and not path.is_symlink()
            ]
        except OSError:
            return []
        return [path.name for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]

    def sha256_of(self, version: str) -> str | None:
        """Of the archive that an installed release came from; None when it is not there."""
        if not self.path(version).is_dir():
            return None
        return str(inventory.read(self.path(version)).get("sha256"))

    def manifest(self, version: str) -> manifest.Manifest:
        """Of an installed release. Raises RefusedError."""
        return manifest.read(self.path(version))

    def prove(self, version: str, *, contents: bool = True) -> None:
        """Make sure that an installed release is whole. Raises RefusedError."""
        if not self.path(version).is_dir():
            words = f"release {version} is not there"
            raise RefusedError(words)
        inventory.prove(self.path(version), contents=contents)

    def free_bytes(self) -> int:
        """Of the disk, for us. Raises OSError."""
        durable.make_folder(self.folder)
        return shutil.disk_usage(self.folder).free

    # What changes it

    def place(self, version: str) -> None:
        """Give what was unpacked its name."""
        durable.rename(self.staging, self.path(version))

    def switch(self, version: str | None) -> None:
        """Let `current` point to a release; None: to none."""
        if version is None:
            durable.remove(self.folder / manifest.LINK)
        elif self.linked() != version:
            durable.replace_link(self.folder / manifest.LINK, version)

    def forget_arrived(self) -> None:
        """Take away what has arrived of an archive, and what was unpacked of it."""
        durable.remove_tree(self.download)
        self.drop_staging()

    def drop_staging(self) -> None:
        """Take away what was unpacked and has no name yet."""
        durable.remove_tree(self.staging)

    def drop(self, version: str) -> None:
        """Take a release away."""
        durable.remove_tree(self.path(version))

    def clean(self, keep: Collection[str], drop: str | None, most: int) -> None:
        """Take away what is not needed: `drop`, all but the newest `most` releases beside those to keep, and leftovers."""
        if not self.folder.is_dir():
            return
        if drop is not None and drop not in keep:
            durable.remove_tree(self.path(drop))
        others = [version for version in self.versions() if version not in keep]
        for version in others[max(0, most - len(keep)) :]:
            durable.remove_tree(self.path(version))
        with self._tidying:
            for path in sorted(self.folder.iterdir()):
                if path.name.startswith(".") and path.name != _STATE:
                    durable.remove_tree(path)

    # What is remembered

    def save(self, state: State) -> None:
        """Remember how far an update has got. Raises OSError."""
        volatile: dict[str, Any] = {"retry_at_s": None, "well_since_s": None, "begun_s": 0.0}
        kept = replace(state, job=None if state.job is None else replace(state.job, **volatile))
        with self._tidying:
            durable.write_atomically(self.folder / _STATE, json.dumps(asdict(kept)).encode())

    def load(self) -> State:
        """What is remembered."""
        try:
            return _state(json.loads((self.folder / _STATE).read_bytes()))
        except FileNotFoundError:
            return State(running=self.linked())
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as err:
            running = self.linked()
            extra = {"file": str(self.folder / _STATE), "why": str(err), "release": running}
            _log.error("what is remembered of releases cannot be read: the linked release runs", extra=extra)
            return State(running=running)

    def recover(self) -> Recovered:
        """What runs when the agent starts; the link is made to agree. Raises nothing: a device has to come up."""
        state = self.load()
        problem = None
        for version in dict.fromkeys((state.boots_into, state.previous)):
            if version is None:
                continue
            try:
                self.prove(version, contents=False)
                release = self.manifest(version)
            except ReleaseError as err:
                problem = problem or str(err)
                continue
            if version != state.running:
                problem = f"{problem}; {version} runs in its place"
                state = replace(state, running=version, previous=None)
            return Recovered(state, release, self._link(version) or problem)
        if state.running is not None:
            problem = f"{problem}; no release runs"
            state = replace(state, running=None, previous=None)
        return Recovered(state, None, self._link(None) or problem)

    def _link(self, version: str | None) -> str | None:
        try:
            self.switch(version)
        except OSError as err:
            return f"releases cannot be linked in {self.folder}: {err.strerror}"
        return None


def _state(value: dict[str, Any]) -> State:
    """From JSON. Raises TypeError, KeyError, ValueError."""
    job, last, following = value["job"], value["last"], value["following"]
    if job is not None:
        job = Job(**{**job, "offer": Offer(**job["offer"])})
        _one_of(job.stage, get_args(Stage))
    if last is not None:
        last = Outcome(**last)
        _one_of(last.status, get_args(Final))
    if following is not None:
        following = (following[0], Offer(**following[1]))
    for version in (value["running"], value["previous"]):
        if version is not None:
            manifest.version_of(version)
    return State(value["running"], value["previous"], job, last, following)


def _one_of(word: str, known: Collection[str]) -> None:
    if word not in known:
        msg = f"{word!r} is none of {', '.join(known)}"
        raise ValueError(msg)
