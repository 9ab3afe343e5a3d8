"""Whole sprints and dispatches with the real agents, as `team init` names them, and a model that follows a script."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from .clis import CLIS, KEY
from .model import CACHED, INPUT, OUTPUT

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


all_agents = pytest.mark.parametrize("cli", sorted(CLIS.keys() - {"aider"}))  # which has no tool to be called


def boxed() -> dict[str, object]:
    """Return the settings of an agent in our sandbox; the preset says what it needs there."""
    return {"sandbox": "bwrap"}


@all_agents
@pytest.mark.parametrize("sandbox", ["none", "bwrap"])
def test_a_sprint_lands_patches_carries_mail_and_settles_a_conflict(project, model, sandbox):
    """Both write files and a mail and change one line; the author of the conflict settles it in the files."""
    if sandbox == "bwrap" and not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed")
    project.team("ann", "bob", **(boxed() if sandbox == "bwrap" else {}))
    project.start_once()
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


@all_agents
def test_eight_at_once_share_a_home(project, model):
    """None of them stumbles over the settings, the sessions or the locks of another one.

    OpenCode may, on a busy machine, over its database in a new home: then it is tried again.
    """
    names = [f"p{number}" for number in range(8)]
    project.team(*names, more='[sprint]\nmax_parallel = 8\nretry_backoff = "1s"\n', timeout="4m", max_parallel=8)
    model.scripts = {name: {"": (f"mkdir -p notes && echo {name} > notes/{name}.md",)} for name in names}

    ended = project.run("scheduler", "sprint")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    files = project.git("ls-tree", "-r", "--name-only", "team/sprint-1").split()
    assert {f"notes/{name}.md" for name in names} <= {*files}
    assert len(project.events("run.finished")) == 8 or project.cli.name == "opencode"


SUPERVISED = """\
[sprint]
gather = "0s"
[teams.code]
members = ["nova"]
reviewers = ["cipher"]
[gates.security]
report = "cipher"
veto = true
[deploy]
command = ["cp", "app.txt", "{live}"]
"""
REVIEW = """\
if grep -q unsafe app.txt; then echo '{"veto": true, "veto_reason": "it is unsafe"}'
else echo '{"veto": false}'; fi > "$TEAM_OUTPUT"
"""


@all_agents
def test_a_round_with_a_veto_ends_approved_and_deployed(project, model):
    """The reviewer writes its report with its own tools; its veto wakes the author, who mends what it is about."""
    file = project.folder / ".team" / "personas" / "cipher.md"
    file.write_text("---\nid: cipher\nscheduled: mail\n---\nReview.\n")
    live = project.folder.parent / "live.txt"
    project.team("nova", more=SUPERVISED.format(live=live))
    model.scripts = {
        "nova": {"Type: veto": ("echo safe > app.txt && cat app.txt",), "": ("echo unsafe > app.txt",)},
        "cipher": {"": (REVIEW,)},
    }

    ended = project.run("scheduler", "sprint")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "APPROVED - Deploy" in ended.stdout
    assert live.read_text() == "safe\n"
    assert [event["data"]["report"].get("veto") for event in project.events("report.given")] == [True, False]
    (veto,) = [event for event in project.events("mail.sent") if event["data"]["type"] == "veto"]
    assert (veto["recipients"], "it is unsafe" in veto["subject"]) == (["nova"], True)


@all_agents
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


@all_agents
def test_a_request_in_plain_words_is_planned_carried_out_and_answered(project, model):
    """ "Debug the poem, then write a better line": planner, workers and reporter are played by one agent."""
    project.team("ann")
    tasks = {
        "tasks": [
            {
                "task_id": "find", "agent": "debug", "description": "Find the cause",
                "input_data": {"problem_description": "line two is dull", "affected_files": ["poem.txt"]},
            },
            {"task_id": "mend", "agent": "ann", "description": "Mend line two", "dependencies": ["find"]},
        ]
    }  # fmt: skip
    found = {"root_cause": "no colour", "findings": [], "suggested_fix": "add one", "severity": "low"}
    answer = {"answer": "Line two is red now (traces/mend.json).", "mend": {}}

    def gives(value: dict) -> tuple[str, ...]:
        return (f"cat > \"$TEAM_OUTPUT\" <<'END'\n{json.dumps(value)}\nEND",)

    model.scripts = {
        "planner": {"": gives(tasks)}, "debug": {"": gives(found)}, "reporter": {"": gives(answer)},
        "ann": {"": ("echo 'two, red' > line.txt",)},
    }  # fmt: skip
    ended = project.run("team", "ask", "Debug the poem, then write a better second line", "--yes", "--json")

    assert ended.returncode == 0, ended.stderr
    done = json.loads(ended.stdout)
    assert (done["answer"], done["dispatch"]["status"]) == (answer["answer"], "success")
    assert [task["task_id"] for task in done["tasks"]] == ["find", "mend"]
    branches = project.git("branch", "--list", "team/dispatch-*", "--format=%(refname:short)").split()
    assert "line.txt" in {name for branch in branches for name in project.git("ls-tree", "--name-only", branch).split()}


UNTOLD = {"copilot"}  # it tells no tokens


@all_agents
def test_the_tokens_of_a_run_are_those_that_the_model_counted(project, model):
    """What an agent tells is what it was billed for; what it does not tell is unknown, and never 0."""
    project.team("ann", "bob", more="[prices.fake]\ninput = 2\ncached = 1\noutput = 10\n")
    model.scripts = {"ann": {"": ("echo A > a.txt", "cat a.txt")}}

    code, result = project.dispatch({"task_id": "try", "agent": "ann", "description": "Write a.txt"})

    assert code == 0, result
    (usage,) = (event["data"]["usage"] for event in project.events("run.finished"))
    print(f"{project.cli.name}: {model.answers} answers, {usage}")
    assert usage["session"]
    answers = 3 if project.cli.name == "opencode" else model.answers  # which asks for a title besides, and tells less
    told = (answers * INPUT, answers * CACHED, answers * OUTPUT)
    assert (usage["input"], usage["cached"], usage["output"]) == ((None,) * 3 if project.cli.name in UNTOLD else told)
    if usage["model"] == "fake":
        assert usage["usd"] == pytest.approx(answers * (2 * (INPUT - CACHED) + CACHED + 10 * OUTPUT) / 1e6)
        assert usage["estimated"]


@pytest.mark.parametrize("cli", ["claude"])
def test_claude_that_is_denied_its_tools_has_failed(project, model):
    """Without a list of allowed tools, `dontAsk` denies them all, and Claude's own last event says success."""
    command = [*project.cli.preset.words()]
    at = command.index("--allowedTools")
    project.team("ann", command=command[:at] + command[at + 2 :], more="[sprint]\nmax_attempts = 1\n")
    model.scripts = {"ann": {"": ("echo A > a.txt",)}}
    model.words["ann"] = "a.txt is written."

    code, result = project.dispatch({"task_id": "write", "agent": "ann", "description": "Write a.txt"})

    assert code != 0
    assert result["results"][0]["error"] == "exit 0, but it was not allowed to use Bash, and changed nothing"
    ended = project.run("scheduler", "sprint")
    assert ended.returncode == 4, ended
    assert "was not allowed to use Bash" in ended.stdout + ended.stderr


