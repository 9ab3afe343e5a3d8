"""A sprint becomes one pull request, and stays one whatever happens: kills, lost logs, pushes and reviews of others."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from team_mail.personas.errors import ServiceError
from team_mail.scheduler.errors import BranchMoved, NoSuchRun
from team_mail.scheduler.forge.facts import read_forge
from team_mail.scheduler.forge.github import open_github
from team_mail.scheduler.forge.report import fitted
from team_mail.scheduler.forge.text import code
from team_mail.scheduler.forge.transport import remote_of, tip_of
from team_mail.scheduler.kinds import NeedKind
from team_mail.scheduler.overview.overview import overview
from team_mail.scheduler.sprint.decide import StartRequest
from team_mail.scheduler.sprint.loop import run_sprint
from team_mail.team.api.outside.forge import publish

from ...conftest import WHO
from .bomb import killed

MOST = 20
GATE = '[gates.tests]\ncommand = ["true"]\n'


def pulls(forge):
    return [*forge.repository.pulls.values()]


def events(context, *kinds):
    return [each for each in context.mailbox.log.read() if each.kind in kinds]


def needs(context):
    return overview(context, context.clock.now()).needs


def test_one_pull_request_says_who_did_what_and_is_updated_in_its_place(team, forge, sprint, opened):
    """It tells commits, gates and conflicts; again it writes nothing; what people wrote into its body stays."""

    def bob(job):
        landed = "taken" in (job.workspace / "poem.txt").read_text()
        team.replaced(8 if landed else 3, "taken by bob")(job)

    def ann(job):
        team.replaced(3, "taken by ann")(job)
        (job.workspace / "a|@octo closes #7").write_text("A cell ends there, and a marker here.\n")
        (job.workspace / "<!-- team-mail end -->").write_text("\n")

    sprint({"ann": ann, "bob": bob}, GATE)
    context = opened(tables=GATE)
    done = publish(context).published
    (pull,) = pulls(forge)
    assert (done.action, done.number, done.url) == ("opened", pull["number"], pull["html_url"])
    assert pull["head"]["sha"] == team.git("rev-parse", "team/sprint-1") == forge.repository.tip("team/sprint-1")
    assert pull["title"] in {"Sprint 1: ann, bob", "Sprint 1: bob, ann"}
    for said in (
        "| `ann` | `<!- - team-mail end -->`, `a\\|@ octo closes # 7`, `poem.txt` |",
        "**Gates:** `tests` passes",
        "in `poem.txt`",
    ):
        assert said in pull["body"]
    subjects = team.git("log", "--format=%s", "main..team/sprint-1")
    assert "a|@ octo closes # 7" in subjects
    assert not re.search(r"#\d|@\w", subjects + pull["title"] + pull["body"])
    head = context.mailbox.log.head()

    again = publish(context).published
    assert (again.action, context.mailbox.log.head()) == ("unchanged", head)
    pull["body"] = "Read me first.\r\n\r\n" + pull["body"].replace("`ann`", "somebody") + "\n\nThanks!"
    assert publish(context).published.action == "updated"
    assert pull["body"].startswith("Read me first.")
    assert pull["body"].endswith("Thanks!")
    assert "| `ann` |" in pull["body"]
    assert len(pulls(forge)) == 1


def test_whoever_is_killed_after_any_step_opens_no_second_one(team, forge, sprint, opened):
    """After the push, the call that opens it, and the event: the next one goes on from there."""
    sprint({"ann": team.replaced(3, "taken by ann")})
    opened()
    at, log = 1, (team.home / "mail" / "events.jsonl").read_bytes()
    while killed(lambda: publish(opened()), at):
        assert len(pulls(forge)) <= 1, at
        context = opened()
        publish(context)
        assert len(pulls(forge)) == len(events(context, "github.published")) == 1, at
        assert pulls(forge)[0]["head"]["sha"] == team.git("rev-parse", "team/sprint-1"), at
        forge.repository.pulls.clear()
        forge.repository.git("update-ref", "-d", "refs/heads/team/sprint-1")
        (team.home / "mail" / "events.jsonl").write_bytes(log)
        at += 1
        assert at < MOST
    assert at == 4


def test_an_answer_that_is_lost_opens_no_second_one_and_that_of_others_is_left_alone(team, forge, sprint, opened):
    """It is found by its branch and its marker; one from the branch without it is somebody else's, and told."""
    sprint({"ann": team.replaced(3, "taken by ann")})
    context = opened()
    forge.refuse("POST", "/pulls", 0)
    assert publish(context).published.action == "opened"
    (pull,) = pulls(forge)
    forge.refuse("PATCH", "/pulls/1", 0)
    pull["body"] = pull["body"].replace("`ann`", "")
    with pytest.raises(ServiceError, match="closed without an answer"):
        publish(context)
    assert publish(context).published.action == "unchanged"

    log = (team.home / "mail" / "events.jsonl").read_text().splitlines(keepends=True)
    (team.home / "mail" / "events.jsonl").write_text("".join(line for line in log if "github.published" not in line))
    assert publish(opened()).published.action == "unchanged"
    pull["body"] = "Mine."
    (team.home / "mail" / "events.jsonl").write_text("".join(line for line in log if "github.published" not in line))
    with pytest.raises(BranchMoved, match="pull request 1 from team/sprint-1 was not opened by this sprint"):
        publish(opened())
    assert len(pulls(forge)) == 1


