"""Queries of a long-lived process while the log rotates, is repaired, or undoes an append."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from team_mail.mail.errors import LogUnavailable
from team_mail.mail.letter import Letter
from team_mail.mail.log.blobs import FileBlobs
from team_mail.mail.log.disk import Disk, NotAFile
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
from team_mail.mail.log.reading import Cursor
from team_mail.mail.mailbox import Mailbox
from team_mail.mail.query.lines import lines_about
from team_mail.mail.query.memory import MemoryProjections
from team_mail.mail.query.query import select
from team_mail.mail.query.rows import FileProjections

from ...samples import STORM, each_once

PERSONAS = ("ada", "ben", "cyd")


@pytest.fixture
def folder(tmp_path):
    """Where the mail is."""
    return tmp_path / ".team" / "mail"


def opened(folder, **options):
    """A mailbox over small segments, so that a few messages rotate the log."""
    return over(EventLog(folder, segment_bytes=2048, **options))


def over(log):
    """The mailbox over a log."""
    return Mailbox(log, FileBlobs(log.folder / "blobs"), FileProjections(log))


def send_batch(mailbox, letters):
    """Send messages with one append."""
    mailbox.log.append([letter.draft(mailbox.directory, mailbox.blobs) for letter in letters])


def subjects(mailbox, persona):
    """What a persona's inbox lists, oldest first."""
    return [message.subject for message in reversed(mailbox.inbox(persona))]


def fill(mailbox, count=20):
    """Send so many messages to all, one append each."""
    for number in range(count):
        mailbox.send(Letter("boss", PERSONAS, f"mail {number}"))
    return [f"mail {number}" for number in range(count)]


class Rotating(EventLog):
    """A log that another process rotates just after it was looked at, while `left` lasts."""

    left = 0

    def snapshot(self):
        moment = super().snapshot()
        if self.left:
            self.left -= 1
            writer = EventLog(self.folder, segment_bytes=1)
            writer.append([Draft("mail.sent", "boss", PERSONAS, "late")])
        return moment


def test_a_short_log_tells_what_it_lacks_without_a_database(folder):
    """Nothing is said to be lacking that is there, nor of a log of which a part is sealed."""
    mailbox = over(EventLog(folder))
    assert mailbox.projections.lacks('"kind":"mail.')
    mailbox.log.append([Draft("log.noted", "ada")])
    assert mailbox.projections.lacks('"kind":"mail.')
    assert mailbox.unread(PERSONAS) == []
    assert "_query" not in vars(mailbox.projections)

    mailbox.send(Letter("boss", PERSONAS, "news"))
    assert not mailbox.projections.lacks('"kind":"none.', '"kind":"mail.')
    assert mailbox.projections.lacks('"kind":"none.')
    assert [row["persona"] for row in mailbox.unread(PERSONAS)] == [*PERSONAS]


def test_a_log_with_segments_is_not_looked_through(folder):
    """What it lacks only the database knows."""
    mailbox = opened(folder)
    fill(mailbox)
    assert mailbox.projections.part(mailbox.log.head().seq) > 1
    assert not mailbox.projections.lacks('"kind":"none.')


def test_a_rotation_during_a_query_never_mixes_up_slices(folder):
    """The slice of one persona is never used for another, however often a query is repeated."""
    log = Rotating(folder, segment_bytes=2048)
    mailbox = over(log)
    sent = fill(mailbox)
    for persona in PERSONAS:
        log.left = 2
        assert set(sent) <= set(subjects(mailbox, persona))
    for persona in PERSONAS:
        mailbox.send(Letter("boss", [persona], f"for {persona}"))
    for persona in PERSONAS:
        listed = subjects(mailbox, persona)
        assert listed == subjects(opened(folder), persona)
        assert [subject for subject in listed if subject.startswith("for ")] == [f"for {persona}"]


@pytest.mark.parametrize("more", [1, 40], ids=["shorter", "longer"])
def test_a_file_that_got_the_number_of_an_old_one_is_read_from_its_beginning(folder, more):
    """A segment that a repair replaces leaves its inode to a new file: how far the old one was read hides nothing."""
    writer = EventLog(folder, segment_bytes=4096)
    mailbox, sender, cursor = opened(folder), over(writer), Cursor(writer.active, writer.segments, 0)
    fill(sender, 3)
    assert len(subjects(mailbox, "ada")) == 3
    seen, old = [*cursor.news()], writer.active.stat().st_ino
    while not [*writer.segments]:
        sender.send(Letter("boss", ["ada"], "fills", "x" * 300))
    (sealed,) = writer.segments
    (folder / "copy").write_bytes(sealed.path.read_bytes())
    (folder / "copy").rename(sealed.path)
    for number in range(200):  # until the file system gives the number away
        (spare := folder / f"spare-{number}").write_bytes(writer.active.read_bytes())
        if spare.stat().st_ino == old:
            spare.rename(writer.active)
            break
    later = EventLog(folder, segment_bytes=1 << 20)
    for number in range(more):
        over(later).send(Letter("boss", ["ada"], f"new {number}"))

    assert subjects(mailbox, "ada") == subjects(opened(folder), "ada")
    assert subjects(mailbox, "ada")[-1] == f"new {more - 1}"
    seen += cursor.news()
    assert [event.seq for event in seen] == [*range(1, later.head().seq + 1)]


