"""Lets a chat model work with a team: what it asks for by a tool call, `team command` does.

Run it in the repository of a team; any address that speaks as OpenAI's chat completions do will do:

    MODEL_URL=http://localhost:11434/v1 MODEL=qwen3 python3 ask_model.py "What is decided in the session login?"

A key goes into MODEL_KEY. It needs Python alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

SYSTEM = """\
You work with a team by the tool team_command, which takes one JSON object.
Begin with {"command": "get_session_summary", "session": "login"}.
If its code is SESSION_NOT_FOUND, send create_session.
Send store_memory for each decision, delegate_task for each piece of work that changes files.
Give each command that writes an idempotency_key of its own.
If an answer is not ok, read error.message and correct the payload; never send the same key with other content.
"""
TOOL = json.loads(Path(__file__).with_name("tool.json").read_text())
MOST_TURNS = 20
TIMEOUT = 300  # seconds that the model may take for one answer

Messages = list[dict[str, Any]]


def converse(prompt: str, complete: Callable[[Messages], dict[str, Any]], carry_out: Callable[[str], str]) -> str:
    """Send a prompt to a model and carry out its tool calls, until it answers without one; return that answer.

    Args:
        prompt: What is asked of it.
        complete: Sends the messages so far to the model; returns its next message.
        carry_out: Does what the JSON of one call says; returns the answer's JSON.
    """
    messages: Messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}]
    for _ in range(MOST_TURNS):
        message = complete(messages)
        messages.append(message)
        calls = message.get("tool_calls") or []
        if not calls:
            return message.get("content") or ""
        for call in calls:
            answer = carry_out(call["function"]["arguments"])
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": answer})
    return f"It asked for more than {MOST_TURNS} turns; what was done is in the session."


def endpoint(url: str, model: str, key: str) -> Callable[[Messages], dict[str, Any]]:
    """Return the function that sends messages to an endpoint of chat completions."""

    def complete(messages: Messages) -> dict[str, Any]:
        body = json.dumps({"model": model, "messages": messages, "tools": [TOOL]}).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        request = urllib.request.Request(f"{url.rstrip('/')}/chat/completions", body, headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:
            return json.load(reply)["choices"][0]["message"]

    return complete


def team_command(payload: str) -> str:
    """Carry out a payload; return the answer, or why it is no JSON."""
    ended = subprocess.run(["team", "command"], input=payload, capture_output=True, text=True, check=False)
    return ended.stdout or ended.stderr


def main() -> None:
    """Ask what the command line says."""
    if len(sys.argv) != 2 or not os.environ.get("MODEL_URL"):  # noqa: PLR2004
        sys.exit('MODEL_URL=http://localhost:11434/v1 MODEL=NAME python3 ask_model.py "WHAT YOU WANT"')
    complete = endpoint(os.environ["MODEL_URL"], os.environ.get("MODEL", ""), os.environ.get("MODEL_KEY", ""))
    print(converse(sys.argv[1], complete, team_command))


if __name__ == "__main__":
    main()
