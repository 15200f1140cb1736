"""The agent's own log: structured records of the contract, as JSON lines on stderr and into the spool.

Everything below the logger `fleetview_agent` arrives here; what a call gives as `extra` becomes a field of the record.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

from fleetview_agent.hearers import Hearers
from fleetview_agent.spool import Record, Spool, record_json
from fleetview_agent.wire import LogCounts, format_time

SERVICE = "fleetview-agent"
LOGGER = "fleetview_agent"

_LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING, "ERROR": logging.ERROR}
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What the attributes of a log record are apart from `extra`."""


class Intake:
    """The way into the spool, which counts by level on the way."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._counts: Counter[str] = Counter()
        self.hearers: Hearers[Sequence[Record]] = Hearers()
        """Of all records that are taken."""

    def take(self, records: Sequence[Record]) -> int:
        """Take records of the contract in; the number of the last one in the spool's stream."""
        self._counts.update(record["level"] for record in records)
        last = self._spool.append(records)
        self.hearers.tell(records)
        return last

    def counts(self) -> LogCounts:
        """How many were taken, by level."""
        return LogCounts(**{name.lower(): self._counts[name] for name in _LEVELS})


class JournalHandler(logging.Handler):
    """Writes each log record as a JSON line, and takes it in."""

    def __init__(self, stream: TextIO, intake: Intake | None) -> None:
        super().__init__()
        self._stream: TextIO | None = stream
        self._intake = intake

    def emit(self, record: logging.LogRecord) -> None:
        contract = contract_record(record)
        if self._stream is not None:
            try:
                self._stream.write(record_json(contract).decode() + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # Whoever read stderr has closed it, or the disk behind it is full. The records still go to the broker,
                # and a word about it would have nowhere else to go.
                self._stream = None
        if self._intake is not None:
            self._intake.take([contract])


def contract_record(record: logging.LogRecord) -> Record:
    """The record of the contract that a record of Python's logging stands for."""
    fields: Record = {
        "timestamp": format_time(datetime.fromtimestamp(record.created, UTC)),
        "service": SERVICE,
        "level": _level(record.levelno),
        "trace_id": None,
        "message": record.getMessage(),
    }
    fields.update((name, value) for name, value in vars(record).items() if name not in _USUAL and name not in fields)
    if record.exc_info and record.exc_info[1] is not None:
        fields["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
    return fields


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "ERROR"
    if number >= logging.WARNING:
        return "WARN"
    return "INFO" if number >= logging.INFO else "DEBUG"


def begin(level: str, stream: TextIO, intake: Intake | None) -> JournalHandler:
    """Send the agent's own log to `stream` and `intake`, from this level on. `end` undoes it."""
    handler = JournalHandler(stream, intake)
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    logger.propagate = False
    set_level(level)
    return handler


def set_level(level: str) -> None:
    """Log from this level on: `DEBUG`, `INFO`, `WARN` or `ERROR`."""
    logging.getLogger(LOGGER).setLevel(_LEVELS[level])


def end(handler: JournalHandler) -> None:
    """Take the handler away again."""
    logging.getLogger(LOGGER).removeHandler(handler)
