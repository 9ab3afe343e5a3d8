"""Backups taken while others write, and what restoring refuses."""

from __future__ import annotations

import gzip
import io
import os
import queue
import subprocess
import sys
import tarfile
import threading
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.archive.backup import backup, last_in, restore
from team_mail.mail.errors import LogDamaged, LogUnavailable, TeamMailError, UsageError
from team_mail.mail.log.blobs import FileBlobs
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
from team_mail.mail.log.segments import Segments

from ...samples import STORM

SEGMENT_BYTES = 20_000
WRITERS = 4
ROUNDS = 3
BETWEEN = 100  # acknowledgements awaited from each writer before each backup
WRITER = """
import sys
from pathlib import Path
from team_mail.mail.log.blobs import FileBlobs
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog

folder, name, segment_bytes = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
log = EventLog(folder, segment_bytes=segment_bytes, on_sealed=lambda segment: None)
blobs = FileBlobs(folder / "blobs")
number = 0
while not (folder.parent / "stop").exists():
    number += 1
    data = {}
    if number % 10 == 0:
        blob = blobs.put(f"{name} {number}".encode() * 50)
        data = {"body_blob": {"sha256": blob.sha256, "size": blob.size}}
    event, = log.append([Draft("mail.sent", name, ("you",), str(number), data=data)])
    print(event.seq, event.hash, flush=True)
"""


@pytest.fixture
def mail(tmp_path):
    return tmp_path / "mail"


@pytest.fixture
def log(mail):
    return opened(mail)


@pytest.fixture
def blobs(mail):
    return FileBlobs(mail / "blobs")


def restore_into(archive, folder):
    """Restore a backup into a folder; return the number of events."""
    return restore(archive, opened(folder))


def opened(folder):
    return EventLog(folder, segment_bytes=SEGMENT_BYTES, on_sealed=lambda segment: None)


def fill(log, count, size=500):
    return [log.append([Draft("mail.sent", "curator", ("you",), str(n), "x" * size)])[0] for n in range(count)]


def archive_of(path, *members):
    """Make an archive of (name or TarInfo, bytes) pairs."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members:
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            member.size = member.size or len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def named(member):
    """Name a test's case by the member's name and type: the same in every process that collects it."""
    name, _ = member
    return f"{name.name} {name.type}" if isinstance(name, tarfile.TarInfo) else repr(name)[:40]


def special(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def everything(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".ids"]  # which are made again
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", ["b.tar.gz", "b.tgz", "b"])
def test_a_restored_backup_equals_the_original(log, blobs, mail, tmp_path, name):
    """From an archive or a folder, events, checksums and blobs are the same, and appends continue the chain."""
    events = fill(log, 100)
    blob = blobs.put(b"\xff" * 3000)
    made = backup(log, blobs, tmp_path / name)
    assert restore_into(tmp_path / name, tmp_path / "other" / "mail") == made.head == log.head().seq
    kept = {name: data for name, data in everything(mail).items() if name != "lock"}
    restored = {name: data for name, data in everything(tmp_path / "other" / "mail").items() if name != "lock"}
    assert restored == kept
    assert (made.files, made.bytes) == (len(kept), sum(map(len, kept.values())))
    assert len(list(log.segments)) > 2
    assert FileBlobs(tmp_path / "other" / "mail" / "blobs").read(blob.sha256) == b"\xff" * 3000
    again = opened(tmp_path / "other" / "mail")
    assert [event for event in again.read() if event.kind == "mail.sent"] == events
    assert all(not segment.path.stat().st_mode & 0o222 for segment in again.segments)
    fill(again, 100)
    assert again.verify().damage == []


def test_t13_backups_taken_while_four_writers_append_restore_clean(mail, tmp_path):
    """Every event acknowledged before a backup began is in it, its blobs too, and it verifies."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, mail, f"w{n}", str(SEGMENT_BYTES)], stdout=subprocess.PIPE)
        for n in range(WRITERS)
    ]
    receipts = [queue.SimpleQueue() for _ in writers]
    readers = [
        threading.Thread(target=drain, args=(writer.stdout, heard))
        for writer, heard in zip(writers, receipts, strict=True)
    ]
    acknowledged, figures, blob_count, sealed = set(), [], 0, 0
    try:
        for reader in readers:
            reader.start()
        for number in range(ROUNDS):
            for heard in receipts:
                acknowledged |= {tuple(heard.get(timeout=60)) for _ in range(BETWEEN)}
                while not heard.empty():
                    acknowledged.add(tuple(heard.get()))
            log = opened(mail)
            target = tmp_path / f"b{number}{'.tar.gz' if number % 2 else ''}"
            made = backup(log, FileBlobs(mail / "blobs"), target)
            behind = log.head().seq - made.head
            assert [writer.poll() for writer in writers] == [None] * WRITERS
            figures.append((target, made, frozenset(acknowledged), behind))
    finally:
        (tmp_path / "stop").touch()
        for writer, reader in zip(writers, readers, strict=True):
            writer.wait(60)
            reader.join(60)
            writer.stdout.close()
    for target, made, before, _ in figures:
        log = opened(tmp_path / f"restored-{target.name}")
        assert restore_into(target, log.folder) == made.head
        assert log.verify().damage == []
        events = list(log.read())
        assert [event.seq for event in events] == list(range(1, made.head + 1))
        assert before <= {(event.seq, event.hash) for event in events}
        names = [event.data["body_blob"]["sha256"] for event in events if "body_blob" in event.data]
        assert all(FileBlobs(log.folder / "blobs").read(name) for name in names)
        blob_count, sealed = blob_count + len(names), sealed + len(list(log.segments))
    print(
        f"\nT13: {ROUNDS} backups under {WRITERS} writers, {len(figures[-1][2])} events acknowledged before the last, "
        f"0 missing; {sealed} sealed files and {blob_count} blobs restored; appended during the backups: "
        f"{', '.join(str(behind) for *_, behind in figures)}"
    )


