"""The commands about claims, as people and programs see them: what they print, and their exit codes."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from team_mail.mail.open import open_log
from team_mail.mail.process import ORPHAN, RunAbove, run_written_for, runs_above
from team_mail.personas.running import postbox
from team_mail.team.commands import team as team_command
from typer.testing import CliRunner


@pytest.fixture
def at(team, monkeypatch):
    """Runs a command of `team` in the team's repository; returns its exit code and what it printed as JSON."""
    monkeypatch.chdir(team.folder)
    for name in ("TEAM_HOME", "TEAM_RUN", "TEAM_PERSONA"):
        monkeypatch.delenv(name, raising=False)
    team.home.mkdir(exist_ok=True)

    def run(*words):
        ended = CliRunner().invoke(team_command.app, [*words, "--json"])
        printed = ended.stdout or ended.stderr
        return ended.exit_code, json.loads(printed) if printed.startswith("{") else printed

    return run


def test_a_task_from_its_addition_to_its_end(at):
    """What one command prints, the next one takes."""
    code, added = at(
        "task", "add", "fix", "--to", "ann", "--priority", "critical", "--path", "src/**", "--title", "Fix it",
        "--input", '{"a": 1}',
    )  # fmt: skip
    assert (code, added["state"], added["priority"], added["paths"]) == (0, "open", "urgent", ["src/**"])
    code, claim = at("claim", "--next", "--as", "ann", "--lease", "2m", "--pid", str(os.getpid()))
    assert (code, claim["task"], claim["input"], claim["attempt"]) == (0, "fix", {"a": 1}, 1)
    token = str(claim["token"])
    assert at("task", "list")[1]["tasks"][0]["owner"] == "ann"
    code, refused = at("claim", "fix", "--as", "bob")
    assert (code, refused["code"]) == (1, "LEASE_CONFLICT")
    assert at("renew", "fix", "--token", token, "--lease", "1h")[1]["lease_until"] > claim["lease_until"]
    assert at("release", "fix")[1]["code"] == "LEASE_NOT_EXPIRED"
    assert at("done", "fix", "--token", token, "--output", "[2]", "--expect", "1")[1]["code"] == "VERSION_CONFLICT"
    assert at("done", "fix", "--token", token, "--output", "[2]") == (
        0, {"what": "fix", "token": claim["token"], "already": False, "status": "success"},
    )  # fmt: skip
    assert at("done", "fix", "--token", token)[1]["already"] is True
    code, shown = at("task", "show", "fix")
    assert (shown["state"], shown["output"], shown["late"]) == ("done", [2], []), "what was refused is not written"
    assert at("task", "list")[1]["tasks"] == []
    assert at("task", "list", "--all")[1]["tasks"][0]["state"] == "done"


def test_nothing_to_claim_is_an_exit_code_of_its_own(at):
    """A script ends its loop by it."""
    assert at("claim", "--next") == (3, {})


def test_a_claim_by_force_needs_a_reason(at):
    """Who takes something away from somebody says why."""
    at("task", "add", "fix")
    _, claim = at("claim", "fix", "--as", "ann")
    assert at("release", "fix", "--force")[0] == 2
    assert at("release", "fix", "--force", "--reason", "it hangs")[1]["why"] == "it hangs"
    code, late = at("done", "fix", "--token", str(claim["token"]), "--output", "[2]")
    assert (code, late["code"]) == (1, "LEASE_EXPIRED")
    assert "taken away by you" in late["error"]
    assert [end["output"] for end in at("task", "show", "fix")[1]["late"]] == [[2]]


def test_what_the_state_of_a_task_does_not_allow_is_exit_code_1(at):
    """What was given back is renewed no more, and given back again without an error; a task waits for another one."""
    at("task", "add", "fix")
    at("task", "add", "news", "--after", "fix")
    token = str(at("claim", "fix", "--as", "ann")[1]["token"])
    assert at("release", "fix", "--token", token)[1]["already"] is False
    code, again = at("release", "fix", "--token", token)
    assert (code, again["already"]) == (0, True)
    code, refused = at("renew", "fix", "--token", token)
    assert (code, refused["code"]) == (1, "LEASE_EXPIRED")
    code, refused = at("claim", "news")
    assert (code, refused["code"]) == (1, "CLAIM_REFUSED")
    newer = at("claim", "fix", "--as", "bob")[1]["token"]
    code, refused = at("renew", "fix", "--token", token)
    assert (code, refused["code"]) == (1, "LEASE_EXPIRED")
    for verb in (("renew", "news"), ("release", "news"), ("done", "news")):
        code, refused = at(*verb, "--token", str(newer))
        assert (code, refused["code"]) == (2, "TASK_NOT_FOUND"), "the token of another task"