def test_nothing_is_pushed_over_commits_of_others(team, forge, sprint, opened, tmp_path):
    """With commits of others in the way it is refused, and the human told; with theirs on top it goes on."""
    sprint({"ann": team.replaced(3, "taken by ann")})
    context = opened()
    publish(context)
    there, tip = forge.repository.git_folder, team.git("rev-parse", "team/sprint-1")
    team.git("clone", "-q", "-b", "team/sprint-1", str(there), str(tmp_path / "other"))
    (tmp_path / "other" / "more.txt").write_text("more\n")
    for words in (["add", "."], ["commit", "-qm", "More"], ["push", "-q"]):
        team.git("-C", str(tmp_path / "other"), *words)
    theirs = forge.repository.tip("team/sprint-1")
    assert theirs != tip
    assert publish(context).published.action == "unchanged"
    assert forge.repository.tip("team/sprint-1") == theirs

    tree = team.git("rev-parse", "HEAD^{tree}")
    team.git("update-ref", "refs/heads/team/sprint-1", team.git("commit-tree", tree, "-p", tip, "-m", "Mine"))
    for _ in range(2):
        with pytest.raises(BranchMoved, match=r"nothing is pushed by force; to go on: git switch team/sprint-1 && .*"):
            publish(context)
    assert forge.repository.tip("team/sprint-1") == theirs
    (need,) = [need for need in needs(context) if need.kind == NeedKind.PULL]
    assert need.text.startswith("sprint 1 is not published: team/sprint-1 at the forge is at ")
    assert (need.command, len(events(context, "github.refused"))) == ("scheduler publish 1", 1)

    context = opened(f'remote = "{there}"\n')
    with pytest.raises(BranchMoved) as caught:
        publish(context)
    way = str(caught.value).partition("to go on: ")[2].removesuffix(" && scheduler publish 1")
    environment = os.environ | {"GIT_MERGE_AUTOEDIT": "no"} | WHO
    subprocess.run(["sh", "-ec", way], cwd=team.folder, env=environment, check=True, capture_output=True)
    assert publish(context).published.action == "updated"
    assert forge.repository.tip("team/sprint-1") == team.git("rev-parse", "team/sprint-1")
    assert team.git("merge-base", theirs, "team/sprint-1") == theirs
    assert not [need for need in needs(context) if need.kind == NeedKind.PULL]


def test_what_is_merged_is_over_and_what_is_closed_needs_a_person(team, forge, sprint, opened):
    """Reopened, it goes on; a sprint that goes on with an open one lands in the same pull request."""
    sprint({"ann": team.replaced(3, "taken by ann")})
    context = opened()
    assert publish(context).heard.outcome == ""
    (pull,) = pulls(forge)
    pull["state"] = "closed"
    for _ in range(2):
        assert publish(context).published.action == "closed"
    assert [event.data["outcome"] for event in events(context, "github.ended")] == ["closed"]
    assert "Pull request 1 of sprint 1 was closed" in [
        event.subject for event in events(context, "mail.sent") if event.recipients == ("you",)
    ]
    pull["state"] = "open"
    assert publish(context).published.action == "unchanged"
    assert read_forge(context.mailbox.projections, "octo/app").open

    team.git("branch", "-f", "next", "team/sprint-1")
    ticker = team.ticker({"bob": team.replaced(8, "taken by bob")}, forge.settings("../token"))
    ticker.base = "next"
    assert run_sprint(ticker, StartRequest("asked for", personas=("bob",))).landed == ("bob",)
    done = publish(context).published
    assert (done.sprint, done.number, done.action, done.branch) == (2, 1, "updated", "team/sprint-1")
    assert pull["head"]["sha"] == team.git("rev-parse", "team/sprint-2") != ""
    assert "### Sprint 1" in pull["body"]
    assert "### Sprint 2" in pull["body"]

    forge.repository.merge(1, {})
    assert publish(context).published.action == "merged"
    assert [event.data["outcome"] for event in events(context, "github.ended")] == ["closed", "merged"]
    assert not read_forge(context.mailbox.projections, "octo/app").open


