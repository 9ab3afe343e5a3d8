"""The tools and resources of `team mcp`, outside of a run and within one, by the client of the SDK."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from mcp.server.subscriptions import ResourceUpdated
from team_mail.mail.errors import UsageError
from team_mail.mail.letter import Letter
from team_mail.mail.open import open_mailbox
from team_mail.personas.running.folder import RunFolder
from team_mail.personas.running.mail_process import MailProcess
from team_mail.team.mcp.desk import MOST
from team_mail.team.mcp.run_desk import RunDesk
from team_mail.team.mcp.server import INBOX, make_server
from team_mail.team.mcp.team_desk import TeamDesk

from .talking import asked, talked

MOST_TOKENS, CHARACTERS = 1_200, 4  # of all definitions together, and of a token


@pytest.fixture
def home(tmp_path) -> Path:
    home = tmp_path / ".team"
    (home / "personas").mkdir(parents=True)
    for name in ("ann", "bob"):
        (home / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nWork.\n")
    return home


@pytest.fixture
def mailbox(home):
    return open_mailbox(home, create=True)


@pytest.fixture
def server(mailbox):
    desk = TeamDesk(mailbox, "ann")
    return make_server(lambda _: desk, desk)


@pytest.fixture
def run(home, tmp_path):
    """A server within a run of ann, whose keeper's side answers."""
    workspace = tmp_path / "state" / "work"
    workspace.mkdir(parents=True)
    folder = RunFolder(workspace)
    folder.make()
    with MailProcess(workspace, "ann", "run-1", home):
        yield folder.path


def events(home: Path, *kinds: str) -> list:
    return [event for event in open_mailbox(home).log.read() if event.kind in kinds]


def test_the_definitions_of_the_tools_cost_few_tokens(server):
    """They stand in the context of every session, whether or not there is mail."""

    async def listed(client):
        return [tool.model_dump(by_alias=True, exclude_none=True) for tool in (await client.list_tools()).tools]

    tools = talked(server, listed)
    assert [tool["name"] for tool in tools] == ["inbox", "read", "send", "search"]
    assert len(json.dumps(tools)) <= MOST_TOKENS * CHARACTERS


def test_mail_is_listed_read_answered_and_found(server, mailbox, home):
    """Reading marks as read, and nothing else does; what `team-mail` prints is what the tools return."""
    mailbox.send(Letter("bob", ["ann"], "Hello", "The word is plum."))

    listed, shown, again, answered, found, missing = asked(
        server, ("inbox", {}), ("read", {"message": "2", "ack": True, "tag": "fruit"}), ("inbox", {}),
        ("send", {"reply_to": "2", "body": "Thanks."}), ("search", {"words": "plum"}), ("search", {"words": "pear"}),
    )  # fmt: skip

    assert listed == "[ NEW ] 2 | From: bob | Subject: Hello\n"
    assert "From: bob (not from a run)\n" in shown
    assert shown.endswith("\n\nThe word is plum.\n")
    assert (again, found, missing) == ("no mail\n", "[READ ] 2 | From: bob | Subject: Hello\n", "nothing found\n")
    (reply,) = [event for event in events(home, "mail.sent") if event.sender == "ann"]
    assert (reply.recipients, reply.subject, reply.run) == (("bob",), "Re: Hello", None)
    assert answered == f"sent {reply.seq} to bob\n"
    (message,) = open_mailbox(home).inbox("ann")
    assert (message.read, message.acked, message.tags) == (True, True, ("fruit",))


def test_what_is_only_looked_at_stays_unread(server, mailbox):
    """A list, a thread, a resource and a peek mark nothing."""
    mailbox.send(Letter("bob", ["ann"], "Hello", "The word is plum."))

    async def look(client):
        inbox = (await client.read_resource(INBOX)).contents[0].text
        thread = (await client.read_resource("team://thread/2")).contents[0].text
        return inbox, thread

    inbox, thread = talked(server, look)
    _, peeked, threaded = asked(
        server, ("inbox", {"unread": False}), ("read", {"message": "2", "peek": True}),
        ("read", {"message": "2", "thread": True}),
    )  # fmt: skip
    assert inbox == "[ NEW ] 2 | From: bob | Subject: Hello\n"
    assert all("The word is plum." in text for text in (peeked, threaded, thread))
    assert not mailbox.inbox("ann")[0].read


