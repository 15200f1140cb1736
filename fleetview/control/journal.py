"""What a controller must not forget, in SQLite: rollouts, what is to be published, measurements, who did what and why.

One transaction holds what a round decided and what is to be published because of it (the outbox): after a crash at any
moment both are there, or neither. Only when the broker has a message it leaves the outbox, so one may be published twice,
and is the same then.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fleetview.core.rollout.codec import (
    StateDamagedError,
    dump_counted,
    dump_device,
    dump_head,
    dump_measurement,
    dump_plan,
    dump_target,
    load_counted,
    load_measurement,
    load_rollout,
)
from fleetview.core.rollout.events import Audit

if TYPE_CHECKING:
    from pathlib import Path

    from fleetview.core.rollout.events import Outcome
    from fleetview.core.rollout.logdiff import Counted
    from fleetview.core.rollout.state import Measurement, Rollout

_VERSION = 2
_APPLICATION = 0x666C7476
"""`fltv`: what tells this file from any other database."""
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rollout (id TEXT PRIMARY KEY, plan BLOB NOT NULL, head BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE target (rollout TEXT, key TEXT, body BLOB NOT NULL, PRIMARY KEY (rollout, key)) WITHOUT ROWID;
CREATE TABLE device (rollout TEXT, address TEXT, body BLOB NOT NULL, PRIMARY KEY (rollout, address)) WITHOUT ROWID;
CREATE TABLE measurement (id INTEGER PRIMARY KEY, rollout TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX measurement_of ON measurement (rollout, id);
CREATE TABLE audit (id INTEGER PRIMARY KEY, rollout TEXT NOT NULL, at_s REAL NOT NULL, who TEXT NOT NULL, kind TEXT NOT NULL,
    what TEXT NOT NULL, why TEXT NOT NULL);
CREATE INDEX audit_of ON audit (rollout, id);
CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload BLOB NOT NULL);
CREATE INDEX outbox_of ON outbox (topic);
"""
_SINCE_VERSION_1 = "CREATE TABLE counted (rollout TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID"


class JournalError(Exception):
    """The journal cannot be used. Its text says which file, why, and what to do."""


class Post(NamedTuple):
    """A message that is to be published, retained, with QoS 1."""

    topic: str
    payload: bytes


class Waiting(NamedTuple):
    """A message of the outbox."""

    id: int
    post: Post


@dataclass(frozen=True, slots=True)
class Record:
    """A record of who did what and why."""

    rollout: str
    audit: Audit