@pytest.mark.parametrize("cli", ["codex"])
def test_codex_works_within_its_sandbox(project, model):
    """It may write in its workspace alone, and not in `.git`; that is enough for a patch, mail and a result."""
    project.team("ann", "bob")
    outside = project.home / "outside"
    model.scripts = {
        "ann": {
            "": (
                f"touch {outside}; touch .git/outside; touch ../outside; echo A > a.txt",
                'team-mail send --to bob -s "From ann" -b "Hello." && echo \'{"sent": true}\' > "$TEAM_OUTPUT"',
            )
        }
    }

    code, result = project.dispatch({"task_id": "try", "agent": "ann", "description": "Try it"})

    assert (code, result["results"][0]["output"]) == (0, {"sent": True}), result
    assert [event["sender"] for event in project.events("mail.sent") if event.get("run")] == ["ann"]
    assert not outside.exists()
    assert model.requests[-1].headers["authorization"] == f"Bearer {KEY}"
    said = model.requests[-1].text
    assert said.count("Read-only file system") == 3 or said.count("Permission denied") == 3, said[-3000:]


BLOCK = """\
{file}
```
<<<<<<< SEARCH
{old}=======
{new}>>>>>>> REPLACE
```
"""


WHOLE = "{file}\n```\n{text}```\n"
BY_WORDS = ["--edit-format", "whole", "--no-show-model-warnings"]  # it is given whole files by the words of its model