def test_the_tasks_of_a_dispatch_are_imported_to_be_claimed(at, team, tmp_path):
    """Each after those that it depends on; once, however often it is asked for; all of them or none."""
    file = tmp_path / "plan.json"
    tasks = [
        {"task_id": "news", "agent": "bob", "description": "Write", "dependencies": ["fix"], "priority": -1},
        {
            "task_id": "fix",
            "agent": "ann",
            "description": "Mend",
            "input_data": {"a": 1},
            "files": ["src/**"],
            "priority": 2,
        },
    ]
    file.write_text(json.dumps({"tasks": tasks}))
    code, added = at("task", "import", str(file))
    assert (code, [(each["task"], each["to"], each["state"]) for each in added["tasks"]]) == (
        0, [("news", "bob", "waiting"), ("fix", "ann", "open")],
    )  # fmt: skip
    assert [each["priority"] for each in added["tasks"]] == ["low", "high"]
    shown = at("task", "show", "fix")[1]
    assert (shown["title"], shown["input"], shown["paths"]) == ("Mend", {"a": 1}, ["src/**"])
    head = team.kinds()
    assert at("task", "import", str(file))[0] == 0
    file.write_text(json.dumps({"tasks": [*tasks, {"task_id": "new", "agent": "ann", "description": "x"}]}))
    code, refused = at("task", "import", str(file))
    assert (code, refused["code"]) == (1, "CLAIM_REFUSED")
    assert "fix, news" in refused["error"] or "news, fix" in refused["error"]
    for wrong, why in (
        ({"when": {"task": "a", "key": "x", "equals": 1}}, "task 'b' has a condition"),
        ({"input_data": {"x": "{{ tasks.a.output.b }}"}}, "task 'b' refers to the output"),
        ({"dependencies": ["nothing"]}, "unknown task 'nothing'"),
        ({"agent": "nobody"}, "nobody"),
    ):
        one = {"task_id": "b", "agent": "ann", "description": "x", "dependencies": ["a"]} | wrong
        file.write_text(json.dumps({"tasks": [{"task_id": "a", "agent": "ann", "description": "x"}, one]}))
        code, refused = at("task", "import", str(file))
        assert code == 2
        assert why in refused["error"]
    assert at("task", "import", str(tmp_path / "none.json"))[0] == 2
    assert team.kinds() == head


def test_paths_and_names_are_taken_listed_and_given_back(at):
    """The token alone names them."""
    _, claim = at("claim", "--path", "src/**", "--name", "database", "--as", "ann")
    assert (claim["paths"], claim["names"]) == (["src/**"], ["database"])
    assert at("claim", "--path", "src/a.py")[1]["code"] == "LEASE_CONFLICT"
    assert [held["owner"] for held in at("task", "list")[1]["held"]] == ["ann"]
    assert at("release", "--token", str(claim["token"]))[1]["already"] is False
    assert at("release", "--token", str(claim["token"]))[1]["already"] is True
    assert at("task", "list")[1]["held"] == []


SENSELESS = [
    ("claim",),
    ("claim", "fix", "--next"),
    ("claim", "fix", "--path", "src"),
    ("claim", "--next", "--expect", "3"),
    ("claim", "fix", "--lease", "0"),
    ("claim", "fix", "--lease", "-1s"),
    ("claim", "fix", "--lease", "3650d"),
    ("claim", "fix", "--as", "weaver"),
    ("claim", "fix", "--as", "nobody"),
    ("claim", "fix", "--pid", "999999999"),
    ("claim", "--path", "../x"),
    ("claim", "--name", "a b"),
    ("claim", "fxi"),
    ("done", "fix"),
    ("done", "fix", "--token", "text"),
    ("done", "fix", "--token", "0"),
    ("done", "fix", "--token", "1" + "0" * 30),
    ("done", "fix", "--token", "1"),
    ("done", "fix", "--token", "2", "--output", "{"),
    ("done", "fix", "--token", "2", "--failed", " "),
    ("renew", "--token", "2"),
    ("renew", "fix", "--token", "text"),
    ("renew", "fix", "--token", "1" + "0" * 30),
    ("release", "fix", "--token", "0"),
    ("release",),
    ("task", "add", "a/b"),
    ("task", "add", "b", "--after", "nothing"),
    ("task", "add", "b", "--priority", "soon"),
]


def test_what_makes_no_sense_is_refused_and_nothing_is_written(at, team):
    """Exit code 2, whatever is wrong about the request itself."""
    at("task", "add", "fix")
    before = team.kinds()
    for words in SENSELESS:
        assert at(*words)[0] == 2, words
        assert team.kinds() == before, words


def test_a_run_claims_nothing_itself(at, monkeypatch):
    """A2: neither for another persona, nor for its own, whatever its environment says; its mail process does."""
    at("task", "add", "fix")
    monkeypatch.setenv("TEAM_RUN", "r1")
    monkeypatch.setenv("TEAM_PERSONA", "ann")
    code, refused = at("claim", "fix", "--as", "bob")
    assert code == 2
    assert "this is a run of ann" in refused["error"]
    assert at("claim", "fix")[0] == 2
    monkeypatch.delenv("TEAM_RUN")
    runs_above.cache_clear()
    monkeypatch.setattr("team_mail.mail.process.runs_above", lambda: (ORPHAN,))
    assert at("claim", "fix")[0] == 2


