"""`team plan` as it is typed: what it prints, what it writes, and how it says that something cannot be planned."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from team_mail.mail.errors import TeamMailError, UsageError
from team_mail.mail.log.event import Draft
from team_mail.personas.bundled import with_bundled
from team_mail.personas.roster import Roster
from team_mail.scheduler.errors import NotReady
from team_mail.scheduler.tasks.reader import read_input
from team_mail.team.commands.plan import app
from team_mail.team.init import make_team
from team_mail.team.open import open_team
from typer.testing import CliRunner

PLANS = Path(__file__).parent.parent.parent / "examples" / "plan"
SEED = str(PLANS / "ai-webhook.yaml")
PERSONAS = [persona.id for persona in with_bundled(Roster()).personas]
SMALL = """tasks:
- {id: a, estimate: 1h}
- {id: look, manual: true, dependencies: [a]}
- {id: b, estimate: 2h, dependencies: [look]}
"""


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """A folder without a team."""
    monkeypatch.delenv("TEAM_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def home(nowhere):
    """The home of a team of two, in a repository with one commit."""
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "Begin"]):
        subprocess.run([*git, *words], check=True, cwd=nowhere)
    return make_team(nowhere, ["forge", "scribe"]).home


def plan(*words, given=None):
    return CliRunner().invoke(app, [*words], input=given, catch_exceptions=False)


def test_a_plan_is_printed_as_text():
    """The figures of the known roadmap, without a team and without options."""
    ended = plan(SEED)
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout.startswith("A webhook relay for language models: 9 tasks for agents and 4 for people")
    assert "3 workers (from the roadmap)  13 h, saves 7 h (35%)" in ended.stdout


@pytest.mark.parametrize("words", [[], ["-"]])
def test_a_roadmap_may_come_through_a_pipe(words):
    """With or without the hyphen that says so."""
    document = json.loads(plan(*words, "--json", given=SMALL).stdout)
    assert (document["sequential_seconds"], document["critical_path"]) == (10_800.0, ["a", "b"])


def test_figures_are_one_json_document():
    """For programs: all times in seconds, every conflict, every slot with its branch."""
    document = json.loads(plan(SEED, "--json").stdout)
    assert (document["workers"], document["parallel_seconds"], document["saved_percent"]) == (3, 46_800.0, 35.0)
    assert [phase["class"] for phase in document["phases"]] == ["manual", "parallel", "sequential", "parallel"]
    assert [conflict["tasks"] for conflict in document["conflicts"]] == [["notify", "logging"]]
    assert document["schedule"][0] == {
        "task": "session-cli", "title": "A command line for sessions", "phase": 2, "persona": "", "worker": 1,
        "start": 0.0, "end": 7200.0, "critical": True, "branch": "team/phase2-session-cli",
    }  # fmt: skip


def test_the_number_of_workers_and_the_end_of_the_curve_can_be_given():
    """By --workers and --most."""
    document = json.loads(plan(SEED, "--json", "--workers", "1", "--most", "2").stdout)
    assert (document["workers"], document["workers_chosen"], document["parallel_seconds"]) == (1, "asked for", 72_000.0)
    assert [step["workers"] for step in document["curve"]] == [1, 2]


def test_markdown_is_printed_and_pictures_are_written_to_files(nowhere):
    """Standard error names the files."""
    ended = plan(SEED, "--markdown", "--svg", "plan.svg", "--png", "plan.png")
    assert ended.stdout.startswith("# A webhook relay for language models\n")
    assert "![Schedule](plan.svg)" in ended.stdout
    assert (nowhere / "plan.svg").read_bytes().startswith(b"<svg")
    assert (nowhere / "plan.png").read_bytes().startswith(b"\x89PNG")
    assert ended.stderr == "wrote plan.svg\nwrote plan.png\n"


def test_a_picture_without_the_extra_is_refused_before_anything_is_printed(nowhere, monkeypatch):
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(TeamMailError, match="pip install"):
        plan(SEED, "--svg", "plan.svg")
    assert not (nowhere / "plan.svg").exists()


def test_tasks_are_printed_as_a_tasks_json_and_manual_items_on_standard_error():
    """Standard output has only the tasks.json."""
    ended = plan(SEED, "--tasks")
    given = read_input(ended.stdout.encode(), PERSONAS)
    assert (len(given.tasks), given.config.max_workers) == (9, 3)
    assert ended.stderr.startswith("team: do these first: try-tools (Try every tool of the MCP server)")


def test_a_task_behind_a_manual_item_is_left_out_until_that_is_done():
    """First `a` is planned; with --done look, the rest is."""
    before = plan("--tasks", given=SMALL)
    assert [task["task_id"] for task in json.loads(before.stdout)["tasks"]] == ["a"]
    assert before.stderr == (
        "team: left out: b; do look by hand when its turn has come, then plan the rest with --done look\n"
    )
    after = plan("--tasks", "--done", "look", "--done", "a", given=SMALL)
    assert [task["task_id"] for task in json.loads(after.stdout)["tasks"]] == ["b"]
    assert after.stderr == ""


def test_conditions_of_a_tasks_json_are_shown_and_kept():
    """In the text and the document; a task whose condition would have nothing to ask is refused."""
    condition = {"task": "check", "key": "ok", "equals": False}
    tasks = [
        {"task_id": "check", "agent": "forge", "estimate": "1h"},
        {"task_id": "fix", "agent": "forge", "estimate": "1h", "dependencies": ["check"], "when": condition},
    ]
    given = json.dumps({"tasks": tasks})
    text = plan(given=given).stdout
    assert "conditions:\n  task  runs\n  fix   only if check.ok equals false\n" in text
    schedule = json.loads(plan("--json", given=given).stdout)["schedule"]
    assert [slot.get("when") for slot in schedule] == [None, "only if check.ok equals false"]
    assert json.loads(plan("--tasks", given=given).stdout)["tasks"][1]["when"] == condition
    refused = plan("--tasks", "--done", "check", given=given)
    assert refused.exit_code == 2
    assert "'fix': its condition is about the output of 'check', which is left out here" in refused.stderr


def test_a_planned_tasks_json_keeps_its_input():
    """The output is a valid tasks.json with the conflict as a dependency."""
    tasks = [
        {"task_id": name, "agent": "forge", "estimate": "1h", "files": ["x.py"], "input_data": {"for": name}}
        for name in ("a", "b")
    ]
    ended = plan("--tasks", "--workers", "2", given=json.dumps({"tasks": tasks}))
    given = read_input(ended.stdout.encode(), PERSONAS)
    assert [task.input_data for task in given.tasks] == [{"for": "a"}, {"for": "b"}]
    assert [task.dependencies for task in given.tasks] == [(), ("a",)]


def test_every_problem_is_reported_on_its_own_line():
    """Two mistakes give two lines, exit code 2, and nothing on standard output."""
    ended = plan(given="tasks:\n- {id: a}\n- {id: b, estimate: 1h, dependencies: [nobody]}\n")
    assert (ended.exit_code, ended.stdout) == (2, "")
    problems = ended.stderr.splitlines()
    assert len(problems) == 2
    assert all(line.startswith("team: stdin:") for line in problems)


@pytest.mark.parametrize(
    "given",
    [b"", b"\x00\xff", b"[" * 100_000, b"tasks: *x", b'{"tasks": []}', b"- \x1b[31m", b"{" + b" " * (1 << 24) + b"}"],
)
def test_invalid_input_is_refused_without_a_traceback(given):
    """The exit code is 2, and no letter controls a terminal."""
    ended = plan(given=given)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("team: ")
    assert "\x1b" not in ended.stderr


def test_options_that_print_different_things_exclude_each_other():
    """So do a file and --from-sprint; one of them is required."""
    with pytest.raises(UsageError, match="choose one"):
        plan(SEED, "--json", "--tasks")
    with pytest.raises(UsageError, match="give one of them"):
        plan(SEED, "--from-sprint")
    with pytest.raises(UsageError, match=r"cannot read nowhere.yaml: No such file"):
        plan("nowhere.yaml")
    with pytest.raises(UsageError, match="did you mean notify"):
        plan(SEED, "--done", "notfy")


def test_a_roadmap_may_name_the_teams_own_personas(home):
    """An unknown persona is refused by name until it is on the roster."""
    given = "tasks: [{id: a, estimate: 1h, persona: baker}]"
    assert "baker" in plan(given=given).stderr
    (home / "personas" / "baker.md").write_text("---\nid: baker\n---\nBake.\n")
    assert plan(given=given).exit_code == 0


def record(kind, run, **data):
    return Draft(kind, "scheduler", run=run, data=data)


def test_the_next_sprint_is_forecast_from_the_last(home):
    """Two personas that changed the same file are a conflict."""
    with pytest.raises(NotReady, match="run a sprint first"):
        plan("--from-sprint")
    drafts = [
        record("sprint.started", None, sprint=1, id="s", base_branch="main", base="b" * 40, mode="parallel",
             branch="team/sprint-1", rule="a rule", reason="asked for", personas=["forge", "scribe"]),
    ]  # fmt: skip
    for persona, seconds in (("forge", 60.0), ("scribe", 30.0)):
        run = f"1 {persona}"
        drafts += [
            record("run.started", run, sprint=1, persona=persona, tick=1, attempt=1, base="b" * 40, agent="shell",
                 reason="batch", mail=[], supervisor={}),
            record("patch.captured", run, patch={"sha256": "a" * 64, "size": 9}, files=["README.md", f"{persona}.py"]),
            record("run.finished", run, status="ok", seconds=seconds, detail=""),
        ]  # fmt: skip
    open_team(home, {}).append(drafts)
    document = json.loads(plan("--from-sprint", "--json").stdout)
    assert (document["sequential_seconds"], document["parallel_seconds"]) == (90.0, 60.0)
    assert [(conflict["tasks"], conflict["files"]) for conflict in document["conflicts"]] == [
        (["forge", "scribe"], ["README.md"])
    ]


def test_a_plan_as_text_loads_neither_database_nor_drawing():
    """So it is printed at once."""
    code = (
        "import sys; from typer.testing import CliRunner; from team_mail.team.commands.plan import app; "
        f"assert CliRunner().invoke(app, [{SEED!r}]).exit_code == 0; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"duckdb", "ibis", "vl_convert", "jinja2"} & set(loaded)
