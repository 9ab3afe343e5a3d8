"""Runs of a scripted agent that speaks ACP, in this process but for the agent itself."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from team_mail.personas.acp.child import Child
from team_mail.personas.acp.orders import Orders
from team_mail.personas.acp.turns import play
from team_mail.personas.running.folder import RunFolder
from team_mail.personas.streams.printer import Printer
from team_mail.personas.streams.stream import read_stream
from team_mail.personas.streams.transcript import Transcript

FAKE = Path(__file__).with_name("fake.py")
TOLD = {"inputTokens": 100, "outputTokens": 10, "totalTokens": 110}


@dataclass
class Played:
    """How a run went: its exit code, what it printed, and what the agent was asked."""

    code: int
    output: str
    heard: list[dict]

    @property
    def transcript(self) -> Transcript:
        return read_stream(self.output.encode())

    @property
    def events(self) -> list[dict]:
        return [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]

    @property
    def refused(self) -> list[str]:
        return [event["reason"] for event in self.events if event.get("subtype") == "permission_denied"]

    def asked(self, method: str) -> list[dict]:
        return [each["params"] for each in self.heard if each.get("method") == method]

    def outcomes(self) -> list[dict]:
        return [each["result"]["outcome"] for each in self.heard if str(each.get("id", "")).startswith("ask")]


class Scene:
    """A workspace, and the agent that is played in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.workspace = folder, folder / "work"
        self.workspace.mkdir()
        RunFolder(self.workspace).make()
        self.heard = folder / "heard.jsonl"

    def words(self, *turns: list[dict], **script) -> list[str]:
        """Write the agent's script; return its command."""
        file = self.folder / "script.json"
        file.write_text(json.dumps({"turns": turns, "usage": TOLD, **script}))
        return [sys.executable, "-I", "-S", str(FAKE), str(file), str(self.heard)]

    def play(
        self, *turns: list[dict], orders: Orders | None = None, words: list[str] | None = None, **script
    ) -> Played:
        """Play a run whose agent carries out these turns."""
        self.heard.write_text("")
        command = words or self.words(*turns, **script)
        out, orders = io.StringIO(), orders or Orders("fake", counts="turn", tells=True, error="Error: ")

        async def run() -> int:
            printer = Printer(out)
            child = await Child.start(command, {**os.environ, "PWD": str(self.workspace)}, printer.stand)
            return await play(orders, child, "Do it.", self.workspace, printer)

        code = asyncio.run(run())
        return Played(code, out.getvalue(), [json.loads(row) for row in self.heard.read_text().splitlines()])


@pytest.fixture
def scene(tmp_path, monkeypatch) -> Scene:
    scene = Scene(tmp_path)
    monkeypatch.chdir(scene.workspace)
    return scene
