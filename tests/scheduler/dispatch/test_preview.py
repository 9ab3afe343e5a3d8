"""The preview of a dispatch: waves, the critical path, and a duration if every task has an estimate."""

from __future__ import annotations

from team_mail.scheduler.dispatch.preview import DispatchPreview
from team_mail.scheduler.limits.routing import Choice
from team_mail.scheduler.tasks.task import DispatchConfig, Task
from team_mail.team.show.dispatch import preview as shown


def preview(*tasks: Task) -> dict:
    return DispatchPreview(
        tasks, DispatchConfig(max_workers=2), {task.task_id: Choice("shell") for task in tasks}
    ).document()


def test_a_preview_has_waves_and_the_duration_on_its_workers():
    """Two chains on two workers take as long as the longer one."""
    document = preview(
        Task(task_id="a", agent="forge", estimate=60.0),
        Task(task_id="b", agent="forge", estimate=30.0, dependencies=("a",)),
        Task(task_id="c", agent="forge", estimate=20.0),
    )

    assert document["waves"] == [["a", "c"], ["b"]]
    assert document["critical_path"] == ["a", "b"]
    assert document["estimated_seconds"] == 90.0
    assert [(task["task_id"], task["wave"], task["played_by"]) for task in document["tasks"]] == [
        ("a", 1, "shell"), ("b", 2, "shell"), ("c", 1, "shell"),
    ]  # fmt: skip


def test_without_all_estimates_the_longest_chain_is_that_with_the_most_tasks():
    """No duration is made up, and an estimate of one task does not outweigh a chain of two."""
    document = preview(
        Task(task_id="long", agent="forge", estimate=3_600.0),
        Task(task_id="a", agent="forge"),
        Task(task_id="b", agent="forge", dependencies=("a",)),
    )

    assert document["critical_path"] == ["a", "b"]
    assert document["estimated_seconds"] is None


def test_a_preview_says_which_agent_plays_instead_of_which():
    """In the text and in the document."""
    first = Task(task_id="a", agent="forge")
    choice = Choice("codex", "", (("claude", "is parked until 18:00:00Z (usage limit reached)"),))
    plan = DispatchPreview((first,), DispatchConfig(), {"a": choice})
    assert "a: codex, as claude is parked until 18:00:00Z (usage limit reached)" in [*shown(plan)]
    (task,) = plan.document()["tasks"]
    assert (task["played_by"], task["instead_of"]) == ("codex", choice.instead_of)
