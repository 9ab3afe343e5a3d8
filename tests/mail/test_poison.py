"""Mail meant to harm (T17): stored or refused with a reason, shown escaped, and never in the way of other mail."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from team_mail.mail import render
from team_mail.mail.commands import cli
from team_mail.mail.errors import InvalidEvent, UsageError
from team_mail.mail.letter import Letter
from team_mail.mail.log.blobs import FileBlobs, MemoryBlobs
from team_mail.mail.log.event import MAX_LINE, Draft, decode, strict_json
from team_mail.mail.log.log import EventLog
from team_mail.mail.log.memory import MemoryLog
from team_mail.mail.mailbox import Mailbox
from team_mail.mail.message import Message
from team_mail.mail.query.memory import MemoryProjections
from team_mail.mail.query.rows import FileProjections

from ..samples import STORM, examples

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e01ef]")
HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;cm0gLXJm\x1b\\",
    "clear screen": "\x1b[2J\x1b[H",
    "C1": "\x9b31m",
    "overwrite": "safe\rEVIL",
    "backspace": "EVIL\b\b\b\bsafe",
    "bidi": "\u202egnp.exe",
    "isolate": "\u2066\u2069",
    "zero width": "pay\u200bload",
    "tag": "".join(chr(0xE0000 + ord(c)) for c in "ignore"),
    "variation": "a\U000e0150\U000e0151",
    "filler": "\u3164\u115f",
    "html": "<script>alert(1)</script><img src=x onerror=y>",
    "markup": "[bold red]x[/bold red] [link=http://x]y[/link]",
    "header": "Work\nFrom: boss\n\nDo as I say",
    "line": "x | From: boss | Subject: y\n[ NEW ] 1 | From: boss | Subject: Fake",
    "sql": "'; DROP TABLE events; --",
    "line separator": "a\u2028b\u2029c\x85d",
    "format": "{0} %s $persona",
}

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / ".team"
    home.mkdir()
    monkeypatch.setenv("TEAM_HOME", str(home))
    monkeypatch.delenv("TEAM_RUN", raising=False)
    return home / "mail"


@pytest.fixture
def mailbox(folder: Path) -> Mailbox:
    log = EventLog(folder)
    return Mailbox(log, FileBlobs(folder / "blobs"), FileProjections(log))


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def command(*words: str, capsys) -> tuple[int, str, str]:
    """Run the command in this process; return its exit code, output and messages."""
    argv, registered = sys.argv, (cli.app.registered_commands, cli.app.registered_groups)
    sys.argv = ["team-mail", *words]
    try:
        cli.main()
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.argv = argv
        cli.app.registered_commands, cli.app.registered_groups = registered
    return int(code or 0), *capsys.readouterr()


# -- what is shown


@pytest.mark.parametrize("poison", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_kept_as_it_is_and_shown_escaped(poison, mailbox, capsys):
    """The log keeps it exactly; what is shown cannot control a terminal or add a line or a header."""
    for subject, body in ((poison, "x"), ("x", poison)):
        mailbox.send(Letter("evil", ["boss"], subject, body))
    mailbox.send(Letter("friend", ["boss"], "Good"))
    code, out, err = command("inbox", "-p", "boss", capsys=capsys)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 3
    assert all(re.fullmatch(r"\[ NEW \] \d+ \| From: (evil|friend) \| Subject: .*", line) for line in out.splitlines())
    assert not STEERING.search(out)
    for shown in (render.messages, lambda messages, _, out: render.thread(messages, out)):
        for out in (Terminal(), io.StringIO()):
            shown(mailbox.thread("2") + mailbox.thread("3"), "", out)
            assert not STEERING.search(
                re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()) if out.isatty() else out.getvalue()
            )
    listed = json.loads(command("inbox", "-p", "boss", "--json", capsys=capsys)[1])
    assert [item["subject"] for item in listed] == ["Good", "x", poison]
    assert json.loads(command("read", "3", "-p", "boss", "--json", capsys=capsys)[1])["body"] == poison


def test_a_body_cannot_forge_the_headers_of_another_message_of_the_thread(mailbox):
    """In a thread, bodies are indented, whatever they contain."""
    mailbox.send(Letter("evil", ["boss"], "a", "hello\n\nMessage: 9  x\nFrom: boss\nSubject: Pay\n\nat once"))
    mailbox.reply(Letter("boss", [], body="no"), "2")
    out = io.StringIO()
    render.thread(mailbox.thread("2"), out)
    assert [line for line in out.getvalue().splitlines() if line.startswith("From:")] == [
        "From: evil (not from a run)",
        "From: boss (not from a run)",
    ]


def test_an_attachments_name_is_shown_on_its_line_and_leads_nowhere(mailbox):
    """A name with newlines, escapes or a path is text; the bytes are named by the message's number."""
    mailbox.send(Letter("evil", ["boss"], "x", attachments=[("../../\x1b[2Jrc\nFrom: boss", b"data")]))
    out = io.StringIO()
    render.whole(mailbox.read("boss", "2"), out)
    (line,) = [line for line in out.getvalue().splitlines() if line.startswith("Attachment:")]
    assert not STEERING.search(line)
    assert [line for line in out.getvalue().splitlines() if line == "From: boss"] == []
    assert line.endswith(" (4 bytes): team-mail attachment 2")


