"""What `team-mail check` answers with equals what the projection says, whatever happened since the last look."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from team_mail.mail.check import cursor
from team_mail.mail.check.shown import whole
from team_mail.mail.check.unread import Uncertain, unread
from team_mail.mail.clock import ManualClock
from team_mail.mail.directory import Directory
from team_mail.mail.kinds import MailKind
from team_mail.mail.letter import Letter
from team_mail.mail.log.blobs import MemoryBlobs
from team_mail.mail.log.event import Draft, derived_id
from team_mail.mail.log.log import EventLog
from team_mail.mail.mailbox import Mailbox
from team_mail.mail.query.rows import FileProjections

TEAM = ("ana", "bo", "çi")
VERBS = ("read", "read", "unread", "acked", "archived", "unarchived", "trashed", "restored")
RUNS = (None, None, "run-1", "run-2", 'run-"3"')

FEW = 3  # machines of `make test`

personas = st.sampled_from(TEAM)


class Checks(RuleBasedStateMachine):
    """Three personas write and mark, runs start before or after their mail, files rotate and are mended."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="team-mail-test-"))
        self.folder = self.place / "mail"
        self.open()

    def open(self) -> None:
        self.log = EventLog(self.folder, clock=ManualClock(), segment_bytes=3000)
        self.mailbox = Mailbox(self.log, MemoryBlobs(), FileProjections(self.log), Directory(frozenset(TEAM)))

    def teardown(self) -> None:
        try:
            for persona in TEAM:
                self.check(persona)
        finally:
            shutil.rmtree(self.place)

    @initialize()
    def begin(self) -> None:
        for subject in ("one", 'two "ana" three', "say \\", '{"persona":"bo"}'):
            self.mailbox.send(Letter("ana", ["@all"], subject))

    @rule(sender=personas, to=personas, run=st.sampled_from(RUNS), text=st.sampled_from(["x", "y" * 900, '"bo"']))
    def send(self, sender: str, to: str, run: str | None, text: str) -> None:
        self.mailbox.send(Letter(sender, [to], text[:40], text, run=run))

    @rule(persona=personas, run=st.sampled_from(RUNS[2:]))
    def start(self, persona: str, run: str) -> None:
        own = derived_id("run.started", run)
        self.log.append([Draft("run.started", "scheduler", run=run, data={"persona": persona}, id=own)])

    @rule(persona=personas, verb=st.sampled_from(VERBS), back=st.integers(0, 12))
    def mark(self, persona: str, verb: str, back: int) -> None:
        if (box := self.mailbox.inbox(persona, state="all")) and back < len(box):
            self.mailbox.mark(persona, verb, [box[back].id])

    @rule(persona=personas, back=st.integers(0, 3), remove=st.booleans(), reply=st.booleans())
    def tag_or_answer(self, persona: str, back: int, remove: bool, reply: bool) -> None:
        box = self.mailbox.inbox(persona, state="all")
        if back < len(box) and reply:
            self.mailbox.reply(Letter(persona, [], body="so"), box[back].id)
        elif back < len(box):
            self.mailbox.tag(persona, box[back].id, "hot", remove=remove)

    @rule(cut=st.booleans())
    def crash(self, cut: bool) -> None:
        """A writer dies within a line, or after one that nobody has heard of yet."""
        data = self.log.active.read_bytes()
        lines = data.splitlines(keepends=True)
        if cut and len(lines) > 2:
            for persona in TEAM:
                self.check(persona)
            os.truncate(self.log.active, len(data) - len(lines[-1]))
        else:
            with self.log.active.open("ab") as file:
                file.write(lines[-1][: len(lines[-1]) // 2])
        self.open()

    @rule()
    def repair(self) -> None:
        self.log.repair()

    @rule(persona=personas, what=st.sampled_from(["gone", "empty", "cut", "other", "folder"]))
    def spoil(self, persona: str, what: str) -> None:
        path = self.folder / cursor.FOLDER / persona
        data = path.read_bytes() if path.is_file() else b""
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        if what == "folder":
            path.mkdir(parents=True)
        elif what != "gone" and path.parent.is_dir():
            path.write_bytes({"empty": b"", "cut": data[:-20], "other": data.replace(b'"seq":2', b'"seq":3')}[what])

    @rule(persona=personas)
    def check(self, persona: str) -> None:
        wanted = [message.listed() for message in self.mailbox.inbox(persona, unread=True)]
        for _ in range(2):
            assert unread(str(self.folder), persona) == wanted
        self.show(persona, wanted)

    def show(self, persona: str, listed: list[dict[str, Any]]) -> None:
        """Whole messages are those of the projection, and their marks are those that it would have written."""
        box = self.mailbox.inbox(persona, unread=True)
        messages, marks = whole(str(self.folder), persona, listed)
        assert [each.whole() for each in messages] == [each.whole() for each in self.mailbox.with_bodies(box)]
        own = [each._replace(since=0) for each in marks.values()]
        assert own == self.mailbox._marks(persona, MailKind.READ, [each.id for each in box], None)
        assert all(each.since <= entry["seq"] for each, entry in zip(marks.values(), listed, strict=True))

    @rule(persona=personas)
    def read_what_is_shown(self, persona: str) -> None:
        listed = unread(str(self.folder), persona)
        self.log.append([*whole(str(self.folder), persona, listed[::2])[1].values()])
        assert unread(str(self.folder), persona) == listed[1::2]


def test_an_answer_whose_mark_was_cut_off_is_one():
    """Whoever answers has read it; a writer that dies between the two leaves unread mail that is answered."""
    checks = Checks()
    checks.begin()
    checks.tag_or_answer(persona="bo", back=1, remove=False, reply=True)
    checks.crash(cut=True)
    checks.teardown()


@pytest.mark.parametrize("runs", [FEW, pytest.param(400, marks=pytest.mark.storm)])
def test_the_answer_equals_that_of_the_projection(runs):
    """It does after any events, rotations, crashes and repairs, and whatever becomes of the cursor.

    A failure that a few runs meet is told as it was found, at once; the storm shrinks it, for minutes.
    """
    health = [HealthCheck.too_slow, HealthCheck.data_too_large]
    phases = [phase for phase in Phase if runs > FEW or phase not in {Phase.shrink, Phase.explain}]
    plan = settings(
        max_examples=runs, stateful_step_count=40, deadline=None, suppress_health_check=health, phases=phases
    )
    run_state_machine_as_test(Checks, settings=plan)


@pytest.fixture
def mailbox(tmp_path) -> Mailbox:
    log = EventLog(tmp_path / "mail")
    return Mailbox(log, MemoryBlobs(), FileProjections(log), Directory(frozenset(TEAM)))


def seqs(mailbox: Mailbox, persona: str = "bo") -> list[int]:
    return [message["seq"] for message in unread(str(mailbox.log.folder), persona)]


def reads(monkeypatch) -> list[int]:
    """Collect how many bytes of files are read."""
    sizes: list[int] = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *words: (data := pread(*words), sizes.append(len(data)))[0])
    return sizes


def test_only_what_is_new_is_read(mailbox, monkeypatch):
    """However long the log is, the second look reads a few hundred bytes."""
    for _ in range(300):
        mailbox.send(Letter("ana", ["bo"], "x", "y" * 500))
    assert len(seqs(mailbox)) == 300
    mailbox.send(Letter("ana", ["bo"], "new"))
    sizes = reads(monkeypatch)
    assert len(seqs(mailbox)) == 301
    assert sum(sizes) < 4000


def test_a_line_that_does_not_verify_is_left_to_the_projection(mailbox):
    """Whether it counts is not decided here."""
    mailbox.send(Letter("ana", ["bo"], "true"))
    data = mailbox.log.active.read_bytes()
    mailbox.log.active.write_bytes(data.replace(b'"subject":"true"', b'"subject":"fake"'))
    with pytest.raises(Uncertain):
        seqs(mailbox)


def test_a_damaged_log_is_left_to_the_projection(mailbox):
    """It knows which lines verify."""
    mailbox.send(Letter("ana", ["bo"], "x"))
    assert seqs(mailbox) == [2]
    (mailbox.log.folder / "damaged").write_text("")
    with pytest.raises(Uncertain):
        seqs(mailbox)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_stands_in_the_place_of_a_file_is_never_waited_for(mailbox, make):
    """A pipe, a folder or a link for the log is for the projection to refuse; for a cursor, it is none."""
    mailbox.send(Letter("ana", ["bo"], "x"))
    place = mailbox.log.folder / cursor.FOLDER
    place.mkdir()
    make(place / "bo")
    assert seqs(mailbox) == [2]
    mailbox.log.active.unlink()
    make(mailbox.log.active)
    with pytest.raises(Uncertain):
        seqs(mailbox)


def test_a_cursor_that_cannot_be_written_leaves_nothing_behind(mailbox, monkeypatch):
    """The answer is the same; the next look is as slow as the first one."""
    mailbox.send(Letter("ana", ["bo"], "x"))

    def fails(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    assert seqs(mailbox) == seqs(mailbox) == [2]
    assert list((mailbox.log.folder / cursor.FOLDER).iterdir()) == []


def test_looking_into_a_log_that_is_not_there_makes_nothing(tmp_path):
    """There is no mail, and no folder for a cursor."""
    assert unread(str(tmp_path / "none" / "mail"), "bo") == []
    assert not (tmp_path / "none").exists()


def many(mailbox: Mailbox) -> Path:
    """Fill a log of several sealed files; return the first of them."""
    log = EventLog(mailbox.log.folder, segment_bytes=4000)
    for number in range(40):
        Mailbox(log, mailbox.blobs, mailbox.projections, mailbox.directory).send(
            Letter("ana", ["bo"], f"{number}", "y" * 200)
        )
    return next(iter(log.segments)).path


@pytest.mark.parametrize("harm", ["pipe", "gone", "unreadable", "twice"])
def test_a_sealed_file_that_cannot_be_read_is_not_taken_for_an_empty_one(mailbox, harm, monkeypatch):
    """Nothing is remembered of such a look: with the file back, all mail is there."""
    first, aside = many(mailbox), mailbox.log.folder / "aside"
    if harm == "unreadable":  # as root can read everything
        opened = os.open
        monkeypatch.setattr(os, "open", lambda path, *words: opened("/none" if path == str(first) else path, *words))
    elif harm == "twice":
        shutil.copy(first, first.with_name(f"000000000001-{int(first.name[13:25]) - 1:012d}.jsonl"))
    else:
        first.rename(aside)
    if harm == "pipe":
        os.mkfifo(first)
    for _ in range(2):
        with pytest.raises(Uncertain):
            seqs(mailbox)
    if harm == "unreadable":
        monkeypatch.undo()
    elif harm == "twice":
        first.with_name(f"000000000001-{int(first.name[13:25]) - 1:012d}.jsonl").unlink()
    else:
        first.unlink(missing_ok=True)
        aside.rename(first)
    assert len(seqs(mailbox)) == 40


def test_a_line_that_is_there_twice_is_left_to_the_projection(mailbox):
    """Whether it counts twice is not decided here."""
    mailbox.send(Letter("ana", ["bo"], "x"))
    data = mailbox.log.active.read_bytes()
    mailbox.log.active.write_bytes(data + data.splitlines(keepends=True)[-1])
    with pytest.raises(Uncertain):
        seqs(mailbox)


def forge(mailbox, line: int, text: str) -> None:
    """Write another line into bo's cursor, and the checksum that goes with it."""
    place = mailbox.log.folder / cursor.FOLDER / "bo"
    lines = place.read_text().split("\n")[:4]
    data = "\n".join([*lines[:line], text, *lines[line + 1 :]]).encode()
    place.write_bytes(data + f"\n{cursor._checksum(data)}\n".encode())


@pytest.mark.parametrize("where", ["abc 1 1 1 1", "1 2", "1 2 3 4 5 6"])
def test_a_cursor_with_a_right_checksum_and_wrong_fields_is_none(mailbox, where):
    """Somebody may have written it."""
    mailbox.send(Letter("ana", ["bo"], "x"))
    assert seqs(mailbox) == [2]
    forge(mailbox, 2, where)
    assert cursor.load(str(mailbox.log.folder), "bo") is None
    assert seqs(mailbox) == [2]


def test_a_cursor_of_an_earlier_version_is_none(mailbox):
    """Its entries lack what listed messages have now; the log says it."""
    mailbox.send(Letter("ana", ["bo"], "x"))
    assert seqs(mailbox) == [2]
    forge(mailbox, 0, "team-mail cursor 1")
    assert cursor.load(str(mailbox.log.folder), "bo") is None


@pytest.mark.parametrize("entries", ["[", "7", "{}", "[7]", "[{}]", '[{"id":"x","seq":"2"}]', "[" * 100_000])
def test_a_cursor_with_a_right_checksum_and_wrong_entries_is_of_no_use(mailbox, entries):
    """The log is read from its beginning, and the cursor is written anew."""
    mailbox.send(Letter("ana", ["bo"], "x"))
    assert seqs(mailbox) == [2]
    forge(mailbox, 3, entries)
    assert seqs(mailbox) == [2]
    assert seqs(mailbox) == [2]
    (entry,) = cursor.load(str(mailbox.log.folder), "bo").entries
    assert entry["subject"] == "x"


def test_no_file_of_another_is_written_through_a_link(mailbox, tmp_path):
    """Whoever may write into the folder cannot guess the name of the file that is written first."""
    mailbox.send(Letter("ana", ["bo"], "x"))
    place, precious = mailbox.log.folder / cursor.FOLDER, tmp_path / "precious"
    place.mkdir()
    precious.write_text("mine")
    for number in range(os.getpid() - 5, os.getpid() + 5):
        (place / f".bo.{number}").symlink_to(precious)
    (place / "bo").symlink_to(precious)
    assert seqs(mailbox) == [2]
    assert precious.read_text() == "mine"
    assert not (place / "bo").is_symlink()


def test_where_the_log_is_another_users_the_cursor_is_among_ones_own_caches(mailbox, tmp_path, monkeypatch):
    """The second look reads little there, too."""
    for _ in range(100):
        mailbox.send(Letter("ana", ["bo"], "x", "y" * 500))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    able = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != str(mailbox.log.folder) and able(path, mode))
    assert len(seqs(mailbox)) == 100
    assert not (mailbox.log.folder / cursor.FOLDER).exists()
    sizes = reads(monkeypatch)
    assert len(seqs(mailbox)) == 100
    assert sum(sizes) < 4000


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be several users")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_in_a_shared_folder_the_cursor_is_everybodys(mailbox, umask):
    """One user's look is of use to the next, and a repair by either removes both."""
    mailbox.send(Letter("ana", ["bo"], "x"))
    mailbox.log.folder.chmod(0o2775)
    before = os.umask(umask)
    try:
        assert seqs(mailbox) == [2]
    finally:
        os.umask(before)
    place = mailbox.log.folder / cursor.FOLDER
    assert place.stat().st_mode & 0o2070 == 0o2070
    assert (place / "bo").stat().st_mode & 0o060 == 0o060
