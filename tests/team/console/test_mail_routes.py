"""Mail over HTTP: listed as the command lists it, sent and marked as the human, cut, paged, and refused."""

from __future__ import annotations

from base64 import b64encode

import pytest
from team_mail.mail.letter import Letter
from team_mail.mail.open import open_log, open_mailbox


@pytest.fixture
def mailed(team, ask):
    """A team with three messages to the human, the newest one with a long body and a file."""
    mailbox = open_mailbox(team.home, create=True)
    mailbox.send(Letter("ann", ["you"], "First", "one"))
    mailbox.send(Letter("bob", ["you", "ann"], "Second", "two", type="question"))
    mailbox.send(Letter("ann", ["you"], "Third", "é" * 40_000, attachments=[("<a>\n.html", b"<script>")]))
    return ask


def test_a_page_of_mail_is_cut_and_names_the_next(mailed):
    """Bodies have at most 4 KiB with a flag, and the header Link leads to the older ones."""
    first = mailed.get("/api/mail", limit=2)
    third, second = first.json
    assert (third["subject"], second["subject"]) == ("Third", "Second")
    assert (third["body"], third["body_cut"]) == ("é" * 2_048, True)
    assert (second["body"], second["body_cut"]) == ("two", False)
    rest = mailed.get(first.following)
    assert [message["subject"] for message in rest.json] == ["First"]
    assert not rest.following


@pytest.mark.parametrize(
    ("query", "subjects"),
    [
        ({"from": "ann"}, ["Third", "First"]),
        ({"type": "question"}, ["Second"]),
        ({"unread": "1"}, ["Third", "First"]),
        ({"tag": "later"}, ["Second"]),
        ({"persona": "ann"}, ["Second"]),
        ({"state": "archived"}, ["Second"]),
        ({"session": "login"}, []),
    ],
    ids=str,
)
def test_mail_is_filtered(mailed, query, subjects):
    """Each filter is that of the command."""
    second = str(mailed.get("/api/mail").json[1]["seq"])
    mailed.post(f"/api/mail/{second}/tag", {"tag": "later"})
    mailed.post(f"/api/mail/{second}/read")
    if "state" in query:
        mailed.post(f"/api/mail/{second}/archive")
    assert [message["subject"] for message in mailed.get("/api/mail", **query).json] == subjects


def test_the_human_sends_once_by_a_key_and_as_nobody_else(ask):
    """The same key and content is the same message, other content is refused, and there is no field for a sender."""
    letter = {"to": ["ann"], "subject": "Hello", "body": "there"}
    sent = ask.post("/api/mail", letter, key="k")
    assert (sent.status, sent.json["sender"], sent.json["repeated"]) == (201, "you", False)
    again = ask.post("/api/mail", letter | {"idempotency_key": "k"}).json
    assert (again["seq"], again["repeated"]) == (sent.json["seq"], True)
    assert ask.post("/api/mail", letter | {"body": "else"}, key="k").status == 409
    assert ask.post("/api/mail", letter | {"sender": "bob"}).status == 422
    assert ask.post("/api/mail", letter | {"idempotency_key": "other"}, key="k").status == 422
    assert len(ask.get("/api/sent").json) == 1


def test_an_answer_stays_in_the_thread_and_marks_read(mailed):
    """It goes to the sender, or to all; the thread shows both messages."""
    second = mailed.get("/api/mail").json[1]
    reply = mailed.post(f"/api/mail/{second['seq']}/reply", {"body": "yes", "all": True})
    assert (reply.status, reply.json["recipients"], reply.json["subject"]) == (201, ["bob", "ann"], "Re: Second")
    assert [message["body"] for message in mailed.get(f"/api/threads/{second['id']}").json] == ["two", "yes"]
    assert mailed.get(f"/api/mail/{second['id']}").json["read"]


def test_a_thread_is_paged_from_its_end(mailed):
    """The newest messages come first as a page, each page in the order of time."""
    seq = mailed.get("/api/mail").json[1]["seq"]
    for number in range(3):
        mailed.post(f"/api/mail/{seq}/reply", {"body": str(number)})
    last = mailed.get(f"/api/threads/{seq}", limit=2)
    assert [message["body"] for message in last.json] == ["1", "2"]
    assert [message["body"] for message in mailed.get(last.following).json] == ["two", "0"]


