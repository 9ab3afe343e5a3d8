"""The real agents over the Agent Client Protocol: `kind = "acp"` in their table, and nothing besides."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from .clis import CLIS
from .model import CACHED, INPUT, NEWEST, OUTPUT
from .test_agents import scripts
from .test_trials import SCRIPT

pytestmark = [pytest.mark.agents, pytest.mark.timeout(300)]
SPOKEN = sorted(name for name, cli in CLIS.items() if cli.preset.acp)
each = pytest.mark.parametrize("cli", SPOKEN)


@each
def test_acp_a_trial_sees_what_the_preset_says_was_seen(project, model, cli):
    """Each step, in the version that the preset names."""
    known = project.cli.preset.by_protocol()
    project.team("ann", kind="acp")
    model.scripts = {"ann": {"": SCRIPT}}
    model.words["ann"] = "All four things are done."

    ended = project.run("team", "try", cli, "--yes", "--json", "--timeout", "2m")

    assert ended.stdout, ended.stderr
    (trial,) = json.loads(ended.stdout)["trials"]
    print(json.dumps(trial, indent=1))
    assert (ended.returncode, trial["works"]) == (0, True), trial
    assert known.seen
    assert trial["version"] == known.seen.version
    assert [step["step"] for step in trial["steps"] if step["seen"]] == [*known.seen.steps], trial


@each
@pytest.mark.parametrize("sandbox", ["none", "bwrap"])
def test_acp_a_sprint_lands_patches_carries_mail_and_settles_a_conflict(project, model, sandbox):
    """Both write files and a mail and change one line; the author of the conflict settles it in the files."""
    if sandbox == "bwrap" and not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed")
    project.team("ann", "bob", kind="acp", **({"sandbox": "bwrap"} if sandbox == "bwrap" else {}))
    project.start_once()
    model.scripts = {"ann": scripts("ann", "bob"), "bob": scripts("bob", "ann")}

    ended = project.run("scheduler", "sprint")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "converged" in ended.stdout
    files = project.git("ls-tree", "-r", "--name-only", "team/sprint-1").split()
    assert {"notes/ann.md", "notes/bob.md"} <= set(files)
    assert {"two of ann", "two of bob"} <= set(project.git("show", "team/sprint-1:poem.txt").splitlines())
    sent = {(e["sender"], *e["recipients"]) for e in project.events("mail.sent") if e.get("run")}
    assert {("ann", "bob"), ("bob", "ann")} <= sent
    assert project.events("patch.conflicted")


BESIDES = {"claude": 1, "qwen": 2}  # answers that no turn counts: of titles, and of what is suggested next


@each
def test_acp_tokens_and_the_session_are_on_record(project, model):
    """What is told is what the service counted; what is not told is unknown."""
    project.team("ann", "bob", kind="acp")
    model.scripts = {"ann": {"": ("echo A > a.txt", "cat a.txt")}}

    code, result = project.dispatch({"task_id": "try", "agent": "ann", "description": "Write a.txt"})

    assert code == 0, result
    (usage,) = (event["data"]["usage"] for event in project.events("run.finished"))
    print(f"{project.cli.name}: {model.answers} answers, {usage}")
    project.record("acp")
    assert usage["session"]
    told = project.cli.preset.acp.tells
    if "tokens" not in told:
        assert (usage["input"], usage["output"]) == (None, None)
        return
    answers = model.answers - BESIDES.get(project.cli.name, 0)
    assert (usage["input"], usage["output"]) == (answers * INPUT, answers * OUTPUT)
    assert usage["cached"] in {answers * CACHED, None}
    assert ("money" in told) == (usage["usd"] is not None and not usage["estimated"])


@each
def test_acp_what_a_persona_may_not_do_is_refused_by_the_protocol(project, model):
    """The rules are the persona's; Codex asks nothing about what its own sandbox allows."""
    if project.cli.name == "codex":
        pytest.skip("it does not ask")
    project.team("ann", kind="acp", more="[sprint]\nmax_attempts = 1\n")
    file = project.folder / ".team" / "personas" / "ann.md"
    file.write_text("---\nid: ann\ncommands: [cat *]\n---\nDo your part.\n")
    project.git("commit", "--quiet", "-am", "Confine ann")
    model.scripts = {"ann": {"": ("cat poem.txt", "touch refused.txt", "team-mail send --to you -s Hello -b Hello")}}

    ended = project.run("scheduler", "sprint")

    print(ended.stdout, ended.stderr)
    (log,) = (project.folder / ".team" / "runs").glob("*/output.log")
    refused = [json.loads(row) for row in log.read_text().splitlines() if '"permission_denied"' in row]
    assert [event["reason"] for event in refused] == [
        "touch refused.txt is no command that it may run; it may run cat *, and team-mail, without redirections"
    ]
    prompts = [request.text for request in model.requests if "Some of your tool calls were refused" in request.text]
    assert prompts
    assert "touch refused.txt is no command" in prompts[0]
    assert not project.events("patch.captured")


