"""Trials: one run of an agent that must write, mail, read, settle a conflict and end, and what each failure tells.

The agents here are scripts that fail as real ones did; all else is real: keeper, prompt, mail, weaver.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from team_mail.personas.agent import Outcome
from team_mail.personas.agents.presets.preset import preset
from team_mail.personas.agents.verdict import verdict, with_last_words
from team_mail.personas.kinds import OutcomeStatus
from team_mail.personas.streams.stream import read_stream
from team_mail.team.trial.scene import KEPT, NOTE, OTHERS, TRIED
from team_mail.team.trial.steps import RunFacts, steps

from ..console import as_text, run_command
from ..samples import STORM
from ..sandboxes import SANDBOXED

SETTLE = "sed -i -e '/^||||||| /,/^=======$/d;/^<<<<<<< /d;/^>>>>>>> /d' poem.txt\n"
WRITE = "mkdir -p trial\ncat .team/run/attachments/*/word.txt > trial/word.txt\n"
SEND = 'team-mail send --to bob -s "The word" -b "$(cat .team/run/attachments/*/word.txt)"\n'
SAY = 'echo "All four things are done."\n'
STREAMS = Path(__file__).parent.parent / "personas" / "streams" / "printed"  # made by RECORD=1 make agents
STEPS = ["write", "send", "read", "settle", "end"]


def claude(*events: dict) -> str:
    """Print events as Claude does; the last one is its result."""
    return "".join(f"cat <<'END'\n{json.dumps(event)}\nEND\n" for event in events)


@pytest.fixture
def team(tmp_path):
    """Run `team try` with an agent that is a script; return the exit code and the JSON, or what is on stderr."""
    folder, home = tmp_path / "project", tmp_path / "home"
    (folder / ".team").mkdir(parents=True)
    home.mkdir()
    environ = {"HOME": str(home), "LANG": "C.UTF-8", "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}

    def run(script: str, *words: str, table: str = "", timeout: str = "30s", **more: str):
        program = folder / "agent.sh"
        program.write_text(f"#!/bin/bash\n{script}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        (folder / ".team" / "team.toml").write_text(f'[agents.script]\ncommand = ["./agent.sh"]\n{table}')
        ended = as_text(
            run_command(
                "team", "try", "script", *(words or ("--yes", "--json", "--timeout", timeout)), cwd=folder,
                env=environ | more,
            )
        )  # fmt: skip
        return ended.returncode, json.loads(ended.stdout)["trials"][0] if ended.stdout else ended.stderr

    run.folder, run.home, run.environ = folder, home, environ
    return run


def seen(trial: dict) -> list[str]:
    return [step["step"] for step in trial["steps"] if step["seen"]]


def repair(trial: dict, step: str) -> str:
    return next(each["repair"] for each in trial["steps"] if each["step"] == step)


def kept(team) -> list[Path]:
    return [*(team.home / ".local" / "state" / "team-mail").glob("try-*")]


def test_an_agent_that_does_all_of_it_is_seen_to(team):
    """Its run takes part in a real sprint, and nothing of the scratch repository is left."""
    code, trial = team(SETTLE + WRITE + SEND + SAY)

    assert (code, seen(trial), trial["works"]) == (0, STEPS, True)
    assert trial["seconds"] > 0
    assert (trial["money_usd"], trial["tokens_in"], trial["tokens_out"]) == (None, None, None)
    assert kept(team) == []
    assert sorted(path.name for path in team.folder.iterdir()) == [".team", "agent.sh"]
    assert sorted(path.name for path in (team.folder / ".team").iterdir()) == ["team.toml"]


def test_an_agent_that_is_denied_its_tools_is_told_which_to_allow(team):
    """Claude says success then, and exits with 0; the preset knows the words that are missing."""
    result = {
        "type": "result", "subtype": "success", "is_error": False, "result": "it is done", "total_cost_usd": 0.02,
        "permission_denials": [{"tool_name": "Write"}, {"tool_name": "Bash"}, {"tool_name": "Write"}],
    }  # fmt: skip
    code, trial = team(claude({"type": "system", "subtype": "init"}, result), table='preset = "claude"\n')

    assert (code, seen(trial)) == (1, ["end"])
    expected = "denied Write, Bash: add Write, Bash to the list after --allowedTools in its command"
    assert {repair(trial, step) for step in STEPS[:-1]} == {expected}
    assert trial["money_usd"] == 0.02
    assert Path(trial["output"]).read_text().count("permission_denials") == 1


def test_money_that_an_agent_does_not_tell_is_estimated_by_the_prices_of_its_model(team):
    """Those of the team count, and it is said that nobody told it."""
    prices = "[prices.fake]\ninput = 2\ncached = 1\noutput = 10\n"
    stream = Path(__file__).parent.parent / "personas" / "streams" / "recorded" / "qwen.jsonl"
    _, trial = team(SETTLE + WRITE + SEND + f"cat {stream}\n", table=prices)

    cost = (2 * 600 + 2400 + 10 * 150) / 1e6
    assert (trial["money_usd"], trial["money_estimated"], trial["tokens_in"]) == (cost, True, 3000)
    ended = as_text(run_command("team", "try", "--yes", "script", cwd=team.folder, env=team.environ))
    assert "3,000 tokens in and 150 out, about $0.0051 (money by a table of prices)" in ended.stdout


def test_an_agent_that_is_mute_is_told_that_it_sent_no_mail(team):
    """It does the rest."""
    code, trial = team(SETTLE + WRITE + SAY)

    assert (code, seen(trial)) == (1, ["write", "read", "settle", "end"])
    assert repair(trial, "send") == (
        "it sent no mail: see that it may run shell commands, such as team-mail; it ended with: "
        "All four things are done."
    )


def done(*events: dict) -> dict[str, str]:
    """Return the steps that are not seen of a run that did all but send its mail, and printed events; each's repair."""
    said = read_stream("".join(f"{json.dumps(event)}\n" for event in events).encode())
    poem = " ".join([TRIED, *OTHERS, *KEPT])
    facts = RunFacts("word", OutcomeStatus.OK, 0, "exit 0", [NOTE], "+word\n", (), poem, said)
    return {step.name: step.repair for step in steps(facts, None, login=True) if not step.seen}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("/bin/bash: line 1: team-mail: command not found", "its shell did not find team-mail"),
        ("touch: cannot touch 'x': Read-only file system", "refused by its own sandbox (touch: cannot touch 'x': Read"),
    ],
)
def test_what_its_own_shell_answered_explains_why_it_was_mute(output, expected):
    """A login shell that lost PATH, and a sandbox that cannot write, stand in the outputs of its tools."""
    call = {"type": "tool_use", "id": "1", "name": "Bash", "input": {"command": "team-mail send"}}
    answer = {"type": "tool_result", "tool_use_id": "1", "content": output}
    missing = done(
        {"type": "assistant", "message": {"content": [call]}},
        {"type": "user", "message": {"content": [answer]}},
        {"type": "result", "subtype": "success", "is_error": False, "result": "done"},
    )

    assert [*missing] == ["send"]
    assert missing["send"].startswith(expected)


