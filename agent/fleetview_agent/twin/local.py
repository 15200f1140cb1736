"""The file on the device, read anew by a running agent: tried as a configuration from afar is, and taken back as that is.

The file is its owner's, and is never written. So what is kept is a doubt about it, together with the file as it was before,
for as long as the doubt stands: from before the new one runs, until it was well for the whole window. After that there is
none, and the file alone counts. What a start finds, whatever the moment at which the power went:

    no doubt                          the file runs
    the file was being tried          the one before runs; it is tried again once the device has settled, in all at most
                                      MOST_ATTEMPTS times, for the power goes for other reasons, but an agent may end by it
    the file was taken back           the one before runs, until the file says something else, or SIGHUP asks once more
    the file says something else      it is read as by any start: somebody has mended it, or knows better

What only a restart can change (who the device is, how it is reached) is the same in both, or it would not have been tried.
A configuration from afar is laid over whichever of the two runs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleetview_agent.configload import ConfigError, Loaded, Source
from fleetview_agent.twin import keep
from fleetview_agent.twin.decide import MOST_ATTEMPTS, SETTLE_S
from fleetview_agent.twin.flaws import in_words
from fleetview_agent.twin.model import Doubt
from fleetview_agent.twin.watch import Bad, Good, Sample, Watch, look

_log = logging.getLogger(__name__)


class LocalFile:
    """The file, and what is tried of it. `base` is what it amounts to, or the one before it: that runs."""

    def __init__(self, folder: Path, source: Source, local: Loaded, *, now_s: float) -> None:
        self._folder = folder
        self._file = source
        self.base = local
        self.tried: Loaded | None = None
        self.watch: Watch | None = None
        self.retry_at_s: float | None = None
        """When what was cut short is to be tried again."""
        self._doubt: Doubt | None = None
        self._news: list[tuple[int, str]] = []
        """For the log, once there is one."""
        found, problem = keep.load_doubt(folder)
        if problem is not None:
            self._news.append((logging.ERROR, problem))
        self._is_over = found is not None and found.sha256 != keep.digest(local.table)
        if found is not None and not self._is_over:
            self._doubted(found, now_s)

    def _doubted(self, doubt: Doubt, now_s: float) -> None:
        try:
            self.base = replace(self._file, table=doubt.before).load()
        except ConfigError as err:
            self._news.append(
                (logging.ERROR, f"the file runs as it is, for what was before cannot be used: {in_words(err)}")
            )
            self._is_over = True
            return
        if doubt.reason is None and doubt.attempts >= MOST_ATTEMPTS:
            doubt = replace(doubt, reason=f"the agent ended {doubt.attempts} times while it was being tried")
        self._doubt = doubt
        if doubt.reason is None:
            self.retry_at_s = now_s + min(SETTLE_S, self.base.config.verify_s)
            words = "the configuration file was being tried when the agent ended: the one before runs, and it is tried again"
            self._news.append((logging.WARNING, words))
        else:
            self._news.append((logging.WARNING, f"{self.problem}: the one before runs"))

    @property
    def problem(self) -> str | None:
        """Why something else runs than the file says, in words."""
        return None if self._doubt is None else self._doubt.problem

    @property
    def source(self) -> Source:
        """What documents are laid over."""
        return replace(self._file, table=self.base.table)

    def attach(self) -> None:
        """Say what a start has found, and keep what follows from that."""
        for level, words in self._news:
            _log.log(level, words)
        try:
            if self._is_over:
                keep.forget_doubt(self._folder)
            elif self._doubt is not None:
                keep.save_doubt(self._folder, self._doubt)
        except OSError as err:
            _log.error("what is known of the file cannot be kept: state_dir %s: %s", self._folder, err.strerror or err)

    def read(self, document: Mapping[str, Any] | None) -> Loaded:
        """What it says now, with this laid over it. Raises ConfigError."""
        self.retry_at_s = None
        return self._file.load(document)

    def begin(self, tried: Loaded, watch: Watch) -> None:
        """It runs from now on, and is watched. Raises OSError when that cannot be kept: then it must not."""
        sha256, doubt = keep.digest(tried.table), self._doubt
        is_again = doubt is not None and doubt.reason is None and doubt.sha256 == sha256
        attempts = doubt.attempts + 1 if doubt is not None and is_again else 1
        begun = Doubt(sha256, self.base.table, attempts)
        keep.save_doubt(self._folder, begun)
        self._doubt, self.tried, self.watch = begun, tried, watch

    def look(self, sample: Sample, now_s: float) -> Good | Bad | None:
        """What a look at the device amounts to; None as long as the watch goes on."""
        if self.watch is None:
            return None
        found = look(self.watch, sample, now_s)
        if isinstance(found, Watch):
            self.watch = found
            return None
        return found

    def accept(self, base: Loaded) -> None:
        """This is what the file amounts to, and it is good: it alone counts."""
        self.base, self.tried, self.watch = base, None, None
        if self._doubt is None:
            return
        self._doubt = None
        try:
            keep.forget_doubt(self._folder)
        except OSError as err:  # it is tried again by the next start, which does no harm
            _log.error("what was known of the file cannot be removed: state_dir %s: %s", self._folder, err.strerror or err)

    def take_back(self, reason: str) -> None:
        """The one before runs again, for this reason."""
        self.tried, self.watch = None, None
        self._keep(reason=reason)

    def refused(self, reason: str) -> None:
        """It cannot even be tried, for this reason: that ends the trying of one that was cut short."""
        if self.watch is None and self._doubt is not None and self._doubt.reason is None:
            self._keep(reason=reason)

    def stop(self) -> None:
        """The agent stops because it was asked to, which is no fault of what is tried."""
        if self.watch is not None and self._doubt is not None:
            self.watch = None
            self._keep(attempts=self._doubt.attempts - 1)

    def _keep(self, **changes: Any) -> None:  # noqa: ANN401  (fields of Doubt)
        if self._doubt is None:
            return
        self._doubt = replace(self._doubt, **changes)
        try:
            keep.save_doubt(self._folder, self._doubt)
        except OSError as err:  # what is on the disk says that it is tried: the one before boots
            _log.error("what became of the file cannot be kept: state_dir %s: %s", self._folder, err.strerror or err)