@pytest.mark.parametrize("cli", ["codex"])
def test_acp_in_its_mode_read_only_codex_changes_nothing_unasked(project, model):
    """Nothing else binds its commands: it has no policy any more by which it asks about what its sandbox allows."""
    project.team("ann", kind="acp", mode="read-only", more="[sprint]\nmax_attempts = 1\n")
    model.scripts = {"ann": {"": ("cat poem.txt", "touch refused.txt", ("send", {"to": ["you"], "subject": "Hello"}))}}

    ended = project.run("scheduler", "sprint")

    print(ended.stdout, ended.stderr)
    told = next(request.text for request in model.requests if request.persona == "ann" and request.answered == 2)
    assert "Read-only file system" in told
    assert not project.events("patch.captured")
    assert [event["subject"] for event in project.events("mail.sent") if event["run"]] == ["Hello"]


def beyond(command: str) -> tuple[str, dict]:
    """Return a call of Codex's shell that asks to be run outside of its sandbox."""
    asks = {"sandbox_permissions": "require_escalated", "justification": "May it be written?"}
    return "exec_command", {"cmd": command, **asks}


@pytest.mark.parametrize("cli", ["codex"])
def test_acp_what_codex_asks_to_run_outside_of_its_sandbox_is_answered_by_the_rules(project, model):
    """A persona with `commands` has its mode read-only: what it may run writes, the rest is refused with the reason."""
    project.team("ann", kind="acp", more="[sprint]\nmax_attempts = 1\n")
    file = project.folder / ".team" / "personas" / "ann.md"
    file.write_text("---\nid: ann\ncommands: [cat *, touch allowed.txt]\n---\nDo your part.\n")
    project.git("commit", "--quiet", "-am", "Confine ann")
    model.scripts = {"ann": {"": ("cat poem.txt", beyond("touch allowed.txt"), beyond("touch refused.txt"))}}

    ended = project.run("scheduler", "sprint")

    print(ended.stdout, ended.stderr)
    files = project.git("ls-tree", "-r", "--name-only", "team/sprint-1").split()
    assert "allowed.txt" in files
    assert "refused.txt" not in files
    (log,) = (project.folder / ".team" / "runs").glob("*/output.log")
    refused = [json.loads(row) for row in log.read_text().splitlines() if '"permission_denied"' in row]
    assert [event["reason"].partition(" is no")[0] for event in refused] == ["touch refused.txt"]
    assert any("Some of your tool calls were refused" in request.text for request in model.requests)


NO_END = "no output and no changed file for 15s|no end within 30s"
FAULTS = {
    "denied": "401|[Aa]uthentication|this key is not known here|not logged in",
    "refused": "request to the model failed|[Cc]onnection|fetch failed|[Uu]nable to connect|not connect",
    "cut": "request to the model failed|disconnected|terminated|Failed to get|closed|reset|ion error",
    "silent": NO_END,
}


@each
@pytest.mark.parametrize("fault", FAULTS)
def test_acp_a_run_whose_model_does_not_answer_is_no_success(project, model, fault):
    """Its error is what the agent said of it, be it that it ends or that it tries for ever."""
    project.team("ann", kind="acp", idle="15s")
    model.scripts = {"ann": {"": ("echo A > a.txt",)}}
    if fault == "refused":
        project.listen("ok", "http://127.0.0.1:9/ok")
    else:
        project.listen(fault)

    code, result = project.dispatch({"task_id": "try", "agent": "ann", "description": "Try it", "timeout_seconds": 30})

    error = result["results"][0]["error"]
    print(f"{project.cli.name}, {fault}: {result['summary']['total_time_ms']} ms: {error}")
    assert code == 1
    assert re.search(f"{FAULTS[fault]}|{NO_END}", error)
    if fault == "denied" and project.cli.name == "claude":
        assert re.search(r"not let in by its service; .*HTTP 401", error)