def test_a_call_of_team_mail_that_was_refused_is_quoted():
    """Gemini refuses some commands, and tells it in the answer of its tool."""
    use = {"type": "tool_use", "tool_id": "1", "tool_name": "run_shell_command", "parameters": {"command": "team-mail"}}
    answer = {"type": "tool_result", "tool_id": "1", "status": "error", "output": "Command substitution is not allowed"}
    missing = done(use, answer, {"type": "result", "status": "success"})

    assert missing == {"send": "its call of team-mail failed: Command substitution is not allowed"}


def test_an_agent_that_does_not_end_is_told_of_what_it_waits_for(team):
    """What it did before counts; it is ended, with its children."""
    code, trial = team(
        SETTLE + WRITE + SEND + "echo 'Open this address to log in: …'\nsleep 60 &\nwait\n", timeout="4s"
    )

    assert code == 1
    assert {"send", "read", "write"} <= {*seen(trial)}
    assert "end" not in seen(trial)
    assert "no end within 4s" in repair(trial, "end")
    assert "Open this address to log in" in repair(trial, "end")
    assert "see what it waits for" in repair(trial, "end")


def test_an_agent_without_a_key_is_told_how_to_get_one(team):
    """One that fails, and has neither a key nor a login, most likely fails for that."""
    code, trial = team("echo 'Not logged in' >&2\nexit 1\n", table='preset = "codex"\nenv = []\n')
    assert (code, seen(trial)) == (1, [])
    assert repair(trial, "end").startswith("no key and no login was found: run `codex login`")

    (team.home / ".codex").mkdir()
    (team.home / ".codex" / "auth.json").touch()
    _, trial = team("echo 'Not logged in' >&2\nexit 1\n", table='preset = "codex"\n')
    assert repair(trial, "end").startswith("exit 1")
    assert "Not logged in" in repair(trial, "end")
    assert repair(trial, "write").startswith("it did not come so far, or could not: exit 1")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("", "it left the marks of the conflict in poem.txt: see that it may change files that are there"),
        pytest.param(
            "git checkout -q -- poem.txt\n", "it did not change poem.txt, which has the conflict", marks=STORM
        ),
        pytest.param(
            SETTLE + "sed -i /bob/d poem.txt\n", "what landed of poem.txt has not the words of everybody", marks=STORM
        ),
    ],
)
def test_an_agent_that_does_not_settle_the_conflict_is_told(team, change, expected):
    """It leaves the marks, takes the branch as it is, or drops what a colleague wrote."""
    code, trial = team(change + WRITE + SEND + SAY)

    assert (code, seen(trial)) == (1, ["write", "send", "read", "end"])
    assert repair(trial, "settle").startswith(expected)


