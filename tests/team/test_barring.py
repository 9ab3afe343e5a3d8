"""What somebody has claimed is left alone: by sprints, dispatches, plans and commits."""

from __future__ import annotations

import json
import subprocess
import threading

import pytest
from team_mail.mail.errors import UsageError
from team_mail.personas.agents.function import FunctionAgent
from team_mail.scheduler.claims.claims import Claims
from team_mail.scheduler.kinds import PatchStatus
from team_mail.scheduler.sprint.control import approve_patch
from team_mail.team.api import hook
from team_mail.team.commands import team as team_command
from team_mail.team.dispatcher import ParallelDispatcher
from typer.testing import CliRunner

from ..conftest import ASKED, git


@pytest.fixture
def claims(team, monkeypatch):
    """The claims of a team whose persona ann may change the poem alone."""
    monkeypatch.chdir(team.folder)
    for name in ("TEAM_HOME", "TEAM_RUN", "TEAM_PERSONA"):
        monkeypatch.delenv(name, raising=False)
    (team.home / "personas" / "ann.md").write_text("---\nid: ann\npaths: [poem.*]\n---\nWrite the poem.\n")
    return Claims(team.context().mailbox)


def test_a_persona_waits_for_a_claim_and_the_others_do_not(team, claims):
    """The dry run says who has the file; whoever has no paths goes on; the release is news to the sprint."""
    claim = claims.hold(["poem.txt"], [], "you", 600)
    ticker = team.ticker({})
    plan = ticker.plan(ASKED)
    (skip,) = [skip for skip in plan.skips if skip.persona == "ann"]
    assert skip.why.startswith("waits: poem.* is claimed by you until")
    assert [launch.persona for launch in plan.launches] == ["bob", "cyd"]
    order = []

    def release(job):
        order.append("bob")
        claims.release(None, claim.token, "you")

    summary = team.sprint({"ann": lambda job: order.append("ann"), "bob": release})
    assert summary.outcome == "converged"
    assert order == ["bob", "ann"]


def test_who_may_change_any_file_is_told_of_claims_and_a_patch_that_changes_one_is_held(team, claims):
    """Its prompt names the paths, whose they are and until when; whoever has the claim itself is not held."""
    claims.hold(["notes/**"], [], "you", 600)
    claims.hold(["own.txt"], [], "cyd", 600)
    prompts = {}

    def write(*files):
        def play(job):
            prompts[job.persona] = job.prompt
            for file in files:
                (job.workspace / file).parent.mkdir(exist_ok=True)
                (job.workspace / file).write_text("written\n")

        return play

    team.sprint({"bob": write("notes/today.md", "other.txt"), "cyd": write("own.txt")})

    state = team.context().state(whole=False)
    held, landed = state.of(PatchStatus.HELD), state.of(PatchStatus.LANDED)
    assert ([patch.persona for patch in held], [patch.persona for patch in landed]) == (["bob"], ["cyd"])
    assert held[0].why.startswith("claimed by you until")
    assert "do not change them" in prompts["bob"]
    assert "`notes/**`, claimed by you until" in prompts["bob"]
    assert "`own.txt`, claimed by cyd" in prompts["bob"]
    assert "own.txt" not in prompts["cyd"]
    (mail,) = [event for event in team.context().mailbox.log.read() if event.data.get("type") == "question"]
    assert "- notes/today.md: claimed by you until" in mail.body

    approve_patch(team.context(), "bob", "you")
    team.sprint({})
    assert not team.context().state(whole=False).of(PatchStatus.HELD)
    assert team.text(team.context().state().sprints[-1].branch, "notes/today.md") == ["written"]


def test_a_sprint_in_which_everybody_waits_begins_once_they_may(team, claims):
    """With nothing else to do, it waits for the claim and not for its deadline."""
    team.roster("bob", "cyd")
    for name in ("bob", "cyd"):
        (team.home / "personas" / f"{name}.md").unlink()
    claims.hold(["**"], [], "you", 1)
    assert team.sprint({}).outcome == "converged"
    assert team.kinds("run") == ["run.started", "run.finished"]