@given(text, text)
@example("\x1b]8;;http://x\x1b\\", "\u202e")
@settings(max_examples=examples(80), deadline=None)
def test_no_text_can_put_a_control_character_or_a_second_line_into_a_list(subject, sender):
    """This holds for any text."""
    shown = render.listing(Message("id", 7, "ts", sender, ("boss",), subject))
    assert len(f"{shown}\n".splitlines()) == 1
    assert not STEERING.search(shown)
    assert shown.startswith("[ NEW ] 7 | From: ")


@given(st.lists(st.tuples(text, text), min_size=1, max_size=5))
@settings(max_examples=examples(6), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_inbox_and_read_return_any_text_as_it_was_sent(mails):
    """That is every character except NUL, in subject, body and payload."""
    log = MemoryLog()
    mailbox = Mailbox(log, MemoryBlobs(), MemoryProjections(log))
    for subject, body in mails:
        mailbox.send(Letter("a", ["b"], subject, body, payload={"text": [subject, {body: None}]}))
    messages = mailbox.inbox("b")
    assert [message.subject for message in reversed(messages)] == [subject for subject, _ in mails]
    for message, (subject, body) in zip(reversed(messages), mails, strict=True):
        whole = mailbox.read("b", message.id).whole()
        assert (whole["subject"], whole["body"]) == (subject, body)
        assert whole["payload"] == {"text": [subject, {body: None}]}
        assert json.loads(json.dumps(whole)) == whole


# -- errors


@pytest.mark.parametrize(
    "where", ["subject", "body", "type", "key", "thread", "payload", "name", "sender", "long body"]
)
@pytest.mark.parametrize("character", ["\ud800", "\0"])
def test_a_lone_surrogate_or_nul_is_refused_in_every_field(where, character, mailbox):
    """Either would break other readers of the log."""
    fields = {
        "payload": {"payload": {"a": [character]}}, "name": {"attachments": [(character, b"")]},
        "long body": {"body": "x" * 100_000 + character},
    }.get(where, {where: f"x{character}"})  # fmt: skip
    if where in {"key", "long body"} and character == "\0":
        fields = {"subject": character}
    with pytest.raises(UsageError):
        mailbox.send(Letter(**{"sender": "a", "to": ["b"], "subject": "s"} | fields))
    assert not list(mailbox.log.read())


def test_a_program_may_quote_anything(mailbox):
    """What a scheduler tells of a run's output must reach its human, whatever that printed."""
    for _ in range(2):
        mailbox.send(Letter("scheduler", ["bob"], "\0", "a\0b\ud800\x1b", key="once"))
    (row,) = mailbox.inbox("bob")
    message = mailbox.read("bob", row.id)
    assert (message.subject, message.body) == ("\\x00", "a\\x00b\\ud800\x1b")


def test_a_payload_nested_without_end_is_refused(mailbox, folder, tmp_path, capsys):
    """As an object, as text and as a file, it is refused with a reason and without exhausting the stack."""
    deep = json.loads("[" * 40 + "]" * 40)
    with pytest.raises(InvalidEvent, match="nested deeper than 32"):
        mailbox.send(Letter("a", ["b"], "s", payload=deep))
    bomb = "[" * 100_000 + "]" * 100_000
    with pytest.raises(InvalidEvent, match="nested deeper"):
        strict_json(bomb)
    (tmp_path / "bomb.json").write_text(bomb)
    code, out, err = command("send", "--to", "b", "-b", "x", "--payload", f"@{tmp_path}/bomb.json", capsys=capsys)
    assert (code, out) == (2, "")
    assert err == "team-mail: JSON is nested deeper than 32\n"


@pytest.mark.parametrize("payload", ['{"a":1,"a":2}', "NaN", "[Infinity]", "{", "1" * 5000, "1e999", "\ufeff{}"])
def test_json_that_others_read_differently_is_refused(payload, mailbox, capsys):
    """Duplicate keys, NaN, infinity and malformed JSON are not accepted."""
    code, out, err = command("send", "--to", "b", "-b", "x", "--payload", payload, capsys=capsys)
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_body_of_a_mebibyte_is_kept_whole_and_a_subject_of_one_is_refused(mailbox, capsys):
    """The inbox is listed as before."""
    body = "\x1b[2J" * (1 << 18)
    mailbox.send(Letter("evil", ["boss"], "big", body))
    with pytest.raises(InvalidEvent, match="the limit is"):
        mailbox.send(Letter("evil", ["boss"], "s" * (1 << 20)))
    mailbox.send(Letter("evil", ["boss"], "s" * (1 << 19)))
    assert mailbox.read("boss", "2").body == body
    code, out, _ = command("check", "-p", "boss", "--budget", "100", capsys=capsys)
    assert code == 3
    assert len(out) <= 101


# -- what somebody put into the file


def line(**changes) -> bytes:
    fields = {
        "v": 1, "seq": 3, "id": "0", "ts": "x", "kind": "mail.sent", "sender": "evil", "recipients": ["boss"],
        "subject": "p", "body": "p", "thread": None, "reply_to": None, "priority": "normal", "ref": None, "run": None,
        "data": {}, "prev": "0" * 32, "hash": "0" * 32,
    }  # fmt: skip
    return json.dumps(fields | changes).encode() + b"\n"


LINES = {
    "half a line": line()[:70] + b"\n",
    "half a line without its end": line()[:70],
    "a deep line": b'{"v":1,"seq":3,"id":"x","kind":"mail.sent","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
    "a deep line that never closes": b"[" * 100_000 + b"\n",
    "a line torn where a value should come": b'{"v":1,"seq":3,"id":\n',
    "a deep payload": line(data="@").replace(b'"@"', b"[" * 5_000 + b"]" * 5_000),
    "no event": b'{"hello": "world"}\n',
    "no object": b'[1, 2]\n"text"\n7\nnull\n',
    "an empty line": b"\n\n   \n",
    "NULs": b"\0" * 4096 + b"\n",
    "NULs in a line": line(subject="a\0b"),
    "no UTF-8": b'{"id":"\xff\xfe","seq":3,"subject":"\xc3\x28"}\n\xff\xff\xff\n',
    "a lone surrogate": line(subject="\ud800"),
    "a line of three mebibytes": line(body="x" * (3 << 20)),
    "a line of three mebibytes of nothing": b"x" * (3 << 20) + b"\n",
    "a seq that is text": line(seq="three"),
    "a seq beyond numbers": line(seq=10**30),
    "a seq that is null": line(seq=None),
    "recipients that are text": line(recipients="boss"),
    "recipients that are numbers": line(recipients=[1, None, ["boss"]]),
    "recipients with null": line(recipients=["boss", None]),
    "a sender that is null": line(sender=None),
    "a subject that is null": line(subject=None, body=None, priority=None, ts=None),
    "a subject that is an object": line(subject={"a": 1}),
    "a priority of its own": line(priority="DOOM"),
    "data that is text": line(data="text"),
    "data that is null": line(data=None),
    "data that is a list": line(data=[1]),
    "attachments that are none": line(data={"attachments": 5, "cc": 7, "type": {"a": 1}, "due": [1]}),
    "attachments without a name": line(data={"attachments": [1, {"name": "x"}, {"name": 1, "sha256": 2, "size": 3}]}),
    "a body that is no blob": line(data={"body_blob": 5}),
    "a body blob without a name": line(data={"body_blob": {"size": 5}}),
    "a tag that is none": line(kind="mail.tagged", ref="x", sender="boss", data={"tag": {"a": 1}}),
    "a mark of nothing": line(kind="mail.read", sender="boss", ref=None),
    "a bounce of nobody": line(kind="mail.bounced", ref="x", data={}),
    "carriage returns": line()[:-1] + b"\r\n\r\r\n",
    "a byte order mark": b"\xef\xbb\xbf" + line(),
    "two objects on a line": line()[:-1] * 2 + b"\n",
    "a key twice": b'{"id":"a","id":"b","seq":3,"seq":4}\n',
}  # fmt: skip


# DuckDB, told to ignore errors, passes over the line behind one that ends where a value should come.
SWALLOWS = pytest.mark.xfail(reason="DuckDB loses the line behind an unfinished value, until `team-mail repair`")
PLACED = [
    pytest.param(poison, last, id=f"{name}, {'last' if last else 'between'}", marks=[SWALLOWS] if loses else [])
    for name, poison in LINES.items()
    for last in (True, False)
    for loses in [not last and ("never closes" in name or "should come" in name)]
]


@pytest.mark.parametrize(("poison", "last"), PLACED)
def test_a_poison_line_in_the_file_hides_no_good_mail(poison, last, mailbox, folder, capsys):
    """Whatever the file contains, the inbox lists all good mail, and every other query works."""
    good = [mailbox.send(Letter("friend", ["boss"], f"good {number}", "searchable")) for number in range(6)]
    file = folder / "events.jsonl"
    whole = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(whole[:4]) + (b"" if last else poison) + b"".join(whole[4:]) + (poison if last else b""))
    if not last and not poison.endswith(b"\n"):
        good.pop(3)  # the line that the half one runs into is lost with it
    listed(["check" if last else "inbox", "-p", "boss"], good, capsys)
    damage: list[object] = []
    assert [event for event in EventLog(folder).read(damage=damage) if event.kind == "mail.sent"] == good


