"""What was published and taken, as a fold over the events of the kinds `github.`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ...mail.query.rows import Projections
from ..kinds import Kind
from ..state.facts import Fact
from ..state.fold import fact_of
from ..state.form import counts


@dataclass(frozen=True)
class Published:
    """A pull request of sprints: the last of them, its number at the forge, and what was pushed there last.

    `sprints` are the numbers of all that it has, and `outcome` is "merged" or "closed" once it is over. `times` counts
    how often it has been.
    """

    sprint: int
    id: str
    number: int
    url: str
    branch: str
    commit: str
    digest: str
    sprints: tuple[int, ...]
    outcome: str = ""
    times: int = 0


@dataclass(frozen=True)
class Forge:
    """What is on record of one repository at the forge: the pull request of each sprint, by the sprint's id."""

    published: Mapping[str, Published] = field(default_factory=dict[str, Published])

    @property
    def open(self) -> tuple[Published, ...]:
        """The pull requests of sprints that are not over, each once."""
        return tuple({each.number: each for each in self.published.values() if not each.outcome}.values())


def read_forge(projections: Projections, repo: str) -> Forge:
    """Read what is on record of a repository, `owner/name`."""
    return fold_forge(map(fact_of, projections.rows("scheduler.state.forge")), repo)


def fold_forge(facts: Iterable[Fact], repo: str) -> Forge:
    """Fold facts in the order of the log; what does not count, or is of another repository, changes nothing."""
    forge = Forge()
    for fact in facts:
        if fact.data.get("repo") == repo and counts(fact):
            with suppress(KeyError, TypeError, ValueError):
                forge = _add(forge, fact, fact.data)
    return forge


def _add(forge: Forge, fact: Fact, data: Mapping[str, Any]) -> Forge:
    number = int(data["number"])
    if fact.kind == Kind.GITHUB_PUBLISHED:
        before = next((each for each in forge.published.values() if each.number == number), None)
        sprints = tuple(dict.fromkeys((*(before.sprints if before else ()), int(data["sprint"]))))
        own = Published(
            data["sprint"], data["id"], number, data["url"], data["branch"], data["commit"], data["digest"], sprints,
            times=before.times if before else 0,
        )  # fmt: skip
        others = {key: replace(own, id=key, sprint=each.sprint) for key, each in _of(forge, number).items()}
        return replace(forge, published={**forge.published, **others, own.id: own})
    over, own = data["outcome"], _of(forge, number)
    ended = {key: replace(each, outcome=over, times=each.times + 1) for key, each in own.items()}
    return replace(forge, published={**forge.published, **ended})


def _of(forge: Forge, number: int) -> dict[str, Published]:
    return {key: each for key, each in forge.published.items() if each.number == number}
