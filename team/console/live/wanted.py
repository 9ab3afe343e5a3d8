"""What is asked of whom, and the tasks that it becomes. Everything is checked before anything starts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ....scheduler.errors import InvalidTasks
from ....scheduler.tasks.task import Task
from ..wire.names import NoPersona, persona_of, wire_names
from .ask import Part

MOST_TASKS = 50
_REFERENCE = re.compile(r"\{\{(?=\s*tasks\.)")
Turn = tuple[str, str]  # what was asked, and the answer


@dataclass(frozen=True)
class Wanted:
    """One persona and its prompt.

    `after` names tasks of the same ask, by name or position, whose answers it is given; `follow_up` gives it the
    earlier turns of the asker with this persona. With `keep` "answer" what it changes is dropped.
    """

    persona: str
    prompt: str
    after: tuple[str | int, ...] = ()
    follow_up: bool = False
    keep: Literal["all", "answer"] = "all"


@dataclass(frozen=True)
class Checked:
    """An ask that can be started: what each persona does, and the tasks of its dispatch."""

    parts: tuple[Part, ...]
    tasks: tuple[Task, ...] = field(default=())


def checked(wanted: Sequence[Wanted], personas: Sequence[str], turns: Mapping[str, Sequence[Turn]]) -> Checked:
    """Check an ask for the personas of a team; `turns` are the earlier ones of the asker, by persona.

    Raises InvalidTasks with all that is wrong.
    """
    if not wanted:
        raise InvalidTasks(["tasks: at least one"])
    if len(wanted) > MOST_TASKS:
        raise InvalidTasks([f"tasks: at most {MOST_TASKS}, and these are {len(wanted):,}"])
    problems: list[str] = []
    found = [_persona(at, each, personas, problems) for at, each in enumerate(wanted)]
    problems += [f"tasks[{at}].prompt: must say something" for at, each in enumerate(wanted) if not each.prompt.strip()]
    if problems:
        raise InvalidTasks(problems)
    names = wire_names(each.persona for each in wanted)
    parts = [
        Part(f"t{at}", name, persona, each.prompt)
        for at, (name, persona, each) in enumerate(zip(names, found, wanted, strict=True))
    ]
    above = [_above(at, each, parts, problems) for at, each in enumerate(wanted)]
    if problems:
        raise InvalidTasks(problems)
    tasks = [
        _task(part, each, before, turns.get(part.persona, ()))
        for part, each, before in zip(parts, wanted, above, strict=True)
    ]
    return Checked(tuple(parts), tuple(tasks))


def _persona(at: int, wanted: Wanted, personas: Sequence[str], problems: list[str]) -> str:
    try:
        return persona_of(wanted.persona, personas)
    except NoPersona as error:
        problems.append(f"tasks[{at}].persona: {error}")
        return ""


def _above(at: int, wanted: Wanted, parts: Sequence[Part], problems: list[str]) -> list[Part]:
    """Return the parts whose answers one is given."""
    above: list[Part] = []
    for name in wanted.after:
        matches = [part for index, part in enumerate(parts) if name in (part.name, part.task) or name == index]
        if len(matches) != 1 or matches[0] is parts[at]:
            problems.append(f"tasks[{at}].after: names no other task of this ask")
        elif matches[0] not in above:
            above.append(matches[0])
    return above


def _task(part: Part, wanted: Wanted, above: Sequence[Part], turns: Sequence[Turn]) -> Task:
    given: dict[str, Any] = {}
    if above:
        given["answers"] = {each.name: f"{{{{ tasks.{each.task}.output }}}}" for each in above}
    if wanted.follow_up and turns:
        given["conversation"] = [{"asked": plain(asked), "answered": plain(answer)} for asked, answer in turns]
    return Task(
        task_id=part.task, agent=part.persona, description=plain(wanted.prompt), input_data=given, keep=wanted.keep,
        dependencies=tuple(each.task for each in above),
    )  # fmt: skip


def plain(text: str) -> str:
    """Return a text without what a dispatch would take for a reference to another task."""
    return _REFERENCE.sub("{ {", text)