@pytest.mark.parametrize("cli", ["aider"])
@pytest.mark.parametrize("sandbox", ["none", "bwrap"])
def test_aider_lands_patches_and_settles_a_conflict(project, model, sandbox):
    """Both write a file and change one line; the author of the conflict settles it."""
    if sandbox == "bwrap" and not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed")
    project.team("ann", "bob", args=BY_WORDS, **(boxed() if sandbox == "bwrap" else {}))
    settled = WHOLE.format(file="poem.txt", text="one\ntwo of ann\ntwo of bob\nthree\n")
    for name in ("ann", "bob"):
        changed = WHOLE.format(file="poem.txt", text=f"one\ntwo of {name}\nthree\n")
        made = WHOLE.format(file=f"notes/{name}.md", text=f"By {name}.\n")
        model.words[name] = {"Type: conflict": settled, "": changed + made}

    ended = project.run("scheduler", "sprint")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "converged" in ended.stdout
    files = project.git("ls-tree", "-r", "--name-only", "team/sprint-1").split()
    assert {"notes/ann.md", "notes/bob.md"} <= set(files)
    assert ".gitignore" not in files
    assert {"two of ann", "two of bob"} <= set(project.git("show", "team/sprint-1:poem.txt").splitlines())
    assert project.events("patch.conflicted")


@pytest.mark.parametrize("cli", ["aider"])
def test_eight_of_aider_share_a_home_and_give_results(project, model):
    """It writes no file that git ignores, so the result of a task is the JSON that it says last."""
    names = [f"p{number}" for number in range(8)]
    project.team(*names, timeout="4m", args=BY_WORDS, more="[sprint]\nmax_parallel = 8\n")
    for name in names:
        made = WHOLE.format(file=f"notes/{name}.md", text=f"By {name}.\n")
        model.words[name] = f'{made}\n{{"by": "{name}"}}\n'

    code, result = project.dispatch(*({"task_id": name, "agent": name, "description": "Write it"} for name in names))

    assert code == 0, result
    assert [task["output"] for task in result["results"]] == [{"by": name} for name in names]
    branch = project.git("branch", "--list", "team/dispatch-*", "--format=%(refname:short)")
    files = project.git("ls-tree", "-r", "--name-only", branch).split()
    assert {f"notes/{name}.md" for name in names} <= {*files}


@pytest.mark.parametrize("cli", ["aider"])
def test_what_aider_tells_of_tokens_and_money_is_that_of_the_service(project, model):
    """Rounded to two digits from a thousand on; it names no part of them as one from a cache unless told."""
    project.team("ann", "bob", more="[prices.fake]\ninput = 2\noutput = 10\n")
    model.words["ann"] = BLOCK.format(file="poem.txt", old="two\n", new="two of ann\n")

    code, result = project.dispatch({"task_id": "try", "agent": "ann", "description": "Change poem.txt"})

    assert code == 0, result
    (usage,) = (event["data"]["usage"] for event in project.events("run.finished"))
    print(f"aider: {model.answers} answers, {usage}")
    assert (usage["input"], usage["output"]) == (model.answers * INPUT, model.answers * OUTPUT)
    assert usage["usd"] == pytest.approx(model.answers * (2 * INPUT + 10 * OUTPUT) / 1e6)
    assert usage["estimated"]


@pytest.mark.parametrize("cli", ["aider"])
def test_what_aider_tells_of_money_is_what_its_own_table_of_prices_says(project, model):
    """2.50 and 10 dollars for a million tokens of gpt-4o, when this was written."""
    project.team("ann", "bob", model="openai/gpt-4o")
    model.words["ann"] = BLOCK.format(file="poem.txt", old="two\n", new="two of ann\n")

    code, result = project.dispatch({"task_id": "try", "agent": "ann", "description": "Change poem.txt"})

    assert code == 0, result
    (usage,) = (event["data"]["usage"] for event in project.events("run.finished"))
    assert usage["usd"] == pytest.approx(model.answers * (2.5 * INPUT + 10 * OUTPUT) / 1e6, rel=0.05)
    assert not usage["estimated"]