def drain(stream, heard):
    for line in stream:
        seq, digest = line.split()
        heard.put((int(seq), digest.decode()))


class Meanwhile(Segments):
    """Segments whose checksums are read some time after the snapshot."""

    def __init__(self, segments, happens):
        super().__init__(segments.folder, segments._disk)
        self.happens = happens

    def checksums(self):
        happens, self.happens = self.happens, lambda: None
        happens()
        return super().checksums()


def test_a_rotation_between_the_snapshot_and_the_copy_changes_nothing(log, blobs, mail, tmp_path):
    """The active file of the snapshot has become a segment, and is copied up to its length in the snapshot."""
    fill(log, 10)
    head = log.head().seq
    reader = opened(mail)
    reader.segments = Meanwhile(reader.segments, lambda: fill(log, 200))
    assert backup(reader, blobs, tmp_path / "b").head == head
    assert len(list(log.segments)) > 2
    assert sorted(everything(tmp_path / "b")) == ["events.jsonl"]
    assert restore_into(tmp_path / "b", tmp_path / "r") == head


class Rotating(Segments):
    """Segments that are listed two rotations after the active file was opened."""

    def __init__(self, segments, happens):
        super().__init__(segments.folder, segments._disk)
        self.happens = happens

    def __iter__(self):
        happens, self.happens = self.happens, lambda: None
        happens()
        return super().__iter__()


def test_rotations_between_opening_and_listing_change_nothing(log, blobs, mail, tmp_path):
    """A segment sealed after the active file was opened is not part of the snapshot."""
    fill(log, 60)
    head = log.head().seq
    reader = opened(mail)
    reader.segments = Rotating(reader.segments, lambda: fill(log, 200))
    assert backup(reader, blobs, tmp_path / "b").head == head
    assert restore_into(tmp_path / "b", tmp_path / "r") == head


def test_a_backup_between_two_steps_of_a_rotation_is_complete(log, blobs, mail, tmp_path):
    """There is no active file, and the newest segment has no checksum yet."""
    fill(log, 10)
    head = log.head().seq
    log.segments.add(log.active, 1, head)
    backup(log, blobs, tmp_path / "b.tgz")
    again = opened(tmp_path / "r")
    assert restore_into(tmp_path / "b.tgz", again.folder) == head
    assert fill(again, 1)[0].seq == head + 2
    assert again.verify().damage == []


def test_an_unfinished_append_is_not_in_a_backup(log, blobs, tmp_path):
    """A torn tail was never acknowledged, and stays behind."""
    fill(log, 3)
    with log.active.open("ab") as file:
        file.write(b'{"v":1,"seq":5,"id":')
    backup(log, blobs, tmp_path / "b")
    again = opened(tmp_path / "r")
    assert restore_into(tmp_path / "b", again.folder) == 4
    assert again.verify().torn == 0


