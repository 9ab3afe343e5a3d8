"""From files to a server and back: the same lines, however often it is interrupted."""

from __future__ import annotations

import pytest
from team_mail.mail.errors import LogDamaged, LogUnavailable, UsageError
from team_mail.mail.log.blobs import FileBlobs
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog

from ...postgres import needs_postgres

pytestmark = needs_postgres


def note(text: str) -> Draft:
    return Draft("mail.sent", "ada", ("bob",), text, "é\n" * 100)


@pytest.fixture
def log(tmp_path):
    """A log in a folder, of several files."""
    log = EventLog(tmp_path / "mail", segment_bytes=4096)
    for number in range(30):
        log.append([note(str(number))])
    return log


@pytest.fixture
def blobs(log):
    blobs = FileBlobs(log.folder / "blobs")
    for body in (b"", b"one", bytes(range(256)) * 999):
        blobs.put(body)
    return blobs


def files(log) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [log.active, *(segment.path for segment in log.segments)]}


def test_a_log_goes_to_a_server_and_back_unchanged(log, blobs, schemas, tmp_path):
    """Ids, seqs, hashes and files are the same on the server, on another host, and in the files again."""
    from team_mail.mail.remote.migrate import to_files, to_server
    from team_mail.mail.remote.postgres import PostgresBlobs, PostgresLog

    before, events, server = files(log), [*log.read()], schemas()
    assert to_server(log.folder, server) == (len(events), 3, len(events))
    assert to_server(log.folder, server) == (len(events), 3, 0)
    other = PostgresLog(tmp_path / "other" / "mail", server)
    assert [*other.read()] == events
    assert files(other) == before
    assert all(PostgresBlobs(tmp_path / "b", server).read(name) == blobs.read(name) for name in blobs.names())
    more = other.append([note("on the server")])
    other_blob = PostgresBlobs(tmp_path / "b", server).put(b"another")

    assert to_files(log.folder, server) == (len(events) + 1, 4, 1)
    assert to_files(log.folder, server) == (len(events) + 1, 4, 0)
    assert [*log.read()] == events + more
    assert blobs.read(other_blob.sha256) == b"another"
    with pytest.raises(LogUnavailable, match="closed: it was moved to files"):
        other.append([note("too late")])
    log.append([note("in files")])
    assert not log.verify().damage
    assert to_server(log.folder, server).copied == 3  # with the end of a file and the beginning of the next
    other.append([note("again")])
    assert [event.subject for event in other.read() if event.kind == "mail.sent"][-3:] == [
        "on the server",
        "in files",
        "again",
    ]


def test_a_copy_that_was_interrupted_goes_on(log, blobs, schemas, monkeypatch):
    """After each step: nothing is there twice, and until the end the files are the log."""
    from team_mail.mail.remote import migrate

    monkeypatch.setattr(migrate, "_BATCH", 7)
    server, steps = schemas(), 0

    def interrupted(done: int, of: int) -> None:
        raise KeyboardInterrupt

    while steps < 3:
        with pytest.raises(KeyboardInterrupt):
            migrate.to_server(log.folder, server, interrupted)
        steps += 1
        log.append([note(f"meanwhile {steps}")])
        assert server.head().seq == 7 * steps
        with pytest.raises(LogUnavailable, match="closed: it is being copied"):
            server.send([_middle()], "p")
    events = [*log.read()]
    assert migrate.to_server(log.folder, server).copied == len(events) - 7 * 3
    assert [line for _, line in server.lines(0)] == b"".join(
        files(log)[name] for name in ordered(log)
    ).decode().splitlines()


def ordered(log) -> list[str]:
    return [*(segment.path.name for segment in log.segments), log.active.name]


def _middle() -> str:
    from team_mail.mail.log.event import serialise

    return serialise(note("x"), "2026-01-01T00:00:00.000000Z").middle.decode()


def test_neither_another_log_nor_a_damaged_one_is_copied(log, blobs, schemas, tmp_path):
    """Both stay as they are."""
    from team_mail.mail.remote.migrate import to_server

    server, other = schemas(), EventLog(tmp_path / "other")
    other.append([note("other")])
    to_server(other.folder, server)
    with pytest.raises(UsageError, match="has another log"):
        to_server(log.folder, server)
    log.append([note("still the log")])
    first = next(iter(log.segments)).path
    first.chmod(0o644)
    first.write_bytes(first.read_bytes().replace(b"ada", b"eve", 1))
    with pytest.raises(LogDamaged, match="nothing was moved"):
        to_server(log.folder, schemas())