def test_a_mail_process_above_counts_only_without_a_keeper_above_it(team, monkeypatch):
    """An agent can start a process of that name itself, below its keeper."""
    monkeypatch.setattr("team_mail.mail.process.commands_above", lambda: [["python", "-m", postbox.__name__, "…"]])
    monkeypatch.setattr("team_mail.mail.process.runs_above", lambda: ())
    monkeypatch.delenv("TEAM_RUN", raising=False)
    assert run_written_for(team.home) is None
    monkeypatch.setenv("TEAM_RUN", "r1")
    assert run_written_for(team.home) == "r1"
    for run in (ORPHAN, RunAbove("r1", str(team.home.resolve()), "")):
        monkeypatch.setattr("team_mail.mail.process.runs_above", lambda run=run: (run,))
        assert run_written_for(team.home) is None
    monkeypatch.setattr("team_mail.mail.process.commands_above", list)
    monkeypatch.setattr("team_mail.mail.process.runs_above", lambda: ())
    assert run_written_for(team.home) is None


def test_what_a_run_asks_its_mail_process_for_is_about_its_own_claims(at, team, monkeypatch):
    """It claims what is for its persona or anybody, and ends what its persona has, whoever else's token it knows."""
    at("task", "add", "fix")
    at("task", "add", "news", "--to", "bob")
    at("task", "add", "more", "--to", "bob")
    theirs = at("claim", "news", "--as", "bob")[1]["token"]
    monkeypatch.setenv("TEAM_RUN", "r1")
    monkeypatch.setenv("TEAM_PERSONA", "ann")
    monkeypatch.setattr("team_mail.team.api.claims.run_written_for", lambda _: "r1")
    before = team.kinds()
    for words, why in (
        (("claim", "more"), "is for bob"),
        (("claim", "fix", "--as", "bob"), "this is a run of ann"),
        (("claim", "--path", "**"), "ask by mail"),
        (("renew", "news", "--token", str(theirs)), "is of bob"),
        (("release", "news", "--token", str(theirs)), "is of bob"),
        (("release", "news", "--force", "--reason", "x"), "ask by mail"),
        (("release", "news"), "ask by mail"),
        (("done", "news", "--token", str(theirs)), "is of bob"),
        (("task", "add", "own"), "ask by mail"),
    ):
        code, refused = at(*words)
        assert code == 2, words
        assert why in refused["error"]
    assert team.kinds() == before
    token = at("claim", "--next")[1]["token"]
    assert at("renew", "fix", "--token", str(token))[0] == 0
    assert at("release", "fix", "--token", str(token))[0] == 0
    token = at("claim", "fix")[1]["token"]
    assert at("done", "fix", "--token", str(token), "--output", "7")[0] == 0
    written = [event for event in open_log(team.home).read() if event.sender == "ann"]
    assert [event.kind for event in written] == [
        "claim.taken", "claim.renewed", "claim.released", "claim.taken", "task.finished",
    ]  # fmt: skip
    assert {event.run for event in written} == {"r1"}


def test_tasks_and_claims_as_text(team, at):
    """Without `--json`, lines for people."""
    at("task", "add", "fix", "--title", "Fix\x1b it", "--input", "1")
    at("task", "add", "news", "--after", "fix")

    def shown(*words):
        return CliRunner().invoke(team_command.app, [*words]).stdout

    assert "anybody" in shown("task", "list")
    assert "after fix" in shown("task", "list")
    assert "team done fix --token 4" in shown("claim", "fix")
    assert "you has fix until" in shown("renew", "fix", "--token", "4")
    assert shown("release", "fix", "--token", "4", "--reason", "later") == "fix is released (token 4): later\n"
    assert "given" not in shown("claim", "fix")
    assert shown("done", "fix", "--token", "7", "--failed", "no time") == "fix is done, and failed (token 7)\n"
    page = shown("task", "show", "fix")
    assert "\x1b" not in page
    assert "failed: no time" in page
    assert "released at" in page


def test_claims_that_are_over_are_cleaned_up(at, team):
    """A dry run says which, and changes nothing; what goes on stays."""
    at("task", "add", "fix")
    at("task", "add", "mend")
    process = subprocess.Popen(["sleep", "60"])
    at("claim", "fix", "--as", "ann", "--pid", str(process.pid))
    at("claim", "mend", "--as", "bob")
    process.kill()
    process.wait()
    why = f"its process {process.pid} has ended"
    expected = [{"what": "fix", "owner": "ann", "token": 4, "why": why}]
    assert at("clean", "--dry-run")[1]["claims"] == expected
    assert "claim.expired" not in team.kinds()
    assert (
        CliRunner()
        .invoke(team_command.app, ["clean"])
        .stdout.startswith(f"put on record: the end of ann's claim of fix, {why}\n")
    )
    assert team.kinds().count("claim.expired") == 1
    assert at("clean")[1]["claims"] == []
