"""A host's copy of the log: the same files on each, mended where it was torn or edited, and true to its server."""

from __future__ import annotations

import os
import threading

import pytest
from team_mail.mail.errors import LogUnavailable, OtherLog, UsageError
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog

from ...postgres import needs_postgres, remote_log

pytestmark = needs_postgres


def note(text: str = "") -> Draft:
    return Draft("mail.sent", "ada", ("bob",), text, "x" * 300)


@pytest.fixture
def log(request, tmp_path):
    """A log whose segments are of 4 KiB, with three of them, and its copy up to date."""
    log = remote_log(request, tmp_path / "mail", segment_bytes=4096)
    for number in range(20):
        log.append([note(str(number))])
    log.head()
    assert len([*log.segments]) > 1
    return log


def again(log, folder=None):
    """The log as another process opens it, or one on another host."""
    from team_mail.mail.remote.postgres import PostgresLog

    return PostgresLog(folder or log.folder, log.server)


def files(log) -> dict[str, bytes]:
    paths = [log.active, log.segments.sums, *(segment.path for segment in log.segments)]
    return {path.name: path.read_bytes() for path in paths}


def test_all_hosts_have_the_same_files(log, tmp_path):
    """Segments begin where the log says, whoever copies it, at once or bit by bit."""
    other = again(log, tmp_path / "other" / "mail")
    other.head()
    assert files(other) == files(log)
    assert not other.verify().damage
    assert [event.subject for event in other.read() if event.subject] == [str(number) for number in range(20)]


def torn(data: bytes) -> bytes:
    return data[:-10]


def zeros(data: bytes) -> bytes:
    return data + bytes(500)


def edited_at_its_end(data: bytes) -> bytes:
    return data[:-60] + b"9" + data[-59:]


def edited(data: bytes) -> bytes:
    return data.replace(b"xxxx", b"yyyy", 1)


def emptied(data: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("change", [torn, zeros, edited_at_its_end, edited, emptied])
def test_a_copy_that_is_torn_or_edited_is_mended(log, change):
    """The next command fetches again what does not verify; nothing has to be done."""
    whole = files(log)
    log.active.write_bytes(change(log.active.read_bytes()))
    assert [event.subject for event in again(log).read()] == [event.subject for event in log.read()]
    assert files(log) == whole
    log.append([note("more")])
    assert not again(log).verify().damage


def test_after_a_start_of_the_machine_the_whole_file_is_verified_once(log):
    """A copy is not flushed with each line, so a power cut may have taken pages from its middle."""
    whole = files(log)
    log.append([note("y" * 70_000) for _ in range(3)])
    log.server.set_value("segment_bytes", "16777216")
    log.head()
    size = log.active.stat().st_size
    assert size > 200_000
    with log.active.open("r+b") as file:
        file.seek(1000)
        file.write(bytes(4096))
    (log.folder / "checked").write_text("another start")
    events = [event.subject for event in again(log).read()]
    assert events.count("y" * 70_000) == 3
    assert log.active.stat().st_size == size
    assert set(whole) == set(files(log))
    assert not again(log).verify().damage


def test_a_sealed_file_that_was_edited_is_told_once_and_mended(log):
    """Who looks for damage is told; the next look finds none."""
    whole, first = files(log), next(iter(log.segments)).path
    first.chmod(0o644)
    first.write_bytes(edited(first.read_bytes()))
    assert again(log).verify().corrupt
    assert not again(log).verify().corrupt
    assert files(log) == whole
    assert list((log.folder / "quarantine").iterdir())


def test_a_copy_that_was_moved_away_is_made_again(log):
    """It is no record."""
    whole = files(log)
    for path in [log.active, *(segment.path for segment in log.segments)]:
        path.unlink()
    log.segments.sums.unlink()
    again(log).head()
    assert files(log) == whole


def test_a_server_that_lost_its_end_is_refused(request, log, tmp_path):
    """A failover to a server that is behind loses acknowledged mail: whoever has a copy says so, and reads nothing."""
    behind = remote_log(request, tmp_path / "behind" / "mail")
    behind.server.copy_in([line for _, line in log.server.lines(0)][:10], 0)
    server, log.server = log.server, behind.server
    log._mark = None
    (log.folder / "remote").unlink()
    from team_mail.mail.remote.place import Mark, write_mark

    write_mark(log.folder, Mark(log.server.address, "a"))
    for look in (log.head, log.snapshot, lambda: list(log.read())):
        with pytest.raises(OtherLog, match=f"does not have event {server.head().seq}"):
            look()
    behind.append([note("other") for _ in range(30)])
    with pytest.raises(OtherLog):
        log.head()


def test_a_copy_is_of_one_server_and_a_file_log_is_none(request, log, tmp_path):
    """Neither is written over."""
    log.append([note()])
    assert [*log.read()]
    other = again(remote_log(request, tmp_path / "x"), log.folder)
    with pytest.raises(LogUnavailable, match="is a copy of"):
        other.append([note()])
    own = EventLog(tmp_path / "own" / "mail")
    own.append([note()])
    with pytest.raises(LogUnavailable, match="has a log of its own"):
        again(log, own.folder).append([note()])
    with pytest.raises(LogUnavailable, match="is a copy of a log on a server"):
        EventLog(log.folder).append([note()])
    with pytest.raises(UsageError, match="is a copy"):
        log.repair()


def test_a_folder_to_which_nothing_came_takes_another_address(log, tmp_path):
    """A url that was written wrong the first time is written right the next time, and that is all."""
    from team_mail.mail.remote.place import Address, new_mark, read_mark, write_mark

    write_mark(tmp_path / "fresh", new_mark(Address.of("postgresql://nowhere.example/team", "team_mail")))
    again(log, tmp_path / "fresh").append([note()])
    mark = read_mark(tmp_path / "fresh")
    assert mark is not None
    assert mark.address == log.server.address


def test_many_threads_and_processes_share_a_copy(log):
    """They take turns by the lock of the folder; each reads a whole log."""
    before = log.head().seq
    start = threading.Barrier(4)
    heads: list[int] = []

    def work() -> None:
        own = again(log)
        start.wait()
        for _ in range(10):
            own.append([note()])
            heads.append(own.head().seq)

    pid = os.fork()
    if pid == 0:
        try:
            mine = again(log)
            for _ in range(10):
                mine.append([note()])
                mine.head()
            os._exit(0)
        finally:
            os._exit(1)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    events = [event for event in log.read() if event.subject == "" and event.kind == "mail.sent"]
    assert len(events) == 50
    assert log.head().seq > before + 50
    assert not log.verify().damage


def test_a_copy_that_cannot_be_written_is_one_line_of_error(log):
    """The disk's reason is told."""
    log.append([note()])
    log.active.unlink()
    log.active.mkdir()
    with pytest.raises(LogUnavailable, match="cannot write the copy"):
        again(log).head()


def test_a_log_can_be_begun_before_its_first_mail(request, tmp_path):
    """What is named after its first event, such as the folder of a team's workspaces, keeps its name."""
    log = remote_log(request, tmp_path / "mail")
    log.create()
    (opened,) = log.read()
    again(log, tmp_path / "other").create()
    log.append([note()])
    assert [event.kind for event in log.read()] == ["log.opened", "mail.sent"]
    assert next(log.read()) == opened
