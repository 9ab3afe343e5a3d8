"""Whole sprints on a real repository, with personas played by functions."""

from __future__ import annotations

import errno
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from team_mail.mail.clock import ManualClock
from team_mail.mail.letter import Letter
from team_mail.mail.log.blobs import FileBlobs
from team_mail.mail.log.event import Draft
from team_mail.mail.mailbox import Mailbox
from team_mail.personas.agent import Outcome
from team_mail.scheduler.errors import BranchMoved, NoProgress, NoSuchRun, NotReady
from team_mail.scheduler.kinds import Kind
from team_mail.scheduler.landing.branch import fast_forward_base
from team_mail.scheduler.sprint.control import approve_patch, stop_run
from team_mail.scheduler.sprint.decide import StartRequest
from team_mail.scheduler.sprint.loop import run_sprint
from team_mail.scheduler.sprint.preview import look_ahead

from ...conftest import git, run_batch

ASKED = StartRequest("asked for")


def test_a_sprint_without_conflicts_takes_two_ticks(team):
    """One tick launches everybody, one weaves; each of the three commits has its persona as author."""
    scripts = {name: team.replaced(line, name) for line, name in ((3, "ann"), (13, "bob"), (23, "cyd"))}
    result = team.sprint(scripts)
    assert (result.ticks, result.converged, result.conflicts, result.runs) == (2, True, 0, 3)
    assert sorted(result.landed) == ["ann", "bob", "cyd"]
    text = team.text("team/sprint-1")
    assert [text[line] for line in (3, 13, 23)] == ["ann", "bob", "cyd"]
    assert sorted(team.git("log", "--format=%an", "main..team/sprint-1").split()) == ["ann", "bob", "cyd"]
    assert team.text("main")[3] == "line 3", "the base is never moved by itself"


def test_two_patches_with_the_same_change_are_one_commit(team):
    """The other one's author is done: the sprint converges, and its branch has no empty commit."""
    result = team.sprint({name: team.replaced(3, "same") for name in ("ann", "bob")})

    assert (result.converged, result.conflicts, result.runs, result.patches) == (True, 0, 3, 1)
    assert team.git("rev-list", "--count", "main..team/sprint-1") == "1"
    state = team.context().state()
    assert sorted(patch.status for patch in state.patches) == ["landed", "present"]
    assert len(state.sprints[0].commits) == 1
    assert team.kinds("patch").count("patch.landed") == 2


def test_a_name_that_is_gone_and_still_used_is_told_to_both_and_blocks_nothing(team):
    """Both land; who uses it runs again for the mail, who removed it has a mail that waits, and the weave names it."""
    (team.folder / "cart.py").write_text("def total_price(items):\n    return sum(items)\n")
    team.git("add", "cart.py")
    team.git("commit", "-qm", "Add a cart")

    def use(job):
        (job.workspace / "bill.py").write_text("from cart import total_price\n\nprint(total_price([]))\n")

    result = team.sprint({"ann": team.replaced(0, "def sum_of(items):", "cart.py"), "bob": use})

    assert (result.converged, sorted(result.landed), result.conflicts) == (True, ["ann", "bob"], 0)
    context = team.context()
    (woven,) = (event for event in context.mailbox.log.read() if event.kind == "weave.done")
    (gone,) = woven.data["dangling"]
    assert (gone["name"], gone["renamed"], gone["uses"]) == ("total_price", "sum_of", [["bill.py", 1], ["bill.py", 3]])
    mails = [
        event for event in context.mailbox.log.read() if event.kind == "mail.sent" and "total_price" in event.subject
    ]
    readers = [(tuple(mail.recipients), mail.data["type"]) for mail in mails]
    assert readers == [(("bob",), "feedback"), (("ann",), "fyi")]
    assert sorted(run.persona for run in context.state().runs) == ["ann", "bob", "bob", "cyd"]


def test_work_on_another_branch_is_kept_and_told(team):
    """The bundle is a blob that `run.finished` names before the clone is gone, and the human has it by mail."""

    def play(job):
        for words in (("switch", "-qc", "aside"), ("commit", "-qm", "aside"), ("switch", "-q", "work")):
            (job.workspace / "aside.txt").write_text("aside\n")
            git(job.workspace, "add", "-A")
            git(job.workspace, *words)
        team.replaced(3, "ann")(job)

    team.sprint({"ann": play})

    context = team.context()
    (ended,) = (e for e in context.mailbox.log.read() if e.kind == "run.finished" and "kept" in e.data)
    (kept,) = ended.data["kept"]
    assert (kept["where"], kept["heads"], kept["commits"]) == ("", ["branch aside"], 1)
    assert "kept as a bundle: branch aside" in ended.data["detail"]
    (mail,) = (mail for mail in context.mailbox.inbox("you") if mail.type == "escalate")
    assert (mail.sender, mail.subject) == ("scheduler", "ann: branch aside kept")
    bundle = team.folder.parent / "ann-1.bundle"
    bundle.write_bytes(context.mailbox.attachment(context.mailbox.read("you", mail.id, peek=True), "ann-1.bundle"))
    assert bundle.read_bytes() == context.mailbox.blobs.read(kept["bundle"]["sha256"])
    team.git("fetch", "-q", str(bundle), "refs/heads/*:refs/heads/kept/*")
    assert team.git("show", "kept/aside:aside.txt") == "aside"


