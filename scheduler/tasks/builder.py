"""Tasks made in Python: one method for each kind of typed input, each of which makes an entry of `tasks.json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .task import Task


class TaskEntry(dict[str, Any]):
    """A task as `tasks.json` has it: a dict, which `json.dumps` takes, with the fields of `Task` as attributes.

    Only what was given is in the dict. An attribute that was not has its default; what is changed in the dict later is
    checked when an attribute is asked for, and by a dispatch.
    """

    @property
    def task(self) -> Task:
        """The task that it means. Raises pydantic's ValidationError."""
        return Task.model_validate(dict(self))

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse it: the dict is the task. Raises AttributeError."""
        raise AttributeError(f"set the key: task[{name!r}] = …", name=name, obj=self)

    def __getattr__(self, name: str) -> Any:
        """Return a field of the task."""
        if name not in Task.model_fields:
            raise AttributeError(f"{type(self).__name__!r} has no field {name!r}", name=name, obj=self)
        return getattr(self.task, name)


class TaskBuilder:
    """Makes tasks, as entries of `tasks.json`.

    Each method raises pydantic's ValidationError for a value that a task does not take.

    `more` are further fields of Task, such as `priority`, `timeout_seconds`, `retries` and `files`.
    """

    def create_coder_task(  # noqa: PLR0917 - the published order
        self,
        task_id: str,
        description: str,
        contract_description: str,
        node_type: str,
        output_path: str,
        context_files: Iterable[str] = (),
        validation_level: str = "moderate",
        dependencies: Iterable[str] = (),
        **more: Any,
    ) -> TaskEntry:
        """Make a task for `coder`: write the module `output_path` as the contract describes it."""
        input_data = {
            "contract_description": contract_description,
            "node_type": node_type,
            "output_path": output_path,
            "context_files": list(context_files),
            "validation_level": validation_level,
        }
        return self.create_task(task_id, "coder", description, input_data, dependencies, **more)

    def create_debug_task(  # noqa: PLR0917
        self,
        task_id: str,
        description: str,
        problem_description: str,
        affected_files: Iterable[str],
        error_traces: Iterable[str] = (),
        analysis_depth: str = "standard",
        hypothesis: str | None = None,
        dependencies: Iterable[str] = (),
        **more: Any,
    ) -> TaskEntry:
        """Make a task for `debug`: find the cause of a problem in the affected files."""
        input_data = {
            "problem_description": problem_description,
            "affected_files": list(affected_files),
            "error_traces": list(error_traces),
            "analysis_depth": analysis_depth,
            "hypothesis": hypothesis,
        }
        return self.create_task(task_id, "debug", description, input_data, dependencies, **more)

    def create_task(
        self,
        task_id: str,
        agent: str,
        description: str = "",
        input_data: Mapping[str, Any] | None = None,
        dependencies: Iterable[str] = (),
        **more: Any,
    ) -> TaskEntry:
        """Make a task for any persona."""
        task = Task(
            task_id=task_id,
            agent=agent,
            description=description,
            input_data=dict(input_data or {}),
            dependencies=dependencies if isinstance(dependencies, str) else tuple(dependencies),  # pyright: ignore[reportArgumentType] - the text is refused
            **more,
        )
        return TaskEntry(task.model_dump(mode="json", exclude_unset=True))