def test_unfinished_and_changed_blobs_are_left_out(log, blobs, mail, tmp_path):
    """Unfinished ones are skipped; changed ones are listed in the result."""
    fill(log, 1)
    good, bad = blobs.put(b"good"), blobs.put(b"bad")
    blobs.path(bad.sha256).write_bytes(b"rot")
    blobs.path(good.sha256).with_name(f".{good.sha256}.0123.new").write_bytes(b"go")
    made = backup(log, blobs, tmp_path / "b")
    assert made.left_out == (bad.sha256,)
    restore_into(tmp_path / "b", tmp_path / "r")
    assert [path.name for path in (tmp_path / "r" / "blobs").rglob("*") if path.is_file()] == [good.sha256]


def test_a_damaged_log_can_be_backed_up_restored_and_repaired(log, blobs, mail, tmp_path):
    """Restoring reports the damage and keeps all lines that verify for `repair`."""
    events = fill(log, 20)
    data = bytearray(log.active.read_bytes())
    data[data.index(b"xxx")] ^= 1
    log.active.write_bytes(data)
    backup(log, blobs, tmp_path / "b.tar.gz")
    with pytest.raises(LogDamaged, match=r"restored, but .* is damaged: events\.jsonl byte \d+, seq 2"):
        restore_into(tmp_path / "b.tar.gz", tmp_path / "r")
    again = opened(tmp_path / "r")
    assert [event for event in again.read() if event.kind == "mail.sent"] == events[1:]
    again.repair()
    assert again.verify().damage == []


def test_damage_in_a_sealed_file_is_reported(log, blobs, mail, tmp_path):
    """A flipped bit far into a segment is found by its checksum and its line."""
    fill(log, 50)
    segment = next(iter(log.segments)).path
    segment.chmod(0o644)
    data = bytearray(segment.read_bytes())
    data[-2000] ^= 1
    segment.write_bytes(data)
    backup(log, blobs, tmp_path / "b")
    with pytest.raises(LogDamaged, match=segment.name):
        restore_into(tmp_path / "b", tmp_path / "r")


def test_a_missing_newest_segment_is_reported(log, blobs, tmp_path):
    """Only the list of checksums shows it: the chain of the rest is complete."""
    fill(log, 100)
    backup(log, blobs, tmp_path / "b")
    newest = list(log.segments)[-1].path.name
    (tmp_path / "b" / "segments" / newest).unlink()
    (tmp_path / "b" / "events.jsonl").unlink()
    with pytest.raises(LogDamaged, match=f"{newest} is missing"):
        restore_into(tmp_path / "b", tmp_path / "r")


def test_a_blob_that_changed_in_the_backup_is_reported_and_left_out(log, blobs, tmp_path):
    """The same bytes can then be stored again."""
    fill(log, 1)
    blob = blobs.put(b"good")
    backup(log, blobs, tmp_path / "b")
    (tmp_path / "b" / "blobs" / blob.sha256[:2] / blob.sha256).write_bytes(b"evil")
    with pytest.raises(LogDamaged, match=f"blob {blob.sha256} has changed"):
        restore_into(tmp_path / "b", tmp_path / "r")
    assert not FileBlobs(tmp_path / "r" / "blobs").path(blob.sha256).exists()


@pytest.mark.parametrize("sums", [b"", b"\xff\xfe", b"deadbeef  x\n", b"%064d  ../../x\n" % 0])
def test_a_malformed_list_of_checksums_is_reported(log, blobs, tmp_path, sums):
    """The list is deleted, so that `repair` writes it again."""
    fill(log, 100)
    backup(log, blobs, tmp_path / "b")
    (tmp_path / "b" / "segments" / "SHA256SUMS").chmod(0o644)
    (tmp_path / "b" / "segments" / "SHA256SUMS").write_bytes(sums)
    with pytest.raises(LogDamaged, match="not a list of checksums"):
        restore_into(tmp_path / "b", tmp_path / "r")
    again = opened(tmp_path / "r")
    again.repair()
    assert again.verify().damage == []