@pytest.mark.parametrize("cli", ["aider"])
def test_aider_lands_a_patch_without_litter(project, model):
    """It changes files by the model's words alone, adds a line to `.gitignore`, and changes no file that is ignored."""
    project.team("ann", "bob")
    model.words["ann"] = BLOCK.format(file="poem.txt", old="two\n", new="two of ann\n") + BLOCK.format(
        file=".team/run/outbox/note.md", old="", new="---\nto: bob\nsubject: From ann\n---\nHello.\n"
    )

    code, result = project.dispatch({"task_id": "try", "agent": "ann", "description": "Change poem.txt"})

    assert code == 0, result
    branch = project.git("branch", "--list", "team/dispatch-*", "--format=%(refname:short)")
    assert project.git("diff", "--name-only", "main", branch) == "poem.txt"
    assert "two of ann" in project.git("show", f"{branch}:poem.txt").splitlines()
    assert not project.events("mail.sent"), "docs/agents.md says that it cannot send mail"


# What a run tells whose model does not answer as it should. Qwen says nothing while it tries again.
FAULTS = {
    "denied": "401|authentication_failed|this key is not known here",
    "refused": "request to the model failed|onnection (failed|error|refused)|fetch failed|nable to connect|not connect",
    "cut": "request to the model failed|stream disconnected|terminated|Failed to get response|closed|reset|ion error",
    "silent": "no output and no changed file for 15s",
}


@pytest.mark.parametrize("cli", sorted(CLIS))
@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_whose_model_does_not_answer_says_so(project, model, fault):
    """It is no success, and its error is what the agent said of it, be it that it ends or that it tries for ever."""
    project.team("ann", idle="15s")
    model.scripts = {"ann": {"": ("echo A > a.txt",)}}
    if fault == "refused":
        project.listen("ok", "http://127.0.0.1:9/ok")
    else:
        project.listen(fault)

    code, result = project.dispatch({"task_id": "try", "agent": "ann", "description": "Try it", "timeout_seconds": 30})

    error = result["results"][0]["error"]
    print(f"{project.cli.name}, {fault}: {result['summary']['total_time_ms']} ms: {error}")
    assert code == 1
    if fault != "silent":
        project.record(fault)
    assert re.search(FAULTS[fault], error)


MUTE = {"qwen"}  # it says nothing while it tries again
TELL_NO_TIME = {"claude", "codex", "qwen"}  # of what the service says


@pytest.mark.parametrize("cli", sorted(CLIS))
@pytest.mark.parametrize("fault", ["throttled", "limited", "overloaded"])
def test_a_service_that_takes_no_more_spends_no_attempt(project, model, fault):
    """The persona is parked: until the time that the service named, if its agent passes that on."""
    project.team("ann", idle="15s", timeout="40s")
    project.listen(fault)

    assert project.run("scheduler", "tick", "--set", "sprint.rolling=never").returncode == 0

    if fault == "throttled":
        project.record(fault)
    (ended,) = (event["data"] for event in project.events("run.finished"))
    (skip,) = json.loads(project.run("scheduler", "--dry-run", "--json").stdout)["skips"]
    print(f"{project.cli.name}, {fault}: {ended['status']}, until {ended.get('until')}, {ended['detail']}")
    if project.cli.name in MUTE:
        assert ended["status"] == "timeout"
        return
    assert ended["status"] == "limited"
    assert bool(ended.get("until")) == (fault == "limited" and project.cli.name not in TELL_NO_TIME)
    assert skip["why"].startswith("parked until ")


RESUMED = {"claude", "codex", "copilot", "gemini"}  # which find a session from another folder


