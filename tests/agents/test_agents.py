"""Whole sprints and dispatches with the real agents, as `team init` names them, and a model that follows a script."""

from __future__ import annotations

import pytest

from .clis import CLIS

pytestmark = [pytest.mark.agents, pytest.mark.timeout(300)]
# What each persona does: at first, with a note of the other one, and with a conflict mail.
EDIT = "sed -e {expression} poem.txt > new && cat new > poem.txt && rm new"  # Qwen refuses `sed -i` of a file not read
SETTLE = EDIT.format(expression="'/^||||||| /,/^=======$/d;/^<<<<<<< /d;/^>>>>>>> /d'")


def scripts(name: str, other: str) -> dict[str, tuple[str, ...]]:
    return {
        "Type: conflict": (SETTLE, "cat poem.txt"),
        f"From: {other}": (
            "team-mail inbox",
            f"mkdir -p notes && cat .team/run/inbox/*.md > notes/heard-by-{name}.md",
        ),
        "": (
            f"mkdir -p notes && echo 'By {name}.' > notes/{name}.md",
            EDIT.format(expression=f"'s/^two$/two of {name}/'"),
            f'team-mail send --to {other} -s "From {name}" -b "The word of {name} is plum."',
        ),
    }


@pytest.fixture(params=sorted(CLIS))
def cli(request):
    return request.param


def test_a_sprint_lands_patches_carries_mail_and_settles_a_conflict(project, model):
    """Both write files and a mail and change one line; the author of the conflict settles it in the files."""
    project.team("ann", "bob")
    model.scripts = {"ann": scripts("ann", "bob"), "bob": scripts("bob", "ann")}

    ended = project.run("scheduler", "sprint")

    assert ended.returncode == 0, ended.stderr
    assert "converged" in ended.stdout
    files = project.git("ls-tree", "-r", "--name-only", "team/sprint-1").split()
    assert {"notes/ann.md", "notes/bob.md"} <= set(files)
    assert {"two of ann", "two of bob"} <= set(project.git("show", "team/sprint-1:poem.txt").splitlines())
    sent = {(e["sender"], *e["recipients"]) for e in project.events("mail.sent") if e.get("run")}
    assert {("ann", "bob"), ("bob", "ann")} <= sent
    assert project.events("patch.conflicted")
    heard = [name for name in ("ann", "bob") if f"notes/heard-by-{name}.md" in files]
    assert heard
    for name, other in (("ann", "bob"), ("bob", "ann")):
        note = f"The word of {other} is plum."
        assert name not in heard or note in project.git("show", f"team/sprint-1:notes/heard-by-{name}.md")
        assert [r for r in model.requests if r.persona == name and f"Subject: From {other}" in r.text]


def test_a_dispatch_gives_what_was_written_and_not_what_was_said(project, model):
    """The result of a task is its file, and the next task works with it."""
    project.team("ann", "bob")
    find = """echo '{"cause": "floats"}' > "$TEAM_OUTPUT" """
    mend = """mkdir -p notes && cp "$TEAM_INPUT" notes/cause.json"""
    model.scripts = {"ann": {"": (find,)}, "bob": {"": (mend,)}}
    model.words["ann"] = "I have looked at everything."

    code, result = project.dispatch(
        {"task_id": "find", "agent": "ann", "description": "Find the cause"},
        {
            "task_id": "mend", "agent": "bob", "description": "Mend it", "dependencies": ["find"],
            "input_data": {"cause": "{{ tasks.find.output.cause }}"},
        },
    )  # fmt: skip

    assert code == 0, result
    assert result["results"][0]["output"] == {"cause": "floats"}
    branch = project.git("branch", "--list", "team/dispatch-*", "--format=%(refname:short)")
    assert '"floats"' in project.git("show", f"{branch}:notes/cause.json")
