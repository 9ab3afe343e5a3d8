"""One log for several users of the machine: a group's folder, files of others, and readers who may not write."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from team_mail.mail.errors import LogDamaged, LogUnavailable
from team_mail.mail.log.blobs import FileBlobs
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
from team_mail.mail.query.copies import write_parquet
from team_mail.mail.query.query import Query

from ...samples import STORM

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
GROUP, ANN, BOB, GUEST = 4200, 4201, 4202, 4203
# The strictest keeps most from the others; the storm takes all.
UMASKS = pytest.mark.parametrize(
    "umask",
    [pytest.param(0o002, marks=STORM), pytest.param(0o022, marks=STORM), 0o077],
    ids=["002", "022", "077"],
)


def draft(number: int) -> Draft:
    return Draft("mail.sent", "ann", ("bob",), f"mail {number}", "x" * 200)


def opened(folder: Path) -> EventLog:
    return EventLog(folder, segment_bytes=1500, on_sealed=write_parquet)


def as_user(uid: int, work: Callable[[], object], *, umask: int = 0o022, group: bool = True) -> None:
    """Do `work` in a process of that user, whose own group is not the team's; it must succeed."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([GROUP] if group else [])
            os.setgid(uid)
            os.setuid(uid)
            os.umask(umask)
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - nothing of the test runner's may run in the child
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.fixture
def folder():
    """Where a group has its mail: the folder of the team is the group's to write, and new files get its group.

    Neither in `tmp_path`, which any other run of pytest closes to other users when it begins, nor where the tests of
    this run have their files, which is closed, too.
    """
    with tempfile.TemporaryDirectory(dir="/tmp") as top:
        Path(top).chmod(0o755)
        home = Path(top, ".team")
        home.mkdir()
        if os.geteuid() == 0:
            os.chown(home, 0, GROUP)
        home.chmod(0o2775)
        yield home / "mail"


def append(folder: Path, first: int, count: int = 7) -> None:
    log = opened(folder)
    for number in range(first, first + count):
        log.append([draft(number)])


def damage_first_segment(folder: Path) -> None:
    path = next(iter(opened(folder).segments)).path
    data = path.read_bytes().replace(b'mail 1"', b'mail ?"')
    path.unlink()
    path.write_bytes(data)


@ROOT
@UMASKS
def test_users_of_a_group_write_rotate_and_repair_one_log_in_turn(folder, umask):
    """Whoever made a file, everybody of the group can go on with it, whatever their umask."""
    for turn, uid in enumerate([ANN, BOB] * 3):
        as_user(uid, lambda turn=turn: append(folder, 7 * turn), umask=umask)
    log = opened(folder)
    assert [event.subject for event in log.read() if event.kind == "mail.sent"] == [f"mail {n}" for n in range(42)]
    assert len({segment.path.stat().st_uid for segment in log.segments}) == 2
    assert {segment.path.name for segment in log.segments} == log.segments.checksums().keys()

    def check_and_mend():
        assert opened(folder).verify().damage == []
        damage_first_segment(folder)
        assert opened(folder).verify().corrupt
        with pytest.raises(LogDamaged):
            opened(folder).append([draft(1000)])
        opened(folder).repair()
        append(folder, 100)
        assert opened(folder).verify().damage == []

    as_user(BOB, check_and_mend, umask=umask)
    as_user(ANN, lambda: append(folder, 200), umask=umask)
    assert opened(folder).verify().damage == []


@ROOT
@UMASKS
def test_users_of_a_group_share_blobs_and_parquet_copies(folder, umask):
    """A folder or a copy that one of them made does not stop the others."""
    texts = [f"text {number}".encode() for number in range(600)]  # more than the folders that blobs are in

    def put(some):
        append(folder, 0)
        blobs = FileBlobs(folder / "blobs")
        for text in some:
            blobs.put(text)

    def read():
        blobs = FileBlobs(folder / "blobs")
        assert [blobs.read(blobs.put(text).sha256) for text in texts] == texts
        assert len(Query(opened(folder)).rows("mailbox", persona="bob")) == 14
        for copy in (folder / "segments").glob("*.parquet"):
            copy.unlink()
        assert len(Query(opened(folder)).rows("mailbox", persona="bob")) == 14
        assert [*(folder / "segments").glob("*.parquet")]

    as_user(ANN, lambda: put(texts[::2]), umask=umask)
    as_user(BOB, lambda: put(texts[1::2]), umask=umask)
    as_user(ANN, read, umask=umask)
    as_user(BOB, read, umask=umask)


