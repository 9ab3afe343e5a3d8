"""Chat models against aimock, a fake of OpenAI's chat completions that others wrote: all that goes wrong, in a sprint.

Each persona has its own trouble: tools, a limit of rate, a broken server, a stream that breaks off, a slow one, a model
that never stops talking, and one that never stops calling.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..acceptance.test_chat import Team
from .clis import INSTALLED

pytestmark = [pytest.mark.agents, pytest.mark.timeout(300)]
PROGRAM = INSTALLED[0] / "llmock"
CUT = {"latency": 100, "truncateAfterChunks": 3}
WORDS = " ".join(f"word {number} of a long answer" for number in range(20_000))


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"id": f"call_{name}", "name": name, "arguments": json.dumps(arguments)}


def fixture(persona: str, response: dict[str, Any], more: dict[str, Any] | None = None, **match: Any) -> dict[str, Any]:
    return {"match": {"userMessage": f"You are `{persona}`", **match}, "response": response, **(more or {})}


def writes(persona: str, **match: Any) -> list[dict[str, Any]]:
    """Return what a model answers that writes a file and ends."""
    tool = {"toolCalls": [call("write_file", path=f"docs/{persona}.md", content=f"{persona}\n")]}
    return [fixture(persona, tool, turnIndex=0, **match), fixture(persona, {"content": "It is done."}, turnIndex=1)]


def error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "server_error"}, "status": status}


FIXTURES = [
    fixture("tools", {"content": "I look.", "toolCalls": [
        call("read_file", path="poem.txt"), call("list_files")]}, turnIndex=0),
    fixture("tools", {"toolCalls": [
        call("edit_file", path="poem.txt", old="two", new="two of tools"),
        call("send_mail", to=["slow"], subject="Line two", body="I changed it.")]}, turnIndex=1),
    fixture("tools", {"content": "It is done."}, turnIndex=2),
    fixture("limited", error(429, "Too many requests"), turnIndex=0, sequenceIndex=0), *writes("limited"),
    fixture("broken", error(500, "Something broke"), turnIndex=0, sequenceIndex=0), *writes("broken"),
    fixture("cut", {"content": WORDS[:400]}, CUT, turnIndex=0, sequenceIndex=0), *writes("cut"),
    fixture("slow", {"content": WORDS[:200]}, {"latency": 300}, turnIndex=1),
    *writes("slow"),
    fixture("talks", {"content": WORDS}),
    fixture("calls", {"toolCalls": [call("list_files")]}),
]  # fmt: skip


@pytest.fixture
def aimock(tmp_path: Path) -> Iterator[str]:
    """Start aimock; return its address."""
    if not PROGRAM.exists():
        pytest.skip("aimock is not installed: make agents")
    (tmp_path / "fixtures.json").write_text(json.dumps({"fixtures": FIXTURES}))
    words = [PROGRAM, "--port", "0", "--fixtures", tmp_path / "fixtures.json", "--validate-on-load"]
    node = str(PROGRAM.with_name("node"))
    with subprocess.Popen([node, *map(str, words)] if Path(node).exists() else words, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as process:  # fmt: skip
        try:
            assert process.stdout
            said = []
            for row in process.stdout:
                said.append(row)
                if match := re.search(r"listening on (http://\S+)", row):
                    yield f"{match[1]}/v1"
                    break
            else:
                pytest.fail("".join(said))
        finally:
            process.kill()


def test_a_sprint_against_aimock(aimock, tmp_path):
    """What fails for a moment is tried again; what never ends is ended, told, and tried as often as is allowed."""
    names = ("tools", "limited", "broken", "cut", "slow", "talks", "calls")
    team = Team(tmp_path / "team", aimock, *names, more='[sprint]\nmax_attempts = 1\nparallel = "always"')
    ended = team.run("scheduler", "sprint")

    ends = {name: team.end(name) for name in names}
    logs = {name: (team.team / "runs" / run_of(team, name) / "output.log").read_text() for name in names}
    told = {name: [row for row in text.splitlines() if not row.startswith("{")] for name, text in logs.items()}
    print(json.dumps({name: (ends[name]["status"], ends[name]["detail"], told[name]) for name in names}, indent=1))
    assert ended.returncode == 4, ended.stderr  # two of them have no attempt left
    good = {"tools", "limited", "broken", "cut", "slow"}
    assert {name for name in names if ends[name]["status"] == "ok"} == good
    files = team.git("ls-tree", "-r", "--name-only", "team/sprint-1").split()
    assert {f"docs/{name}.md" for name in good - {"tools"}} <= {*files}
    assert team.git("show", "team/sprint-1:poem.txt") == "one\ntwo of tools\nthree"
    assert {event["subject"] for event in team.events("mail.sent") if event.get("run")} == {"Line two"}
    assert any("500" in row and "tried again" in row for row in told["broken"])
    assert any("tried again" in row for row in told["cut"])
    assert "longer than its context" in ends["talks"]["detail"]
    assert "does the same again and again" in ends["calls"]["detail"]
    assert ends["tools"]["usage"]["input"] > 0


def run_of(team: Team, persona: str) -> str:
    return next(event["run"] for event in team.events("run.started") if event["data"]["persona"] == persona)
