"""Exports as mail readers and the standard library see them."""

from __future__ import annotations

import io
import json
import mailbox
import os
import pty
import shutil
import string
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.utils import parseaddr, parsedate_to_datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.archive.export import as_email, export_eml, export_jsonl, export_mbox
from team_mail.mail.clock import ManualClock
from team_mail.mail.errors import LogUnavailable, UsageError
from team_mail.mail.log.blobs import BlobMissing, FileBlobs
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
from team_mail.mail.mailbox import Mailbox
from team_mail.mail.query.memory import MemoryProjections

from ...samples import examples

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
HOSTILE_SUBJECTS = [
    "plain",
    "",
    "two  spaces, and one behind ",
    " one before",
    "=?utf-8?q?Bcc:_everybody?=",
    "ship it 🚀👩‍👩‍👧 today",
    "שלום עולם",
    'quoted "so" <and@so> (or so), a: b; c',
    "long " * 300,
    "é" * 2000,
]
HOSTILE_BODIES = [
    "",
    "no newline at the end",
    "one\n",
    "\n\nblank lines around\n\n\n",
    "From me to you\nFrom  \n>From above\n\nFrom somebody@team.invalid Wed Mar  4 05:06:07 2026\nSubject: forged\n\nhi",
    "From " + "x" * 300,
    "--=_team-mail\n--=_team-mail--\n",
    "Windows\r\nline ends\r\nand a lone \r here",
    "trailing space \ntrailing tab\t\n.\n=\n=3D\n",
    "\x1b[31mred\x1b[0m and a bell \x07",
    "مرحبا بالعالم 🚀\n" * 40,
    "x" * 5000,
]


@pytest.fixture
def blobs(tmp_path):
    return FileBlobs(tmp_path / "mail" / "blobs")


@pytest.fixture
def log(tmp_path):
    return EventLog(tmp_path / "mail", clock=ManualClock(NOW))


def sent(log, **fields):
    return log.append([Draft("mail.sent", **{"sender": "curator", "recipients": ("scribe",), **fields})])[0]


def attached(blobs, name, data):
    blob = blobs.put(data)
    return {"name": name, "sha256": blob.sha256, "size": blob.size}


def read_mbox(path):
    box = mailbox.mbox(path, create=False)
    try:
        return [message_from_bytes(box.get_bytes(key), policy=policy.default) for key in box.iterkeys()]
    finally:
        box.close()


def text_of(mail):
    part = mail.get_body(("plain",))
    return part.get_payload(decode=True).decode()


def parsed(event, blobs):
    return message_from_bytes(as_email(event, blobs).as_bytes(), policy=policy.default)


def test_a_message_has_the_headers_of_a_mail(log, blobs):
    """Sender, recipients, date, ids and the fields of team-mail are header fields."""
    root = sent(log, subject="question")
    answer = sent(
        log,
        sender="scribe",
        recipients=("curator", "lore", "you"),
        subject="Re: question",
        body="yes\n",
        reply_to=root.id,
        thread=root.id,
        priority="urgent",
        run="run-7",
        data={"type": "result", "cc": ["lore", "nobody"], "due": "2026-12-24T18:00:00.000000Z"} | {"channel": "review"},
    )
    mail = parsed(answer, blobs)
    assert mail["From"] == "scribe <scribe@team.invalid>"
    assert mail["To"] == "curator <curator@team.invalid>, you <you@team.invalid>"
    assert mail["Cc"] == "lore <lore@team.invalid>"
    assert mail["Subject"] == "Re: question"
    assert parsedate_to_datetime(mail["Date"]) == NOW
    assert mail["Message-ID"] == f"<{answer.id}@team.invalid>"
    assert mail["In-Reply-To"] == mail["References"] == f"<{root.id}@team.invalid>"
    assert mail["X-Priority"] == "1"
    assert mail["X-Team-Mail-Seq"] == str(answer.seq)
    assert mail["X-Team-Mail-Type"] == "result"
    assert mail["X-Team-Mail-Run"] == "run-7"
    assert mail["X-Team-Mail-Due"] == "2026-12-24T18:00:00.000000Z"
    assert mail["X-Team-Mail-Channel"] == "review"
    assert text_of(mail) == "yes\n"


