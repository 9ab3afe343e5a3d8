"""What was published and taken, as a fold over the events of the kinds `github.`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
class TakenPull:
    """A commit of a pull request that was taken to be woven; `event` is the id of the event that says so.

    Without a `head` it was withdrawn, because the pull request is closed.
    """

    event: str
    number: int
    head: str
    author: str
    title: str
    url: str
    seq: int


@dataclass(frozen=True)
class TakenIssue:
    """An issue that became a message to a persona, or a task that is there to be claimed."""

    number: int
    author: str
    title: str
    url: str
    seq: int
    to: str = ""
    message: str = ""
    task: str = ""


@dataclass(frozen=True)
class Comment:
    """A comment of the team, by what it is about: its id at the forge, and a digest of what it says."""

    id: int
    digest: str


@dataclass(frozen=True)
class Forge:
    """What is on record of one repository at the forge.

    `published` has the pull request of each sprint by the sprint's id; `pulls` all that was taken of each pull request,
    the oldest first; `refused` why sprints, by their ids, could not be published since; `comments` those of the team by
    number and what they are about.
    """

    published: Mapping[str, Published] = field(default_factory=dict[str, Published])
    pulls: Mapping[int, tuple[TakenPull, ...]] = field(default_factory=dict[int, tuple[TakenPull, ...]])
    issues: Mapping[int, TakenIssue] = field(default_factory=dict[int, TakenIssue])
    refused: Mapping[str, Fact] = field(default_factory=dict[str, Fact])
    comments: Mapping[tuple[int, str], Comment] = field(default_factory=dict[tuple[int, str], Comment])

    @property
    def last_pulls(self) -> tuple[TakenPull, ...]:
        """The last that was taken of each pull request, unless that was withdrawn."""
        return tuple(taken[-1] for taken in self.pulls.values() if taken[-1].head)

    @property
    def unpublished(self) -> Fact | None:
        """Why the last sprint that was to be published could not be; None if it could."""
        last = max([0, *(number for each in self.published.values() for number in each.sprints)])
        facts = [fact for fact in self.refused.values() if fact.data.get("sprint", 0) >= last]
        return max(facts, key=lambda fact: fact.seq, default=None)

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
    return _RULES[fact.kind](forge, fact, data, int(data.get("number", 0)))


def _published(forge: Forge, _: Fact, data: Mapping[str, Any], number: int) -> Forge:
    before = next(iter(_of(forge, number).values()), None)
    sprints = tuple(dict.fromkeys((*(before.sprints if before else ()), int(data["sprint"]))))
    own = Published(
        data["sprint"], data["id"], number, data["url"], data["branch"], data["commit"], data["digest"], sprints,
        times=before.times if before else 0,
    )  # fmt: skip
    others = {key: replace(own, id=key, sprint=each.sprint) for key, each in _of(forge, number).items()}
    refused = {key: fact for key, fact in forge.refused.items() if key != own.id}
    return replace(forge, published={**forge.published, **others, own.id: own}, refused=refused)


def _refused(forge: Forge, fact: Fact, data: Mapping[str, Any], _: int) -> Forge:
    return replace(forge, refused={**forge.refused, data["id"]: fact})


def _ended(forge: Forge, _: Fact, data: Mapping[str, Any], number: int) -> Forge:
    over, own = data["outcome"], _of(forge, number)
    ended = {key: replace(each, outcome=over, times=each.times + 1) for key, each in own.items()}
    return replace(forge, published={**forge.published, **ended})


def _pull(forge: Forge, fact: Fact, data: Mapping[str, Any], number: int) -> Forge:
    taken = TakenPull(data["key"], number, data["head"], data["author"], data["title"], data["url"], fact.seq)
    return replace(forge, pulls={**forge.pulls, number: (*forge.pulls.get(number, ()), taken)})


def _issue(forge: Forge, fact: Fact, data: Mapping[str, Any], number: int) -> Forge:
    issue = TakenIssue(
        number, data["author"], data["title"], data["url"], fact.seq, data["to"], data["message"], data["task"]
    )
    return replace(forge, issues={**forge.issues, number: issue})


def _commented(forge: Forge, _: Fact, data: Mapping[str, Any], number: int) -> Forge:
    comment = Comment(int(data["comment"]), data["digest"])
    return replace(forge, comments={**forge.comments, (number, str(data["about"])): comment})


def _of(forge: Forge, number: int) -> dict[str, Published]:
    return {key: each for key, each in forge.published.items() if each.number == number}


_RULES: Mapping[str, Callable[[Forge, Fact, Mapping[str, Any], int], Forge]] = {
    Kind.GITHUB_PUBLISHED: _published,
    Kind.GITHUB_REFUSED: _refused,
    Kind.GITHUB_ENDED: _ended,
    Kind.GITHUB_PULL: _pull,
    Kind.GITHUB_ISSUE: _issue,
    Kind.GITHUB_COMMENTED: _commented,
}
