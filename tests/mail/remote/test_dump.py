"""Backup and restore as for any database, with the server's own programs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from team_mail.mail.errors import LogUnavailable, OtherLog
from team_mail.mail.log.event import Draft
from team_mail.mail.remote.local import program_of

from ...postgres import needs_postgres, remote_log

pytestmark = needs_postgres


def note(text: str) -> Draft:
    return Draft("mail.sent", "ada", ("bob",), text)


def version(program: Path) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\d+", said)[0]


@pytest.fixture
def programs() -> tuple[Path, Path]:
    """Those that dump and restore, of the version of the server."""
    try:
        dump, psql = program_of("pg_dump"), program_of("psql")
    except LogUnavailable:
        pytest.skip("pg_dump and psql are not installed")
    if version(dump) != version(program_of("postgres")):
        pytest.skip("pg_dump is of another version than the server")
    return dump, psql


def run(program: Path, *words: object) -> None:
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_schema_is_restored_from_its_dump_and_hosts_that_saw_more_say_so(request, postgres, programs, tmp_path):
    """Lines, blobs, rules and rights come back; a host whose copy is newer than the dump refuses to go on."""
    from team_mail.mail.remote.postgres import PostgresBlobs, PostgresLog
    from team_mail.mail.remote.schema import state_of

    dump, psql = programs
    log = remote_log(request, tmp_path / "mail")
    server, file = log.server, tmp_path / "schema.sql"
    blob = PostgresBlobs(tmp_path / "mail" / "blobs", server).put(b"kept")
    log.append([note(str(number)) for number in range(5)])
    before = [*log.read()]
    run(dump, "--schema", server.address.schema, "--file", file, postgres.url)

    newer = PostgresLog(tmp_path / "newer", server)
    newer.append([note("after the dump")])
    newer.head()
    server.run(lambda c: c.execute(f"DROP SCHEMA {server.address.schema} CASCADE".encode()))
    run(psql, "--quiet", "--set", "ON_ERROR_STOP=1", "--file", file, postgres.url)

    assert [*log.read()] == before
    with pytest.raises(OtherLog, match="older backup"):
        newer.head()
    assert PostgresBlobs(tmp_path / "elsewhere", server).read(blob.sha256) == b"kept"
    log.append([note("goes on")])
    assert not log.verify().damage
    assert [event.subject for event in PostgresLog(tmp_path / "new", server).read()][-1] == "goes on"
    assert state_of(server).events == len(before) + 1
    with pytest.raises(LogUnavailable, match="append-only"):
        server.run(lambda c: c.execute(f"DELETE FROM {server.address.schema}.lines".encode()))