def test_a_first_message_refers_to_none(log, blobs):
    """The first message of a thread has no references; one without recipients has a marker instead."""
    mail = parsed(sent(log, recipients=()), blobs)
    assert mail["In-Reply-To"] is None
    assert mail["References"] is None
    assert mail["Cc"] is None
    assert mail["To"] == "undisclosed-recipients:;"
    assert mail["X-Team-Mail-Type"] == "note"
    assert mail["X-Team-Mail-Channel"] is None


def test_a_late_answer_refers_to_the_root_and_to_what_it_answers(log, blobs):
    """References run from the thread's first message to the one answered."""
    root = sent(log)
    middle = sent(log, reply_to=root.id, thread=root.id)
    last = sent(log, reply_to=middle.id, thread=root.id)
    assert parsed(last, blobs)["References"].split() == [f"<{root.id}@team.invalid>", f"<{middle.id}@team.invalid>"]


@pytest.mark.parametrize("subject", HOSTILE_SUBJECTS)
def test_an_exported_subject_decodes_to_the_one_sent(log, blobs, subject):
    """Spaces, emoji, right-to-left text and text that looks like an encoded word are unchanged."""
    assert parsed(sent(log, subject=subject), blobs)["Subject"] == subject


@pytest.mark.parametrize("body", HOSTILE_BODIES)
@pytest.mark.parametrize("with_file", [False, True])
def test_an_exported_body_decodes_to_the_same_bytes(log, blobs, tmp_path, body, with_file):
    """Alone or beside an attachment, in mbox or eml, the standard library reads the body that was sent."""
    data = {"attachments": [attached(blobs, "a.txt", b"a")]} if with_file else {}
    event = sent(log, body=body, data=data)
    sent(log, body="the next one")
    assert export_mbox(log.read(), blobs, tmp_path / "all.mbox") == 2
    assert export_eml(log.read(), blobs, tmp_path / "all") == 2
    first, second = read_mbox(tmp_path / "all.mbox")
    eml = message_from_bytes((tmp_path / "all" / f"{event.seq}.eml").read_bytes(), policy=policy.default)
    assert text_of(first) == text_of(eml) == body
    assert text_of(second) == "the next one"
    assert first["Subject"] == ""
    assert not first.defects