def test_a_task_of_a_dispatch_waits_for_a_claim(team, claims, tmp_path):
    """It says so once, and starts when the claim is over; a task with other files does not wait."""
    claim = claims.hold(["poem.*"], [], "you", 600)
    heard, order = [], []

    def play(job):
        order.append(job.assignment.task)
        if job.assignment.task == "other":
            threading.Timer(0.2, lambda: claims.release(None, claim.token, "you")).start()
        return {}

    dispatcher = ParallelDispatcher(agent=FunctionAgent(play), home=team.home, listener=lambda p: heard.append(p.text))
    dispatcher.config = dispatcher.config.model_copy(update={"trace_dir": str(tmp_path / "traces")})
    done = dispatcher.dispatch(
        [
            {"task_id": "poem", "agent": "ann", "files": ["poem.txt"]},
            {"task_id": "other", "agent": "bob", "files": ["other/**"]},
        ]
    )
    assert (done.status, order) == ("success", ["other", "poem"])
    assert len([text for text in heard if text.startswith("poem: waits, poem.txt is claimed by you")]) == 1


def test_a_plan_names_what_would_wait(team, claims):
    """As lines, as Markdown and as JSON; without a claim it says nothing."""
    task = {"task_id": "write", "agent": "ann", "description": "Write", "files": ["src/*.py"], "estimate": 60}
    (team.folder / "tasks.json").write_text(json.dumps({"tasks": [task]}))

    def planned(*words):
        return CliRunner().invoke(team_command.app, ["plan", "tasks.json", *words]).stdout

    assert "write" in planned()
    assert "given back" not in planned()
    claims.hold(["src/**"], [], "you", 600)
    assert "these wait until their files are given back" in planned()
    assert "is claimed by you" in planned("--markdown")
    (waiting,) = json.loads(planned("--json"))["claimed"]
    assert waiting["task"] == "write"
    assert waiting["why"].startswith("src/*.py is claimed by you until")


def test_a_commit_of_what_another_has_is_refused(team, claims):
    """The installed hook runs in a real commit, knows whose commit it is, and goes with --no-verify."""
    (team.folder / "poem.txt").write_text("changed\n")
    git(team.folder, "add", "poem.txt")
    written = CliRunner().invoke(team_command.app, ["hook", "install", "git"])
    assert written.exit_code == 0
    assert (
        CliRunner().invoke(team_command.app, ["hook", "install", "git", "--json"]).stdout.count('"changed": false') == 1
    )
    assert hook.guard(None, team.folder, "you").files == ()
    claims.hold(["*.txt"], [], "ann", 600)
    refused = subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-m", "Change"],
        cwd=team.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert "poem.txt is claimed by ann until" in refused.stderr
    (file,) = json.loads(CliRunner().invoke(team_command.app, ["hook", "--json"]).stdout)["claimed"]
    assert (file["file"], file["owner"]) == ("poem.txt", "ann")
    assert CliRunner().invoke(team_command.app, ["hook", "--as", "ann"]).exit_code == 0
    git(team.folder, "commit", "--quiet", "--no-verify", "-m", "Change")
    assert CliRunner().invoke(team_command.app, ["hook"]).exit_code == 0
    assert hook.uninstall("git", team.folder).changed
    assert not hook.uninstall("git", team.folder).changed


def test_a_hook_of_others_is_left_alone(team, claims):
    """What to add to it is said; outside of a repository there is nothing to guard."""
    path = team.folder / ".git" / "hooks" / "pre-commit"
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\ntrue\n")
    with pytest.raises(UsageError, match=r"team hook \|\| exit 1"):
        hook.install("git", team.folder)
    assert path.read_text() == "#!/bin/sh\ntrue\n"
    with pytest.raises(UsageError, match="git diff"):
        hook.guard(claims, team.folder.parent, "you")
