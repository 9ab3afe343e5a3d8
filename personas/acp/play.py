"""A run that an agent of kind `acp` plays: the program below the keeper, between it and the agent.

It runs as `python -P -m team_mail.personas.acp.play ORDERS COMMAND…`, with the prompt on standard input. What it prints
and how it exits is judged as of every agent. The SDK takes a third of a second to load, in which the agent starts.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ...mail.render import line
from ..streams.printer import Printer
from .child import Child
from .orders import Orders

_EVENT = '{"type"'  # the beginning of an event, which no line of an agent must be taken for


async def _play(orders: Orders, words: Sequence[str], printer: Printer) -> int:
    env = {**orders.variables, **os.environ}
    try:
        child = await Child.start(words, env, lambda text: printer.stand(line(text).replace(_EVENT, '{ "type"')))
    except OSError as error:
        printer.end(f"cannot start {words[0]}: {error.strerror or error}", failed=True)
        return 1
    from .turns import play

    prompt = sys.stdin.buffer.read().decode(errors="replace")
    return await play(orders, child, prompt, Path.cwd(), printer)


def main() -> int:
    """Play the run that the command line, the environment and standard input describe; return its exit code."""
    text, *words = sys.argv[1:]
    return asyncio.run(_play(Orders.read(text), words, Printer()))


if __name__ == "__main__":
    os._exit(main())  # pipes that a process of the agent holds open need no clean-up: the keeper ends it