@pytest.mark.parametrize(
    ("act", "flag"),
    [("read", {"read": True}), ("ack", {"acked": True}), ("archive", {"archived": True}), ("unread", {"read": False})],
    ids=str,
)
def test_a_mark_is_the_humans(mailed, act, flag):
    """Looking at a message marks nothing; asking for the mark does."""
    seq = mailed.get("/api/mail").json[1]["seq"]
    before = mailed.get(f"/api/mail/{seq}").json
    assert not before["read"]
    answer = mailed.post(f"/api/mail/{seq}/{act}")
    assert answer.status == 200
    assert answer.json.items() >= flag.items()
    assert mailed.get(f"/api/mail/{seq}").json.items() >= flag.items()


def test_an_attachment_is_saved_and_never_shown(mailed):
    """Whatever an agent called it, and whatever is in it."""
    seq = mailed.get("/api/mail").json[0]["seq"]
    (listed,) = mailed.get(f"/api/mail/{seq}/attachments").json
    answer = mailed.get(f"/api/mail/{seq}/attachments/1")
    assert answer.body == b"<script>"
    assert listed["size"] == 8
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''%3Ca%3E%0A.html"
    assert mailed.get(f"/api/mail/{seq}/attachments/2").status == 422


def test_a_file_is_sent(ask):
    """Its bytes come in base64."""
    file = {"name": "x.bin", "content_base64": b64encode(b"\0\1").decode()}
    sent = ask.post("/api/mail", {"to": ["ann"], "attachments": [file]}).json
    assert ask.get(f"/api/mail/{sent['seq']}/attachments/x.bin").body == b"\0\1"
    file["content_base64"] = "no!"
    assert "base64" in ask.post("/api/mail", {"to": ["ann"], "attachments": [file]}).error


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "word"),
    [
        ("POST", "/api/mail", b"", 400, "JSON"),
        ("POST", "/api/mail", b"\xff", 400, "JSON"),
        ("POST", "/api/mail", b'{"to": ["ann"], "to": ["bob"], "body": "x"}', 400, "to"),
        ("POST", "/api/mail", b'{"to": [], "body": "x"}', 422, "to"),
        ("POST", "/api/mail", b'{"to": ["ann"], "body": 1}', 422, "body"),
        ("POST", "/api/mail", b'{"to": ["ann"]}', 422, "nothing to send"),
        ("POST", "/api/mail", b'{"to": ["an"], "body": "x"}', 422, "ann"),
        ("POST", "/api/mail/1/tag", b'{"tag": "a b"}', 422, "not a tag"),
        ("POST", "/api/mail/999/ack", b"", 404, "no message"),
        ("GET", "/api/mail?limit=0", b"", 422, "limit"),
        ("GET", "/api/mail?limit=1e9", b"", 422, "limit"),
        ("GET", "/api/mail?state=lost", b"", 422, "state"),
        ("GET", "/api/mail?unread=maybe", b"", 422, "unread"),
        ("GET", "/api/mail?persona=nobody", b"", 422, "nobody"),
        ("GET", "/api/mail/search", b"", 422, "word"),
        ("GET", "/api/mail/../../etc", b"", 404, ""),
    ],
    ids=str,
)
def test_what_is_wrong_is_said(ask, method, path, body, status, word):
    """With a status as HTTP has it; nothing is written."""
    answer = ask(path, method, body)
    assert answer.status == status, answer.body
    if word:
        assert word in answer.error
    assert not ask.get("/api/sent").json


@pytest.mark.in_files("the copy mends itself")
def test_what_verifies_of_a_damaged_log_is_shown_and_nothing_is_written(team, mailed):
    """Pages go on; a message is refused with what mends the log."""
    path = team.home / "mail" / "events.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"{}\n", *lines[3:]]))
    assert open_log(team.home).verify().corrupt
    assert [message["subject"] for message in mailed.get("/api/mail").json] == ["Third", "First"]
    refused = mailed.post("/api/mail", {"to": ["ann"], "body": "x"})
    assert (refused.status, "repair" in refused.error) == (503, True), refused.body
