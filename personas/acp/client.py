"""What an agent may ask of us in a session: permission for a call. Its files and its shell are its own affair."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from acp.schema import (
    AllowedOutcome,
    DeniedOutcome,
    PermissionOption,
    RequestPermissionResponse,
    ToolCallUpdate,
)

from ...mail.render import line
from .judge import Judge
from .told import Told

_ALLOW, _REFUSE = ("allow_once",), ("reject_once", "reject_always")  # the first that there is
# Claude's adapter passes on what its program says of requests that failed, if it is asked to; it says itself nothing of
# a key that is refused. The SDK takes the `_` off the method.
RETRIES: dict[str, Any] = {"claudeCode": {"emitRawSDKMessages": [{"type": "system", "subtype": "api_retry"}]}}
_RAW = "claude/sdkMessage"
_REFUSED = frozenset({401, 403})
_SHOWN = 200  # characters
_FOR_GOOD = "it asks to be allowed for good, and a run allows one call at a time"


class Client:
    """The client's side of a session, as the SDK calls it.

    An agent is allowed one call at a time: an answer that holds for longer may be written into its settings. `refused`
    is done once its service has refused the key twice, with what it said: a key may have been renewed after the first.
    """

    def __init__(self, told: Told, judge: Judge) -> None:
        self._told, self._judge = told, judge
        self.refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()

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

    async def ext_notification(self, method: str, params: Mapping[str, Any]) -> None:
        """Take what is no part of the protocol: that a request to the model failed, and is made again."""
        message = params.get("message")
        if method != _RAW or not isinstance(message, Mapping) or message.get("subtype") != "api_retry":  # pyright: ignore[reportUnknownMemberType]
            return
        retry: Mapping[str, Any] = message  # pyright: ignore[reportUnknownVariableType]
        status, attempt = retry.get("error_status"), retry.get("attempt")
        how = f" (HTTP {status})" if isinstance(status, int) else ""
        why = f"a request to the model failed: {line(str(retry.get('error') or 'unknown'))[:_SHOWN]}{how}"
        self._told.printer.stand(why)
        if status in _REFUSED and isinstance(attempt, int) and attempt > 1 and not self.refused.done():
            self.refused.set_result(why)


def _answer(kinds: Sequence[str], options: Sequence[PermissionOption]) -> RequestPermissionResponse:
    for kind in kinds:
        for option in options:
            if option.kind == kind:
                chosen = AllowedOutcome(outcome="selected", option_id=option.option_id)
                return RequestPermissionResponse(outcome=chosen)
    return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