def test_a_run_whose_files_cannot_be_captured_keeps_them(team, tmp_path, monkeypatch):
    """A filter that is required fails: the run fails in one clear sentence, and its work stays in the run's folder."""
    settings = tmp_path / "gitconfig"
    settings.write_text('[filter "crypt"]\n\tclean = cat\n\trequired = true\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    (team.folder / ".gitattributes").write_text("secret filter=crypt\n")
    team.git("add", ".gitattributes")
    team.git("commit", "-qm", "attributes")

    def play(job):
        (job.workspace / "secret").write_text("key\n")
        settings.write_text('[filter "crypt"]\n\tclean = false\n\trequired = true\n')

    team.sprint({"ann": play}, "[sprint]\nmax_attempts = 1\nretry_backoff = 0\n")

    run = next(run for run in team.context().state().runs if run.persona == "ann")
    assert run.status == "failed"
    assert run.detail.startswith("the filter 'crypt', which your git settings require, failed on secret;")
    assert (team.home / "runs" / run.id / "work/secret").read_text() == "key\n"


def test_a_sprint_in_a_sha256_repository_lands(team, monkeypatch):
    """Its branch is made from nothing, which has as many digits as the repository's ids."""
    subprocess.run(["rm", "-rf", team.folder / ".git"], check=True)
    for words in (("init", "-q", "-b", "main", "--object-format=sha256"), ("add", "poem.txt"), ("commit", "-qm", "x")):
        team.git(*words)
    result = team.sprint({"ann": team.replaced(3, "ann")})
    assert (result.converged, result.landed) == (True, ("ann",))


def test_a_sprint_with_one_round_of_conflicts_takes_three_ticks(team):
    """The author of the conflicting patch gets mail, runs again on the new base, and lands."""
    again = []

    def play(job):
        if job.attempt > 1:
            again.append(job)
        team.replaced(3 if job.attempt == 1 else 8, job.persona)(job)

    result = team.sprint({"ann": play, "bob": play, "cyd": team.replaced(23, "cyd")})
    assert (result.ticks, result.converged, result.conflicts, result.runs) == (3, True, 1, 4)
    text = team.text("team/sprint-1")
    assert {text[3], text[8], text[23]} == {"ann", "bob", "cyd"}
    (job,) = again
    assert "poem.txt" in job.prompt
    assert "conflict" in job.prompt.lower()
    (mail,) = team.context().mailbox.inbox(job.persona)
    assert (mail.sender, mail.type, mail.read) == ("weaver", "conflict", True)


def test_a_run_that_fails_before_it_changes_anything_leaves_no_work_of_its_own(team):
    """The merge that it was given is no change of it; the next attempt is given it again, and lands."""
    seen = []

    def play(job):
        if job.attempt == 1:
            return team.replaced(3, job.persona)(job)
        text = (job.workspace / "poem.txt").read_text()
        seen.append((text.count("<<<<<<< ours: "), (job.workspace / ".team/run/previous.patch").exists()))
        if job.attempt == 2:
            raise RuntimeError("no answer")
        (job.workspace / "poem.txt").write_text(re.sub(r"(?ms)^<<<<<<< .*?^=======\n|^>>>>>>> [^\n]*\n", "", text))
        return None

    result = team.sprint({"ann": play, "bob": play}, "[sprint]\nretry_backoff = 0\n")

    assert (result.converged, result.runs, seen) == (True, 5, [(1, False), (1, False)])
    ended = [e for e in team.context().mailbox.log.read() if e.kind == "run.finished"]
    assert not any("partial" in e.data for e in ended)


def test_merge_drivers_of_the_users_settings_are_used(team, tmp_path, monkeypatch):
    """What such a driver (mergiraf, for example) merges is no conflict; no other user setting applies."""
    config = tmp_path / "gitconfig"
    config.write_text(
        '[merge "both"]\n\tname = it\'s both\n\tdriver = "cat %A %B > %A.new && mv %A.new %A"\n'
        "[core]\n\thooksPath = /nowhere\n[alias]\n\tapply = !false\n"
    )
    (team.folder / ".gitattributes").write_text("poem.txt merge=both\n")
    team.git("add", ".gitattributes")
    team.git("commit", "--quiet", "-m", "Both")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    result = team.sprint({"ann": team.replaced(3, "ann"), "bob": team.replaced(3, "bob")})
    assert (result.conflicts, sorted(result.landed)) == (0, ["ann", "bob"])
    assert {"ann", "bob"} <= {*team.text("team/sprint-1")}


def test_in_sequential_mode_each_persona_sees_the_work_of_the_one_before(team):
    """There are no conflicts, at the price of a tick for each persona."""
    scripts = {name: team.replaced(3, name) for name in ("ann", "bob", "cyd")}
    result = team.sprint(scripts, request=StartRequest("asked for", "sequential"))
    assert (result.ticks, result.converged, result.conflicts, result.mode) == (4, True, 0, "sequential")
    assert team.text("team/sprint-1")[3] == "cyd"


def test_mail_is_marked_read_only_if_the_run_succeeded(team):
    """The mail of a failed run stays unread and is in the prompt of the next one."""
    prompts = []

    def ann(job):
        prompts.append(job.prompt)
        return Outcome("failed", 1, 0.1, "exit 1") if job.attempt == 1 else None

    ticker = team.ticker({"ann": ann}, "[sprint]\nretry_backoff = 0\n")
    ticker.context.mailbox.send(Letter("you", ["ann"], "The moon", "Look at the moon."))
    run_batch(ticker)
    assert [mail.read for mail in ticker.context.mailbox.inbox("ann")] == [False]
    run_batch(ticker)
    assert [mail.read for mail in ticker.context.mailbox.inbox("ann")] == [True]
    assert all("Look at the moon." in prompt for prompt in prompts)
    assert len(prompts) == 2


def test_mail_to_a_teammate_launches_it_in_the_next_tick(team):
    """Only the recipient is launched."""
    context = team.context({})

    def ann(job):
        context.mailbox.send(Letter("ann", ["bob"], "Please", "Read this.", run=job.run))

    result = team.sprint({"ann": ann})
    assert (result.ticks, result.runs, result.converged) == (3, 4, True)


def test_a_repeated_refusal_goes_to_the_human_with_everything_needed(team):
    """One mail has the runs, the last patch as attachment, and the commands to take over."""

    def ann(job):
        (job.workspace / "link").symlink_to("/etc/passwd")

    result = team.sprint({"ann": ann, "bob": team.replaced(3, "bob")})
    assert (result.converged, result.outcome, result.landed, result.set_aside) == (False, "spent", ("bob",), ("ann",))
    context = team.context()
    (mail,) = [context.mailbox.read("you", m.id) for m in context.mailbox.inbox("you") if m.type == "escalate"]
    assert "the same refusal twice in a row" in mail.subject
    assert mail.body.count("attempt ") == 2
    assert "git apply --3way" in mail.body
    (patch,) = mail.attachments
    assert b"/etc/passwd" in context.mailbox.blobs.read(patch["sha256"])
    assert len([m for m in context.mailbox.inbox("ann") if m.type == "feedback"]) == 2


def test_an_idle_tick_writes_one_event(team):
    """It is `tick.done`."""
    ticker = team.ticker()
    before = len(team.kinds())
    done = run_batch(ticker, StartRequest(otherwise="nothing is due"))
    assert done.plan.idle == "nothing is due"
    assert team.kinds()[before:] == ["tick.done"] if before else team.kinds() == ["log.opened", "tick.done"]


def test_a_dry_run_writes_nothing(team, tmp_path):
    """No mail, no branch, no object: the folder is unchanged to the byte."""

    def everything():
        return {path: path.read_bytes() for path in sorted(team.folder.rglob("*")) if path.is_file()}

    scripts = {name: team.replaced(3, name) for name in ("ann", "bob", "cyd")}
    run_batch(team.ticker(scripts))
    before = everything()
    preview = look_ahead(team.ticker(scripts), ASKED)
    assert everything() == before
    assert len(preview.plan.weave) == 3
    assert preview.woven
    assert len(preview.woven.landed) == 1
    assert len(preview.woven.conflicts) == 3


def test_patches_to_sensitive_files_wait_for_approval(team):
    """The patch is held, the human gets mail, and `approve` lets it land; a run cannot approve."""

    def ann(job):
        (job.workspace / ".gitattributes").write_text("* text\n")

    result = team.sprint({"ann": ann})
    assert (result.landed, result.set_aside, result.held) == ((), (), ("ann",))
    ticker = team.ticker()
    assert [m.type for m in ticker.context.mailbox.inbox("you") if m.sender == "weaver"] == ["question"]
    with pytest.raises(NoSuchRun, match=r"ann \("):
        approve_patch(ticker.context, "bob", "you")
    approve_patch(ticker.context, "ann", "you")
    run_batch(ticker)
    run_batch(ticker)
    assert team.git("show", "team/sprint-2:.gitattributes") == "* text"


def test_an_approval_that_nobody_gave_lands_nothing(team):
    """Whatever code an agent puts into the event; the status says so, and a person can still approve (A3)."""

    def ann(job):
        (job.workspace / ".gitattributes").write_text("* text\n")

    team.sprint({"ann": ann})
    context = team.ticker().context
    (held,) = context.state().of("held")
    for data in ({}, {"code": ""}, {"code": "0" * 64}, {"code": None}):
        context.append([Draft(Kind.PATCH_APPROVED, "you", ref=held.run, data=data)])
    context.append([Draft(Kind.PATCH_APPROVED, "scheduler", ref=held.run)])
    ticker = team.ticker()
    run_batch(ticker)

    (still,) = ticker.context.state().of("held")
    assert (still.run, still.approved) == (held.run, False)
    assert still.why == "an approval that is on record was not made by `scheduler approve` here, and does not count"
    approve_patch(ticker.context, "ann", "you")
    ticker.context.append([Draft(Kind.PATCH_APPROVED, "you", ref=held.run, data={"code": "1"})])
    run_batch(ticker)
    run_batch(ticker)
    assert team.git("show", "team/sprint-2:.gitattributes") == "* text"


def test_a_run_can_be_stopped_by_its_persona(team):
    """`scheduler stop` ends one run; the others continue, and the sprint converges without it."""
    started = threading.Event()

    def ann(job):
        started.set()
        assert job.stop.wait(20)
        return Outcome("stopped", None, 0.1, "stopped")

    ticker = team.ticker({"ann": ann, "bob": team.replaced(3, "bob")})
    with ThreadPoolExecutor(1) as pool:
        ticking = pool.submit(run_batch, ticker)
        assert started.wait(20)
        with pytest.raises(NoSuchRun, match="names 0 open runs"):
            stop_run(team.context(), "nobody", "you")
        stop_run(team.context(), "ann", "you")
        ticking.result()
    done = run_batch(ticker)
    assert (done.plan.finish, [landed.submission.persona for landed in done.integration.woven.landed]) == (
        "converged",
        ["bob"],
    )


def test_a_run_that_sends_too_much_mail_is_ended_with_its_quota_as_reason(team):
    """T15: more messages than `max_mails` in one run."""
    context = team.context({})

    def ann(job):
        for number in range(9):
            context.mailbox.send(Letter("ann", ["bob"], f"{number}", run=job.run))
        assert job.stop.wait(20)
        return Outcome("stopped", None, 0.1, "stopped")

    ticker = team.ticker({"ann": ann}, "[sprint]\nmax_mails = 5\nretry_backoff = 0\nmax_attempts = 1\n")
    run_batch(ticker)
    (run,) = [run for run in ticker.context.state().runs if run.persona == "ann"]
    assert (run.status, run.detail) == ("quota", "more than 5 mails in one run (max_mails)")


def test_stopping_the_scheduler_is_no_failure_of_its_runs(team):
    """Open runs are given up, cost no attempt, and are launched again by the next scheduler."""
    started = threading.Barrier(4)

    def wait(job):
        started.wait(20)
        assert job.stop.wait(20)
        return Outcome("stopped", None, 0.1, "stopped")

    scripts = dict.fromkeys(("ann", "bob", "cyd"), wait)
    ticker = team.ticker(scripts, "[sprint]\nmax_attempts = 1\n")
    with ThreadPoolExecutor(1) as pool:
        ticking = pool.submit(run_batch, ticker)
        started.wait(20)
        ticker.dispatcher.end()
        ticking.result()
    assert [run.status for run in ticker.context.state().runs] == ["lost"] * 3
    result = team.sprint({"ann": team.replaced(3, "ann")}, "[sprint]\nmax_attempts = 1\n")
    assert (result.converged, result.landed, result.runs) == (True, ("ann",), 6)


# -- branches


def test_landing_fast_forwards_the_base_and_its_checkout(team):
    """The files in the checkout are updated too."""
    team.sprint({"ann": team.replaced(3, "ann")})
    context = team.context()
    with pytest.raises(NoSuchRun, match="no sprint 7"):
        fast_forward_base(context, context.state(), 7)
    branch, commit, gained = fast_forward_base(context, context.state(), 1)
    assert (branch, gained, team.git("rev-parse", "main")) == ("main", 1, commit)
    assert team.git("status", "--porcelain", "--untracked-files=no") == ""
    assert (team.folder / "poem.txt").read_text().splitlines()[3] == "ann"


def test_landing_updates_the_worktree_of_the_branch_with_the_users_settings(team, tmp_path, monkeypatch):
    """Only that worktree's files and index change; the user's filters run as in any checkout."""
    config = tmp_path / "gitconfig"
    config.write_text('[filter "loud"]\n\tsmudge = tr a-z A-Z\n\tclean = tr A-Z a-z\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    linked = tmp_path / "linked"
    team.git("worktree", "add", "--quiet", "-b", "dev", str(linked))
    (linked / "poem.txt").touch()

    def ann(job):
        (job.workspace / ".gitignore").write_text("*.o\n")
        team.replaced(3, "ann")(job)

    team.sprint({"ann": ann}, '[team]\nbase = "dev"\n')
    context = team.context(settings='[team]\nbase = "dev"\n')
    (context.git.directory / "info").mkdir(exist_ok=True)
    (context.git.directory / "info" / "attributes").write_text("poem.txt filter=loud\n")
    assert fast_forward_base(context, context.state(), 1)[0] == "dev"
    assert (linked / "poem.txt").read_text().splitlines()[3] == "ANN"
    for checkout in (team.folder, linked):
        words = ["git", "status", "--porcelain", "--untracked-files=no"]
        assert subprocess.run(words, cwd=checkout, check=True, capture_output=True, text=True).stdout == ""


@pytest.mark.parametrize("most", [1, 10], ids=["the last that goes on", "beside others"])
def test_a_run_whose_end_could_not_be_written_is_given_up_and_launched_again(team, monkeypatch, most):
    """If the disk is full for a moment, that is reported, and the same process continues without the dead run."""
    ticker, reports = team.ticker({"ann": team.replaced(3, "ann")}, f"[sprint]\nmax_parallel = {most}\n"), []
    ticker.listener = ticker.dispatcher.listener = reports.append
    put, full = FileBlobs.put, [True]

    def refuse(blobs, data):
        if full and full.pop():
            raise OSError(errno.ENOSPC, "No space left on device")
        return put(blobs, data)

    monkeypatch.setattr(FileBlobs, "put", refuse)
    result = run_sprint(ticker, ASKED)
    assert (result.converged, result.landed, result.runs) == (True, ("ann",), 4)
    assert [run.status for run in ticker.context.state().runs].count("lost") == 1
    assert "No space left" in " ".join(report.text for report in reports)


def test_a_changed_gate_judges_again(team):
    """Passing the old command counts for nothing; the base fails the new one, and no patch is blamed."""
    gate = '[gates.sound]\ncommand = ["sh", "-c", "echo 1"]\nthreshold = {}\n'
    team.sprint({"ann": team.replaced(3, "ann")}, gate.format(1))
    context = team.context()
    fast_forward_base(context, context.state(), 1)
    result = team.sprint({"bob": team.replaced(5, "bob")}, gate.format(2))
    assert (result.landed, result.outcome, result.unjudged) == (("bob",), "unjudged", ("sound",))
    assert any("was red before" in mail.subject for mail in team.context().mailbox.inbox("you"))


def test_an_unattended_sprint_starts_from_unlanded_work(team):
    """Otherwise it would repeat the same work; a sprint started by a person starts from the base."""
    team.sprint({"ann": team.replaced(3, "ann")})
    team.sprint({"bob": team.replaced(5, "bob")}, request=StartRequest("every 900 s"))
    assert [team.text("team/sprint-2")[line] for line in (3, 5)] == ["ann", "bob"]
    team.sprint({"cyd": team.replaced(7, "cyd")}, request=ASKED)
    assert [team.text("team/sprint-3")[line] for line in (3, 5, 7)] == ["line 3", "line 5", "cyd"]
    context = team.context()
    assert fast_forward_base(context, context.state(), 2)[2] == 2
    team.git("branch", "--quiet", "other", "main~1")
    team.sprint({"bob": team.replaced(9, "bob")}, '[team]\nbase = "other"\n')
    team.sprint({"cyd": team.replaced(7, "cyd")}, request=StartRequest("every 900 s"))
    assert team.text("team/sprint-5")[9] == "line 9", "another base's work is not carried along"
    assert [team.text("team/sprint-5")[line] for line in (3, 5, 7)] == ["ann", "bob", "cyd"]


def test_an_unattended_sprint_goes_on_with_unlanded_work_on_a_base_that_has_moved(team):
    """What people did is merged with it, so that it still can be landed; what conflicts is left out, and told."""
    team.sprint({"ann": team.replaced(3, "ann")})
    (team.folder / "new.txt").write_text("by people\n")
    team.git("add", "new.txt")
    team.git("commit", "--quiet", "-m", "Meanwhile")
    later = StartRequest("every 900 s")
    team.sprint({"bob": team.replaced(5, "bob")}, request=later)
    assert [team.text("team/sprint-2")[line] for line in (3, 5)] == ["ann", "bob"]
    assert team.git("show", "team/sprint-2:new.txt") == "by people"
    context = team.context()
    assert fast_forward_base(context, context.state(), 2)[2] == 3

    team.sprint({"ann": team.replaced(7, "ann")})
    poem = team.folder / "poem.txt"
    poem.write_text(poem.read_text().replace("line 7", "people"))
    team.git("commit", "--quiet", "-am", "Meanwhile")
    team.sprint({"bob": team.replaced(9, "bob")}, request=later)
    assert [team.text("team/sprint-4")[line] for line in (7, 9)] == ["people", "bob"]
    (mail,) = [mail for mail in context.mailbox.inbox("you") if "conflicts with main" in mail.subject]
    assert "    poem.txt\n" in context.mailbox.read("you", mail.id).body


def test_an_unattended_sprint_starts_from_the_base_that_has_its_work_under_another_name(team):
    """People squashed the branch when they took it: nothing is left to merge."""
    team.sprint({"ann": team.replaced(3, "ann")})
    team.git("merge", "--quiet", "--squash", "team/sprint-1")
    team.git("commit", "--quiet", "-m", "Squashed")
    team.sprint({"bob": team.replaced(5, "bob")}, request=StartRequest("every 900 s"))
    assert team.git("rev-list", "--count", "main..team/sprint-2") == "1"


def test_auto_land_requires_every_gate_to_pass(team):
    """One that fails before them judges nothing, and nothing lands; one that cannot run prevents the start."""
    settings = '[team]\nauto_land = true\n[gates.sound]\ncommand = ["false"]\n'
    result = team.sprint({"ann": team.replaced(3, "ann")}, settings)
    assert (result.outcome, result.converged, result.landed) == ("unjudged", False, ("ann",))
    assert team.text("main")[3] == "line 3"
    context = team.context()
    mails = {mail.type: context.mailbox.read("you", mail.id) for mail in context.mailbox.inbox("you")}
    assert "Nothing was judged by gate sound" in mails["status"].body
    assert "gate sound has not passed" in mails["status"].body
    assert mails["escalate"].subject == "Gate sound was red before the sprint's work"
    with pytest.raises(NotReady, match="gate sound: 'no-such-gate' is not in PATH"):
        run_batch(team.ticker({}, '[gates.sound]\ncommand = ["no-such-gate"]\n'))


def test_auto_land_moves_the_base_after_a_converged_sprint(team):
    """If the base has moved, the mail says so and nothing is lost."""
    team.sprint({"ann": team.replaced(3, "ann")}, "[team]\nauto_land = true\n")
    assert team.git("rev-parse", "main") == team.git("rev-parse", "team/sprint-1")
    assert team.text("main")[3] == "ann"

    def meanwhile(job):
        team.replaced(5, "bob")(job)
        team.git("commit", "--quiet", "--allow-empty", "-m", "Meanwhile")

    team.sprint({"bob": meanwhile}, "[team]\nauto_land = true\n")
    context = team.context()
    bodies = [context.mailbox.read("you", m.id).body for m in context.mailbox.inbox("you") if m.type == "status"]
    assert "auto_land moved main to " in bodies[1]
    assert "auto_land did not move the base branch: main has moved on" in bodies[0]
    assert team.text("team/sprint-2")[5] == "bob"


def test_landing_is_refused_if_it_would_lose_something(team):
    """A moved base or a conflicting change in the checkout gives one line of error, and nothing changes."""
    team.sprint({"ann": team.replaced(3, "ann")})
    context, before = team.context(), team.git("rev-parse", "main")
    (team.folder / "poem.txt").write_text("mine\n")
    with pytest.raises(BranchMoved, match="in the way"):
        fast_forward_base(context, context.state(), 1)
    assert (team.git("rev-parse", "main"), (team.folder / "poem.txt").read_text()) == (before, "mine\n")
    team.git("commit", "--quiet", "-am", "Mine")
    with pytest.raises(BranchMoved, match="has moved on"):
        fast_forward_base(context, context.state(), 1)


def test_commits_of_people_on_the_sprint_branch_are_kept_and_a_rewritten_branch_is_woven_again(team):
    """What had landed comes back onto a branch that does not contain it any more."""
    ticker = team.ticker({name: team.replaced(line, name) for line, name in ((3, "ann"), (13, "bob"))})
    run_batch(ticker)
    team.git("switch", "--quiet", "team/sprint-1")
    (team.folder / "note.txt").write_text("by hand\n")
    team.git("add", "note.txt")
    team.git("commit", "--quiet", "-m", "By hand")
    team.git("switch", "--quiet", "main")
    assert run_batch(ticker).plan.finish == "converged"
    assert team.git("show", "team/sprint-1:note.txt") == "by hand"
    ticker = team.ticker({"ann": team.replaced(5, "ann")})
    run_batch(ticker)
    team.git("commit", "--quiet", "--allow-empty", "-m", "Elsewhere")
    team.git("commit", "--quiet", "--amend", "--allow-empty", "-m", "Rewritten")
    root = team.git("commit-tree", "-m", "root", "main^{tree}")
    team.git("update-ref", "refs/heads/team/sprint-2", root)
    assert run_batch(ticker).plan.finish == "converged"
    assert team.git("rev-parse", "team/sprint-2~") == root
    assert team.text("team/sprint-2")[5] == "ann"
    subjects = [mail.subject for mail in ticker.context.mailbox.inbox("you") if mail.type == "fyi"]
    assert subjects == ["team/sprint-2 was moved or deleted, and is woven again"]


def test_a_missing_base_or_agent_is_reported_before_anything_starts(team):
    """Each wrong setting gives one line of error, and no event is written."""
    shop_settings = '[team]\nbase = "trunk"\n'
    with pytest.raises(NotReady, match="no branch 'trunk' to start from; there are main"):
        run_batch(team.ticker({}, shop_settings))
    ticker = team.ticker({}, '[team]\nagent = "robot"\n[agents.robot]\ncommand = ["no-such-robot"]\n')
    with pytest.raises(NotReady, match="no-such-robot"):
        run_batch(ticker)
    assert team.kinds() == []
    assert team.git("branch", "--format=%(refname:short)") == "main"


def test_max_parallel_limits_concurrent_runs(team):
    """It limits a batch, however many personas are launched."""
    running, most = [], []

    def play(job):
        running.append(job.persona)
        most.append(len(running))
        team.replaced(3, "x")(job)
        running.remove(job.persona)

    for cap in (1, 2):
        running.clear()
        most.clear()
        ticker = team.ticker(dict.fromkeys(("ann", "bob", "cyd"), play), f"[sprint]\nmax_parallel = {cap}\n")
        run_batch(ticker)
        assert (len(most), max(most) <= cap) == (3, True)
        while not run_batch(ticker).plan.finish:
            pass


def test_pace_is_the_least_time_between_two_launches(team):
    """Some services fail if every run starts at once."""
    began = []
    scripts = dict.fromkeys(("ann", "bob", "cyd"), lambda _: began.append(time.monotonic()))
    run_batch(team.ticker(scripts, "[sprint]\npace = 0.2\n"))
    assert len(began) == 3
    assert began[2] - began[0] > 0.2


def test_a_persona_whose_prompt_cannot_be_rendered_is_set_aside_first(team):
    """The dry run and the mail to the human name file and line; the other personas run."""
    (team.home / "personas" / "ann.md").write_text("---\nid: ann\n---\nMind {{ nothing.of.the.kind }}.\n")
    plan = look_ahead(team.ticker(), ASKED).plan
    assert [launch.persona for launch in plan.launches] == ["bob", "cyd"]
    assert "ann.md:4" in plan.aside[0].why
    plan = team.sprint({"bob": team.replaced(3, "bob")})
    assert (plan.landed, plan.set_aside, plan.runs, plan.outcome) == (("bob",), ("ann",), 2, "spent")
    assert any("ann.md:4" in mail.subject for mail in team.context().mailbox.inbox("you"))


class Forgetful:
    """A log that drops events of one kind."""

    def __init__(self, log, kind):
        self._log = log
        self._kind = kind

    def append(self, drafts):
        return self._log.append([draft for draft in drafts if draft.kind != self._kind])

    def __getattr__(self, name):
        return getattr(self._log, name)


def test_a_tick_that_changes_nothing_ends_the_sprint_with_an_error(team):
    """If the log lost every `patch.conflicted`, the same patch would be woven again and again."""

    def once(job):
        if job.attempt == 1:
            team.replaced(3, job.persona)(job)

    ticker = team.ticker({"ann": once, "bob": once})
    mailbox = ticker.context.mailbox
    forgetful = Mailbox(
        Forgetful(mailbox.log, "patch.conflicted"), mailbox.blobs, mailbox.projections, mailbox.directory
    )
    ticker.context = ticker.dispatcher.context = replace(ticker.context, mailbox=forgetful)

    with pytest.raises(
        NoProgress, match=r"tick \d+ of sprint 1 changed nothing.*weave (ann|bob).*team-mail verify"
    ) as e:
        run_sprint(ticker, ASKED)

    assert e.value.exit_code == 1
    assert team.kinds("tick").count("tick.done") < 12


def test_a_retry_due_after_the_deadline_ends_the_sprint_at_once(team):
    """The pause is longer than the sprint may take."""
    ticker = team.ticker(
        dict.fromkeys(("ann", "bob"), lambda _: Outcome("failed", 1, 0.1, "exit 1")),
        "[sprint]\nretry_backoff = 500\ndeadline = 400\n",
    )
    object.__setattr__(ticker.context, "clock", ManualClock(ticker.context.clock.now()))
    began = time.monotonic()

    summary = run_sprint(ticker, ASKED)

    assert summary
    assert (summary.outcome, summary.converged, summary.runs) == ("deadline", False, 3)
    assert time.monotonic() - began < 100, "no pause was waited for"


def test_the_mail_about_a_persona_set_aside_quotes_the_end_of_its_output(team):
    """The human can read why an agent failed without looking for its output."""

    def ann(job):
        job.folder.joinpath("output.log").write_text("".join(f"step {number}\n" for number in range(30)) + "no disk\n")
        return Outcome("failed", 1, 0.1, "exit 1")

    team.sprint({"ann": ann}, "[sprint]\nretry_backoff = 0\nmax_attempts = 2\n")
    context = team.context()
    (mail,) = [context.mailbox.read("you", m.id) for m in context.mailbox.inbox("you") if m.type == "escalate"]

    assert "The output of the last run ends with:\n  | step 11\n" in mail.body
    assert "  | step 29\n  | no disk\n" in mail.body


def test_no_mail_names_a_path_of_the_team_folder(team):
    """On another machine, commands for a run's output and patch work, and paths do not."""

    def ann(job):
        (job.workspace / "link").symlink_to("/etc/passwd")

    def failing(_):
        return Outcome("failed", 1, 0.1, "exit 1")

    team.sprint({"ann": ann}, "[sprint]\nretry_backoff = 0\n")
    team.sprint(dict.fromkeys(("ann", "bob", "cyd"), failing), "[sprint]\nretry_backoff = 0\n")
    context = team.context()
    mails = [context.mailbox.read("you", m.id) for m in context.mailbox.inbox("you")]
    patch = next(patch for patch in context.state().patches if patch.persona == "ann")
    runs = [run for run in context.state().runs if run.sprint == 2]

    bodies = [mail.body for mail in mails if mail.sender == "scheduler"]
    assert not [body for body in bodies if ".team/" in body]
    (aside,) = [body for body in bodies if "set aside" in body and "git apply" in body]
    assert f"team trace {patch.run}" in aside
    assert f"team-mail attachment {context.state().of('refused')[-1].run} --persona you | git apply --3way" in aside
    (about,) = [mail.payload for mail in mails if mail.body == aside]
    assert (about["persona"], about["run"]) == ("ann", context.state().of("refused")[-1].run)
    (broken,) = [body for body in bodies if "Every run failed" in body]
    assert any(f"team trace {run.id}" in broken for run in runs)


def test_a_retry_waits_by_the_given_clock(team):
    """It starts once that clock has reached its time."""
    ticker = team.ticker({"ann": lambda _: Outcome("failed", 1, 0.1, "exit 1")})
    clock = ManualClock(ticker.context.clock.now())
    object.__setattr__(ticker.context, "clock", clock)
    run_batch(ticker)
    assert run_batch(ticker).plan.wait_until
    clock.sleep(60)
    assert [launch.attempt for launch in run_batch(ticker).plan.launches] == [2]


def test_half_a_change_of_a_failed_run_never_lands_and_its_next_attempt_gets_it(team):
    """The mail at the end tells of the run that failed, also where the sprint has converged."""
    seen = []

    def ann(job):
        team.replaced(3, "half" if job.attempt == 1 else "whole")(job)
        left = job.workspace / ".team" / "run" / "previous.patch"
        seen.append((left.exists() and "+half" in left.read_text(), "(killed by SIGKILL)" in job.prompt))
        return Outcome("failed", None, 0.1, "killed by SIGKILL") if job.attempt == 1 else None

    result = team.sprint({"ann": ann}, "[sprint]\nretry_backoff = 0\n")
    assert (result.converged, result.failed, team.text("team/sprint-1")[3]) == (True, 1, "whole")
    assert seen == [(False, False), (True, True)]
    mailbox = team.context().mailbox
    (bodies,) = [mailbox.read("you", mail.id).body for mail in mailbox.inbox("you") if mail.type == "status"]
    assert "1 run did not end well:\n  ann, attempt 1: failed, killed by SIGKILL  (team trace " in bodies


def test_a_persona_that_fails_to_the_end_is_told_though_the_others_converged(team):
    """Its last piece of work is attached to the mail about it, and nothing of it is on the branch."""

    def ann(job):
        team.replaced(3, "half")(job)
        return Outcome("failed", 1, 0.1, "exit 1")

    result = team.sprint({"ann": ann, "bob": team.replaced(13, "bob")}, "[sprint]\nretry_backoff = 0\n")
    assert (result.converged, result.outcome, result.set_aside, result.landed) == (False, "spent", ("ann",), ("bob",))
    assert "half" not in team.text("team/sprint-1")
    (aside,) = [mail for mail in team.context().mailbox.inbox("you") if mail.type == "escalate"]
    assert [attached["name"] for attached in aside.attachments] == ["ann.patch"]