def test_what_an_agent_is_known_not_to_do_is_no_failure(team):
    """Aider cannot send mail, and nothing mends that."""
    words = "mkdir trial && echo unknown > trial/word.txt\n"
    code, trial = team(SETTLE + words, table='preset = "aider"\nprompt = "stdin"\n')

    assert (code, seen(trial), trial["works"]) == (0, ["write", "settle", "end"], True)
    assert [step["step"] for step in trial["steps"] if step["known"]] == ["send", "read"]
    assert "no tool for shell commands" in repair(trial, "send")
    assert kept(team) == []


def test_an_agent_that_prints_text_where_events_are_expected_is_told():
    """Without them nothing is known of its tools."""
    said, known = read_stream(b"hello\n"), preset("opencode")
    facts = RunFacts("word", OutcomeStatus.OK, 0, "exit 0", (), "", (), "", said)
    assert steps(facts, known, login=True)[0].repair.startswith("it printed no JSON events")


UNPRICED = {"aider", "opencode"}  # they tell nothing, or 0, for a model whose price they do not know
UNTOLD = {"copilot"}  # with a key of one's own provider
RECORDED = ("aider", "claude", "codex", "copilot", "gemini", "opencode", "qwen")


@pytest.mark.parametrize("name", RECORDED)
def test_the_recorded_output_of_a_real_agent_is_that_of_a_success(name):
    """Byte by byte what the real program printed: how it ended, and what it used where the program tells that."""
    said = read_stream((STREAMS / f"{name}.done.txt").read_bytes())
    outcome = verdict(Outcome(OutcomeStatus.OK, 0, 1.0, "exit 0"), said)

    assert (outcome.status, outcome.unless_changed, outcome.unless_heard) == (OutcomeStatus.OK, "", "")
    assert (said.usage.usd is not None) == (bool(preset(name).money) and name not in UNPRICED)
    assert (said.usage.input is not None) == (bool(preset(name).tokens) and name not in UNTOLD)


# The rest of the way is the same for all: here for text, and for events with money; else in the storm.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in {"aider", "claude"} else STORM) for name in RECORDED]
)
def test_the_recorded_output_of_a_real_agent_is_read(team, name):
    """A script does the work and prints what the real program printed."""
    stream = STREAMS / f"{name}.done.txt"
    table = f'preset = "{name}"\nprompt = "stdin"\n'
    code, trial = team(f"{SETTLE}{WRITE}{SEND}cat {stream}\n", table=table)

    assert (code, seen(trial)) == (0, STEPS)
    told = trial["money_usd"] is not None and not trial["money_estimated"]
    assert told == (bool(preset(name).money) and name not in UNPRICED)
    assert (trial["tokens_in"] is not None) == (bool(preset(name).tokens) and name not in UNTOLD)


# What each fault of a model is told as. Qwen prints nothing while it is throttled.
FAULTS = {
    "denied": "401|authentication_failed|this key is not known here",
    "throttled": "429|the quota of this account is used up",
    "refused": "request to the model failed|[Cc]onnection (failed|error)|fetch failed|[Uu]nable to connect|not connect",
    "cut": "request to the model failed|stream disconnected|terminated|Failed to get response|closed|reset|ion error",
}


