"""Parquet copies that are not those of their segment: swapped, restored, of another log, cut, or edited."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import partial
from pathlib import Path

import duckdb
import pytest
from team_mail.mail.archive.backup import backup, restore
from team_mail.mail.clock import ALL, ManualClock
from team_mail.mail.log.blobs import FileBlobs
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
from team_mail.mail.query.copies import check_copies, usable, write_parquet
from team_mail.mail.query.rows import FileProjections

from ...console import run_command
from ...samples import each_once


def opened(folder: Path, **options) -> EventLog:
    return EventLog(folder, segment_bytes=3000, on_sealed=write_parquet, **options)


def filled(folder: Path, word: str = "mail", count: int = 30, **options) -> EventLog:
    """A log of a few segments, all with copies."""
    log = opened(folder, **options)
    for number in range(count):
        log.append([Draft("mail.sent", "ann", ("bob", "cyd"), f"{word} {number}", "x" * 100)])
    return log


def told(log: EventLog) -> list[tuple[str, int]]:
    """What a new process finds in the log by all ways: the events, and a persona's slice."""
    rows = FileProjections(EventLog(log.folder)).rows
    slice_ = [row["subject"] for row in rows("mailbox", persona="bob")]
    sent = [row["subject"] for row in rows("sent", persona="ann", before=ALL, limit=1000)]
    unread = [row["subject"] for row in rows("unread", roster=["bob"])]
    assert sorted(slice_) == sorted(sent) == sorted(unread)
    return sorted((row["subject"], row["seq"]) for row in rows("sent", persona="ann", before=ALL, limit=1000))


def truth(log: EventLog) -> list[tuple[str, int]]:
    """What the lines say."""
    return sorted((event.subject, event.seq) for event in log.read() if event.kind == "mail.sent")


