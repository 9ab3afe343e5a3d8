"""The tools of a model in words: what each does, and what it takes, as the protocol describes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .commands import LIMIT, LONGEST

MOST_LINES = 1_000  # of a file at once


class Parameter(NamedTuple):
    """What a tool takes: the name, its type in JSON, what it means, and whether it may be left out."""

    name: str
    type: str
    meaning: str
    optional: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """Its description in the protocol."""
        items = {"items": {"type": "string"}} if self.type == "array" else {}
        return {"type": self.type, "description": self.meaning, **items}


class Tool(NamedTuple):
    """A tool: its name, what it does in words, and what it takes."""

    name: str
    meaning: str
    parameters: tuple[Parameter, ...]

    @property
    def schema(self) -> dict[str, Any]:
        """Its description in the protocol."""
        parameters = {
            "type": "object",
            "properties": {each.name: each.schema for each in self.parameters},
            "required": [each.name for each in self.parameters if not each.optional],
        }
        function = {"name": self.name, "description": self.meaning, "parameters": parameters}
        return {"type": "function", "function": function}


_FILE = Parameter("path", "string", "The file, from the top of the workspace.")
TOOLS = (
    Tool(
        "read_file",
        "Read a text file. Its lines are numbered; the numbers are no part of it.",
        (
            _FILE,
            Parameter("start", "integer", "The first line, 1 by default.", optional=True),
            Parameter("lines", "integer", f"How many lines, at most {MOST_LINES:,}.", optional=True),
        ),
    ),
    Tool(
        "write_file",
        "Create a file, or replace all of it.",
        (_FILE, Parameter("content", "string", "The whole text of the file.")),
    ),
    Tool(
        "edit_file",
        "Replace an exact text in a file by another one.",
        (
            _FILE,
            Parameter("old", "string", "The text as it stands in the file, without line numbers."),
            Parameter("new", "string", "The text in its place."),
            Parameter("count", "integer", "How often the old text stands there, 1 by default.", optional=True),
        ),
    ),
    Tool(
        "list_files",
        "List the files below a folder, without those that git ignores.",
        (Parameter("path", "string", "The folder, by default the whole workspace.", optional=True),),
    ),
    Tool(
        "search",
        "Find the lines of files that fit a regular expression, POSIX extended: a digit is [0-9].",
        (
            Parameter("pattern", "string", "The expression, for a single line."),
            Parameter("path", "string", "A file or folder to search in, by default everything.", optional=True),
        ),
    ),
    Tool(
        "send_mail",
        "Send mail to teammates, or answer a mail.",
        (
            Parameter("body", "string", "The text."),
            Parameter("to", "array", "Whom to write to; left out in an answer.", optional=True),
            Parameter("subject", "string", "What it is about, in a line; left out in an answer.", optional=True),
            Parameter("reply_to", "integer", "The number of the mail that it answers.", optional=True),
        ),
    ),
    Tool(
        "read_mail",
        "Read a mail by its number, or list the unread ones.",
        (Parameter("number", "integer", "Its number; without one, unread mail is listed.", optional=True),),
    ),
)


NEW_FILE, EDIT_LINES, BLOCK = "new_file", "edit_lines", "block"
OF_BLOCKS = (  # what a block stands for, and no model is told of
    Tool(NEW_FILE, "Create a file.", (_FILE, Parameter("content", "string", "The whole text of the file."))),
    Tool(
        EDIT_LINES,
        "Replace lines of a file.",
        (_FILE, Parameter("old", "string", "The lines."), Parameter("new", "string", "Those in their place.")),
    ),
    Tool(BLOCK, "A block that cannot be read.", (Parameter("why", "string", "What is wrong with it."),)),
)


def run_tool(allowed: Sequence[str]) -> Tool:
    """Return the tool that runs commands, of which these are allowed."""
    return Tool(
        "run",
        f"Run a command in the workspace, without a shell. Allowed: {', '.join(allowed)}.",
        (
            Parameter("command", "string", "The command with its words, quoted as for a shell."),
            Parameter(
                "seconds",
                "integer",
                f"How long it may take: {LIMIT:g} by default, at most {LONGEST:g}.",
                optional=True,
            ),
        ),
    )
