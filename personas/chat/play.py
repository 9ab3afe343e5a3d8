"""A run that a chat model plays: the program that an agent of kind `chat` starts, below a keeper as any other.

What it prints and how it exits is judged as of every agent.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from ...mail.home import RUN_FOLDER
from ..errors import ServiceError
from ..hidden import shut
from ..running.folder import Arrivals, RunFolder
from ..running.rules import Rules
from ..streams.printer import Printer
from ..web.api import RateLimited
from .commands import Commands
from .conversation import Conversation
from .letters import Letters
from .orders import HOPELESS, RESULT, ChatError, unpack
from .place import Place
from .server import ChatServer
from .tools import Toolbox

_NOTICE = 16_000  # bytes of a notice


def _news(arrivals: Arrivals) -> list[str]:
    """Return the texts of what has come, each with the name of its file."""
    texts: list[str] = []
    for name in arrivals.new():
        with suppress(OSError, ValueError):
            texts.append(f"{RUN_FOLDER}/inbox/{name}:\n{arrivals.read(name, _NOTICE)}")
    return texts


def _read_words(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Play a run by a chat model.")
    parser.add_argument("--orders", required=True, help="the settings, as JSON")
    parser.add_argument("--rules", default="[null, null]", help="the globs of paths and of commands, as JSON")
    parser.add_argument("--model", default="", help="the model that the persona asks for")
    parser.add_argument("--timeout", type=float, default=0.0, help="of this run, in seconds")
    parser.add_argument("prompt", type=Path)
    return parser.parse_args(words)


def _rules(text: str) -> Rules:
    paths, commands = (None if each is None else tuple(each) for each in json.loads(text))
    return Rules(paths, commands)


def _end(printer: Printer, workspace: Path, why: str, *, hopeless: bool = False) -> int:
    """Say why the run failed, and whether the next one would."""
    with suppress(OSError):
        RunFolder(workspace).write("", RESULT, json.dumps({HOPELESS: hopeless}).encode())
    printer.end(why, failed=True)
    return 1


def main() -> int:
    """Play the run that the command line and the environment describe; return its exit code."""
    shut()
    given, printer, workspace = _read_words(sys.argv[1:]), Printer(), Path.cwd()
    orders, rules = unpack(given.orders), _rules(given.rules)
    orders = replace(orders, model=given.model or orders.model)
    key = os.environ.pop(orders.key, "") if orders.key else ""
    printer.begin(os.environ.get("TEAM_RUN", ""), orders.model)
    server = ChatServer(orders, key, given.timeout or ChatServer.limit, printer.stand)
    place = Place(workspace, rules.why_not_write)
    commands = Commands(workspace, orders.commands, rules) if orders.commands else None
    arrivals = Arrivals(workspace)
    try:
        prompt = given.prompt.read_text(errors="replace")
        toolbox = Toolbox(place, Letters(workspace), commands)
        text = Conversation(server, toolbox, printer, prompt, partial(_news, arrivals)).hold()
    except ChatError as error:
        return _end(printer, workspace, str(error), hopeless=error.hopeless)
    except RateLimited as error:
        return _end(printer, workspace, f"rate limit reached: {error}")
    except (ServiceError, OSError) as error:
        return _end(printer, workspace, str(error))
    arrivals.take()
    printer.end(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