def sums_hold(folder: Path) -> bool:
    """What a person's own tool says of all lists of checksums in the folder of segments."""
    lists = ["SHA256SUMS", *sorted(path.name for path in folder.glob("*.sha256"))]
    done = subprocess.run(["sha256sum", "--check", "--strict", *lists], cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


def exchange(one: Path, other: Path) -> None:
    between = one.with_name("between")
    one.rename(between)
    other.rename(one)
    between.rename(other)


@pytest.fixture
def log(tmp_path):
    """A log with copies that agree with their segments."""
    log = filled(tmp_path / "team" / "mail")
    assert len(list(log.segments)) > 3
    return log


def test_copies_stand_in_lists_of_checksums_that_sha256sum_reads(log):
    """Both kinds of lists have the form of `sha256sum`, and deleting the copies leaves the log's own list true."""
    assert sums_hold(log.segments.folder)
    assert check_copies(log.segments) == []
    for segment in log.segments:
        assert len(segment.copy_sums.read_text().splitlines()) == 3
        for path in (*segment.copies, segment.copy_sums):
            path.unlink()
    assert sums_hold(log.segments.folder)
    assert check_copies(log.segments) == []


@pytest.mark.parametrize("with_sums", [False, True], ids=["copies", "copies and checksums"])
def test_swapped_copies_are_not_believed(log, with_sums):
    """Two segments' copies exchanged are whole Parquet files, and each is that of another file."""
    first, second, *_ = log.segments
    for one, other in zip(first.copies, second.copies, strict=True):
        exchange(one, other)
    if with_sums:
        for segment, name in ((first, second), (second, first)):
            names = [path.name for path in name.copies]
            text = name.copy_sums.read_text()
            for old, new in zip(names, [path.name for path in segment.copies], strict=True):
                text = text.replace(old, new)
            segment.copy_sums.with_suffix(".next").write_text(text)
        for segment in (first, second):
            segment.copy_sums.with_suffix(".next").rename(segment.copy_sums)
        assert sums_hold(log.segments.folder)
    assert not usable(first)
    assert told(log) == truth(log)
    assert check_copies(log.segments) == []  # the query has written them again
    assert usable(first)


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_a_copy_of_the_other_kind_is_not_believed(log, pair):
    """The copy for mailboxes has a row for each recipient, and that of what is left open lacks most events."""
    first = next(iter(log.segments))
    exchange(*(first.copies[number] for number in pair))
    assert not usable(first)
    assert told(log) == truth(log)


def test_copies_of_another_log_are_not_believed(log, tmp_path):
    """Two logs written at the same times have segments of the same names and sizes."""
    other = filled(tmp_path / "other" / "mail", "liam")
    names = {segment.path.name for segment in log.segments} & {segment.path.name for segment in other.segments}
    assert len(names) > 3
    for path in other.segments.folder.iterdir():
        if path.suffix in {".parquet", ".sha256"}:
            shutil.copy(path, log.segments.folder / path.name)
    assert len(check_copies(log.segments)) == 3 * len(names)
    assert told(log) == truth(log)


def test_copies_are_not_believed_after_an_older_segment_is_restored(tmp_path):
    """A segment that a backup brings back under the same name, with other events, is read, not the copy."""
    log = filled(tmp_path / "team" / "mail", clock=ManualClock())
    backup(log, FileBlobs(log.folder / "blobs"), tmp_path / "backup.tar.gz")
    kept = truth(log)
    shutil.copytree(log.folder, tmp_path / "kept")
    shutil.rmtree(log.folder)
    other = filled(log.folder, "liam", clock=ManualClock())  # the same sizes and names, other events
    assert told(other) == truth(other) != kept
    copies = {path: path.read_bytes() for path in other.segments.folder.iterdir() if path.suffix != ".jsonl"}
    shutil.rmtree(log.folder)
    restore(tmp_path / "backup.tar.gz", EventLog(log.folder))
    sums = (log.segments.sums).read_bytes()
    for path, data in copies.items():  # what lay in the folder while files were put back by hand
        path.write_bytes(data)
    assert told(log) == kept
    log.segments.sums.write_bytes(sums)
    assert log.verify().damage == []
    assert told(log) == truth(log) == kept


def test_a_copy_of_lines_edited_meanwhile_is_not_believed(log):
    """A segment edited by hand gets no copies, so nothing of the edit lasts when the segment is put back."""
    first = next(iter(log.segments))
    data = first.path.read_bytes()
    for path in (*first.copies, first.copy_sums):
        path.unlink()
    first.path.chmod(0o644)
    first.path.write_bytes(data.replace(b'"mail 1"', b'"liam 1"'))
    assert ("liam 1", 3) in told(log)  # as of any line before it is verified
    assert not any(path.exists() for path in first.copies)
    first.path.write_bytes(data)
    assert told(log) == truth(log)
    assert ("mail 1", 3) in told(log)


@pytest.mark.parametrize(("size", "which"), each_once(["all but a byte", "half", "nothing", "the end alone"], [0, 1]))
def test_a_cut_copy_is_not_believed(log, size, which):
    """A copy that lacks bytes is written again, by a query or after `verify`."""
    first = next(iter(log.segments))
    path = first.copies[which]
    data = path.read_bytes()
    end = {"all but a byte": data[:-1], "half": data[: len(data) // 2], "nothing": b"", "the end alone": data[-600:]}
    path.write_bytes(end[size])
    wrong = check_copies(log.segments)
    assert path in {each.path for each in wrong}
    assert all(each.removed for each in wrong)
    path.write_bytes(end[size])
    assert told(log) == truth(log)
    assert check_copies(log.segments) == []


@pytest.mark.parametrize("which", [0, 1], ids=["events", "mailboxes"])
def test_an_edited_row_is_found_by_verify(log, which):
    """An edit that forges the mark, too, is seen by the checksum; one that does not is seen by the next query."""
    first = next(iter(log.segments))
    path, before = first.copies[which], truth(log)
    with duckdb.connect() as connection:
        pattern = str(path)
        pairs = connection.execute(f"SELECT key, value FROM parquet_kv_metadata('{pattern}')").fetchall()
        connection.execute(f"CREATE TABLE rows AS FROM '{pattern}'")
        connection.execute("UPDATE rows SET subject = 'liam 1' WHERE subject = 'mail 1'")
        connection.execute(f"COPY rows TO '{pattern}' (FORMAT parquet, PARQUET_VERSION v2)")
        assert not usable(first)
        assert told(log) == before
        ((key, value),) = pairs
        mark = f"KV_METADATA {{'{key.decode()}': '{value.decode()}'}}"
        connection.execute(f"COPY rows TO '{pattern}' (FORMAT parquet, PARQUET_VERSION v2, {mark})")
    assert usable(first)
    (wrong,) = check_copies(log.segments)
    assert (wrong.path, wrong.removed) == (path, True)
    assert "does not match its checksum" in str(wrong)
    assert log.verify().damage == []
    assert told(log) == truth(log) == before


def test_the_command_removes_a_wrong_copy_and_says_that_the_log_is_whole(log):
    """Nothing is left to do for whoever ran it, so it succeeds."""
    path = next(iter(log.segments)).parquet
    path.write_bytes(path.read_bytes()[:-1])
    run = partial(run_command, "team-mail", "verify", cwd=log.folder.parent.parent, timeout=60)
    env = {name: value for name, value in os.environ.items() if not name.startswith("TEAM_")}
    env["TEAM_HOME"] = str(log.folder.parent)
    done = run(env=env)
    assert done.returncode == 0
    assert b"events verified" in done.stdout
    lines = done.stderr.decode().splitlines()
    assert any(f"{path.name} is no copy of" in line for line in lines)
    assert all(line.endswith("removed; it is a copy for speed, and the log itself is not affected") for line in lines)
    assert run(env=env).stderr == b""


@pytest.mark.parametrize("text", [None, "", "nonsense\n"], ids=["missing", "empty", "nonsense"])
def test_a_copy_without_its_checksum_is_written_again(log, text):
    """What a crash between the copies and their checksums leaves is not used for ever unchecked."""
    first = next(iter(log.segments))
    first.copy_sums.unlink()
    if text is None:
        assert not usable(first)
        assert told(log) == truth(log)
    else:
        first.copy_sums.write_text(text)
        assert {each.path for each in check_copies(log.segments)} == {*first.copies}
        assert told(log) == truth(log)
    assert check_copies(log.segments) == []
    assert sums_hold(log.segments.folder)


def test_a_body_cannot_pose_as_a_mark(tmp_path):
    """What stands in rows, and so in the figures of the footer, is not taken for the metadata of the file."""
    log = filled(tmp_path / "mail")
    first = next(iter(log.segments))
    data = first.parquet.read_bytes()
    at = data.rindex(b"\x18\x09team-mail")
    pair = data[at : data.index(b"\0\x18", at) + 2].decode("latin-1").replace("\0", "")
    other = opened(tmp_path / "other")
    for _ in range(30):
        other.append([Draft("mail.sent", pair, ("bob",), pair, pair)])
    for source, target in zip(next(iter(other.segments)).copies, first.copies, strict=True):
        target.write_bytes(source.read_bytes())
    assert not usable(first)