ENDLESS = {("opencode", "throttled")}  # it tries for ever, and tells why in its log alone


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", RECORDED)
def test_the_recorded_output_of_an_agent_whose_model_failed_says_why(name, fault):
    """The cause is in what the real program printed, and not in its exit code."""
    said = read_stream((STREAMS / f"{name}.{fault}.txt").read_bytes())
    ended = Outcome(OutcomeStatus.FAILED, 1, 1.0, "exit 1")
    if (name, fault) in ENDLESS:
        ended = Outcome(OutcomeStatus.TIMEOUT, None, 3.0, "no end within 3s")
    outcome = with_last_words(verdict(ended, said), lambda: said)
    facts = RunFacts("word", outcome.status, outcome.exit, outcome.detail, (), "", (), "", said)
    found = steps(facts, preset(name), login=True)

    assert [step.name for step in found if step.seen] == []
    assert says_why(name, fault, found[-1].repair)


HERE = {("codex", "throttled")}


# The rest of the way, from the process to the answer of the command, is the same for all; the storm goes it with each.
@pytest.mark.parametrize(
    ("name", "fault"),
    [pytest.param(name, fault, marks=() if (name, fault) in HERE else STORM) for name in RECORDED for fault in FAULTS],
)
def test_the_output_of_a_process_whose_model_failed_says_why(team, name, fault):
    """Through the keeper, the log and the scratch repository."""
    known, stream = preset(name), STREAMS / f"{name}.{fault}.txt"
    key = {known.login.variables[0]: "sk-1"}
    end = "exec sleep 60" if (name, fault) in ENDLESS else "exit 1"
    table = f'preset = "{name}"\nprompt = "stdin"\n'
    code, trial = team(
        f"cat {stream}\n{end}\n", table=table, timeout="3s" if (name, fault) in ENDLESS else "30s", **key
    )

    assert (code, seen(trial)) == (1, [])
    assert says_why(name, fault, repair(trial, "end"))


def says_why(name: str, fault: str, text: str) -> bool:
    """Tell whether the cause of a fault is in a text, or is not where nothing was printed of it."""
    return (re.search(FAULTS[fault], text) is not None) == ((name, fault) != ("qwen", "throttled"))


@SANDBOXED
def test_an_agent_in_a_sandbox_is_tried_in_it(team):
    """It does all of it where it sees its workspace alone, and nothing of the scratch team besides."""
    script = SETTLE + WRITE + SEND + "ls $TEAM_HOME || echo hidden\n"
    table = f'[agents.boxed]\ncommand = ["bash", "-c", {json.dumps(script)}]\nsandbox = "bwrap"\n'
    team("true\n", "--json", table=table)
    words = ["try", "boxed", "--yes", "--json"]
    ended = run_command("team", *words, cwd=team.folder, env=team.environ)

    (trial,) = json.loads(ended.stdout)["trials"]
    assert (ended.returncode, seen(trial)) == (0, STEPS)


def test_the_scratch_repository_of_a_failure_is_kept_to_be_looked_at(team):
    _, trial = team("echo nothing\n")
    (folder,) = kept(team)
    assert Path(trial["output"]).read_text() == "nothing\n"
    assert Path(trial["output"]).is_relative_to(folder)


def test_each_step_is_shown_with_its_repair(team):
    """On a terminal, or in a pipe, it is a table."""
    code, _ = team(SETTLE + SAY)
    assert code == 1
    ended = as_text(run_command("team", "try", "--yes", "script", cwd=team.folder, env=team.environ))
    rows = ended.stdout.splitlines()
    assert ended.stderr == "team: trying script, for 5m at most\n"
    assert rows[0] == "script"
    assert [row.split("  ")[1] for row in rows[1:6]] == ["NOT SEEN", "NOT SEEN", "NOT SEEN", "seen", "seen"]
    assert "settled a conflict" in rows[4]
    assert "tokens unknown, money unknown (by its own output); exit 0" in rows[6]
    assert rows[7].startswith("  what it printed: /")


def test_nothing_that_may_cost_is_started_unasked(team):
    """Without a terminal nobody can be asked, so `--yes` is needed; the agent has not run."""
    code, told = team(f"touch {team.home}/ran\n", "--json")
    assert code == 2
    assert (
        told == "team: this starts one run of script, which may cost money, and nobody can be asked here; add --yes\n"
    )
    assert not (team.home / "ran").exists()
    assert kept(team) == []


