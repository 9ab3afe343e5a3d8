"""Plans: what of a roadmap can run in parallel, where tasks conflict, and the tasks to dispatch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...personas.bundled import with_bundled
from ...personas.roster import Roster, own_roster
from ...scheduler.claims.barring import all_barred
from ...scheduler.claims.claims import Claims
from ...scheduler.context import Context
from ...scheduler.planner.forecast import from_sprint
from ...scheduler.planner.item import Roadmap
from ...scheduler.planner.overlap import overlaps
from ...scheduler.planner.roadmap_file import read_roadmap as read
from ...scheduler.planner.to_tasks import DispatchTasks, given_in, without, work_order
from ...scheduler.planner.work_plan import WorkPlan, draw
from ...scheduler.state.reading import LAST, with_past

MOST_WORKERS = 8  # compared by default


@dataclass(frozen=True)
class TasksOfPlan:
    """A plan as a `tasks.json`, and the items that a person has to do."""

    tasks: DispatchTasks

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `team plan --tasks`."""
        return self.tasks.document


def read_roadmap(data: bytes, name: str, home: Path | None = None) -> Roadmap:
    """Read a roadmap, or a `tasks.json`, and check it completely.

    Raises InvalidTasks with everything that is wrong.

    Args:
        data: The bytes of the file, YAML or JSON.
        name: The name of the file in messages.
        home: The `.team` folder, whose personas can be given tasks beside the bundled ones; None for no team.
    """
    own = own_roster(home) if home else Roster()
    return read(data, name, [persona.id for persona in with_bundled(own).personas])


def forecast(context: Context) -> Roadmap:
    """Make a roadmap of the next sprint from the files and durations of the last ones."""
    names = [member.id for member in context.members]
    state = with_past(context.mailbox.projections, context.state(sprints=LAST), names)
    return from_sprint(state, names)


def plan(
    roadmap: Roadmap,
    done: Sequence[str] = (),
    workers: int | None = None,
    most: int = MOST_WORKERS,
    *,
    claims: Claims | None = None,
) -> WorkPlan:
    """Plan work before it runs.

    Raises InvalidTasks.

    Args:
        roadmap: What is to be done.
        done: Ids of tasks that are already done.
        workers: How many tasks may run at once; by default the roadmap says.
        most: The largest number of workers to compare.
        claims: The claims of the team, for tasks that have to wait because somebody has their files.
    """
    left = without(roadmap, done)
    drawn = draw(left, overlaps(left), workers, most)
    if claims is None:
        return drawn
    paths = {
        item.id: (*item.files, *item.creates, *(path for pair in item.renames for path in pair)) for item in left.items
    }
    bars = all_barred(claims.moment(), paths)
    return replace(drawn, waiting=tuple((task, bar.why) for task, bar in bars.items()))


def tasks_of(work: WorkPlan, data: bytes = b"") -> TasksOfPlan:
    """Return the tasks to dispatch for a plan. `data` is the file it was read from; its tasks keep their fields."""
    return TasksOfPlan(work_order(work, given_in(data)))
