"""Damage that people do: files deleted, restored or copied together under a team that is at work."""

import shutil

import pytest
from team_mail.mail.archive.backup import backup, restore
from team_mail.mail.log.blobs import BlobMissing, FileBlobs
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog


def draft(text):
    """A message to know again."""
    return Draft("mail.sent", "boss", ("curator",), text)


@pytest.fixture
def folder(tmp_path):
    """Where the mail is."""
    return tmp_path / ".team" / "mail"


def texts(log):
    """What the log holds, in order."""
    return [event.subject for event in log.read() if event.kind == "mail.sent"]


def test_writers_whose_lock_file_is_deleted_go_on_excluding_each_other(folder):
    """A lock on a file that no longer bears the name is left for the one that does."""
    first, second = EventLog(folder), EventLog(folder)
    for number in range(20):
        if number % 5 == 2:
            (folder / "lock").unlink()
        (first, second)[number % 2].append([draft(str(number))])
    assert EventLog(folder).verify().corrupt == []
    assert texts(first) == [str(number) for number in range(20)]


def test_a_lock_deleted_while_it_is_held_does_not_let_a_second_writer_behind_it(folder):
    """Who finds the file replaced on getting the lock begins again with the new one."""
    first, second = EventLog(folder), EventLog(folder)
    first.append([draft("a")])
    second.append([draft("b")])
    with first._lock:
        (folder / "lock").unlink()
    second.append([draft("c")])
    first.append([draft("d")])
    assert texts(first) == ["a", "b", "c", "d"]
    assert first.verify().corrupt == []


def test_a_log_that_is_restored_under_a_writer_is_written_on_by_it(folder, tmp_path):
    """Neither the deleted file nor its lock is held on to."""
    log = EventLog(folder)
    log.append([draft("a")])
    backup(log, FileBlobs(folder / "blobs"), tmp_path / "b.tar.gz")
    log.append([draft("lost with the folder")])
    shutil.rmtree(folder)
    restore(tmp_path / "b.tar.gz", EventLog(folder))
    other = EventLog(folder)
    for number in range(6):
        (log, other)[number % 2].append([draft(str(number))])
    assert texts(other) == ["a", *map(str, range(6))]
    assert other.verify().corrupt == []


def test_a_line_of_another_log_is_left_out_by_repair_and_costs_none_of_our_own(folder, tmp_path):
    """A foreign line verifies by itself, with a number of its own; what stands behind it is still ours."""
    log = EventLog(folder, segment_bytes=2048)
    for number in range(20):
        log.append([draft(str(number))])
    other = EventLog(tmp_path / "other")
    other.append([draft(str(number)) for number in range(500)])
    foreign = other.active.read_bytes().splitlines(keepends=True)[-1]
    sealed = next(iter(log.segments)).path
    lines = sealed.read_bytes().splitlines(keepends=True)
    sealed.chmod(0o644)
    sealed.write_bytes(b"".join([*lines[:2], foreign, *lines[2:]]))
    assert log.verify().corrupt
    assert log.repair().left_out == 1
    assert log.verify().corrupt == []
    assert texts(log) == [str(number) for number in range(20)]
    log.append([draft("after")])


def test_a_blob_that_has_changed_is_mended_by_sending_its_bytes_again(folder):
    """What is kept by its hash can be put right by whoever still has it."""
    blobs = FileBlobs(folder / "blobs")
    blob = blobs.put(b"the plan")
    blobs.path(blob.sha256).write_bytes(b"the pLan")
    with pytest.raises(BlobMissing, match="changed on disk"):
        blobs.read(blob.sha256)
    blobs.put(b"the plan")
    assert blobs.read(blob.sha256) == b"the plan"