def test_on_a_terminal_it_asks_and_no_answer_is_no(team):
    """An end of input is not a yes."""
    team("true\n", "--json")
    import pty

    parent, terminal = pty.openpty()
    words = [Path(sys.executable).with_name("team"), "try", "script"]
    with subprocess.Popen(
        words, cwd=team.folder, env=team.environ, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal
    ) as process:
        os.write(parent, b"no\n")
        out, _ = process.communicate(timeout=60)
    os.close(terminal)
    told = os.read(parent, 4096).decode()
    os.close(parent)
    assert process.returncode == 1
    assert out == b""
    assert "This starts one run of script in a scratch repository, which may cost money. Go on? [y/N]" in told
    assert "nothing was started" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["claud", "--yes"], "'claud' is neither an agent of team.toml nor a preset; did you mean claude?"),
        (["--all", "claude", "--yes"], "--all tries every agent in PATH; leave out claude, or --all"),
        (["script", "--timeout", "soon", "--yes"], "--timeout 'soon' must be a span of time"),
        (["script", "--timeout", "0", "--yes"], "--timeout 0 leaves no time for a run"),
        (
            ["recorded", "--yes"],
            "agent recorded is neither a command nor a chat model, so that there is nothing to try",
        ),
    ],
)
def test_a_wrong_request_is_refused_before_anything_starts(team, words, message):
    team("true\n", "--json", table='[agents.recorded]\nkind = "replay"\nfolder = "x"\n')
    ended = as_text(run_command("team", "try", *words, cwd=team.folder, env=team.environ))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert message in ended.stderr


def test_an_agent_that_is_not_installed_is_refused_with_what_to_do(team):
    ended = as_text(run_command("team", "try", "claude", "--yes", cwd=team.folder, env=team.environ))
    assert ended.returncode == 2
    assert "agent claude: claude is not in PATH; install it" in ended.stderr
    assert kept(team) == []


def test_where_no_agent_is_it_says_what_could_be_installed(tmp_path):
    """Outside of any repository, too; exit code 2, as nothing was tried."""
    ended = as_text(run_command("team", "try", cwd=tmp_path, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}))
    assert ended.returncode == 2
    assert "Claude Code         npm install -g @anthropic-ai/claude-code" in ended.stdout
    assert ended.stdout.startswith("no known agent is in PATH")