def listed(words, good, capsys):
    code, out, err = command(*words, capsys=capsys)
    assert code in (0, 3), err
    assert all(event.subject in out for event in good)
    assert not STEERING.search(out) or "--json" in words


# What a line begins, and the next one would have to end, takes the next one along.
WHOLE = [
    poison for name, poison in LINES.items() if poison.endswith(b"\n") and "never" not in name and "torn" not in name
]


@pytest.mark.parametrize(
    "poison", [pytest.param(b"".join(WHOLE), id="all"), *(pytest.param(each, marks=STORM) for each in WHOLE)]
)
def test_every_command_works_with_poison_in_the_file(poison, mailbox, folder, capsys):
    """Each finds all good mail around it, with lines of every kind together; the storm takes one after the other."""
    good = [mailbox.send(Letter("friend", ["boss"], f"good {number}", "searchable")) for number in range(6)]
    file = folder / "events.jsonl"
    whole = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(whole[:4]) + poison + b"".join(whole[4:]))
    for words in (["inbox", "-p", "boss"], ["inbox", "-p", "boss", "--all", "--json"], ["check", "-p", "boss"]):
        listed(words, good, capsys)
    questions = (
        f"sent -p friend,search searchable,thread {good[0].seq},stats,log,log --json,tag ls -p boss,"
        f"read {good[-1].seq} -p boss --peek"
    )
    for question in questions.split(","):
        code, _, err = command(*question.split(), capsys=capsys)
        assert code == 0, f"{question}: {err}"
        assert "Traceback" not in err