def test_what_is_wrong_is_an_error_of_the_tool_that_says_what_to_do(server, mailbox, home):
    """The model can put it right: nothing of it ends the server, and nothing is sent."""
    (home.parent / "out").symlink_to("/etc")
    wrong = asked(
        server,
        ("send", {"to": ["bbo"], "subject": "x"}),
        ("send", {"subject": "x"}),
        ("send", {"to": ["bob"], "subject": "x", "attach": ["out/passwd"]}),
        ("send", {"to": ["bob"], "subject": "x", "attach": ["/etc/passwd"]}),
        ("read", {"message": "99"}),
        ("inbox", {"channel": "revue"}),
        ("inbox", {"limit": 0}),
        ("search", {"words": "w" * 201}),
        ("search", {"words": " ".join(map(str, range(31)))}),
        ("read", {"message": "9" * MOST * 2}),
    )
    says = (
        "did you mean bob", "no recipient", "cannot attach", "cannot attach", "no message '99'", "revue", "greater",
        "at most 30 words", "at most 30 words", "more characters",
    )  # fmt: skip
    for text, said in zip(wrong, says, strict=True):
        assert text.startswith("!")
        assert said in text
        assert len(text) < MOST + 200
    assert not events(home, "mail.sent")


def test_a_look_at_the_mail_that_fails_is_not_the_end_of_the_server(mailbox):
    """What follows the log in the background is a service to the calls: these go on, whatever becomes of it."""

    class Broken(TeamDesk):
        def follow(self, *_: object) -> None:
            raise MemoryError

    desk = Broken(mailbox, "ann")
    assert asked(make_server(lambda _: desk, desk), ("inbox", {}), ("inbox", {})) == ["no mail\n"] * 2


def test_attachments_come_from_the_checkout_and_are_shown_as_text(server, mailbox, home):
    """A tool sends no other file of this machine."""
    (home.parent / "plan.md").write_text("The plan.\n")
    mailbox.send(Letter("bob", ["ann"], "Two", attachments=[("a.txt", b"alpha"), ("b.bin", b"\xff\0")]))
    sent, text, binary, long = asked(
        server, ("send", {"to": ["bob"], "body": "See.", "attach": ["plan.md"]}),
        ("read", {"message": "2", "attachment": "a.txt"}), ("read", {"message": "2", "attachment": "2"}),
        ("send", {"to": ["ann"], "body": "x" * (MOST + 9)}),
    )  # fmt: skip
    assert sent == "sent 3 to bob\n"
    assert open_mailbox(home).attachment(open_mailbox(home).attached("bob", "3")) == b"The plan.\n"
    assert text == "alpha"
    assert binary.startswith("!it is no text; `team-mail attachment 2 --out FILE`")
    number = long.split()[1]
    (cut,) = asked(server, ("read", {"message": number}))
    assert len(cut) < MOST + 200
    assert f"team-mail read {number} in a shell" in cut


def test_whoever_subscribes_is_told_of_new_mail(server, mailbox):
    """A client that follows the inbox need not ask again and again."""

    async def follow(client):
        async with client.listen(resource_subscriptions=[INBOX]) as news:
            await asyncio.to_thread(mailbox.send, Letter("bob", ["ann"], "Hello"))
            return await anext(aiter(news))

    assert talked(server, follow) == ResourceUpdated(uri=INBOX)


def test_a_run_reads_and_writes_through_its_keeper(run, mailbox, home):
    """It is ann in run-1 whatever the server was told, and marks are the run's as by its own `team-mail`."""
    mailbox.send(Letter("bob", ["ann"], "Hello", "The word is plum.", attachments=[("a.txt", b"alpha")]))
    mailbox.send(Letter("bob", ["you"], "Private", "The plum is mine."))
    (run.parent.parent / "plan.md").write_text("The plan.\n")
    desk = RunDesk(run)
    listed, shown, attached, again, sent, found, private, wrong = asked(
        make_server(lambda _: desk), ("inbox", {}), ("read", {"message": "2", "ack": True, "tag": "fruit"}),
        ("read", {"message": "2", "attachment": "a.txt"}), ("inbox", {}),
        ("send", {"to": ["bob"], "subject": "-x", "body": "--to you", "attach": ["plan.md"]}),
        ("search", {"words": "plum"}), ("read", {"message": "3"}), ("send", {"to": ["bbo"], "body": "x"}),
    )  # fmt: skip
    assert listed == "[ NEW ] 2 | From: bob | Subject: Hello\n"
    assert "The word is plum." in shown
    assert (attached, again) == ("alpha", "no mail\n")
    assert found == "[READ ] 2 | From: bob | Subject: Hello\n"
    (event,) = [event for event in events(home, "mail.sent") if event.sender == "ann"]
    assert (event.run, event.recipients, event.subject, event.body) == ("run-1", ("bob",), "-x", "--to you")
    assert sent == f"sent {event.seq} to bob\n"
    assert private.startswith("!no message '3'")
    assert "did you mean bob" in wrong
    assert {event.run for event in events(home, "mail.read", "mail.acked", "mail.tagged")} == {"run-1"}


def test_a_run_is_nobody_else(run):
    """A server that is told another persona does not start; its own name is fine."""
    with pytest.raises(UsageError, match="this is a run of ann: it cannot act as bob"):
        RunDesk(run, "bob")
    desk = RunDesk(run, "ann")
    assert asked(make_server(lambda _: desk), ("inbox", {})) == ["no mail\n"]