def test_all_tries_every_agent_in_the_path(team, tmp_path):
    """A team's own table for one is used; the answer holds one trial for each."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("claude", "codex"):
        (folder / name).write_text(f"#!/bin/bash\n{SETTLE}{WRITE}{SEND}echo done\n")
        (folder / name).chmod(0o755)
    path = f"{folder}:{team.environ['PATH']}"
    ended = run_command("team", "try", "--all", "--yes", "--json", cwd=tmp_path, env=team.environ | {"PATH": path})
    trials = json.loads(ended.stdout)["trials"]
    assert [(trial["agent"], seen(trial)) for trial in trials] == [("claude", STEPS), ("codex", STEPS)]
    assert ended.returncode == 0


def test_an_interrupted_trial_leaves_nothing(team):
    """Its agent is ended with all that it started, and the scratch repository is gone."""
    os.mkfifo(team.home / "ready")
    team("true\n", "--json")
    (team.folder / "agent.sh").write_text(f"#!/bin/bash\necho $$ > {team.home}/ready\nexec sleep 60\n")
    words = [Path(sys.executable).with_name("team"), "try", "--yes", "script"]
    with subprocess.Popen(
        words, cwd=team.folder, env=team.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        agent = int((team.home / "ready").read_text())
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert told.endswith("team: the trial was interrupted; nothing is left of it\n")
    assert kept(team) == []
    with pytest.raises(ProcessLookupError):
        os.kill(agent, 0)


def test_a_run_may_not_start_trials(team, tmp_path):
    """An agent on trial that starts a trial itself is refused: what it starts would be counted by nobody."""
    code, trial = team("team try script --yes > trial.txt 2>&1\ncat trial.txt\n")
    assert code == 1
    assert "can only be used by a person" in Path(trial["output"]).read_text()


def test_the_look_without_a_run_tells_agents_personas_and_what_to_try(team):
    """Exit code 1 where something is in the way; it starts no agent."""
    team(f"touch {team.home}/ran\n", "--json")
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=team.folder, check=True)
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    (team.folder / ".team" / "personas").mkdir()
    (team.folder / ".team" / "personas" / "ann.md").write_text("---\nid: ann\nagent: script\n---\nWork.\n")
    subprocess.run(["git", "add", "."], cwd=team.folder, check=True)
    subprocess.run(["git", *who, "commit", "-qm", "x"], cwd=team.folder, check=True)

    ended = run_command("team", "doctor", "--json", cwd=team.folder, env=team.environ)
    found = json.loads(ended.stdout)
    assert (ended.returncode, found["healthy"], found["try"]) == (0, True, "script")
    checks = {check["what"]: check for check in found["checks"]}
    assert checks["[agents.script]"]["finding"] == checks["git"]["finding"] == "ok"
    assert checks["personas"]["text"] == "1 of 1 take part in sprints"

    (team.folder / ".team" / "personas" / "odd.md").write_text("---\nid: [\n---\n")
    (team.folder / ".team" / "personas" / "bob.md").write_text("---\nid: bob\nagent: claude\n---\nWork.\n")
    (team.folder / ".team" / "team.toml").write_text(
        '[agents.script]\ncommand = ["./agent.sh"]\nenv = ["NOT_SET"]\n[agents.claude]\n'
    )
    ended = as_text(run_command("team", "doctor", cwd=team.folder, env=team.environ))
    assert ended.returncode == 1
    assert "wrong  [agents.claude]  agent claude: claude is not in PATH" in ended.stdout
    assert "note   [agents.script]  agent script: NOT_SET in its env is not set" in ended.stdout
    assert "odd.md" in ended.stdout
    assert not (team.home / "ran").exists()
    assert ended.stdout.endswith("\nnext: correct that file, or start its name with _; "
                                 "then team personas   shows who is there\n")  # fmt: skip


def test_a_dry_run_tells_what_is_missing_and_starts_no_agent(team):
    """A name that is not set, no login, a version older than the one that was tried; it is asked for once."""
    programs = team.home / "programs"
    programs.mkdir()
    (programs / "codex").write_text(f'#!/bin/sh\necho "$*" >> {team.home}/asked\necho codex-cli 0.9.0\n')
    (programs / "codex").chmod(0o755)
    team("true\n", "--json", table='env = ["NOT_SET", "ALSO_NOT"]\n[agents.codex]\n[team]\nagent = "codex"\n')
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=team.folder, check=True)
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    (team.folder / ".team" / "personas").mkdir()
    for name, agent in (("ann", "script"), ("bob", "codex")):
        (team.folder / ".team" / "personas" / f"{name}.md").write_text(f"---\nid: {name}\nagent: {agent}\n---\nWork.\n")
    subprocess.run(["git", "add", "."], cwd=team.folder, check=True)
    subprocess.run(["git", *who, "commit", "-qm", "x"], cwd=team.folder, check=True)
    (team.folder / "tasks.json").write_text(
        json.dumps({"tasks": [{"task_id": "a", "agent": "bob", "description": "x"}]})
    )
    env = team.environ | {"PATH": f"{programs}:{team.environ['PATH']}"}

    shown = [as_text(run_command("scheduler", "--dry-run", cwd=team.folder, env=env)) for _ in range(2)]
    dispatch = run_command("team", "dispatch", "--dry-run", "tasks.json", cwd=team.folder, env=env)

    told = [
        "agent script: NOT_SET, ALSO_NOT in its env are not set",
        f"agent codex: no key and no login was found; {preset('codex').login.how}",
        "agent codex: codex 0.9.0 is older than 0.171.0, which was tried; npm install -g @openai/codex",
    ]
    for ended in shown:
        assert ended.returncode == 0, ended.stderr
        assert [line.removeprefix("note: ") for line in ended.stdout.splitlines() if "note: agent" in line] == told
    assert json.loads(dispatch.stdout)["notes"] == told[1:]
    assert (team.home / "asked").read_text() == "--version\n"

    env |= {"CODEX_API_KEY": "sk-1", "NOT_SET": "1", "ALSO_NOT": "2"}
    (programs / "codex").write_text("#!/bin/sh\necho codex-cli 0.171.1\n")
    ended = as_text(run_command("scheduler", "--dry-run", cwd=team.folder, env=env))
    assert "note: agent" not in ended.stdout


def test_a_service_that_takes_no_more_is_the_cause_and_not_the_login(team):
    """Whoever would log in again would only wait longer for the reason."""
    result = {"type": "result", "subtype": "error", "is_error": True, "result": "usage limit reached, resets at 18:00"}
    code, trial = team(claude({"type": "system", "subtype": "init"}, result) + "exit 1\n", table='preset = "claude"\n')
    assert code == 1
    assert repair(trial, "end").startswith("its service takes no more for now, so try again later: ")


def test_a_conflict_is_not_settled_by_a_file_that_lost_its_other_lines(team):
    """The words of all are there, and the poem is not."""
    code, trial = team("echo ann bob cid trial > poem.txt; " + WRITE + SEND + SAY)
    assert code == 1
    assert "settle" not in seen(trial)