def test_threads_that_share_a_mailbox_each_get_their_own_rows(folder):
    """Threads take turns on one connection."""
    mailbox = opened(folder)
    for number, persona in enumerate(PERSONAS, 1):
        send_batch(mailbox, (Letter("boss", [persona], f"{persona} {n}") for n in range(number)))
    with ThreadPoolExecutor(6) as threads:
        asked = [PERSONAS[number % 3] for number in range(60)]
        for persona, listed in zip(asked, threads.map(lambda p: subjects(mailbox, p), asked), strict=True):
            assert listed == [f"{persona} {n}" for n in range(PERSONAS.index(persona) + 1)]


@pytest.mark.parametrize(("harm", "which"), each_once([b"", b"PAR1", None], ["*.mailboxes.parquet", "*[0-9].parquet"]))
def test_a_broken_parquet_copy_is_replaced(folder, which, harm):
    """The copies are a cache: mail is never lost with them."""
    sent = fill(opened(folder))
    assert subjects(opened(folder), "ada") == sent
    for parquet in (folder / "segments").glob(which):
        parquet.unlink()
        if harm is None:
            parquet.mkdir()
        else:
            parquet.write_bytes(harm)
    mailbox = opened(folder)
    assert subjects(mailbox, "ada") == sent
    assert mailbox.read("ada", "2", peek=True).subject == "mail 0"
    assert sum(row["events"] for row in mailbox.stats()) == mailbox.log.head().seq
    assert mailbox.log.verify().corrupt == []


QUOTED = ("ada", 'quo"ted', "back\\slash", "ünï", "slash/ed", "a", "run.started", "new\nline")


@pytest.mark.parametrize("who", QUOTED)
def test_lines_left_out_of_a_slice_are_none_of_the_personas(folder, who):
    """Of the active file a process reads the lines that have the name; the slice is that of reading all of them."""
    log = EventLog(folder)
    for number, sender in enumerate(QUOTED):
        to = tuple(name for name in QUOTED[number + 1 :] if name != sender) or (QUOTED[0],)
        (mail,) = log.append(
            [Draft("mail.sent", sender, to, f"to {to}", f'"{who}" said {QUOTED}', data={"n": [*QUOTED]})]
        )
        log.append([Draft("mail.read", name, ref=mail.id) for name in to])
        log.append([Draft("mail.sent", to[0], (sender,), "re", thread=mail.thread, reply_to=mail.id)])
        log.append([Draft("run.started", "scheduler", run=f"run-{number}", data={"persona": sender})])
    whole = sorted(row["seq"] for row in MemoryProjections(log).rows("mailbox", persona=who))
    rows = FileProjections(log).rows
    assert sorted(row["seq"] for row in rows("mailbox", persona=who)) == whole
    assert len(whole) > len(QUOTED)
    data = log.active.read_bytes()
    assert len(lines_about(who, data)) < data.count(b"\n")
    assert lines_about(who, data + b'{"v":1,"seq":99,"id":\n' + data) == [data + b'{"v":1,"seq":99,"id":\n' + data]


def test_a_missing_segment_is_an_error_with_a_reason(folder):
    """It is not a traceback of the database."""
    fill(opened(folder))
    mailbox = opened(folder)
    assert subjects(mailbox, "ada")
    for parquet in (folder / "segments").glob("*.parquet"):
        parquet.unlink()
    next((folder / "segments").glob("*.jsonl")).rename(folder / "elsewhere")
    (folder / "segments" / "000000000001-000000000002.jsonl").symlink_to(folder / "nowhere")
    with pytest.raises((LogUnavailable, NotAFile)):
        subjects(opened(folder), "ada")


def test_a_long_lived_mailbox_shows_the_repaired_log(folder):
    """A repair may reuse the inode with other offsets; nothing read before the repair is shown."""
    mailbox = over(EventLog(folder))
    fill(mailbox, 6)
    assert len(subjects(mailbox, "ada")) == 6
    stop = threading.Event()
    watching = mailbox.watch("ada", after=0, stop=stop)
    assert [next(watching).subject for _ in range(6)][-1] == "mail 5"
    lines = mailbox.log.active.read_bytes().splitlines(keepends=True)
    mailbox.log.active.write_bytes(b"".join([*lines[:3], lines[3].replace(b"mail 2", b"MAIL 2"), *lines[4:]]))
    reopened = EventLog(folder)
    assert reopened.verify().corrupt
    assert reopened.repair().copies
    mailbox.send(Letter("boss", ["ada"], "after"))
    assert subjects(mailbox, "ada") == subjects(opened(folder), "ada")
    assert subjects(mailbox, "ada") == ["mail 0", "mail 1", "mail 3", "mail 4", "mail 5", "after"]
    assert next(watching).subject == "after"
    stop.set()


