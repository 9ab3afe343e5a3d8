"""Absolute paths in tasks: where they lead is what counts, in real repositories with links and worktrees."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.personas.agents.scripted import ScriptedAgent
from team_mail.scheduler.dispatch.places import Places
from team_mail.scheduler.errors import InvalidTasks
from team_mail.scheduler.tasks.task import DispatchConfig, Task
from team_mail.team.dispatcher import ParallelDispatcher

from ...console import as_text, run_command
from ...samples import examples

TYPED = {"contract_description": "A cache", "node_type": "Compute"}


def coder(name: str, path: str, *context: str, **fields) -> Task:
    given = TYPED | {"output_path": path, "context_files": list(context)}
    return Task(task_id=name, agent="coder", input_data=given, **fields)


@pytest.fixture
def dispatcher(team, tmp_path):
    """Make a dispatcher whose tasks write their `output_path` and give what they read and were told."""

    def play(job):
        path = job.assignment.input["output_path"]
        read = [(job.workspace / name).read_text() for name in job.assignment.input.get("context_files", ())]
        (job.workspace / path).parent.mkdir(parents=True, exist_ok=True)
        (job.workspace / path).write_text(f"{job.assignment.task}\n")
        return {"input": job.assignment.input, "read": read, "prompt": job.prompt, "place": str(job.workspace / path)}

    def make(**flags) -> ParallelDispatcher:
        config = DispatchConfig(trace_dir=str(tmp_path / "traces"))
        return ParallelDispatcher(config, ScriptedAgent({}, default=play), home=team.home, flags=flags)

    return make


def refusal(dispatcher: ParallelDispatcher, *tasks: Task) -> list[str]:
    """Return the problems for which nothing is started, which a look ahead names too."""
    with pytest.raises(InvalidTasks) as ahead:
        dispatcher.look_ahead(tasks)
    with pytest.raises(InvalidTasks) as refused:
        dispatcher.dispatch(tasks)
    assert refused.value.problems == ahead.value.problems
    return list(refused.value.problems)


def test_a_path_into_the_checkout_means_the_same_place_in_the_clone(team, dispatcher):
    """For reading and for writing; the prompt and the input have it from the top of the repository."""
    before = team.git("status", "--porcelain")
    top = team.folder

    done = dispatcher().dispatch([coder("make", f"{top}/src/cache.py", f"{top}/poem.txt", "poem.txt")])

    (result,) = done.results
    assert result.status == "success", result.error
    assert result.output["input"]["output_path"] == "src/cache.py"
    assert result.output["input"]["context_files"] == ["poem.txt", "poem.txt"]
    assert result.output["read"][0].startswith("line 0")
    assert str(top) not in result.output["prompt"]
    assert team.git("show", f"{done.branch}:src/cache.py") == "make"
    assert (team.git("status", "--porcelain"), (top / "src").exists()) == (before, False)


def test_a_path_elsewhere_is_refused_before_the_start(team, dispatcher, tmp_path):
    """With its task and itself, all at once; a neighbour whose name only begins alike is elsewhere too."""
    neighbour = f"{team.folder}-other/cache.py"

    problems = refusal(
        dispatcher(), coder("a", "/srv/a.py"), coder("b", "b.py", neighbour, "/etc/hosts"), coder("c", "c.py")
    )

    assert [problem.partition(" is outside")[0] for problem in problems] == [
        "Task 'a': output_path /srv/a.py", f"Task 'b': context_files {neighbour}", "Task 'b': context_files /etc/hosts"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (".", "the top of the repository"),
        ("{top}", "the top of the repository"),
        ("src/..", "the top of the repository"),
        (".git/config", "in git's own folder"),
        ("{top}/.git/config", "in git's own folder"),
        ("src/.GIT/x", "in git's own folder"),
        (".team", "the team's own folder"),
        (".team/run/prompt.md", "in the team's own folder"),
        ("{top}/.team/x.py", "in the team's own folder"),
        ("../../x.py", "outside of the repository"),
        ("src/../../x.py", "outside of the repository"),
        ("~/x.py", "outside of the repository"),
        ("~root/x.py", "outside of the repository"),
        ("file:///etc/x.py", "no path"),
        ("https://example.org/x.py", "no path"),
    ],
)
def test_a_place_that_no_patch_can_have_is_refused_before_the_start(team, dispatcher, path, why):
    """Every task with such a path would fail at its end."""
    path = path.format(top=team.folder)

    (problem,) = refusal(dispatcher(), coder("a", path))

    assert problem.startswith(f"Task 'a': output_path {path} is {why}")


@pytest.mark.parametrize("path", ["../secret.txt", "~/secret.txt", "file:///etc/hosts"])
def test_a_file_to_read_is_in_the_repository_too(dispatcher, path):
    """However its path leads out; its top is one that can be read."""
    assert len(refusal(dispatcher(), coder("a", "a.py", path, "."))) == 1


def test_a_barred_place_from_another_task_ends_the_task(dispatcher):
    """With the reason, which is known only then."""
    tasks = [coder("a", "a.py"), coder("b", ".git/{{ tasks.a.output.input.output_path }}", dependencies=("a",))]

    done = dispatcher().dispatch(tasks)

    assert "output_path .git/a.py is in git's own folder, which no patch may change" in done.results[1].error


@pytest.mark.parametrize("path", ["~draft.md", "a~/b.py", "..a/b.py", "c:d.py", "src/./e.py"])
def test_an_odd_name_is_a_path(dispatcher, path):
    """What only looks like a home, a step up or a URL is a file in the repository."""
    assert dispatcher().dispatch([coder("a", path)]).results[0].status == "success"


def test_links_and_steps_up_are_judged_by_where_they_lead(team, dispatcher, tmp_path):
    """A link out of the repository leads out, and one into it leads in, however the path is written."""
    (team.folder / "out").symlink_to(tmp_path)
    alias = tmp_path / "alias"
    alias.symlink_to(team.folder)

    assert len(refusal(dispatcher(), coder("a", f"{team.folder}/out/a.py"))) == 1
    assert len(refusal(dispatcher(), coder("a", f"{team.folder}/new/../../a.py"))) == 1
    done = dispatcher().dispatch([coder("a", f"{alias}/a.py"), coder("b", f"{tmp_path}/x/../alias/new/../b.py")])

    assert [result.output["input"]["output_path"] for result in done.results] == ["a.py", "b.py"]


def test_every_linked_worktree_is_the_repository(team, dispatcher, tmp_path):
    """Also one that lies within the checkout: the innermost counts."""
    places = [tmp_path / "linked", team.folder / ".claude" / "inner"]
    for number, place in enumerate(places):
        team.git("worktree", "add", "-q", "-b", f"other-{number}", str(place))

    done = dispatcher().dispatch([coder(f"t{number}", f"{place}/t{number}.py") for number, place in enumerate(places)])

    assert [result.output["input"]["output_path"] for result in done.results] == ["t0.py", "t1.py"]


def test_a_folder_that_the_settings_name_is_allowed(team, dispatcher, tmp_path):
    """Such a path is handed on as it is; what is made there is seen, and is no part of a patch."""
    outside = tmp_path / "outside"
    outside.mkdir()
    made = dispatcher(**{"dispatch.outside": str(outside)})

    done = made.dispatch([coder("make", f"{outside}/cache.py")])

    assert done.results[0].status == "success", done.results[0].error
    assert (outside / "cache.py").read_text() == "make\n"
    assert done.branch is None
    assert len(refusal(made, coder("make", f"{tmp_path}/cache.py"))) == 1


def test_a_path_from_another_task_is_judged_when_it_is_known(team, dispatcher):
    """One into the clone of that task means the same place in the next; one that leads elsewhere ends the task."""
    tasks = [
        coder("a", "a.py"),
        coder("b", "{{ tasks.a.output.place }}.b", dependencies=("a",)),
        coder("c", "/srv/{{ tasks.a.output.input.output_path }}", dependencies=("a",)),
    ]

    done = dispatcher().dispatch(tasks)

    assert [result.status for result in done.results] == ["success", "success", "error"]
    assert done.results[1].output["input"]["output_path"] == "a.py.b"
    assert "Task 'c': output_path /srv/a.py is outside of the repository" in done.results[2].error


def test_the_published_example_is_refused_by_the_command(team, tmp_path):
    """Exit code 2, as a dry run and for real, and no event; with the folder allowed it is no problem."""
    document = {"tasks": [{"task_id": "gen-1", "agent": "coder", "input_data": TYPED | {"output_path": "/tmp/x.py"}}]}
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps(document))

    def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | {"TEAM_HOME": str(team.home)} | environ
        command = ("dispatch", str(file), "--agent", "scripted", *words)
        return as_text(run_command("team", *command, cwd=team.folder, env=env))

    for words in ((), ("--dry-run",)):
        ended = run(*words)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "Task 'gen-1': output_path /tmp/x.py is outside" in json.loads(ended.stderr)["error"]
    assert not (team.home / "mail" / "events.jsonl").exists()
    assert run("--dry-run", TEAM_DISPATCH_OUTSIDE="/tmp").returncode == 0


STEPS = ("in", "deep", "..", "link", "up", "self", "out")


@settings(max_examples=examples(80), deadline=None)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=6))
def test_a_mapped_path_is_the_same_place(tmp_path_factory, steps):
    """For any way through folders and links: it is mapped if it leads to a place below the top, and to that place."""
    root = tmp_path_factory.mktemp("places").resolve()
    top = root / "top"
    for folder in ("in/deep", "link-target"):
        (top / folder).mkdir(parents=True)
    (root / "out").mkdir()
    for link, target in (("in/link", top), ("in/deep/up", top / "in"), ("self", top), ("out", root / "out"),
                         ("link", top / "in/deep")):  # fmt: skip
        (top / link).symlink_to(target)
    (root / "out" / "in").symlink_to(top / "in")
    inside = {
        folder.stat().st_ino: folder for folder in (top, *(path for path in top.rglob("*") if not path.is_symlink()))
    }
    path = "/".join((str(top), *steps))
    if not Path(path).exists():
        return

    problems = Places((top,)).problems([coder("a", "a.py", path)])

    place = inside.get(Path(path).stat().st_ino)
    assert bool(problems) == (place is None)
    if place:
        (mapped,) = Places((top,)).mapped("a", {"context_files": [path]})["context_files"]
        assert (top / mapped).samefile(path)
        assert not Path(mapped).is_absolute()
        assert ".." not in Path(mapped).parts
