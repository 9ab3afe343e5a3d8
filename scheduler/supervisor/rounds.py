"""The last rounds of a team: what each landed, what was decided, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..context import Context
from ..state.facts import Decided, Deploy
from ..state.summary import Summary, summary


@dataclass(frozen=True)
class Round:
    """A sprint with its decision and its deployment, each None if there is none yet."""

    sprint: Summary
    decided: Decided | None
    deploy: Deploy | None

    def document(self) -> dict[str, Any]:
        """Return the round as a JSON object; `gates` are triples of a name, whether it passes, and why."""
        decided, deploy = self.decided, self.deploy
        return {
            "round": self.sprint.sprint,
            "decision": decided and decided.text,
            "landed": self.sprint.patches,
            "gates": [[*gate] for gate in decided.gates] if decided else [],
            "commit": decided and decided.commit,
            "deploy": deploy and deploy.outcome,
            "why": deploy and deploy.why,
            "seconds": self.sprint.seconds,
        }


@dataclass(frozen=True)
class RoundList:
    """Some rounds of a team, the newest last."""

    rounds: tuple[Round, ...]

    def document(self) -> list[dict[str, Any]]:
        """Return the JSON array of `scheduler rounds --json`."""
        return [each.document() for each in self.rounds]


def read_rounds(context: Context, now: datetime, most: int) -> RoundList:
    """Read the last rounds, so many, the newest last; `now` stands in for the end of one that is open."""
    state = context.state(sprints=most)
    decided = {each.sprint: each for each in state.decided}
    deploys = {(each.sprint, each.commit): each for each in state.deploys}
    rounds: list[Round] = []
    for sprint in state.sprints[-most:]:
        own = decided.get(sprint.number)
        deploy = deploys.get((sprint.number, own.commit)) if own else None
        rounds.append(Round(summary(state, sprint, now), own, deploy))
    return RoundList(tuple(rounds))
