"""The manual page of `team-mail`, generated from the same tree as its help: `make man`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from ..kinds import ExitCode
from .cli import command

_TAIL = r"""
.SH ENVIRONMENT
.TP
.B TEAM_HOME
The .team folder itself; by default the nearest one, from the current folder upward.
.TP
.B TEAM_PERSONA
Who you are, unless \-\-persona or \-\-from is given.
.TP
.B TEAM_RUN
The run that this process belongs to. Within a run you are TEAM_PERSONA and nobody else.
.TP
.B TEAM_TEAM_HUMAN
The human of the team, instead of the one in team.toml.
.TP
.BR VISUAL ", " EDITOR
The editor for a message on a terminal when no text is given.
.TP
.B NO_COLOR
Disables colour in tables.
.SH FILES
.TP
.I .team/mail/events.jsonl
The log: one JSON object a line, for jq and for people.
.TP
.I .team/mail/segments/
Its older parts, their checksums, and Parquet copies that may be deleted at any time.
.TP
.I .team/mail/blobs/
Attachments and long bodies, named by their SHA\-256.
.TP
.I .team/mail/quarantine/
Unfinished appends after a crash, and copies of files from before a repair.
.TP
.I .team/personas/
Who is on the team, by file name. Without it any name can be written to.
.TP
.I .team/team.toml
Settings; [groups], [teams] and [channels] name groups of personas.
.SH EXAMPLES
.nf
team\-mail send \-\-to curator \-\-subject Hello \-\-body "Please review the plan."
team\-mail inbox \-\-persona curator \-\-unread
git diff | team\-mail send \-\-to @all \-\-subject "What I changed" \-\-from forge
team\-mail check \-\-persona forge || echo "read your mail"
jq \-r 'select(.kind == "mail.sent") | .subject' .team/mail/events.jsonl
.fi
"""


def page() -> str:
    """Return the page in roff."""
    tree = command()
    title = f'.TH TEAM\\-MAIL 1 "" "team\\-mail {version("team-mail")}" "User Commands"'
    head = [title, ".SH NAME", f"team\\-mail \\- {_text(tree.help.splitlines()[0])}", ".SH SYNOPSIS"]
    head += [".B team\\-mail", ".I COMMAND", "[\\fIOPTION\\fR]...", ".SH DESCRIPTION", _text(tree.epilog)]
    lines = [*head, ".SH OPTIONS", *_options(tree), ".SH COMMANDS"]
    for names, node in _commands(tree, ()):
        lines += [f".SS team\\-mail {_text(' '.join(names))} {_text(_arguments(node))}", _text(node.help or "")]
        lines += _options(node)
    environment, examples = _TAIL.split(".SH EXAMPLES")
    return "\n".join([*lines, environment.strip(), *_exit_status(), f".SH EXAMPLES{examples}"])


def _exit_status() -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code in ExitCode:
        yield f".TP\n.B {code:d}\n{_text(code.meaning.replace('`', ''))}"


def _commands(node: Any, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, child in node.commands.items():
        if hasattr(child, "commands"):
            yield from _commands(child, (*names, name))
        else:
            yield (*names, name), child


def _arguments(node: Any) -> str:
    return " ".join(p.make_metavar(None) for p in node.params if p.param_type_name == "argument")


def _options(node: Any) -> Iterator[str]:
    for param in node.params:
        if param.param_type_name == "option" and not param.hidden:
            value = "" if param.is_flag else f" \\fI{_text(param.name.upper())}\\fR"
            yield f".TP\n\\fB{_text(', '.join(param.opts))}\\fR{value}\n{_text(param.help or '')}"


def _text(text: str) -> str:
    """Escape plain text for roff."""
    joined = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{joined}" if joined[:1] in {".", "'"} else joined


if __name__ == "__main__":
    sys.stdout.write(page())