class Journal:
    """The journal of one tenant's controller. Whoever opens it holds it alone."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or begins it. Raises JournalError, and changes nothing then."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=0.5)
        except (OSError, sqlite3.Error) as err:
            msg = f"the journal {path} cannot be opened: {err}"
            raise JournalError(msg) from None
        try:
            self._prepare()
        except sqlite3.DatabaseError as err:
            self._db.close()
            raise JournalError(_words(path, err)) from None
        except JournalError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        db = self._db
        # Exclusive: a second controller on the same file would take the outbox of the first for its own.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        application, version = db.execute("PRAGMA application_id").fetchone()[0], self._version()
        tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if tables and application != _APPLICATION:
            msg = f"{self.path} is a database, but no journal of rollouts: name another file with --journal"
            raise JournalError(msg)
        if version > _VERSION:
            msg = (
                f"the journal {self.path} is of version {version}, and this program knows {_VERSION}: use a newer fleetview"
            )
            raise JournalError(msg)
        if tables:
            self._look_for_damage()
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            if not tables:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {_APPLICATION}")
            if version < _VERSION:
                db.execute(_SINCE_VERSION_1)
                db.execute(f"PRAGMA user_version = {_VERSION}")

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _look_for_damage(self) -> None:
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise JournalError(_damaged(self.path, found))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    # -- what is remembered

    def meta(self, name: str) -> str | None:
        """A value that was kept by `keep`."""
        with self._reading():
            row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def keep(self, name: str, value: str) -> None:
        """Keep a value. Raises JournalError when it cannot be written."""
        with self._writing():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def rollouts(self) -> list[Rollout]:
        """All rollouts, oldest first. Raises JournalError for one that cannot be read."""
        db = self._db
        found: list[Rollout] = []
        try:
            for name, plan, head in db.execute("SELECT id, plan, head FROM rollout").fetchall():
                targets = [row[0] for row in db.execute("SELECT body FROM target WHERE rollout = ?", (name,))]
                devices = [row[0] for row in db.execute("SELECT body FROM device WHERE rollout = ?", (name,))]
                found.append(load_rollout(plan, head, targets, devices))
        except (StateDamagedError, sqlite3.DatabaseError) as err:
            raise JournalError(_damaged(self.path, str(err))) from None
        return sorted(found, key=lambda rollout: rollout.head.created_s)

    def counted(self) -> dict[str, Counted]:
        """What was counted of the logs of each rollout. Raises JournalError when that cannot be read."""
        try:
            rows = self._db.execute("SELECT rollout, body FROM counted").fetchall()
            return {name: load_counted(body) for name, body in rows}
        except (StateDamagedError, sqlite3.DatabaseError) as err:
            raise JournalError(_damaged(self.path, str(err))) from None

    def measurements(self, rollout: str) -> list[Measurement]:
        """All measurements of a rollout, oldest first."""
        with self._reading():
            rows = self._db.execute("SELECT body FROM measurement WHERE rollout = ? ORDER BY id", (rollout,)).fetchall()
        return [load_measurement(row[0]) for row in rows]

    def records(self, rollout: str) -> list[Audit]:
        """Who did what in a rollout, oldest first."""
        query = "SELECT at_s, who, kind, what, why FROM audit WHERE rollout = ? ORDER BY id"
        with self._reading():
            rows = self._db.execute(query, (rollout,)).fetchall()
        return [Audit(*row) for row in rows]

    # -- writing

    def begin(self, rollout: Rollout) -> None:
        """Keep a new rollout. Raises JournalError."""
        with self._writing():
            self._db.execute(
                "INSERT INTO rollout VALUES (?, ?, ?)", (rollout.id, dump_plan(rollout.plan), dump_head(rollout.head))
            )
            self._keep_targets(rollout, rollout.targets)

    def commit(
        self,
        decided: Iterable[tuple[Rollout, Outcome]],
        posts: Iterable[Post],
        counted: Mapping[str, Counted] | None = None,
    ) -> None:
        """Keep what a round decided and counted, and what is to be published because of it. Raises JournalError."""
        with self._writing():
            for rollout, outcome in decided:
                self._keep(rollout, outcome)
            rows = ((name, dump_counted(each)) for name, each in (counted or {}).items())
            self._db.executemany("INSERT OR REPLACE INTO counted VALUES (?, ?)", rows)
            for topic, payload in posts:
                # Of a retained topic only the latest counts, and an older one that is tried again must not overtake it.
                self._db.execute("DELETE FROM outbox WHERE topic = ?", (topic,))
                self._db.execute("INSERT INTO outbox (topic, payload) VALUES (?, ?)", (topic, payload))

    def _keep(self, rollout: Rollout, outcome: Outcome) -> None:
        db, name = self._db, rollout.id
        if outcome.head:
            db.execute("UPDATE rollout SET head = ? WHERE id = ?", (dump_head(rollout.head), name))
        self._keep_targets(rollout, outcome.targets)
        db.executemany(
            "INSERT OR REPLACE INTO device VALUES (?, ?, ?)",
            # In the order of the key: ten thousand rows in any other order take half as long again.
            ((name, str(address), dump_device(rollout.devices[address])) for address in sorted(outcome.devices)),
        )
        db.executemany(
            "INSERT INTO measurement (rollout, body) VALUES (?, ?)",
            ((name, dump_measurement(found)) for found in outcome.measurements),
        )
        db.executemany(
            "INSERT INTO audit (rollout, at_s, who, kind, what, why) VALUES (?, ?, ?, ?, ?, ?)",
            (
                (name, each.at_s, each.who, each.kind, each.what, each.why)
                for each in outcome.effects
                if isinstance(each, Audit)
            ),
        )

    def _keep_targets(self, rollout: Rollout, targets: Mapping[str, object]) -> None:
        rows = ((rollout.id, key, dump_target(rollout.targets[key])) for key in targets)
        self._db.executemany("INSERT OR REPLACE INTO target VALUES (?, ?, ?)", rows)

    # -- the outbox

    def waiting(self, most: int, after: int = 0) -> list[Waiting]:
        """The oldest messages that are to be published, behind this number. Raises JournalError."""
        with self._reading():
            rows = self._db.execute(
                "SELECT id, topic, payload FROM outbox WHERE id > ? ORDER BY id LIMIT ?", (after, most)
            ).fetchall()
        return [Waiting(number, Post(topic, payload)) for number, topic, payload in rows]

    def replace(self, number: int, payload: bytes | None) -> None:
        """Publish something else in the place of a message, or nothing. Raises JournalError."""
        with self._writing():
            if payload is None:
                self._db.execute("DELETE FROM outbox WHERE id = ?", (number,))
            else:
                self._db.execute("UPDATE outbox SET payload = ? WHERE id = ?", (payload, number))

    def published(self, numbers: Iterable[int]) -> None:
        """The broker has these. Raises JournalError."""
        with self._writing():
            self._db.executemany("DELETE FROM outbox WHERE id = ?", ((number,) for number in numbers))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as err:
            raise JournalError(_damaged(self.path, str(err))) from None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._transaction():
                yield
        except sqlite3.Error as err:
            msg = f"the journal {self.path} cannot be written: {err}; nothing is offered before it can"
            raise JournalError(msg) from None

    def size_bytes(self) -> int:
        """What it takes on the disk."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())


def _words(path: Path, err: sqlite3.Error) -> str:
    if isinstance(err, sqlite3.OperationalError) and "locked" in str(err):
        return (
            f"the journal {path} is in use: another controller runs on it; end that one, or name another file with --journal"
        )
    if isinstance(err, sqlite3.OperationalError):
        return f"the journal {path} cannot be used: {err}"
    return _damaged(path, str(err))


def _damaged(path: Path, why: str) -> str:
    return (
        f"the journal {path} is damaged: {why}. Nothing was changed, and no device is offered anything. Keep the file, and "
        f"bring back the last copy of it, or begin anew with --journal and another file: what devices run stays as it is, "
        f"and the rollouts that are in it are over"
    )