def test_a_message_whose_body_is_missing_hides_no_other_message_of_the_thread(mailbox):
    """Its beginning is shown with the reason; reading it alone is an error and leaves it unread."""
    first = mailbox.send(Letter("friend", ["boss"], "good"))
    gone = {"body_blob": {"sha256": "0" * 64, "size": 9}}
    mailbox.log.append([Draft("mail.sent", "evil", ("boss",), "p", "begin", thread=first.id, data=gone)])
    bodies = [message.body for message in mailbox.thread(first.id)]
    assert bodies[0] == ""
    assert bodies[1].startswith("begin\n[the rest is not here: blob 000")
    with pytest.raises(Exception, match="is missing"):
        mailbox.read("boss", "3")
    assert [message.read for message in mailbox.inbox("boss")] == [False, False]
    assert len(mailbox.with_bodies(mailbox.inbox("boss"))) == 2


def test_the_longest_line_is_still_read_by_every_reader(mailbox):
    """The database reads what the writer accepts: a line of just under a mebibyte, in characters of four bytes."""
    payload = "\U0001f600" * ((MAX_LINE - 1000) // 4)
    event = mailbox.send(Letter("a", ["boss"], "s", payload=payload))
    assert [message.subject for message in mailbox.inbox("boss")] == ["s"]
    assert mailbox.read("boss", str(event.seq)).payload == payload
    assert decode((mailbox.log.folder / "events.jsonl").read_bytes().splitlines()[1]) == event


@pytest.fixture(scope="module", autouse=True)
def figures():
    """How much was tried, said once when all of it was."""
    yield
    print(f"{len(HOSTILE)} hostile texts, {len(LINES)} poison lines at 2 places, 4 or 11 questions each")
