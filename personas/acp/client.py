"""What an agent may ask of us in a session: permission for a call. Its files and its shell are its own affair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acp.schema import (
    AllowedOutcome,
    DeniedOutcome,
    PermissionOption,
    RequestPermissionResponse,
    ToolCallUpdate,
)

from .judge import Judge
from .told import Told

_ALLOW, _REFUSE = ("allow_once",), ("reject_once", "reject_always")  # the first that there is
_FOR_GOOD = "it asks to be allowed for good, and a run allows one call at a time"


class Client:
    """The client's side of a session, as the SDK calls it.

    An agent is allowed one call at a time: an answer that holds for longer may be written into its settings.
    """

    def __init__(self, told: Told, judge: Judge) -> None:
        self._told, self._judge = told, judge

    async def session_update(self, update: Any, **_: Any) -> None:
        """Take an update of the session."""
        self._told.take(update.model_dump(mode="json", by_alias=True, exclude_none=True))

    async def request_permission(
        self, tool_call: ToolCallUpdate, options: Sequence[PermissionOption], **_: Any
    ) -> RequestPermissionResponse:
        """Answer by the rules of the persona, and put on record what was refused."""
        call = self._told.call(tool_call.model_dump(mode="json", by_alias=True, exclude_none=True), asked=True)
        why = self._judge.why_not(call)
        if not why and not any(option.kind in _ALLOW for option in options):
            why = _FOR_GOOD
        if why:
            self._told.refuse(call, why)
            return _answer(_REFUSE, options)
        self._told.allow(call)
        return _answer(_ALLOW, options)


def _answer(kinds: Sequence[str], options: Sequence[PermissionOption]) -> RequestPermissionResponse:
    for kind in kinds:
        for option in options:
            if option.kind == kind:
                chosen = AllowedOutcome(outcome="selected", option_id=option.option_id)
                return RequestPermissionResponse(outcome=chosen)
    return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
