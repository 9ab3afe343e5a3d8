"""What needs the human though no event says so: dispatches and deployments whose process is gone, claims that are over.

The events tell what began and has not ended; what is alive of it is looked at from time to time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from ...mail.log.event import Event
from ..claims.facts import Claim
from ..kinds import Kind, is_writer
from ..needs import Need, cut_off, deployment_cut_off, stale_claim

_CLAIMED = frozenset({Kind.CLAIM_TAKEN, Kind.CLAIM_RENEWED})
_GIVEN_UP = frozenset({Kind.CLAIM_RELEASED, Kind.CLAIM_EXPIRED})


class Signs(NamedTuple):
    """What is alive just now: of a process as `myself` names it, of a deployment; and the claims that are over."""

    is_alive: Callable[[Mapping[str, Any]], bool]
    deploying: bool = False
    over: Sequence[tuple[Claim, str]] = ()


class UnderWay:
    """The dispatches, deployments and claims that began and have no end on record, as far as events were added."""

    def __init__(self) -> None:
        self._dispatches: dict[str, tuple[Event, str]] = {}  # the last start, and the request that it is for
        self._deployment: Event | None = None
        self._claims: dict[int, Event] = {}  # by token, the event from which its time counts

    def add(self, event: Event) -> None:
        """Fold the next event."""
        if event.kind not in _KINDS or not is_writer(event.kind, event.sender, event.run):
            return
        dispatch = str(event.data.get("dispatch"))
        if event.kind == Kind.DISPATCH_STARTED:
            self._dispatches[dispatch] = event, str(_table(event.data.get("ask")).get("request", ""))
        elif event.kind == Kind.DISPATCH_RESUMED:
            self._dispatches[dispatch] = event, self._dispatches.get(dispatch, (event, ""))[1]
        elif event.kind == Kind.DISPATCH_FINISHED:
            self._dispatches.pop(dispatch, None)
        elif event.kind in {Kind.DEPLOY_STARTED, Kind.DEPLOY_FINISHED}:
            began = event.kind == Kind.DEPLOY_STARTED and event.data.get("run")
            self._deployment = event if began else None
        elif event.kind in _CLAIMED:
            self._claims[_token(event)] = event
        elif event.kind in _GIVEN_UP:
            self._claims.pop(_token(event), None)

    def lost(self, signs: Signs) -> Iterator[tuple[Event, Need]]:
        """Yield what is lost, each with the event that began it last."""
        for dispatch, (event, request) in self._dispatches.items():
            if not signs.is_alive(_table(event.data.get("supervisor"))):
                yield event, cut_off(dispatch, event.seq, request=request)
        if self._deployment and not signs.deploying:
            yield self._deployment, deployment_cut_off(self._deployment)
        for claim, why in signs.over:
            event = self._claims.get(claim.token)
            if event and event.seq == claim.renewed:
                yield event, stale_claim(
                    claim.what, claim.owner, why, token=claim.token, seq=claim.renewed, task=claim.task
                )  # fmt: skip


_KINDS = frozenset(
    {
        Kind.DISPATCH_STARTED, Kind.DISPATCH_RESUMED, Kind.DISPATCH_FINISHED, Kind.DEPLOY_STARTED, Kind.DEPLOY_FINISHED,
        *_CLAIMED, *_GIVEN_UP,
    }
)  # fmt: skip


def _token(event: Event) -> int:
    token = event.data.get("token")
    return token if event.kind != Kind.CLAIM_TAKEN and isinstance(token, int) else event.seq


def _table(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
