"""What is wrong with a roadmap as a whole: names told twice, unknown dependencies, circles, steps back in time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from ..problems import Problems, shown, where
from ..tasks.graph import circle_text, cycles, unknown_text
from ..tasks.strict import Path
from .item import Item, Roadmap
from .roadmap import nodes


class Placed(NamedTuple):
    """An item and where it is written."""

    item: Item
    path: Path


class Located(Problems):
    """Collects problems that begin with a path, and puts file and line of that path in front; tells them by line."""

    def __init__(self, name: str, lines: Mapping[Path, int]) -> None:
        super().__init__()
        self._name = shown(name)
        self._lines = {where(path): line for path, line in lines.items()}
        self._at: list[int] = []

    def add(self, problem: str, name: str = "", known: Collection[str] = ()) -> None:
        """Add one; what has no line of its own has that of what it is in."""
        path = problem.partition(": ")[0]
        while path and path not in self._lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        at = self._lines.get(path, 1)
        if not self.full:
            self._at.append(at)
        super().add(f"{self._name}:{at}: {problem}", name, known)

    def told(self) -> list[str]:
        """Return all problems in words, in the order of their lines, and how many more there are."""
        told = super().told()
        ordered = sorted(range(len(self._at)), key=self._at.__getitem__)
        return [*(told[place] for place in ordered), *told[len(ordered) :]]


def check_whole(roadmap: Roadmap, placed: Sequence[Placed], unread: Collection[str], problems: Problems) -> None:
    """Add what is wrong with items together; `unread` are the names of tasks that have mistakes of their own."""
    _check_names(placed, problems)
    items = {one.item.id: one for one in reversed(placed)}
    names = {*items, *unread}
    for one in placed:
        for at, name in enumerate(one.item.dependencies):
            path = where((*one.path, "dependencies", at))
            if name not in names:
                problems.add(f"{path}: {unknown_text(one.item.id, name)}", name, names)
            elif name in items and roadmap.phase_barriers and items[name].item.phase > one.item.phase:
                problems.add(f"{path}: {_too_late(roadmap, one.item, items[name].item)}")
    for circle in cycles(nodes(one.item for one in placed)):
        problems.add(f"{where((*items[circle[0]].path, 'dependencies'))}: {circle_text(circle)}")


def check_personas(placed: Sequence[Placed], personas: Collection[str], problems: Problems) -> None:
    """Add the personas that nobody is; a manual task may name any person."""
    for item, path in placed:
        if item.persona and not item.manual and item.persona not in personas:
            problems.add(f"{where((*path, 'persona'))}: no persona '{shown(item.persona)}'", item.persona, personas)


def _check_names(placed: Sequence[Placed], problems: Problems) -> None:
    """Add names told twice, be it in another case: the traces of both would be one file on some disks."""
    seen: dict[str, Path] = {}
    for item, path in placed:
        if twin := seen.get(item.id.lower()):
            problems.add(f"{where((*path, 'id'))}: '{item.id}' is the name of {where(twin)} too; give it its own")
        seen.setdefault(item.id.lower(), path)


def _too_late(roadmap: Roadmap, item: Item, need: Item) -> str:
    title = shown(roadmap.phases[need.phase].title) or str(need.phase + 1)
    return (
        f"Task '{item.id}' depends on '{need.id}' of a later phase, {title}; move one of them, "
        "or write phase_barriers: false at the top"
    )
