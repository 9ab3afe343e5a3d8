"""The manual page of `team-mail`, written from the same tree as its help: `make man`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from .cli import command

_TAIL = r"""
.SH ENVIRONMENT
.TP
.B TEAM_HOME
The .team folder itself; by default the nearest one, from the current folder upward.
.TP
.B TEAM_PERSONA
Who you are, where \-\-persona and \-\-from do not say.
.TP
.B TEAM_RUN
The run that this process belongs to. Within a run you are TEAM_PERSONA and nobody else.
.TP
.BR VISUAL ", " EDITOR
What a message is written with on a terminal when no text is given.
.TP
.B NO_COLOR
Tables without colour.
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
What a crash left unfinished, and what files were before a repair.
.TP
.I .team/personas/
Who is on the team, by file name. Without it any name can be written to.
.TP
.I .team/team.toml
Settings; [groups] names groups of personas.
.SH EXIT STATUS
0 done; 1 failed; 2 usage; 3 unread mail (check, inbox \-\-exit\-code); 5 the log is damaged; 130 interrupted.
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
    """Write the page in roff."""
    tree = command()
    title = f'.TH TEAM\\-MAIL 1 "" "team\\-mail {version("team-mail")}" "User Commands"'
    head = [title, ".SH NAME", f"team\\-mail \\- {_text(tree.help.splitlines()[0])}", ".SH SYNOPSIS"]
    head += [".B team\\-mail", ".I COMMAND", "[\\fIOPTION\\fR]...", ".SH DESCRIPTION", _text(tree.epilog)]
    lines = [*head, ".SH OPTIONS", *_options(tree), ".SH COMMANDS"]
    for names, node in _commands(tree, ()):
        lines += [f".SS team\\-mail {_text(' '.join(names))} {_text(_arguments(node))}", _text(node.help or "")]
        lines += _options(node)
    return "\n".join(lines) + _TAIL


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
    """Write plain text so that roff takes none of it for its own."""
    joined = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{joined}" if joined[:1] in {".", "'"} else joined


if __name__ == "__main__":
    sys.stdout.write(page())