@ROOT
def test_damage_found_by_one_user_stops_the_writers_of_all(folder):
    """The mark is a file, so it needs no right over the active file; a writer that is open sees it, too."""
    as_user(ANN, lambda: append(folder, 0), umask=0o002)
    running = opened(folder)
    running.append([draft(50)])
    damage_first_segment(folder)
    assert running.append([draft(51)])  # nobody knows yet

    def find():
        assert opened(folder).verify().corrupt

    as_user(BOB, find, umask=0o002)
    assert (folder / "events.jsonl").stat().st_mode & 0o200
    for log in (running, opened(folder)):
        with pytest.raises(LogDamaged, match="does not verify"):
            log.append([draft(52)])
    as_user(BOB, find, umask=0o002)  # the mark is there already
    as_user(ANN, find, umask=0o077)
    as_user(ANN, lambda: opened(folder).repair(), umask=0o002)
    assert running.append([draft(53)])


@ROOT
def test_a_reader_who_may_not_write_is_told_of_damage(folder):
    """The mark cannot be written, and the report is the same; afterwards the log can still be read."""
    as_user(ANN, lambda: append(folder, 0), umask=0o002)
    damage_first_segment(folder)

    def find():
        log = opened(folder)
        assert log.verify().corrupt
        assert not (folder / "damaged").exists()
        assert Query(log).rows("stats")
        with pytest.raises((LogDamaged, LogUnavailable)):
            log.append([draft(1)])

    as_user(GUEST, find, group=False)


@ROOT
def test_what_a_killed_writer_left_does_not_stop_another_user(folder):
    """A temporary file that only its owner can write is replaced."""
    as_user(ANN, lambda: append(folder, 0, 2), umask=0o002)

    def leave():
        append(folder, 2, 2)
        for path in (folder / ".events.jsonl.new", folder / "segments" / ".SHA256SUMS.new"):
            path.write_text("half")
            path.chmod(0o600)

    as_user(ANN, leave, umask=0o077)
    as_user(BOB, lambda: append(folder, 4), umask=0o002)
    assert [*folder.rglob(".*")] == []
    assert opened(folder).verify().damage == []


@pytest.mark.parametrize("reason", ["events.jsonl byte 7, seq 2: the line does not verify\n", ""])
def test_the_mark_alone_stops_writers(folder, reason):
    """Neither the rights of the active file nor what the mark says count, only that it is there."""
    running = opened(folder)
    running.append([draft(0)])
    before = running.active.read_bytes()
    (folder / "damaged").write_text(reason)
    for log in (running, opened(folder)):
        with pytest.raises(LogDamaged, match=r"(seq 2|verify says where).*nothing is written until .team-mail repair"):
            log.append([draft(1)])
    assert running.active.read_bytes() == before
    (folder / "damaged").unlink()
    running.append([draft(1)])


@pytest.mark.parametrize("mode", [0o775, 0o2755, 0o2775], ids=oct)
def test_only_the_folder_of_a_group_shares_what_is_in_it(tmp_path, mode):
    """A private umask is respected unless the folder says, by its two bits, that its group works in it."""
    home = tmp_path / ".team"
    home.mkdir()
    home.chmod(mode)
    before = os.umask(0o077)
    try:
        append(home / "mail", 0)
    finally:
        os.umask(before)
    shared = mode == 0o2775
    for path in (home / "mail", *(home / "mail").rglob("*")):
        rights = path.stat().st_mode & 0o077
        if path.parent.name != "segments" or path.name == "SHA256SUMS":
            assert rights == ((0o070 if path.is_dir() else 0o060) if shared else 0), path
