"""Temporary files: none is left by a write that failed, and those of killed processes go."""

from __future__ import annotations

import errno
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from team_mail.mail.archive.backup import backup
from team_mail.mail.archive.export import export_eml, export_jsonl, export_mbox
from team_mail.mail.errors import LogError, TeamMailError
from team_mail.mail.log.blobs import FileBlobs
from team_mail.mail.log.event import Draft, derived_id
from team_mail.mail.log.log import EventLog
from team_mail.mail.query.copies import write_parquet

from .test_faults import (
    WIDE,
    Faulty,
    Unflushed,
    cases,
    child,
    draft,
    fails_with,
    falls_short_and_fails,
    first,
    opened,
)

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
HOUR = 3600


def temporary(folder: Path) -> list[str]:
    """What lies there under a name that is not a final one."""
    return sorted(path.name for path in folder.rglob(".*"))


def work(folder: Path, disk: Faulty) -> None:
    """Use all that writes files: creation, blobs, rotation, quarantine, repair; go on after an error."""
    log, blobs = opened(folder, disk), FileBlobs(folder / "blobs", disk)
    for number in range(8):
        with suppress(LogError):
            log.append([draft(number)])
        with suppress(OSError):
            blobs.put(b"text %d" % number)
    with log.active.open("ab") as file:
        file.write(b"torn")
    with suppress(LogError):
        opened(folder, disk).append([draft(8)])
    with suppress(LogError, OSError):
        log.repair()


CASES = cases(short_and_ENOSPC=falls_short_and_fails)


@pytest.mark.parametrize("stride", WIDE)
@pytest.mark.parametrize("case", CASES)
def test_no_temporary_file_is_left_when_any_call_fails(tmp_path, case, stride):
    """Each system call in turn fails; only where the removal itself is refused may something be left."""
    fault, forever = CASES[case]
    nth, met = first(case, CASES, stride) - stride, 1
    while met:
        nth += stride
        folder = tmp_path / str(nth)
        folder.mkdir()
        (folder / "events.jsonl").touch()

        class Removing(Faulty):
            """A disk that can remove files, whatever else fails."""

            def remove(self, path):
                path.unlink(missing_ok=True)

        disk = Removing(nth, fault, forever=forever)
        work(folder, disk)
        met = disk.met
        assert temporary(folder) == []
    assert nth > 40
    print(f"every {stride}. of {nth - 1} calls failed in turn, no temporary file left")


def test_what_could_not_be_removed_is_gone_after_the_next_write(tmp_path):
    """A disk that refuses everything for a while leaves nothing behind for ever."""
    for nth in range(1, 60, 7):
        disk = Faulty(nth, fails_with(errno.EIO), forever=True)
        folder = tmp_path / str(nth)
        folder.mkdir()
        (folder / "events.jsonl").touch()
        work(folder, disk)
        for path in folder.rglob(".*"):
            os.utime(path, (0, 0))
        opened(folder, Unflushed()).repair()
        assert temporary(folder) == []


@pytest.mark.parametrize("how", ["sealing", "repair"])
def test_files_of_killed_processes_are_removed_and_those_of_running_ones_stay(tmp_path, how):
    """An hour tells one from the other; other hidden files are none of ours."""
    log = EventLog(tmp_path / "mail", segment_bytes=1500)
    FileBlobs(log.folder / "blobs").put(b"text")
    log.append([Draft("mail.sent", "ann", ("bob",), "mail", "x" * 1500)])
    blob_folder = next((log.folder / "blobs").iterdir())
    log.quarantine.mkdir()
    (log.folder / "segments").mkdir()
    old = [
        log.folder / ".damaged.0123456789ab", log.quarantine / ".tail.new", blob_folder / ".abcd.0123456789ab",
        log.folder / "segments" / ".1.parquet.0123456789ab",
    ]  # fmt: skip
    new = [path.with_name(path.name.replace("0123456789ab", "ba9876543210")) for path in (old[0], old[2], old[3])]
    theirs = [log.folder / ".nfs0001", log.folder / ".notes.txt"]
    now = log.folder.stat().st_mtime
    for path in (*old, *new, *theirs):
        path.write_text("half")
        os.utime(path, (now, now - HOUR - 60) if path not in new else (now, now - HOUR + 60))
    log.append([Draft("mail.sent", "ann", ("bob",), "mail")]) if how == "sealing" else log.repair()
    assert temporary(log.folder) == sorted(path.name for path in (*new, *theirs))