def test_there_has_to_be_something_to_publish(team, forge, sprint, opened):
    context = opened()
    with pytest.raises(NoSuchRun, match="no sprint yet"):
        publish(context)
    sprint({"ann": lambda job: None})
    with pytest.raises(NoSuchRun, match="landed nothing"):
        publish(context)
    with pytest.raises(NoSuchRun, match="no sprint 7"):
        publish(context, 7)
    sprint({"ann": team.replaced(3, "taken by ann")})
    team.git("push", "-q", str(forge.repository.git_folder), "team/sprint-2:main")
    with pytest.raises(NoSuchRun, match="main at the forge has all of sprint 2"):
        publish(context)
    assert not pulls(forge)


def test_what_landed_is_published_though_a_checkout_keeps_the_branch_behind(team, forge, sprint, opened):
    """The log says what landed, and a ref of the team has it."""
    sprint({"ann": team.replaced(3, "taken by ann")})
    tip = team.git("rev-parse", "team/sprint-1")
    team.git("branch", "--force", "team/sprint-1", "main")
    publish(opened())
    assert pulls(forge)[0]["head"]["sha"] == tip


def test_names_that_agents_chose_mention_nobody_and_close_nothing():
    """In a code span nothing has a meaning, and none can be left; a squashed pull request reads it as plain text."""
    assert code("a`@octo closes #1`<b>\n") == "`a'@ octo closes # 1'<b>`"
    assert code("\x1b[31m") == "`\\x1b[31m`"


def test_a_text_that_is_too_long_for_the_forge_is_cut_where_it_is_oldest():
    """By whole lines, so that no table is left open."""
    assert fitted(["one\ntwo", "three\nfour"], 20) == ["one\ntwo", "three\nfour"]
    assert fitted(["one\ntwo", "three\nfour"], 15) == ["one\n\nThe rest does not fit here.", "three\nfour"]
    assert fitted(["one\ntwo", "three\nfour"], 10) == ["three\nfour"]


def test_the_token_is_in_no_file_no_argument_and_no_message(team, forge, sprint, opened, tmp_path):
    """While git pushes with it, no process of the machine shows it; nor does what a server says that repeats it."""
    sprint({"ann": team.replaced(3, "taken by ann")})
    seen, hook = tmp_path / "seen", forge.repository.git_folder / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\ncat /proc/[0-9]*/cmdline /proc/[0-9]*/environ > {seen} 2>/dev/null\nexit 0\n")
    hook.chmod(0o755)
    context = opened()
    assert publish(context).published.action == "opened"
    assert b"credential.helper=!f()" in seen.read_bytes()
    assert b"token-of-team-bot" not in seen.read_bytes()
    forge.refuse("GET", "/pulls/1", 403, "the token token-of-team-bot may not")
    with pytest.raises(ServiceError, match=r"403 .*: the token \*\*\* may not"):
        publish(context)
    files = [path for folder in (team.home, team.folder / ".git") for path in folder.rglob("*") if path.is_file()]
    assert [path for path in files if b"token-of-team-bot" in path.read_bytes()] == []
    (team.folder.parent / "token").unlink()
    with pytest.raises(ServiceError, match=r"\[github\] token_file names .*, which cannot be read"):
        publish(context)


def test_a_password_in_the_address_of_a_remote_is_not_used(team, forge, opened):
    """Else it stood in arguments and messages; git speaks there with the token of the settings."""
    team.git("remote", "add", "there", f"{forge.url.replace('//', '//me:hush@')}/octo/app.git")
    context = opened('remote = "there"\n')
    remote = remote_of(context, open_github(context))
    assert remote.address == f"{forge.url}/octo/app.git"
    assert tip_of(remote, "main") == team.git("rev-parse", "main")
