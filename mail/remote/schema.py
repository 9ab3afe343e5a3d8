"""The schema of a team on a server: its versions, the roles that may use it, the way from one version to the next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import LogUnavailable

if TYPE_CHECKING:
    from .connection import Connection, Server

_SQL = Path(__file__).parent / "sql"
ROLES = ("owner", "leader", "worker", "member", "reader")
LEASED = 2  # the version from which on the lead is a lease
_VERSIONS = sorted(int(path.stem) for path in _SQL.glob("*.sql"))
VERSION = _VERSIONS[-1]


class SchemaState(NamedTuple):
    """What a server says of a team's schema; version 0 if there is none.

    `encrypted` is whether this connection is, and `closed` why nothing is appended. `leader` is the host that leads,
    "" if none does, `epoch` that of its lead, and `rest` for how many seconds more it has that unless it is renewed.
    """

    version: int
    events: int = 0
    bytes: int = 0
    blobs: int = 0
    closed: str = ""
    leader: str = ""
    server: str = ""
    encrypted: bool = False
    epoch: int = 0
    rest: float = 0.0


def statements(schema: str, version: int) -> bytes:
    """Return the SQL that leads from the version before to a version."""
    return (_SQL / f"{version}.sql").read_text().replace("{schema}", schema).encode()


def upgrade(server: Server) -> tuple[int, int]:
    """Make the team's schema and roles, or bring them up to date, as one transaction; return both versions.

    The login has to be one that may create roles and schemas. Raises LogUnavailable.
    """
    return server.run(lambda connection: _upgraded(connection, server.address.schema))


def _upgraded(connection: Connection, schema: str) -> tuple[int, int]:
    with connection.transaction():
        _check_encoding(connection)
        before = version_of(connection, schema)
        if not before:
            connection.execute(b"SELECT pg_advisory_xact_lock(hashtext('team-mail'), hashtext(%s))", [schema])
            before = version_of(connection, schema)
        if before > VERSION:
            raise LogUnavailable(
                f"schema {schema} has version {before}, which is newer than {VERSION}: update team-mail"
            )
        _make_roles(connection, schema)
        if not before:
            connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {schema}_owner".encode())
        connection.execute(f"SET LOCAL ROLE {schema}_owner".encode())
        if before:  # by a lock that the owner alone can take: an advisory one, any login could keep
            connection.execute(f"LOCK TABLE {schema}.turn IN EXCLUSIVE MODE".encode())
            before = version_of(connection, schema)
        for version in _VERSIONS:
            if version > before:
                connection.execute(statements(schema, version))
        connection.execute(
            f"INSERT INTO {schema}.state VALUES ('version', %s)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value".encode(),
            [str(VERSION)],
        )
    return before, VERSION


def _check_encoding(connection: Connection) -> None:
    row = connection.execute(b"SHOW server_encoding").fetchone()
    if row is None or row[0] != "UTF8":
        raise LogUnavailable(f"the database is encoded as {row and row[0]}; create one with ENCODING 'UTF8'")


def _make_roles(connection: Connection, schema: str) -> None:
    for role in ROLES:
        name = f"{schema}_{role}"
        known = connection.execute(b"SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone()
        if known is None:
            connection.execute(f"CREATE ROLE {name} NOLOGIN".encode())
    (own,) = connection.execute(b"SELECT pg_has_role(%s, 'MEMBER')", [f"{schema}_owner"])
    if not own[0]:
        connection.execute(f"GRANT {schema}_owner TO CURRENT_USER".encode())


def version_of(connection: Connection, schema: str) -> int:
    """Return the version of the team's schema, 0 if there is none."""
    known = connection.execute(b"SELECT to_regclass(%s)", [f"{schema}.state"]).fetchone()
    if known is None or known[0] is None:
        return 0
    row = connection.execute(f"SELECT value FROM {schema}.state WHERE name = 'version'".encode()).fetchone()
    return int(row[0]) if row else 0


def state_of(server: Server) -> SchemaState:
    """Ask a server about the team's schema. Raises LogUnavailable."""
    return server.run(lambda connection: _state(connection, server.address.schema))


def _state(connection: Connection, schema: str) -> SchemaState:
    (about,) = connection.execute(
        b"SELECT current_setting('server_version'),"
        b" coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)"
    )
    version = version_of(connection, schema)
    if not version:
        return SchemaState(0, server=about[0], encrypted=about[1])
    named = dict(connection.execute(f"SELECT name, value FROM {schema}.state".encode()).fetchall())
    (sizes,) = connection.execute(
        f"SELECT coalesce((SELECT max(seq) FROM {schema}.lines), 0), pg_total_relation_size('{schema}.lines'),"
        f" (SELECT count(*) FROM {schema}.blobs)".encode()
    )
    events, size, blobs = sizes
    state = SchemaState(version, events, size, blobs, named.get("closed", ""), "", about[0], about[1])
    if version < LEASED:
        return state
    ((host, epoch, rest, is_over),) = connection.execute(
        f"SELECT coalesce(host, ''), epoch, extract(epoch FROM expires - clock_timestamp())::float8,"
        f" expires < clock_timestamp() FROM {schema}.lease".encode()
    )
    return state._replace(leader="" if is_over else host, epoch=epoch, rest=max(0.0, rest))