def limited(folder: Path, size: int, act) -> bool:
    """Do something in a process that may write files of so many bytes only; return whether it succeeded."""

    def within() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            act()
        except TeamMailError:
            os._exit(3)

    with child(within) as pid:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in {0, 3}
    return code == 0


@pytest.mark.parametrize("what", ["archive", "folder", "mbox", "eml", "jsonl", "parquet"])
def test_a_target_that_cannot_be_finished_is_not_begun(tmp_path, what):
    """Whatever number of bytes fits, the target is whole or there is nothing, and nothing temporary either."""
    log, blobs = EventLog(tmp_path / "mail", segment_bytes=60_000), FileBlobs(tmp_path / "mail" / "blobs")
    for number in range(8):
        body = os.urandom(5000).hex()
        log.append([Draft("mail.sent", "ann", ("bob",), "mail", body, id=derived_id(str(number)))])
    blobs.put(os.urandom(30_000))
    out = tmp_path / "out"
    out.mkdir()
    (segment,) = log.segments
    acts = {
        "archive": lambda: backup(log, blobs, out / "b.tar.gz"),
        "folder": lambda: backup(log, blobs, out / "b"),
        "mbox": lambda: export_mbox(log.read(), blobs, out / "b.mbox"),
        "eml": lambda: export_eml(log.read(), blobs, out / "b.eml"),
        "jsonl": lambda: export_jsonl(log.read(), blobs, out / "b.jsonl"),
        "parquet": lambda: write_parquet(segment),
    }
    sizes, done = 0, False
    before = sorted(path.name for path in segment.path.parent.iterdir())
    for size in (*range(1, 100_000, 9_137), 1_000_000):
        done = limited(out, size, acts[what])
        sizes += 1
        copies = sorted(path.name for path in segment.path.parent.iterdir() if path.name not in before)
        assert temporary(tmp_path) == []
        assert done or [*out.iterdir()] == []
        if what == "parquet":
            done = bool(copies)
            assert len(copies) in {0, 4}
        if done:
            break
    assert done
    assert sizes > 1
    print(f"{what}: {sizes} sizes tried, each whole or nothing")


@pytest.mark.parametrize("fresh", [False, True], ids=["an hour ago", "just now"])
def test_a_killed_backup_leaves_nothing_after_the_next(tmp_path, fresh):
    """The next one to the same target removes what is surely left; what another may be writing stays."""
    log, blobs = EventLog(tmp_path / "mail"), FileBlobs(tmp_path / "mail" / "blobs")
    log.append([Draft("mail.sent", "ann", ("bob",), "mail")])

    class Deadly(FileBlobs):
        """Blobs whose reader is killed."""

        def read(self, sha256: str) -> bytes:
            os.kill(os.getpid(), signal.SIGKILL)
            return b""

    blobs.put(b"text")
    for target in (tmp_path / "archive.tgz", tmp_path / "folder"):
        with child(lambda target=target: backup(log, Deadly(blobs.folder), target)) as pid:
            assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        (left,) = tmp_path.glob(f".{target.name}.*")
        if not fresh:
            os.utime(left, (0, 0))
        backup(log, blobs, target)
        assert [*tmp_path.glob(f".{target.name}.*")] == ([left] if fresh else [])


def test_an_export_that_fails_to_replace_another_leaves_the_other(tmp_path, monkeypatch):
    """The old one is moved aside for a moment; it comes back if the new one cannot take its place."""
    log, blobs = EventLog(tmp_path / "mail"), FileBlobs(tmp_path / "mail" / "blobs")
    log.append([Draft("mail.sent", "ann", ("bob",), "mail")])
    export_eml(log.read(), blobs, tmp_path / "out")
    real = Path.replace

    def refuse(path: Path, target: Path) -> Path:
        if path.name.endswith(".new"):
            raise OSError(errno.EIO, "I/O error")
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(LogError, match="nothing was written"):
            export_eml(log.read(), blobs, tmp_path / "out", replace=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["2.eml"]
    assert temporary(tmp_path) == []
