"""A PostgreSQL for tests: one server for each process that runs tests, one schema for each test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from team_mail.mail.errors import LogUnavailable
from team_mail.mail.remote.local import LocalServer, program_of

QUICK = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB"}  # a killed process loses nothing by it
ABSENT = "PostgreSQL is not installed, or psycopg is not (team-mail[cluster])"
if TYPE_CHECKING:
    from team_mail.mail.remote.connection import Server


def is_installed() -> bool:
    """Tell whether these tests can run."""
    try:
        import psycopg  # noqa: F401

        program_of("initdb")
    except (ImportError, LogUnavailable):
        return False
    return True


needs_postgres = pytest.mark.skipif(not is_installed(), reason=ABSENT)


@contextmanager
def running(settings: dict[str, str] | None = None) -> Iterator[LocalServer]:
    """Run a server of its own; its folder is one that an ordinary user can enter."""
    folder = Path(
        tempfile.mkdtemp(
            prefix="tm-pg-", dir="/dev/shm" if settings == QUICK and Path("/dev/shm").is_dir() else "/var/tmp"
        )
    )
    folder.chmod(0o755)
    server = LocalServer(folder / "s", settings or {})
    try:
        server.start()
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[LocalServer]:
    """The server of the session."""
    if not is_installed():
        pytest.skip(ABSENT)
    with running(QUICK) as server:
        yield server


_numbers = count(1)


def new_schema(postgres: LocalServer) -> Server:
    """Make a new schema of a team on a server."""
    from team_mail.mail.remote.connection import Server
    from team_mail.mail.remote.place import Address
    from team_mail.mail.remote.schema import upgrade

    server = Server(Address(postgres.url, f"t{next(_numbers)}"))
    upgrade(server)
    return server


@pytest.fixture
def schemas(postgres) -> Iterator[Callable[[], Server]]:
    """Make a new schema of a team on the session's server, at each call."""
    made: list[Server] = []

    def make() -> Server:
        made.append(new_schema(postgres))
        return made[-1]

    yield make
    for server in made:
        schema = server.address.schema
        server.run(lambda c, schema=schema: c.execute(f"DROP SCHEMA {schema} CASCADE".encode()))
        server.close()


@contextmanager
def logins(postgres: LocalServer, server: Server) -> Iterator[Callable[[str], Server]]:
    """Make a login with one of the roles of a team, at each call, and return a connection as it."""
    from team_mail.mail.remote.connection import Server
    from team_mail.mail.remote.place import Address

    made: list[Server] = []
    schema = server.address.schema

    def make(role: str) -> Server:
        name = f"{schema}_user_{role}_{len(made)}"
        server.run(lambda c: c.execute(f"CREATE ROLE {name} LOGIN IN ROLE {schema}_{role}".encode()))
        made.append(Server(Address(postgres.url.replace("team@", f"{name}@", 1), schema)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def remote_log(request: pytest.FixtureRequest, folder: Path, *, segment_bytes: int | None = None, **fields: Any) -> Any:
    """Return a log in a schema of its own, with its copy in a folder."""
    server = request.getfixturevalue("schemas")()
    from team_mail.mail.remote.postgres import PostgresLog

    if segment_bytes:
        server.set_value("segment_bytes", str(segment_bytes))
    return PostgresLog(folder, server, **fields)


def remote_blobs(request: pytest.FixtureRequest, folder: Path) -> Any:
    """Return blobs in a schema of their own."""
    server = request.getfixturevalue("schemas")()
    from team_mail.mail.remote.postgres import PostgresBlobs

    return PostgresBlobs(folder, server)