@pytest.mark.parametrize("field", ["subject", "sender", "recipients", "run", "type", "due", "thread", "reply_to"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\n\n", "=0A"])
def test_no_text_can_forge_a_header(log, blobs, field, line_end):
    """With any line end in any field, the message has the same headers as without."""
    forged = f"a{line_end}Bcc: everybody@example.org{line_end}\n=?utf-8?q?a=0ABcc:_x?="
    honest = parsed(sent(log, **given_to(field, "a")), blobs)
    mail = parsed(sent(log, **given_to(field, forged)), blobs)
    assert mail.keys() == honest.keys()
    assert not any("\n" in str(value) or "\r" in str(value) for value in mail.values())
    assert mail["Bcc"] is None


def given_to(field, text):
    if field in ("type", "due"):
        return {"data": {field: text}}
    return {field: (text,) if field == "recipients" else text}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("report.txt", "report.txt"),
        ("a b.txt", "a b.txt"),
        ("../x", "x"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("..", "attachment"),
        ("dir/", "attachment"),
        ('a"; filename="b', 'a"; filename="b'),
        ("a\r\nBcc: x", "a__Bcc: x"),
        ("=?utf-8?q?x?=", "=?utf-8?q?x?="),
        ("gpj.\u202eexe", "gpj._exe"),
        ("bäume 🌲.png", "bäume 🌲.png"),
        ("תמונה.png", "תמונה.png"),
        ("x" * 300 + ".tar.gz", "x" * 248 + ".tar.gz"),
    ],
)
def test_an_attachment_keeps_its_name_but_no_folder(log, blobs, name, expected):
    """The name has no folder, no line end and no bidirectional controls."""
    event = sent(log, data={"attachments": [attached(blobs, name, b"data")]})
    mail = parsed(event, blobs)
    assert [part.get_filename() for part in mail.iter_attachments()] == [expected]
    assert mail["Bcc"] is None


def test_exported_attachments_and_payload_decode_to_the_same_bytes(log, blobs):
    """Binary data, an empty file and a JSON payload are parts of the message."""
    files = {"noise.bin": bytes(range(256)) * 300, "latin.txt": "größe".encode("latin-1"), "empty": b""}
    payload = {"score": 0.5, "names": ["é", "\u202e"], "nested": {"From ": [None, True]}}
    items = [attached(blobs, name, data) for name, data in files.items()]
    mail = parsed(sent(log, body="see below", data={"attachments": items, "payload": payload}), blobs)
    first, *rest = mail.iter_attachments()
    assert (first.get_filename(), first.get_content_type()) == ("payload.json", "application/json")
    assert json.loads(first.get_payload(decode=True)) == payload
    assert {part.get_filename(): part.get_payload(decode=True) for part in rest} == files
    assert text_of(mail) == "see below"


def test_a_body_in_a_blob_is_exported_whole(log, blobs, tmp_path):
    """The event has only the beginning; mbox and JSON lines have all of it."""
    body = "Длинное письмо. From here on\n" * 9000
    blob = blobs.put(body.encode())
    sent(log, body=body[:2000], data={"body_blob": {"sha256": blob.sha256, "size": blob.size}})
    stream = io.StringIO()
    export_mbox(log.read(), blobs, tmp_path / "m")
    export_jsonl(log.read(), blobs, stream)
    assert text_of(read_mbox(tmp_path / "m")[0]) == json.loads(stream.getvalue())["body"] == body


def test_json_lines_have_every_field(log, blobs, tmp_path):
    """Each line is one object with the keys of `read --json`; events of other kinds are left out."""
    file = attached(blobs, "../x", b"\xff")
    event = sent(
        log,
        recipients=("scribe", "lore"),
        subject="s\nt",
        body="b\u2028c",
        priority="high",
        run="r",
        data={"cc": ["lore"], "type": "task", "due": "d", "payload": [1], "attachments": [file], "key": "k"}
        | {"channel": "review"},
    )
    log.append([Draft("mail.read", "scribe", ref=event.id)])
    assert export_jsonl(log.read(), blobs, tmp_path / "out.jsonl") == 1
    (line,) = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert json.loads(line) == {
        "id": event.id, "seq": event.seq, "ts": event.ts, "sender": "curator", "recipients": ["scribe", "lore"],
        "cc": ["lore"], "subject": "s\nt", "body": "b\u2028c", "type": "task", "priority": "high",
        "thread": event.id, "reply_to": None, "due": "d", "payload": [1], "run": "r", "verified": False,
        "channel": "review",
        "attachments": [file],
    }  # fmt: skip


def test_a_sender_whose_run_is_not_on_record_is_marked_in_every_format(log, blobs, tmp_path):
    """As everywhere: a run vouches for its own persona alone; other fields of the message are as they were."""
    log.append([Draft("run.started", "scheduler", run="r1", data={"persona": "scribe"})])
    for sender, run in (("scribe", "r1"), ("curator", "r1"), ("scribe", "r2"), ("curator", None)):
        log.append([Draft("mail.sent", sender, ("lore",), f"{sender} {run}", run=run)])
    wanted = {"scribe r1": True, "curator r1": False, "scribe r2": False, "curator None": True}
    mail = Mailbox(log, blobs, MemoryProjections(log))
    assert mail.export("jsonl", tmp_path / "j", "lore") == 4
    rows = map(json.loads, (tmp_path / "j").read_text().splitlines())
    assert {row["subject"]: row["verified"] for row in rows} == wanted
    assert mail.export("mbox", tmp_path / "m") == 4
    with closing(mailbox.mbox(tmp_path / "m")) as box:
        marks = {each["Subject"]: each["X-Team-Mail-Unverified"] for each in box}
    assert marks == {subject: None if verified else "yes" for subject, verified in wanted.items()}


def test_no_messages_make_an_empty_export(log, blobs, tmp_path):
    """The export of a log without mail has 0 messages."""
    log.append([Draft("tick.done", "scheduler")])
    assert export_mbox(log.read(), blobs, tmp_path / "m") == 0
    assert export_eml(log.read(), blobs, tmp_path / "e") == 0
    assert export_jsonl(log.read(), blobs, tmp_path / "j") == 0
    assert (tmp_path / "m").read_bytes() == (tmp_path / "j").read_bytes() == b""
    assert list((tmp_path / "e").iterdir()) == []


@pytest.mark.parametrize("export", [export_mbox, export_eml, export_jsonl])
def test_an_existing_target_is_refused_unless_it_may_be_replaced(log, blobs, tmp_path, export):
    """With `replace`, the second export has the new mail only."""
    target = tmp_path / "out"
    sent(log)
    export(log.read(), blobs, target)
    sent(log)
    with pytest.raises(UsageError, match="is not overwritten"):
        export(log.read(), blobs, target)
    assert export(log.read(), blobs, target, replace=True) == 2
    assert [path.name for path in tmp_path.iterdir() if path.name != "mail"] == ["out"]


@pytest.mark.parametrize("export", [export_mbox, export_eml, export_jsonl])
def test_replace_never_replaces_a_folder_of_other_files(log, blobs, tmp_path, export):
    """A folder that is not an export, or a link, stays even with `replace`."""
    sent(log)
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years of work")
    (tmp_path / "link").symlink_to(home)
    for target in (home, tmp_path / "link"):
        with pytest.raises(UsageError):
            export(log.read(), blobs, target, replace=True)
    assert (home / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("export", [export_mbox, export_eml, export_jsonl])
@pytest.mark.parametrize("error", [KeyboardInterrupt, BlobMissing])
def test_an_interrupted_export_leaves_nothing(log, blobs, tmp_path, export, error):
    """If the second message fails, there is no file under the target's name or beside it."""
    sent(log)

    def events():
        yield from log.read()
        raise error

    with pytest.raises(error):
        export(events(), blobs, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["mail"]


def test_a_missing_attachment_is_an_error(log, blobs, tmp_path):
    """An incomplete export is not written."""
    file = attached(blobs, "a", b"a")
    sent(log, data={"attachments": [file]})
    blobs.path(file["sha256"]).unlink()
    with pytest.raises(BlobMissing):
        export_mbox(log.read(), blobs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_target_without_a_folder_is_an_error(log, blobs, tmp_path):
    """The message names the target and the reason."""
    with pytest.raises(LogUnavailable, match=r"cannot write .*missing/out: No such file"):
        export_mbox(log.read(), blobs, tmp_path / "missing" / "out")


def test_malformed_data_does_not_stop_an_export(log, blobs):
    """A value that another program wrote in place of a list is left out."""
    event = sent(log, data={"attachments": "none", "cc": "scribe", "type": 7, "due": ["x"], "payload": None})
    mail = parsed(event, blobs)
    assert mail["To"] == "scribe <scribe@team.invalid>"
    assert not list(mail.iter_attachments())


def test_the_same_log_exports_to_the_same_bytes(log, blobs, tmp_path):
    """An export does not depend on the time when it is made."""
    sent(log, body="x", data={"attachments": [attached(blobs, "a", b"a")]})
    export_mbox(log.read(), blobs, tmp_path / "one")
    export_mbox(log.read(), blobs, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.skipif(shutil.which("mutt") is None, reason="mutt is not installed")
def test_mutt_reads_an_mbox_as_it_was_sent(log, blobs, tmp_path):
    """`From ` lines in a body do not start another message in a mail reader."""
    for body in HOSTILE_BODIES:
        sent(log, subject="grüße =?x?=", body=body)
    export_mbox(log.read(), blobs, tmp_path / "m")
    (tmp_path / "Mail").mkdir()  # else its first question is whether to make it
    copy = tmp_path / "copy"
    keys = f"push '<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{copy}<enter><exit>'"
    orders = ["set confirmappend=no", "set confirmcreate=no", "set mbox_type=mbox", keys]
    flags = [flag for order in orders for flag in ("-e", order)]
    terminal, line = pty.openpty()
    mutt = subprocess.Popen(
        ["timeout", "30", "mutt", "-n", "-F", "/dev/null", "-R", "-f", tmp_path / "m", *flags],
        env={"TERM": "xterm", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        stdin=line, stdout=line, stderr=line, start_new_session=True,
    )  # fmt: skip
    os.close(line)
    shown = b"".join(iter(lambda: until_hangup(terminal), b"")).decode(errors="replace")
    os.close(terminal)
    assert mutt.wait(60) == 0
    assert shown.count("grüße =?x?=") >= len(HOSTILE_BODIES)
    assert [text_of(mail) for mail in read_mbox(copy)] == HOSTILE_BODIES


def until_hangup(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # the last program on the line has ended
        return b""


NAMES = st.text(string.ascii_letters + string.digits + "äß_.-", min_size=1, max_size=20)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)
LINES = st.lists(st.one_of(TEXT, st.sampled_from(["From ", ">From x", "--=_team-mail", ".", " ", "=", ""]))).flatmap(
    lambda parts: st.sampled_from(["\n", "\r\n", "", "\n\n"]).map(lambda end: end.join(parts))
)
JSON = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | TEXT, lambda inner: st.lists(inner, max_size=3))


@st.composite
def letters(draw):
    recipients = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    return {
        "sender": draw(NAMES),
        "recipients": tuple(recipients),
        "cc": recipients[draw(st.integers(1, 4)) :],
        "subject": draw(TEXT),
        "body": draw(LINES),
        "payload": draw(JSON),
        "files": draw(st.lists(st.tuples(TEXT, st.binary(max_size=200)), max_size=3)),
    }


@settings(max_examples=examples(20), deadline=None)
@given(st.lists(letters(), min_size=1, max_size=4))
def test_any_mail_can_be_read_from_an_mbox(drawn):
    """The standard library reads people, subject, body, payload and files as they were sent."""
    with TemporaryDirectory() as folder:
        blobs, log = FileBlobs(Path(folder) / "blobs"), EventLog(Path(folder) / "mail")
        for letter in drawn:
            items = [attached(blobs, name, data) for name, data in letter["files"]]
            sent(
                log,
                **{name: letter[name] for name in ("sender", "recipients", "subject", "body")},
                data={"cc": letter["cc"], "payload": letter["payload"], "attachments": items},
            )
        export_mbox(log.read(), blobs, Path(folder) / "m")
        mails = read_mbox(Path(folder) / "m")
    assert len(mails) == len(drawn)
    for mail, letter in zip(mails, drawn, strict=True):
        assert parseaddr(str(mail["From"]))[0] == letter["sender"]
        people = [
            a.display_name for field in ("To", "Cc") for header in mail.get_all(field, []) for a in header.addresses
        ]
        assert people == list(letter["recipients"])
        assert mail["Subject"] == neutral(letter["subject"])
        assert text_of(mail) == letter["body"]
        parts = [part.get_payload(decode=True) for part in mail.iter_attachments()]
        payload = [] if letter["payload"] is None else [json.loads(parts.pop(0))]
        assert payload == [letter["payload"]] * len(payload)
        assert parts == [data for _, data in letter["files"]]


def neutral(text):
    """The oracle of a header's text: a control character, line separator or direction mark is a space."""
    marks = {*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
    return "".join(" " if ord(character) in marks else character for character in text)
