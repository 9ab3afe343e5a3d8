"""Whether a tool call that an agent asks permission for is allowed: by the rules of its persona."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ...mail.render import line
from ..running.rules import Rules
from .calls import EDITS, Call

MAIL = "team-mail"  # the name under which a session has the server of mail tools
_HARMLESS = frozenset({"read", "search", "think", "fetch"})  # kinds of calls that change nothing
_SHOWN = 80  # characters of a name


class Judge:
    """Judges the calls of a run in `workspace`.

    No call may change a file outside of the workspace, whatever the persona may do in it. What only reads is allowed.
    Of a tool that does not say what it does, nothing is known, so only a persona that may do anything may use it.
    """

    def __init__(self, rules: Rules, workspace: Path) -> None:
        self._rules, self._top = rules, os.path.realpath(workspace)

    def why_not(self, call: Call) -> str | None:
        """Return why a call is not allowed, None if it is."""
        if call.kind in EDITS:
            return self._change(call)
        if call.kind == "execute" or (call.kind not in _HARMLESS and call.command):
            return self._run(call)
        if call.kind in _HARMLESS or self._is_free or MAIL in f"{call.tool} {call.title}".replace("_", "-"):
            return None
        if call.changed:
            return self._change(call)
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
        return next(filter(None, self._reasons(call.paths)), None)

    def _reasons(self, paths: Iterable[str]) -> Iterable[str | None]:
        for path in paths:
            folder, name = os.path.split(os.path.normpath(os.path.join(self._top, path)))  # noqa: PTH118
            place = os.path.join(os.path.realpath(folder), name)  # noqa: PTH118
            within = os.path.relpath(place, self._top)
            if within == os.pardir or within.startswith(f"{os.pardir}{os.sep}"):
                yield f"{line(path)[:_SHOWN]} is outside of the workspace, where a run changes nothing"
            else:
                yield self._rules.why_not_write(within)
