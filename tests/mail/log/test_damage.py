"""Damage by people: files deleted, restored or concatenated while a team is at work."""

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


def test_writers_still_exclude_each_other_after_the_lock_file_is_deleted(folder):
    """A lock on a file that no longer has the name is released for the one that has."""
    first, second = EventLog(folder), EventLog(folder)
    for number in range(20):
        if number % 5 == 2:
            (folder / "lock").unlink()
        (first, second)[number % 2].append([draft(str(number))])
    assert EventLog(folder).verify().corrupt == []
    assert texts(first) == [str(number) for number in range(20)]


def test_a_lock_file_deleted_while_locked_lets_no_second_writer_in(folder):
    """A writer that gets the lock of a replaced file starts over with the new file."""
    first, second = EventLog(folder), EventLog(folder)
    first.append([draft("a")])
    second.append([draft("b")])
    with first._lock:
        (folder / "lock").unlink()
    second.append([draft("c")])
    first.append([draft("d")])
    assert texts(first) == ["a", "b", "c", "d"]
    assert first.verify().corrupt == []


def test_a_writer_continues_with_a_log_that_was_restored_meanwhile(folder, tmp_path):
    """It uses neither the deleted file nor its lock any more."""
    log = EventLog(folder)
    log.append([draft("a")])
    backup(log, FileBlobs(folder / "blobs"), tmp_path / "b.tar.gz")
    log.append([draft("lost with the folder")])
    shutil.rmtree(folder)
    restore(tmp_path / "b.tar.gz", EventLog(folder))
    restored = EventLog(folder)
    for number in range(6):
        (log, restored)[number % 2].append([draft(str(number))])
    assert texts(restored) == ["a", *map(str, range(6))]
    assert restored.verify().corrupt == []


def test_repair_leaves_out_a_line_of_another_log_and_keeps_all_others(folder, tmp_path):
    """A foreign line verifies and has its own number; the lines after it still belong to this log."""
    log = EventLog(folder, segment_bytes=2048)
    for number in range(20):
        log.append([draft(str(number))])
    unrelated = EventLog(tmp_path / "other")
    unrelated.append([draft(str(number)) for number in range(500)])
    foreign = unrelated.active.read_bytes().splitlines(keepends=True)[-1]
    sealed = next(iter(log.segments)).path
    lines = sealed.read_bytes().splitlines(keepends=True)
    sealed.chmod(0o644)
    sealed.write_bytes(b"".join([*lines[:2], foreign, *lines[2:]]))
    assert log.verify().corrupt
    assert log.repair().left_out == 1
    assert log.verify().corrupt == []
    assert texts(log) == [str(number) for number in range(20)]
    log.append([draft("after")])


def test_storing_the_same_bytes_again_repairs_a_changed_blob(folder):
    """Anyone who still has the bytes can restore them."""
    blobs = FileBlobs(folder / "blobs")
    blob = blobs.put(b"the plan")
    blobs.path(blob.sha256).write_bytes(b"the pLan")
    with pytest.raises(BlobMissing, match="changed on disk"):
        blobs.read(blob.sha256)
    blobs.put(b"the plan")
    assert blobs.read(blob.sha256) == b"the plan"


@pytest.mark.parametrize("before", [True, False])
def test_of_two_lines_with_one_number_repair_keeps_the_one_that_the_next_line_names(folder, tmp_path, before):
    """The other may follow from the same line, as one that was appended to a copy of the log does."""
    log = EventLog(folder)
    for number in range(6):
        log.append([draft(str(number))])
    lines = log.active.read_bytes().splitlines(keepends=True)
    other = EventLog(tmp_path / "other")
    other.folder.mkdir()
    other.active.write_bytes(b"".join(lines[:4]))
    other.append([draft("forked")])
    forked = other.active.read_bytes().splitlines(keepends=True)[4]
    lines.insert(4 if before else 5, forked)
    log.active.write_bytes(b"".join(lines))
    EventLog(folder).repair()
    assert texts(EventLog(folder)) == [str(number) for number in range(6)]
    assert EventLog(folder).verify().corrupt == []


@pytest.mark.parametrize("name", ["damaged", "segments/x.ids", "segments/x.parquet", "segments/x.sha256", "cursors/x"])
def test_repair_removes_an_empty_folder_in_the_place_of_a_mark_or_cache(folder, name):
    """Writers say that repair helps, so it does."""
    log = EventLog(folder, segment_bytes=600)
    for number in range(6):
        log.append([draft(str(number))])
    (folder / name).mkdir(parents=True)
    EventLog(folder).repair()
    assert EventLog(folder).append([draft("more")])
