"""Routes of sprints and rounds: what they did, a dry run, a start, and what a person steers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ....scheduler.kinds import ModeRequest
from ....scheduler.sessions.sessions import check_startable
from ....scheduler.state.reading import read_spans
from ... import api
from ..common.body import Body
from ..common.console import Console
from ..common.route import Asked, Reply, Route, Scope, paged
from ..common.variables import described
from .starting import begun_after, check_startable_now, started


class NewSprint(Body):
    """How a sprint is started: its mode, the branch or commit that it starts from, its session."""

    mode: Annotated[ModeRequest, Field(strict=False)] = ModeRequest.AUTO
    base: str | None = None
    session: str | None = None


class Refusal(Body):
    """Why a held patch is refused; its author is told."""

    why: Annotated[str, Field(max_length=10_000)] = ""


class Abandoning(Body):
    """Why a sprint is given up, for the record."""

    why: Annotated[str, Field(max_length=10_000)] = ""


class Deployment(Body):
    """The round whose commit is deployed, by default the last one."""

    round: Annotated[int | None, Field(ge=1)] = None


def history(console: Console, asked: Asked) -> Reply:
    """List sprints, the newest last, as `scheduler history --json`; `before` is the number of one."""
    found = api.records.history(console.context, asked.limit(), asked.number("before", least=1))
    older = found.sprints[0].sprint if found.older else None
    return paged(asked, "/api/sprints", found.document(), older)


def show(console: Console, asked: Asked) -> dict[str, Any]:
    """Return a sprint in figures, as `scheduler report N --json`."""
    return api.records.report(console.context, _number(asked)).document()


def preview(console: Console, asked: Asked) -> dict[str, Any]:
    """Return what a new sprint would do first, as `scheduler sprint --dry-run --json`."""
    given = asked.given(NewSprint)
    return api.sprints.preview_sprint(console.team(), given.mode.value, given.base).document()


def tick(console: Console, asked: Asked) -> dict[str, Any]:
    """Return what the next tick would do, as `scheduler --dry-run --json`."""
    del asked
    return api.sprints.preview_tick(console.team()).document()


def start(console: Console, asked: Asked) -> Reply:
    """Start `scheduler sprint` as a process of its own, which goes on without the console."""
    given, context = asked.given(NewSprint), console.team()
    api.sprints.check_members(context)
    check_startable(context.mailbox.projections, given.session)
    check_startable_now(context, api.sprints.preview_sprint(context, given.mode.value, given.base).troubles)
    words = ["sprint", "--yes", "--quiet", "--json", "--mode", given.mode.value]
    words += [f"--base={given.base}"] if given.base is not None else []
    words += [f"--session={given.session}"] if given.session is not None else []
    open_before = context.state(whole=False).sprint
    last = open_before.number - 1 if open_before else context.state(whole=False).number

    def begun(_: int) -> dict[str, Any] | None:
        spans = read_spans(context.mailbox.projections, 1)
        return {"sprint": spans[0].number} if spans and spans[0].number > last else None

    made = started(console, "scheduler", words, begun)
    where = {"location": f"/api/sprints/{made['sprint']}"} if "sprint" in made else {}
    return Reply(made, headers=where)


def pause(console: Console, asked: Asked) -> dict[str, Any]:
    """Start nothing more, as `scheduler pause`."""
    return api.control.pause(console.context, asked.sender).document()


def resume(console: Console, asked: Asked) -> dict[str, Any]:
    """Go on, as `scheduler resume`."""
    return api.control.resume(console.context, asked.sender).document()


def approve(console: Console, asked: Asked) -> dict[str, Any]:
    """Let a held patch land, as `scheduler approve RUN`; `seq` is that of the event which says so."""
    return api.control.approve(console.team(), asked.path["run"], asked.sender).document()


def refuse(console: Console, asked: Asked) -> dict[str, Any]:
    """Refuse a held patch, as `scheduler refuse RUN`; `seq` is that of the event which says so."""
    return api.control.refuse(console.team(), asked.path["run"], asked.sender, asked.given(Refusal).why).document()


def land(console: Console, asked: Asked) -> dict[str, Any]:
    """Fast-forward the base branch to a sprint, as `scheduler land N`."""
    return api.control.land(console.team(), _number(asked)).document()


def abandon(console: Console, asked: Asked) -> dict[str, Any]:
    """End a sprint that cannot go on and keep its work, as `scheduler abandon N`."""
    why = asked.given(Abandoning).why
    return api.control.abandon(console.team(), _number(asked), asked.sender, why).document()


def gates(console: Console, asked: Asked) -> dict[str, Any]:
    """Return what the gates say of a sprint, as `scheduler gates N --json`."""
    return api.control.gates(console.team(), _number(asked)).document()


def judge(console: Console, asked: Asked) -> dict[str, Any]:
    """Have the gates judge a sprint again, by `scheduler gates N --again`, a process of its own."""
    number, context = _number(asked), console.team()
    api.control.gates(context, number)
    return started(console, "scheduler", ["gates", str(number), "--again"], begun_after(context, "gate."))


def rounds(console: Console, asked: Asked) -> list[dict[str, Any]]:
    """List the last rounds, the newest last, as `scheduler rounds --json`."""
    return api.records.rounds(console.context, asked.limit()).document()


def deploy(console: Console, asked: Asked) -> dict[str, Any]:
    """Deploy what a round approved by `scheduler approve deploy`, a process of its own."""
    from ....scheduler.supervisor.deploy import approved_round

    number, context = asked.given(Deployment).round, console.team()
    decided = approved_round(context, number)
    words = ["approve", api.control.DEPLOY, *([f"--round={number}"] if number is not None else [])]
    begun = begun_after(context, "deploy.")
    return {"round": decided.sprint, "commit": decided.commit} | started(console, "scheduler", words, begun)


def _number(asked: Asked) -> int:
    return Asked(query=asked.path).number("n", least=1) or 0


ROUTES = (
    Route("GET", "/api/sprints", "The last sprints, the newest last.", history, query=described("limit", "before")),
    Route("GET", "/api/sprints/{n}", "A sprint in figures.", show),
    Route("POST", "/api/sprints", "Start a sprint, or go on with the open one, in a process of its own.", start,
          scope=Scope.ACT, takes=NewSprint, status=202),
    Route("POST", "/api/sprints/preview", "What a new sprint would do first; nothing is started.", preview,
          takes=NewSprint),
    Route("POST", "/api/sprints/{n}/land", "Move the base branch forward to what a sprint has woven.", land,
          scope=Scope.ACT),
    Route("POST", "/api/sprints/{n}/abandon", "End a sprint that cannot go on, and keep its work.", abandon,
          scope=Scope.ACT, takes=Abandoning),
    Route("GET", "/api/sprints/{n}/gates", "What the gates say of a sprint's base and result.", gates),
    Route("POST", "/api/sprints/{n}/gates", "Have the gates judge a sprint again, in a process of its own.", judge,
          scope=Scope.ACT, status=202),
    Route("GET", "/api/tick", "What the next tick would do, and why.", tick),
    Route("POST", "/api/scheduler/pause", "Start nothing more; what runs goes on to its end.", pause,
          scope=Scope.ACT),
    Route("POST", "/api/scheduler/resume", "Start runs again.", resume, scope=Scope.ACT),
    Route("POST", "/api/patches/{run}/approve", "Let a held patch land.", approve, scope=Scope.ACT, status=202),
    Route("POST", "/api/patches/{run}/refuse", "Refuse a held patch, and tell its author why.", refuse,
          scope=Scope.ACT, takes=Refusal, status=202),
    Route("GET", "/api/rounds", "The last rounds: what landed, the decision, and what became of it.", rounds,
          query=described("limit")),
    Route("POST", "/api/deploy", "Deploy what a round approved, in a process of its own.", deploy, scope=Scope.ACT,
          takes=Deployment, status=202),
)  # fmt: skip