@each
@pytest.mark.parametrize("sandbox", ["none", "bwrap"])
def test_acp_mail_goes_by_tools_that_no_shell_carries(project, model, sandbox):
    """A persona that may run nothing sends by a tool; the run that this mail starts lists, reads and answers so."""
    if sandbox == "bwrap" and not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed")
    for name, more in (("ann", ""), ("bob", "scheduled: mail\n")):
        file = project.folder / ".team" / "personas" / f"{name}.md"
        file.write_text(f"---\nid: {name}\n{more}paths: []\ncommands: []\n---\nDo your part.\n")
    project.team(kind="acp", **({"sandbox": "bwrap"} if sandbox == "bwrap" else {}))
    first = ("send", {"to": ["bob"], "subject": "Fruit", "body": "The word is plum.", "type": "question"})
    model.scripts = {
        "ann": {"From: bob": (), "": (first,)},
        "bob": {
            "": (
                ("inbox", {"unread": False}),
                ("read", {"message": NEWEST, "ack": True}),
                ("send", {"reply_to": NEWEST, "body": "The word is pear."}),
            )
        },
    }

    ended = project.run("scheduler", "sprint")

    print(ended.stdout, ended.stderr)
    sent = [event for event in project.events("mail.sent") if event["run"]]
    assert [(event["sender"], event["recipients"], event["body"]) for event in sent] == [
        ("ann", ["bob"], "The word is plum."), ("bob", ["ann"], "The word is pear."),
    ]  # fmt: skip
    assert [event["sender"] for event in project.events("mail.acked")] == ["bob"]
    first, *_ = (request for request in model.requests if request.persona and request.tools)  # and is for no title
    assert any(re.search(r"team[-_]mail[-:_]+send$", name) for name in first.tools)  # at once, without a search


FOUND = {"claude", "codex", "copilot"}  # which go on in another folder when the first one is gone


@each
@pytest.mark.parametrize("resume", ["mail", "always"])
def test_acp_resume_goes_on_with_the_session_that_asked(project, model, resume):
    """The model is told again what was said before, and works in the new workspace; who finds none, says so."""
    project.team("ann", kind="acp", more=f'[sprint]\nresume = "{resume}"\n')
    model.words = {"ann": {"It is plum.": "Done.", "": "Which fruit, plum or pear?"}}
    assert project.run("scheduler", "sprint").returncode == 4
    (asked,) = [event for event in project.events("mail.sent") if event["data"]["type"] == "question"]
    (first,) = project.events("run.finished")
    project.run("team-mail", "reply", asked["id"], "--persona", "you", "-b", "It is plum.")
    model.scripts = {"ann": {"": ("mkdir -p notes && pwd > notes/where.txt",)}}
    before = len(model.requests)

    ended = project.run("scheduler", "sprint")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = "\n".join(request.text for request in model.requests[before:])
    end = project.events("run.finished")[-1]
    assert project.git("show", "team/sprint-2:notes/where.txt").endswith(end["run"])
    is_resumed = project.cli.name in FOUND
    assert (f"run `{first['run']}`" in told) == is_resumed
    assert (end["data"]["usage"]["session"] == first["data"]["usage"]["session"]) == is_resumed
    assert bool(end["data"].get("resumed")) == is_resumed
    assert ("starts without its earlier session: " in ended.stderr) != is_resumed


@pytest.mark.parametrize("cli", ["claude", "gemini"])
def test_acp_mail_to_a_run_that_goes_on_is_a_further_prompt(project, model):
    """With `deliver = "running"`, in the same session: its turn is over before the mail is named."""
    project.team("ann", "bob", kind="acp", more='[sprint]\ndeliver = "running"\n')
    arrived = "until ls .team/run/inbox/*.md > /dev/null 2>&1; do sleep 0.2; done"
    model.scripts = {
        "ann": {"": (arrived,)},
        "bob": {"": ("team-mail send --to ann -s Hurry -b 'The word is plum.'",)},
    }

    ended = project.run("scheduler", "sprint")

    print(ended.stdout, ended.stderr)
    assert ended.returncode == 0
    further = [r.text for r in model.requests if r.persona == "ann" and "While you worked, this came into" in r.text]
    assert further
    (mail,) = [event for event in project.events("mail.sent") if event["run"]]
    assert f"`{mail['seq']}.md`" in further[0]