@all_agents
@pytest.mark.parametrize("sandbox", ["none", "bwrap"])
def test_an_answer_resumes_the_session_that_asked(project, model, sandbox):
    """The model is told again what was said before, and the tools work in the new workspace; who cannot, says why."""
    if sandbox == "bwrap" and not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed")
    for name in project.cli.preset.home:  # a user's are there, and a sandbox shows what is there
        if not name.endswith(".json"):
            (project.home / name).mkdir(parents=True, exist_ok=True)
    project.team("ann", more='[sprint]\nresume = "mail"\n', **(boxed() if sandbox == "bwrap" else {}))
    model.words = {"ann": {"It is plum.": "Done.", "": "Which fruit, plum or pear?"}}
    assert project.run("scheduler", "sprint").returncode == 4
    (asked,) = [event for event in project.events("mail.sent") if event["data"]["type"] == "question"]
    (first,) = project.events("run.started")
    project.run("team-mail", "reply", asked["id"], "--persona", "you", "-b", "It is plum.")
    model.scripts = {"ann": {"": ("mkdir -p notes && pwd > notes/where.txt",)}}
    before = len(model.requests)

    ended = project.run("scheduler", "sprint")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = "\n".join(request.text for request in model.requests[before:])
    last, end = project.events("run.started")[-1], project.events("run.finished")[-1]
    assert project.git("show", "team/sprint-2:notes/where.txt").endswith(last["run"])
    is_resumed = project.cli.name in RESUMED
    assert (f"run `{first['run']}`" in told) == is_resumed
    assert bool(end["data"].get("resumed")) == is_resumed
    assert ("starts without its earlier session: its sessions" in ended.stderr) != is_resumed


@all_agents
def test_a_session_that_is_gone_is_not_resumed(project, model):
    """The run starts afresh, and says so."""
    project.team("ann", more='[sprint]\nresume = "mail"\n')
    model.words = {"ann": {"It is plum.": "Done.", "": "Which fruit, plum or pear?"}}
    project.run("scheduler", "sprint")
    (asked,) = [event for event in project.events("mail.sent") if event["data"]["type"] == "question"]
    project.run("team-mail", "reply", asked["id"], "--persona", "you", "-b", "It is plum.")
    for name in (".claude", ".codex/sessions", ".copilot", ".gemini/tmp"):
        shutil.rmtree(project.home / name, ignore_errors=True)

    ended = project.run("scheduler", "sprint")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "starts without its earlier session: its session" in ended.stderr


@pytest.mark.parametrize("cli", ["claude"])
def test_a_file_of_another_tool_narrows_what_the_agent_may_do(project, model):
    """Who has no tool that writes is offered none, and a shell for `team-mail` alone; the other one writes."""
    files = project.folder / ".claude" / "agents"
    files.mkdir(parents=True)
    for name, tools in (("critic", "Read, Grep"), ("writer", "Read, Write, Bash(touch poem.txt)")):
        (files / f"{name}.md").write_text(
            f"---\nname: {name}\ndescription: Reads.\ntools: {tools}\nscheduled: true\n---\nDo your part.\n"
        )
    project.team(more="[sprint]\nmax_attempts = 1\n")
    settings = project.folder / ".team" / "team.toml"
    settings.write_text(settings.read_text().replace("[team]", '[team]\npersonas = [".claude/agents"]', 1))
    project.git("commit", "-qam", "Read them")
    write = ("Write", {"file_path": "new.txt", "content": "x"})
    model.scripts = {
        "critic": {"": ("team-mail send --to you -s Look -b plum", "touch by-shell.txt", write)},
        "writer": {"": ("touch by-shell.txt", write)},
    }

    ended = project.run("scheduler", "sprint", "--json")

    assert ended.stdout, ended.stderr
    offered = {name: {*each.tools} for each in model.requests if (name := each.persona)}
    assert not {"Write", "Edit", "NotebookEdit"} & offered["critic"]
    assert "Write" in offered["writer"]
    assert {event["data"]["status"] for event in project.events("run.finished")} == {
        "ok",
        "failed",
    }  # denied, and no change
    changed = project.git("ls-tree", "-r", "--name-only", "team/sprint-1").split()
    assert "new.txt" in changed
    assert "by-shell.txt" not in changed
    assert [event for event in project.events("mail.sent") if event["sender"] == "critic"]
