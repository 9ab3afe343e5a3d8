"""What starts when: tasks by priority, then by the longest remaining chain, then as given; agents as they have room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..context import Context
from ..planner.schedule import tails
from ..runs.flow import Step
from ..state.dispatches import DispatchState
from ..tasks.task import Task


def steps_of(tasks: Mapping[str, Task], state: DispatchState) -> Iterator[Step]:
    """Yield the steps of the tasks that are left to do; what is done is waited for no more."""
    left = {key: task for key, task in tasks.items() if not state.is_done(key)}
    after = {key: tuple(name for name in task.dependencies if name in left) for key, task in left.items()}
    known = [task.estimate for task in left.values() if task.estimate]
    typical = sum(known) / len(known) if known else 1.0
    chains = tails({key: task.estimate or typical for key, task in left.items()}, after)
    for key, task in left.items():
        yield Step(key, after[key], (-task.priority, -chains[key]), task.agent)


def pools_of(context: Context) -> dict[str, int]:
    """Return how many runs of an agent may go on at once, for those whose settings say so."""
    return {name: table.max_parallel for name, table in context.settings.agents.items() if table.max_parallel}