class Filling(Disk):
    """A disk that writes the next data except for some bytes, calls `look`, then is full."""

    def __init__(self):
        self.look = None

    def write(self, descriptor, data):
        if self.look is None or len(data) < 1000:
            return super().write(descriptor, data)
        written = super().write(descriptor, data[:-40])
        look, self.look = self.look, None
        look()
        raise OSError(28, "No space left on device") if written else AssertionError


def test_events_of_an_append_that_was_undone_disappear(folder):
    """A reader may see part of a batch before the disk is full; the next query no longer shows it."""
    disk = Filling()
    mailbox = over(EventLog(folder, disk=disk))
    mailbox.send(Letter("boss", ["ada"], "before"))
    reader = over(EventLog(folder))
    stop = threading.Event()
    watching = reader.watch("ada", after=0, stop=stop)
    assert next(watching).subject == "before"
    seen = []
    disk.look = lambda: seen.extend([subjects(reader, "ada"), next(watching).subject])
    with pytest.raises(LogUnavailable, match="full"):
        send_batch(mailbox, (Letter("boss", ["ada"], f"phantom {n}") for n in range(4)))
    assert seen == [["before", "phantom 0", "phantom 1", "phantom 2"], "phantom 0"]
    send_batch(mailbox, (Letter("boss", ["ada"], f"real {n}") for n in range(4)))
    assert subjects(reader, "ada") == ["before", *(f"real {n}" for n in range(4))]
    later = [next(watching).subject for _ in range(6)]
    assert later[-4:] == [f"real {n}" for n in range(4)]
    stop.set()


NAMES = (
    "app[1]", "a*b", "a?c", "{a,b}", "it's", 'a"b', "a\\b", "a:b", "a b", "a\nb", "[[]", "a[!b]", "**", "\N{SNOWMAN}",
    "$a", "%41", "#", "~", "a*b\\[1]?", "\\[a]/\\*", 'x [1] {y} \'z" \\ :\n*?',
    "\udcff\udcfe",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_folder_is_called_its_own_mail_is_read(tmp_path, name):
    """A path is no pattern: the mail of a team beside it, in a folder that the name would match, is never shown."""
    for beside in ("??", "app1", "ab", "aab", "a.b", "abc", "acb", "[", "x"):
        opened(tmp_path / beside / "mail").send(Letter("boss", ["ada"], "secret"))
    mailbox = opened(tmp_path / name / "mail")
    sent = [mailbox.send(Letter("boss", ["ada"], f"mail {number}", "b" * 200)).subject for number in range(8)]
    for fresh in (mailbox, opened(tmp_path / name / "mail")):
        assert sorted(subjects(fresh, "ada")) == sorted(sent)
        assert {row["kind"] for row in fresh.projections.rows("stats")} >= {"mail.sent", "log.sealed"}
    _, rows = select(mailbox.log, "SELECT subject FROM events WHERE kind = 'mail.sent'")
    assert sorted(row[0] for row in rows) == sorted(sent)


@pytest.mark.parametrize("place", ["active", pytest.param("sealed", marks=STORM)])
def test_a_line_of_any_length_hides_no_mail_and_is_told(folder, place):
    """The database gives up somewhere above 16 MB; what verifies is read around it, and that is told."""
    fill(opened(folder))
    path = folder / "events.jsonl" if place == "active" else next(iter(opened(folder).log.segments)).path
    path.chmod(0o644)
    first, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(first + b'\n{"v":1,"seq":9,"body":"' + b"z" * (34 << 20) + b'"}\n' + rest)
    for copy in (folder / "segments").glob("*.parquet"):
        copy.unlink()
    told = []
    log = EventLog(folder)
    mailbox = Mailbox(log, FileBlobs(folder / "blobs"), FileProjections(log, lambda: told.append("damaged")))
    if place == "active":
        assert select(EventLog(folder), "SELECT subject, data FROM events")[1]
        (folder / "damaged").unlink(missing_ok=True)
        path.chmod(0o644)

    assert subjects(mailbox, "ada") == [f"mail {number}" for number in range(20)]
    assert told == (["damaged"] if place == "active" else told)
    assert len([event for event in log.read() if event.kind == "mail.sent"]) == 20
    assert log.verify().corrupt
    log.repair()
    assert not log.verify().damage
    assert subjects(opened(folder), "ada") == [f"mail {number}" for number in range(20)]