def test_a_restore_never_overwrites_mail(log, blobs, mail, tmp_path):
    """A folder with anything in it, or a link to one, is refused and stays as it is."""
    fill(log, 1)
    backup(log, blobs, tmp_path / "b")
    before = everything(mail)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for target in (mail, tmp_path / "link", tmp_path / "b" / "events.jsonl"):
        with pytest.raises(UsageError, match="not empty"):
            restore_into(tmp_path / "b", target)
    assert everything(mail) == before
    assert restore_into(tmp_path / "b", tmp_path / "empty") == 2


def test_a_backup_never_overwrites_another(log, blobs, tmp_path):
    """An existing target is refused and stays as it is."""
    fill(log, 1)
    backup(log, blobs, tmp_path / "b.tgz")
    before = (tmp_path / "b.tgz").read_bytes()
    with pytest.raises(UsageError, match="is not overwritten"):
        backup(log, blobs, tmp_path / "b.tgz")
    assert (tmp_path / "b.tgz").read_bytes() == before


def test_a_missing_source_or_target_folder_is_reported(log, blobs, tmp_path):
    """No mail, no archive, no folder for the target: each has its own error and leaves nothing."""
    with pytest.raises(UsageError, match="has no mail yet"):
        backup(log, blobs, tmp_path / "b")
    with pytest.raises(UsageError, match="no such backup"):
        restore_into(tmp_path / "b", tmp_path / "r")
    (tmp_path / "b").mkdir()
    with pytest.raises(UsageError, match="has no mail"):
        restore_into(tmp_path / "b", tmp_path / "r")
    fill(log, 1)
    with pytest.raises(LogUnavailable, match="cannot write"):
        backup(log, blobs, tmp_path / "missing" / "b.tgz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "mail"]


@pytest.mark.parametrize(
    "member",
    [
        ("../evil", b"x"),
        ("segments/../../evil", b"x"),
        ("/tmp/evil", b"x"),
        ("./events.jsonl", b"x"),
        ("events.jsonl/", b"x"),
        ("events.jsonl\n", b"x"),
        ("events.jsonl", b"twice"),
        ("lock", b""),
        ("damaged", b"x"),
        ("team.toml", b"x"),
        ("segments/000000000001-000000000002.parquet", b"x"),
        ("segments/000000000001-000000000002.ids", b"x"),
        ("segments/000000000001-000000000002.sha256", b"x"),
        ("segments/\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0661-000000000002.jsonl", b"x"),
        ("blobs/ab/" + "0" * 64, b"x"),
        ("blobs/AB/" + "AB" * 32, b"x"),
        (special("segments", tarfile.DIRTYPE), b""),
        (special("blobs", tarfile.SYMTYPE, "/tmp"), b""),
        (special("segments/SHA256SUMS", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (special("segments/SHA256SUMS", tarfile.LNKTYPE, "events.jsonl"), b""),
        (special("segments/SHA256SUMS", tarfile.LNKTYPE, "/etc/passwd"), b""),
        (special("segments/SHA256SUMS", tarfile.FIFOTYPE), b""),
        (special("segments/SHA256SUMS", tarfile.CHRTYPE), b""),
        (special("segments/SHA256SUMS", tarfile.GNUTYPE_SPARSE), b""),
    ],
    ids=named,
)
def test_an_archive_with_anything_but_a_backup_in_it_is_refused(log, blobs, tmp_path, member):
    """Paths that lead out, links, devices and foreign names: nothing at all is restored."""
    fill(log, 1)
    archive = archive_of(tmp_path / "b.tgz", ("events.jsonl", log.active.read_bytes()), member)
    with pytest.raises((UsageError, LogDamaged), match="nothing was restored"):
        restore_into(archive, tmp_path / "a" / "b" / "mail")
    assert everything(tmp_path / "a") == {}
    assert not Path("/tmp/evil").exists()


def test_a_folder_with_anything_but_a_backup_in_it_is_refused(log, blobs, tmp_path):
    """Links to files and folders, a pipe and foreign names: nothing at all is restored, and nothing waits."""
    fill(log, 1)
    evils = {
        "blobs": lambda path: path.symlink_to("/etc"),
        "events.jsonl": lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
        "segments": os.mkfifo,
        "lock": Path.touch,
        os.fsdecode(b"\xff"): Path.touch,
    }
    for number, (name, make) in enumerate(evils.items()):
        backup(log, blobs, tmp_path / f"b{number}")
        make(tmp_path / f"b{number}" / name)
        with pytest.raises(UsageError, match="nothing was restored"):
            restore_into(tmp_path / f"b{number}", tmp_path / "r")
        assert not (tmp_path / "r").exists()


def test_an_archive_that_is_cut_anywhere_restores_nothing(log, blobs, tmp_path):
    """Every proper prefix of an archive is refused, even if only the last byte is missing."""
    fill(log, 30, size=10)
    backup(log, blobs, tmp_path / "b.tgz")
    data = (tmp_path / "b.tgz").read_bytes()
    cut = tmp_path / "cut.tgz"
    lengths = sorted({*range(0, len(data), 97), *range(len(data) - 20, len(data))})
    for length in lengths:
        cut.write_bytes(data[:length])
        with pytest.raises(LogDamaged, match="not a complete backup"):
            restore_into(cut, tmp_path / "r")
    assert not (tmp_path / "r").exists()
    print(f"\n{len(lengths)} cuts of an archive of {len(data)} bytes: all refused, nothing restored")


@pytest.mark.parametrize("most", [50, pytest.param(1_000, marks=STORM)])
def test_an_archive_with_changed_bytes_fails_by_name_or_is_the_same(most):
    """Whatever is changed in the tar, the result is a TeamMailError or the same events."""

    @settings(max_examples=most, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
    def holds(changes):
        with TemporaryDirectory() as name:
            folder = Path(name)
            log = opened(folder / "mail")
            fill(log, 3, size=10)
            backup(log, FileBlobs(folder / "mail" / "blobs"), folder / "b.tgz")
            data = bytearray(gzip.decompress((folder / "b.tgz").read_bytes()))
            for place, new in changes:
                at = place % len(data)
                data[at : at + len(new)] = new
            (folder / "b.tgz").write_bytes(gzip.compress(data, 1))
            try:
                restore_into(folder / "b.tgz", folder / "r")
            except TeamMailError:
                return
            whole = (folder / "mail" / "events.jsonl").read_bytes()
            assert whole == (folder / "r" / "events.jsonl").read_bytes()

    holds()


def test_an_interrupted_backup_leaves_nothing(log, blobs, mail, tmp_path):
    """If the copy fails, there is no file under the target's name or beside it."""
    fill(log, 1)

    def interrupt():
        raise KeyboardInterrupt

    for name in ("b", "b.tgz"):
        reader = opened(mail)
        reader.segments = Meanwhile(reader.segments, interrupt)
        with pytest.raises(KeyboardInterrupt):
            backup(reader, blobs, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["mail"]


def test_the_files_in_an_archive_are_those_of_the_log(log, blobs, mail, tmp_path):
    """A backup can also be unpacked by hand."""
    fill(log, 40)
    backup(log, blobs, tmp_path / "b.tar.gz")
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        sums = {m.name: sha256(archive.extractfile(m).read()).hexdigest() for m in archive.getmembers()}
    kept = {name: sha256(data).hexdigest() for name, data in everything(mail).items() if name != "lock"}
    assert sums == kept


@pytest.mark.parametrize("name", ["mail.tar.gz", "mail"])
def test_a_pipe_for_a_backup_is_never_waited_for(tmp_path, name):
    """Neither to restore it, nor to compare the log with it."""
    os.mkfifo(tmp_path / name)
    with pytest.raises((UsageError, LogDamaged, OSError)):
        last_in(tmp_path / name)
    with pytest.raises((UsageError, LogDamaged, LogUnavailable, OSError)):
        restore(tmp_path / name, EventLog(tmp_path / ".team" / "mail"))


def test_a_backup_names_the_file_that_cannot_be_read(tmp_path):
    """It is not the archive that is wrong."""
    log = EventLog(tmp_path / ".team" / "mail", segment_bytes=600)
    for _ in range(6):
        log.append([Draft("mail.sent", "boss", ("curator",), "x" * 200)])
    log.segments.sums.unlink()
    os.mkfifo(log.segments.sums)
    with pytest.raises(LogUnavailable, match=r"cannot read .*SHA256SUMS: it is a pipe"):
        backup(log, FileBlobs(log.folder / "blobs"), tmp_path / "b.tgz")
