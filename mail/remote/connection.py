"""A connection to a server that outlives the server's restarts: what was under way is asked again, with the same ids.

This is the only module that speaks through psycopg.
"""

from __future__ import annotations

import atexit
import gc
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar, cast

from ..errors import InDoubt, InvalidEvent, LedElsewhere, LogDamaged, LogUnavailable, TeamMailError
from ..log.event import START, ChainPosition
from ..log.event import place as position
from ..process import Presence
from .place import GIVEN, Address, readable

_COLLECTED = gc.isenabled()
gc.disable()  # what an import makes stays; to look for garbage among it takes a tenth of the import's time
try:
    import psycopg
    import psycopg.conninfo
    import psycopg.rows
    import psycopg.types.json
except ImportError:
    raise LogUnavailable("the log is on PostgreSQL, and psycopg is not installed: install team-mail[cluster]") from None
finally:
    if _COLLECTED:
        gc.enable()

Connection = psycopg.Connection[tuple[Any, ...]]
Result = TypeVar("Result")

_PATIENCE = 30.0  # seconds for a server that was there to come back
_FIRST = 5.0  # seconds for one that this process has not met yet
_LONGEST = 0.5  # seconds between two tries
_SETTINGS = {
    "application_name": "team-mail", "connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2,
    "keepalives_count": 3, "tcp_user_timeout": 15_000, "client_encoding": "UTF8",
    "options": f"-c lock_timeout={_PATIENCE:.0f}s",
}  # fmt: skip
_VARIABLES = {
    keyword: f"PG{keyword.upper()}"
    for keyword in ("host", "port", "user", "password", "passfile", "service", "options", "sslmode", "sslrootcert")
} | {"dbname": "PGDATABASE", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY"}
_BATCH = 10_000  # lines
_ERRORS = (  # by the beginnings of SQLSTATE
    ("TM001|22|54", "the server refused the event: {said}"),
    ("TM005", "the log at {where} is closed: {said}; nothing was written"),
    ("3F000|42P01|42883|42703", "{where} has no log of this version: `team cluster init`, or `team cluster upgrade`"),
    ("TM003|42501", "{where} does not let this login do that: {said}; docs/cluster.md has the roles"),
    ("53", "{where} is full: {said}; nothing was written"),
    ("XX", "{where} is damaged: {said}"),
)


class Sent(NamedTuple):
    """What became of one id: where its event is, and the whole line if the log had it before."""

    id: str
    seq: int
    prev: str | None
    hash: str | None
    line: str | None


class Lease(NamedTuple):
    """Who leads: place, and host for people; in which epoch, and for how many seconds more unless that is renewed."""

    place: str | None
    host: str
    epoch: int
    rest: float


class Server:
    """One server and schema. Threads may share an instance, they take turns; a forked child connects anew.

    `patience` is how many seconds a server that was there may take to come back, `first` those for one that this
    process has not met yet. `settings` are parameters of libpq, in place of those that it would use.
    """

    def __init__(
        self,
        address: Address,
        patience: float = _PATIENCE,
        first: float = _FIRST,
        settings: Mapping[str, int | str] | None = None,
    ) -> None:
        self.address = address
        self.back = float("-inf")  # when the server was there again after it was away, by the monotonic clock
        self._is_away = False
        self._settings = _SETTINGS | dict(settings or {})
        self._patience = patience
        self._first = first
        self._turn = threading.Lock()
        self._connection: Connection | None = None
        self._pid = 0
        self._left: list[Connection] = []  # those of a parent process, which must not be closed here

    def run(self, work: Callable[[Connection], Result], *, writes: bool = False) -> Result:
        """Do something with the connection; if it breaks, connect and do it again, until the patience is at an end.

        Raises LogUnavailable, InDoubt if a write may have been done, and what the server's rules refuse.
        """
        met = self._connection is not None
        deadline, doubtful, pause = time.monotonic() + (self._patience if met else self._first), False, 0.01
        with self._turn:
            while True:
                try:
                    connection = self._connected()
                    if not met:
                        met, deadline = True, time.monotonic() + self._patience
                    doubtful = doubtful or writes
                    return self._done(work, connection)
                except psycopg.Error as error:
                    if not self._is_gone(error):
                        raise self._refusal(error) from error
                    self.close()
                    self._is_away = True
                    if time.monotonic() >= deadline or _is_final(error):
                        raise self._lost(error, doubtful=doubtful) from error
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST)

    def bear(self, seconds: float) -> None:
        """Wait for a server that was there for so long from now on."""
        self._patience = seconds

    def connect(self) -> Connection:
        """Open a connection of its own, which the caller closes. Raises psycopg.Error.

        A password comes from ~/.pgpass, a service file or a variable, as libpq looks for them.
        """
        named = psycopg.conninfo.conninfo_to_dict(self.address.url)
        given = {keyword: GIVEN[name] for keyword, name in _VARIABLES.items() if name in GIVEN}
        return psycopg.connect(**(self._settings | given | named), autocommit=True)  # pyright: ignore[reportArgumentType, reportCallIssue]

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def send(self, middles: Sequence[str], place: str, epoch: int = 0) -> list[Sent]:
        """Append events; of those that the log has, return the lines. Raises InvalidEvent, LedElsewhere, LogError.

        `epoch` is that of the lead that the process has, 0 if it has none.
        """
        text = f"SELECT id, seq, prev, hash, line FROM {self.address.schema}.send(%b::text[], %b, %b)".encode()
        return self.run(lambda c: [Sent(*row) for row in c.execute(text, [[*middles], place, epoch])], writes=True)

    def open_log(self) -> None:
        """Write the log's first event, unless it has one. Raises LogUnavailable, InDoubt."""
        text = f"SELECT {self.address.schema}.open_log()".encode()
        self.run(lambda c: c.execute(text), writes=True)

    def lines(self, since: int) -> list[tuple[int, str]]:
        """Return seq and line of the events from seq `since` on, as many as one answer has."""
        text = f"SELECT seq, line FROM {self.address.schema}.lines WHERE seq >= %b ORDER BY seq LIMIT {_BATCH}".encode()
        return self.run(lambda c: c.execute(text, [since], binary=True).fetchall())  # pyright: ignore[reportReturnType]

    def head(self) -> ChainPosition:
        """Return the position of the last event; START for a log without events."""
        text = f"SELECT line FROM {self.address.schema}.lines ORDER BY seq DESC LIMIT 1".encode()
        row = self.run(lambda c: c.execute(text).fetchone())
        return START if row is None else position(row[0].encode()) or START

    def lead(self, place: str, host: str, *, force: bool = False) -> Lease:
        """Lead from a place unless another one does; return who leads then."""
        text = f"SELECT place, host, epoch, rest FROM {self.address.schema}.lead(%s, %s, %s)".encode()
        return Lease(*self._one(text, [place, host, force], writes=True))

    def lease(self) -> Lease:
        """Return who leads; `rest` is negative where nobody does."""
        rest = "extract(epoch FROM expires - clock_timestamp())::float8"
        text = f"SELECT place, coalesce(host, ''), epoch, {rest} FROM {self.address.schema}.lease".encode()
        return Lease(*self._one(text, []))

    def beat(self, process: str, place: str, host: str, what: str, epoch: int) -> Lease:
        """Tell that a process is there, and renew its lead; return who leads, and how long what was told lasts."""
        text = f"SELECT place, host, epoch, lasts FROM {self.address.schema}.beat(%s, %s, %s, %s, %s)".encode()
        return Lease(*self._one(text, [process, place, host, what, epoch], writes=True))

    def leave(self, process: str, place: str, epoch: int) -> None:
        """Tell that a process is gone; give its lead back, unless others of its place still lead."""
        text = f"SELECT {self.address.schema}.leave(%s, %s, %s)".encode()
        self._one(text, [process, place, epoch], writes=True)

    def there(self) -> list[Presence]:
        """Return the processes that have told of themselves within a day, the oldest first."""
        text = f"SELECT process, place, host, what, leads, age, rest, gone FROM {self.address.schema}.there()".encode()
        rows = self.run(lambda c: c.execute(text).fetchall())
        named = (Presence(readable(who), place, host, readable(what), *rest) for who, place, host, what, *rest in rows)
        return [each for each in named if each.process]

    def grants(self) -> list[tuple[str, str]]:
        """Return which login may append as which persona, without a run."""
        text = f"SELECT role::text, persona FROM {self.address.schema}.grants ORDER BY role, persona".encode()
        return [(row[0], row[1]) for row in self.run(lambda c: c.execute(text).fetchall())]

    def grant(self, role: str, persona: str, *, revoke: bool = False) -> None:
        """Let a login append as a persona, or no more; only the owner may. Raises LogUnavailable."""
        table = f"{self.address.schema}.grants"
        text = f"INSERT INTO {table} SELECT rolname, %s FROM pg_roles WHERE rolname = %s ON CONFLICT DO NOTHING"
        if revoke:
            text = f"DELETE FROM {table} WHERE persona = %s AND role = %s"
        self.run(lambda c: c.execute(text.encode(), [persona, role]), writes=True)

    def put_blob(self, data: bytes) -> None:
        """Store a blob."""
        text = f"SELECT {self.address.schema}.put_blob(%b)".encode()
        self.run(lambda c: c.execute(text, [data]), writes=True)

    def blob(self, sha256: str) -> bytes | None:
        """Return a blob; None if the server has none of that name."""
        text = f"SELECT data FROM {self.address.schema}.blobs WHERE sha256 = %b".encode()
        row = self.run(lambda c: c.execute(text, [sha256], binary=True).fetchone())
        return bytes(row[0]) if row else None

    def blob_names(self) -> list[str]:
        """Return the names of all blobs."""
        text = f"SELECT sha256 FROM {self.address.schema}.blobs".encode()
        return [row[0] for row in self.run(lambda c: c.execute(text).fetchall())]

    def value(self, name: str) -> str | None:
        """Return what the schema's table `state` has under a name."""
        text = f"SELECT value FROM {self.address.schema}.state WHERE name = %s".encode()
        row = self.run(lambda c: c.execute(text, [name]).fetchone())
        return row[0] if row else None

    def set_value(self, name: str, value: str | None) -> None:
        """Change it, or take it away; only the owner may. Raises LogUnavailable."""
        table = f"{self.address.schema}.state"
        text = f"DELETE FROM {table} WHERE name = %s AND %s::text IS NULL"
        if value is not None:
            text = f"INSERT INTO {table} VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        self.run(lambda c: c.execute(text.encode(), [name, value]), writes=True)

    def copy_in(self, lines: Sequence[str], after: int) -> None:
        """Append whole lines of another log; only the owner may. Raises LogUnavailable."""
        text = f"SELECT {self.address.schema}.copy_in(%b::text[], %b)".encode()
        self.run(lambda c: c.execute(text, [[*lines], after]), writes=True)

    def news(self, stop: threading.Event, seconds: float) -> Iterator[None]:
        """Yield at once, then whenever the log may have grown, at the latest after `seconds`, until `stop` is set.

        A server that goes away is waited for.
        """
        pause = 0.01
        while not stop.is_set():
            with suppress(psycopg.OperationalError), self.connect() as connection:
                connection.execute(f"LISTEN {self.address.schema}".encode())
                pause = 0.01
                while not stop.is_set():
                    yield
                    for _ in connection.notifies(timeout=seconds, stop_after=1):
                        pass
                return
            stop.wait(pause)
            pause = min(pause * 2, _LONGEST)
            yield

    def heard(self, channel: str, stop: threading.Event, seconds: float = 0.1) -> Iterator[str]:
        """Yield what is notified on a channel, until `stop` is set. A server that goes away is waited for."""
        while not stop.is_set():
            with suppress(psycopg.OperationalError), self.connect() as connection:
                connection.execute(f"LISTEN {channel}".encode())
                while not stop.is_set():
                    for notified in list(connection.notifies(timeout=seconds, stop_after=1)):
                        yield notified.payload
            stop.wait(_LONGEST)

    def rows(self, text: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of a query, by the names of their columns; a `dict` among the values is given as JSON."""
        given = {name: _with_json(value) for name, value in values.items()}

        def work(connection: Connection) -> list[dict[str, Any]]:
            with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
                cursor.execute(text.encode(), given)
                return cursor.fetchall() if cursor.description else []

        return self.run(work)

    def make_schema(self, schema: str, team: str, script: str, known: str) -> bool:
        """Make a schema of others by a script, for leader and workers of a team, unless it is there as `known`."""

        def work(connection: Connection) -> bool:
            with connection.transaction():
                row = _row(connection, b"SELECT obj_description(to_regnamespace(%s), 'pg_namespace')", [schema])
                if row and row[0] == known:
                    return False
                roles = f"{team}_leader, {team}_worker"
                for each in (
                    f"SET LOCAL statement_timeout = '{_PATIENCE:.0f}s'",
                    f"DROP SCHEMA IF EXISTS {schema} CASCADE",
                    f"CREATE SCHEMA {schema} AUTHORIZATION {team}_owner", f"SET LOCAL ROLE {team}_owner",
                    f"SET LOCAL search_path = {schema}, pg_catalog", script,
                    f"GRANT USAGE ON SCHEMA {schema} TO {roles}",
                    f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {roles}",
                    f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {roles}",
                    f"COMMENT ON SCHEMA {schema} IS '{known}'",
                ):  # fmt: skip
                    connection.execute(each.encode())
            return True

        return self.run(work, writes=True)

    def _done(self, work: Callable[[Connection], Result], connection: Connection) -> Result:
        """Do the work, and note that the server is there again if it was away."""
        done = work(connection)
        if self._is_away:
            self._is_away, self.back = False, time.monotonic()
        return done

    def _one(self, text: bytes, values: Sequence[object], *, writes: bool = False) -> tuple[Any, ...]:
        return self.run(lambda c: _row(c, text, values) or (), writes=writes)

    def _connected(self) -> Connection:
        if self._connection is not None and self._pid != os.getpid():
            self._left.append(self._connection)
            self._connection = None
        if self._connection is None or self._connection.closed:
            self._connection, self._pid = self.connect(), os.getpid()
        return self._connection

    def _is_gone(self, error: psycopg.Error) -> bool:
        broken = self._connection is None or self._connection.closed or self._connection.broken
        return broken or (
            isinstance(error, psycopg.OperationalError) and (error.sqlstate or "")[:2] in {"57", "08", ""}
        )

    def _lost(self, error: psycopg.Error, *, doubtful: bool) -> TeamMailError:
        why = f"{self.address} cannot be reached: {' '.join(str(error).split())}"
        if "no password supplied" in why or "password authentication failed" in why:
            why += "; its password is looked for in ~/.pgpass, which nobody else may read, and in PGPASSWORD"
        if doubtful:
            return InDoubt(f"{why}; what was sent may or may not last, and sending the same id again is safe")
        return LogUnavailable(f"{why}; nothing was written")

    def _holder(self) -> str:
        """Return who holds the lock of the log, for people."""
        text = "SELECT string_agg(format('process %%s of %%s on the server', pid, usename), ', ')"
        text += " FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE relation = %s::regclass AND granted"
        with suppress(psycopg.Error):
            if self._connection and (row := _row(self._connection, text.encode(), [f"{self.address.schema}.turn"])):
                return str(row[0] or "somebody who has just let it go")
        return "somebody"

    def _refusal(self, error: psycopg.Error) -> TeamMailError:
        """Return the error of ours for one of the server's; the codes TM… are those of sql/."""
        said, state = (error.diag.message_primary or str(error)).strip(), error.sqlstate or ""
        if state == "55P03":
            return LogUnavailable(f"the log at {self.address} is held by {self._holder()}; nothing was written")
        if state == "TM004":
            return LedElsewhere(said)
        for known, form in _ERRORS:
            if re.match(known, state):
                made = LogDamaged if state.startswith("XX") else InvalidEvent if "event" in form else LogUnavailable
                return made(form.format(where=self.address, said=said))
        return LogUnavailable(f"{self.address} refused: {said}; nothing was written")


def _row(connection: Connection, text: bytes, values: Sequence[object]) -> tuple[Any, ...] | None:
    return connection.execute(text, values).fetchone()


def _with_json(value: Any) -> Any:
    """Return a value of a query in which each `dict` is given as JSON."""
    if isinstance(value, dict):
        return psycopg.types.json.Jsonb(value)
    if isinstance(value, list):
        return [_with_json(item) for item in cast("list[Any]", value)]
    return tuple(map(_with_json, cast("tuple[Any, ...]", value))) if isinstance(value, tuple) else value


def _is_final(error: psycopg.Error) -> bool:
    """Tell whether a connection was refused for a reason that waiting does not mend, as of a password."""
    text = str(error)
    return any(word in text for word in ("FATAL", "certificate", "does not support SSL")) and not any(
        word in text for word in ("starting up", "shutting down", "recovery", "too many", "terminating", "not yet")
    )


@lru_cache(maxsize=8)
def server_of(address: Address) -> Server:
    """Return the connection of this process to a server: log, blobs and all mailboxes of a team share it."""
    server = Server(address)
    atexit.register(server.close)
    return server
