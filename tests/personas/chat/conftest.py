"""A fake model, and conversations with it in a workspace that is a repository."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from team_mail.mail.clock import ManualClock
from team_mail.personas.chat.commands import Commands
from team_mail.personas.chat.conversation import Conversation
from team_mail.personas.chat.letters import Letters
from team_mail.personas.chat.orders import Orders
from team_mail.personas.chat.place import Place
from team_mail.personas.chat.server import ChatServer
from team_mail.personas.chat.tools import Toolbox
from team_mail.personas.keeping.events import Events
from team_mail.personas.running.rules import Rules
from team_mail.personas.streams.printer import Printer
from team_mail.personas.streams.stream import read_stream

from ...chat_model import MODEL, ChatModel
from ...conftest import git


@pytest.fixture
def model():
    with ChatModel() as model:
        yield model


@dataclass
class Talk:
    """One conversation, as a run holds it. `clock` is moved by what it waits for."""

    model: ChatModel
    workspace: Path
    clock: ManualClock = field(default_factory=ManualClock)
    out: io.StringIO = field(default_factory=io.StringIO)
    notes: list[str] = field(default_factory=list)

    def hold(self, *replies, prompt="Do your part.", key="", variable="", rules=Rules(), limit=20.0, **orders) -> str:  # noqa: B008
        """Hold it, with these answers of the model; return the last one."""
        if replies:
            self.model.replies = [*replies]
        orders = Orders(**{"base_url": self.model.url, "model": MODEL, "key": variable, "silence": 10.0, **orders})
        self.printer = Printer(self.out)
        server = ChatServer(orders, key, limit, self.printer.stand, self.clock)
        place = Place(self.workspace, rules.why_not_write)
        commands = Commands(self.workspace, orders.commands, rules) if orders.commands else None
        toolbox = Toolbox(place, Letters(self.workspace), commands)
        talk = self.talk = Conversation(server, toolbox, self.printer, prompt, self.news)
        return talk.hold()

    def news(self) -> list[str]:
        return [self.notes.pop(0)] if self.notes else []

    @property
    def printed(self) -> str:
        return self.out.getvalue()

    @property
    def transcript(self):
        return read_stream(self.printed.encode())

    @property
    def figures(self):
        """What the keeper reads of the tokens."""
        events = Events()
        events.feed(self.printed.encode())
        return events.meter.figures()

    def results(self, number: int = -1) -> list[str]:
        """Return the results of tools that a request carried."""
        return [each["content"] for each in self.model.requests[number]["messages"] if each["role"] == "tool"]

    def lines(self) -> list[str]:
        """Return what was printed in plain lines."""
        return [row for row in self.printed.splitlines() if not row.startswith("{")]

    def kinds(self) -> list[str]:
        return [json.loads(row)["type"] for row in self.printed.splitlines() if row.startswith("{")]


@pytest.fixture
def talk(model, tmp_path) -> Talk:
    work = tmp_path / "work"
    (work / "src").mkdir(parents=True)
    git(work, "init", "--quiet", "--initial-branch=main")
    (work / ".gitignore").write_text("ignored/\n")
    (work / "src" / "a.py").write_text("def one():\n    return 1\n\n\ndef two():\n    return 2\n")
    (work / "notes.txt").write_text("first\nlast without an end")
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "Begin")
    (work / ".team" / "run" / "inbox").mkdir(parents=True)
    (work / ".team" / "run" / "inbox" / "1.md").write_text("From: bob\n\nplum\n")
    return Talk(model, work)
