"""Whether a tool call that an agent asks permission for is allowed: by the rules of its persona."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ...mail.render import line
from ..running.rules import Rules
from .calls import EDITS, Call

MAIL = "team-mail"  # the name under which a session has the server of mail tools
_HARMLESS = frozenset({"read", "search", "think", "fetch"})  # kinds of calls that change nothing
_TOOL = "(?:inbox|read|search|send)"
# What agents call one of its tools: in the name of the tool, in the title of its call, or in both.
_TOOLS = re.compile(rf"(?:mcp[._]+)?team[-_]mail[-._:/]+{_TOOL}|{_TOOL} \({MAIL} MCP Server\)")
_SHOWN = 80  # characters of a name


class Judge:
    """Judges the calls of a run in `workspace`.

    No call may change a file outside of the workspace, whatever the persona may do in it. What only reads is allowed.
    Of a tool that does not say what it does, nothing is known, so only a persona that may do anything may use it.
    """

    def __init__(self, rules: Rules, workspace: Path) -> None:
        self._rules, self._top = rules, os.path.realpath(workspace)

    def why_not(self, call: Call) -> str | None:
        """Return why a call is not allowed, None if it is. What it does counts for more than what it calls itself."""
        if _is_mail(call):
            return None
        runs = call.kind == "execute" or bool(call.given_command)
        if runs and (why := self._run(call)):
            return why
        if call.kind in EDITS or call.changed:
            return self._change(call)
        if runs or call.kind in _HARMLESS or self._is_free:
            return None
        return f"nobody knows what {line(call.name)[:_SHOWN]} does, and this persona may not do everything"

    @property
    def _is_free(self) -> bool:
        return self._rules == Rules()

    def _run(self, call: Call) -> str | None:
        if not call.command and self._rules.commands is not None:
            return "it does not say which command it is to run"
        return self._rules.why_not_run(call.command)

    def _change(self, call: Call) -> str | None:
        if not call.paths:
            return None if self._rules.paths is None else "it does not say which file it is to change"
        follows = call.kind not in {"delete", "move"}  # these are about a link, and not about what it leads to
        return next(filter(None, (self._why_not_there(path, follows=follows) for path in call.paths)), None)

    def _why_not_there(self, path: str, *, follows: bool) -> str | None:
        if "\0" in path:
            return f"{line(path)[:_SHOWN]} is no path"
        for place in dict.fromkeys(self._places(path, follows=follows)):
            within = os.path.relpath(place, self._top)
            if within == os.pardir or within.startswith(f"{os.pardir}{os.sep}"):
                return f"{line(path)[:_SHOWN]} is outside of the workspace, where a run changes nothing"
            if why := self._rules.why_not_write(within):
                return why
        return None

    def _places(self, path: str, *, follows: bool) -> Iterator[str]:
        """Yield the places that a path may lead to: agents take `..` away before they follow links, or after."""
        whole = os.path.join(self._top, path)  # noqa: PTH118
        for spelled in (os.path.normpath(whole), whole):
            folder, name = os.path.split(spelled)
            if name in {"", os.curdir, os.pardir}:
                yield os.path.realpath(spelled)
                continue
            yield os.path.join(os.path.realpath(folder), name)  # noqa: PTH118
            if follows:
                yield os.path.realpath(spelled)


def _is_mail(call: Call) -> bool:
    is_named = any(map(_TOOLS.fullmatch, (call.tool, call.title)))
    return is_named and not call.given_command and not call.changed
