"""The API of the faces: every function is called on a real repository, and says what the command prints."""

import ast
import importlib
import json
import re
import threading
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import team_mail
from team_mail.mail.errors import UsageError
from team_mail.mail.letter import Letter
from team_mail.personas.agents.function import FunctionAgent
from team_mail.personas.agents.scripted import ScriptedAgent
from team_mail.scheduler.errors import InvalidTasks, NoSuchRun, NotReady
from team_mail.scheduler.runs.progress import RunEnded
from team_mail.team import api, session
from team_mail.team import open as opening
from team_mail.team.api import control, dispatches, plans, records, sprints, traces, weaving
from team_mail.team.api import team as team_api
from team_mail.team.commands import scheduler as scheduler_command
from team_mail.team.commands import team as team_command
from typer.testing import CliRunner

ROOT = Path(team_mail.__file__).parent
MODULES = (
    "agents", "ask", "claims", "control", "dispatches", "hook", "plans", "records", "schedules", "sessions", "sprints",
    "team", "traces", "weaving", "worker",
)  # fmt: skip
APPS = {"scheduler": scheduler_command.app, "team": team_command.app}
TASKS = b'{"tasks": [{"task_id": "find", "agent": "forge", "description": "Find it", "input_data": {"of": 1}}]}'
# What commands take from the engine beside types, and why.
FROM_THE_ENGINE = {
    "idle": "answers an idle tick before anything else loads",
    "read_limited": "reads standard input no further than is allowed",
    "open_given": "opens the file that a user names, and waits for nothing in its place",
}


def as_json(value):
    """A document as it is after it was sent."""
    return json.loads(json.dumps(value))


@cache
def functions():
    """The public functions of each module of the API."""
    return {
        f"{module}.{node.name}"
        for module in MODULES
        for node in ast.parse((ROOT / "team" / "api" / f"{module}.py").read_text()).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


@pytest.fixture
def shown(team, monkeypatch):
    """Runs a command in the team's repository, and returns the JSON that it prints."""
    monkeypatch.chdir(team.folder)
    for name in ("TEAM_HOME", "TEAM_RUN", "TEAM_PERSONA"):
        monkeypatch.delenv(name, raising=False)

    def run(*words, code=0):
        program, *arguments = words
        ended = CliRunner().invoke(APPS[program], arguments)
        assert ended.exit_code == code, ended.output
        return json.loads(ended.stdout)

    return run


@pytest.fixture
def scripted(team, monkeypatch):
    """Opens the team with agents that are functions, also for commands."""
    scripts = {name: team.replaced(number, name) for number, name in zip((0, 20), ("ann", "bob"), strict=True)}
    opened = opening.make_agent

    def make(name, *tables):
        return ScriptedAgent(scripts) if name == "shell" else opened(name, *tables)

    monkeypatch.setattr(opening, "make_agent", make)
    return team.context(scripts)


def ended(context):
    """The context of a team whose first sprint has ended."""
    assert sprints.run_sprint(opening.open_team(context.home, {})).converged
    return context


def test_the_package_names_every_function_of_its_modules():
    """Whoever writes a face finds in one place what there is to ask and to do."""
    named = {
        f"{module}.{name}"
        for module, names in re.findall(r"^- (\w+): (.*)$", api.__doc__, re.MULTILINE)
        for name in names.split(", ")
    }
    assert named == functions()


def test_results_are_values_with_a_document():
    """What a function returns can be sent as JSON."""
    without = {"run", "check_members", "output_of", "patch_of", "export", "template", "replayed", "forecast"}
    without |= {
        "read_roadmap",
        "read_tasks",
        "read_config",
        "candidates",
    }  # is passed on, and is no answer
    for name in functions():
        module, _, function = name.partition(".")
        if function in without:
            continue
        returned = importlib.import_module(f"team_mail.team.api.{module}")
        for kind in re.findall(r"\w+", getattr(returned, function).__annotations__["return"]):
            assert callable(getattr(getattr(returned, kind), "document", None)), name


def test_commands_do_nothing_of_the_engine_themselves():
    """A command parses, calls the API, and renders: from the engine it imports types and errors."""
    called = set()
    for path in (ROOT / "team" / "commands").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            ours = isinstance(node, ast.ImportFrom) and node.level > 1
            if ours and (node.module or "").startswith("scheduler"):
                called |= {alias.name for alias in node.names if not alias.name[0].isupper()}
    assert called == set(FROM_THE_ENGINE)


def test_the_api_prints_nothing_and_knows_no_command():
    """A console and a server call it as well."""
    for path in (ROOT / "team" / "api").glob("*.py"):
        tree = ast.parse(path.read_text())
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        imports = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {"print", "sys", "typer"} & names
        assert not [name for name in imports if name.startswith(("show", "commands", "session", "typer"))]


def test_a_sprint_is_previewed_run_and_reported(scripted, shown):
    """From the preview to the report, functions and commands agree."""
    asked = sprints.preview_sprint(scripted)
    assert shown("scheduler", "sprint", "--dry-run", "--json") == asked.document()
    assert shown("scheduler", "--dry-run", "--json") == sprints.preview_tick(scripted).document()
    heard = []
    done = sprints.run_sprint(scripted, listener=heard.append)
    assert done.converged
    assert {each.launch.persona for each in heard if isinstance(each, RunEnded)} == {"ann", "bob", "cyd"}
    (summed,) = records.history(scripted).sprints
    assert done.document() == summed.document()
    assert shown("scheduler", "status", "--json") == records.status(scripted).document()
    assert shown("scheduler", "history", "--json") == records.history(scripted).document()
    assert shown("scheduler", "report", "--json") == as_json(records.report(scripted, 1).document())
    landed = control.land(scripted)
    assert landed.document() == {"branch": "main", "commit": landed.commit, "gained": 2, "blocked": None}


def test_a_tick_that_has_nothing_to_do_says_why(scripted, shown):
    """The next sprint is not due yet."""
    done = sprints.tick(ended(scripted))
    assert (done.document()["launches"], done.interrupted) == ([], False)
    assert done.idle.startswith("the next sprint is due at")
    assert shown("scheduler", "tick", "--json", "--quiet")["idle"] == done.idle


def test_an_interrupted_sprint_says_so_and_goes_on_later(scripted):
    """What is handed to `interrupts` ends the runs; the sprint stays open."""

    @contextmanager
    def at_once(end):
        end()
        yield [15]

    assert sprints.run_sprint(scripted, interrupts=at_once).interrupted
    assert sprints.run_sprint(scripted).converged


def test_a_team_is_led_until_it_is_interrupted(scripted):
    """The listener hears of the end of the sprint, and ends the lead."""
    ends, heard = [], []

    @contextmanager
    def held(end):
        ends.append(end)
        yield []

    def listen(progress):
        heard.append(type(progress))
        if isinstance(progress, sprints.SprintEnded):
            assert progress.summary.converged
            ends[0]()

    sprints.run(scripted, lambda: scripted, listener=listen, interrupts=held)
    assert sprints.SprintEnded in heard
    assert heard[-1] is sprints.Notice


def test_nobody_to_launch_is_said_before_anything_starts(scripted, team):
    """A sprint without members is not begun."""
    for path in (team.home / "personas").iterdir():
        path.unlink()
    with pytest.raises(NotReady, match="nobody on the roster"):
        sprints.run_sprint(opening.open_team(team.home, {}))


def test_people_steer(team, scripted):
    """A pause, a stop, and an approval, each by its sender."""
    started, reports = threading.Event(), []

    def hang(job):
        started.set()
        assert job.stop.wait(30)

    context = team.context({"ann": hang})
    thread = threading.Thread(target=lambda: reports.append(sprints.run_sprint(context)))
    thread.start()
    assert started.wait(30)
    stopping = control.stop(context, "ann", "you")
    thread.join(30)
    assert stopping.document() == {"run": stopping.run.id, "persona": "ann", "attempt": 1}
    assert control.pause(context, "you").document() == {"paused": True, "sender": "you"}
    assert records.status(context).status.paused
    assert control.resume(context, "you").document() == {"paused": False, "sender": "you"}
    with pytest.raises(NoSuchRun, match="held"):
        control.approve(context, "ann", "you")


def test_a_held_patch_is_approved(team):
    """The answer names its files."""

    def workflow(job):
        (job.workspace / ".github" / "workflows").mkdir(parents=True)
        (job.workspace / ".github" / "workflows" / "x.yml").write_text("on: push\n")

    context = team.context({"ann": workflow})
    assert sprints.run_sprint(context).summary.held == ("ann",)
    assert control.approve(context, "ann", "you").document()["files"] == [".github/workflows/x.yml"]


def test_patches_are_woven_by_hand(team, shown):
    """The document is what the command prints."""
    team.git("switch", "--quiet", "-c", "other")
    (team.folder / "poem.txt").write_text("other\n")
    patch = team.folder / "ann.patch"
    patch.write_text(team.git("diff") + "\n")
    team.git("checkout", "--quiet", "poem.txt")
    done = weaving.weave(team.folder, [patch], "HEAD", branch=None)
    assert (done.complete, done.document()["branch"]) == (True, None)
    assert shown("scheduler", "weave", "ann.patch", "--dry-run", "--json") == done.document()


def test_tasks_are_looked_at_dispatched_gone_on_with_and_done_again(team, shown, tmp_path):
    """The same tasks by function and by command; a failed one is resumed and succeeds."""
    config = {"trace_dir": str(tmp_path / "traces")}
    tasks = dispatches.read_tasks(TASKS, config)
    request = dispatches.DispatchRequest("scripted")
    (team.folder / "tasks.json").write_bytes(TASKS)
    words = ("--agent", "scripted", "--trace-dir", config["trace_dir"])
    assert shown("team", "dispatch", "tasks.json", "--dry-run", *words) == dispatches.preview(tasks, request).document()
    done = dispatches.dispatch(tasks, request)
    assert (done.succeeded, done.interrupted) == (True, False)
    again = dispatches.resume(done.output.correlation_id, config, request)
    assert again.document()["results"][0]["output"] == done.document()["results"][0]["output"]
    tasks, request = dispatches.replayed(done.output.correlation_id, config)
    assert (request.agent, tasks.tasks[0].task_id) == ("scripted", "find")
    with pytest.raises(InvalidTasks, match="max_workers"):
        dispatches.read_config({"max_workers": 0})


def test_a_task_and_a_dispatch_are_traced(team, shown, tmp_path):
    """By function as by command; the traces can be written again."""
    dispatches.dispatch(
        dispatches.read_tasks(TASKS, {"trace_dir": str(tmp_path / "a")}), dispatches.DispatchRequest("scripted")
    )
    context = session.reading_context()
    assert shown("team", "trace", "find", "--json") == traces.trace(context, "find").document()
    index = traces.trace_index(context)
    assert shown("team", "trace", "--index", "--json") == index.document()
    assert Path(traces.export(context, index, str(tmp_path / "b"))).exists()
    with pytest.raises(UsageError, match="no task 'mend'"):
        traces.trace_task(context, "mend", index.state.id)
    with pytest.raises(NoSuchRun, match="no run's id begins with 'mend'"):
        traces.trace(context, "mend")


def test_a_run_of_a_sprint_is_traced_by_the_beginning_of_its_id(team, shown):
    """Persona, mail, patch, and all that it printed: each is named by the run, without a path."""
    team.home.mkdir(exist_ok=True)
    (team.home / "team.toml").write_text(
        '[agents.shell]\ncommand = ["sh", "-c", "cat > /dev/null; echo hello; echo new > $TEAM_PERSONA"]\n'
    )
    context = opening.open_team(team.home, {})
    context.mailbox.send(Letter("bob", ["ann"], "Please look"))
    assert sprints.run_sprint(context).converged
    run = next(run for run in context.state().runs if run.persona == "ann")
    trace = traces.trace(context, run.id[:8])
    assert trace.document()["mail"][0]["subject"] == "Please look"
    assert (trace.document()["patch"]["status"], trace.document()["patch"]["files"]) == ("landed", ["ann"])
    assert shown("team", "trace", run.id[:8], "--json") == as_json(trace.document())
    assert traces.output_of(context, run.id) == b"hello\n"
    assert b"+new" in traces.patch_of(context, run.id)
    for words in ((), ("--output",), ("--patch",)):
        printed = CliRunner().invoke(APPS["team"], ["trace", run.id[:8], *words])
        assert printed.exit_code == 0
        assert ".team/" not in printed.stdout
        assert {(): "landed as", ("--output",): "hello\n", ("--patch",): "+new"}[words] in printed.stdout


def test_a_run_of_a_dispatch_is_traced_and_its_patch_kept_though_it_failed(team, shown, tmp_path):
    """What did not land can be looked at by the run's name."""

    def fail(job):
        (job.workspace / "half.txt").write_text("half\n")
        raise ValueError("the key is gone")

    from team_mail.team.dispatcher import ParallelDispatcher

    tasks = dispatches.read_tasks(TASKS, {"trace_dir": str(tmp_path / "traces")})
    done = ParallelDispatcher(tasks.config, agent=FunctionAgent(fail)).dispatch(tasks.tasks)
    context = session.reading_context()
    (attempt,) = traces.trace_index(context, done.correlation_id).state.of("find")
    trace = traces.trace_run(context, attempt.run)
    assert (trace.task, trace.input, trace.run.status) == ("find", {"of": 1}, "failed")
    assert b"+half" in traces.patch_of(context, attempt.run)
    printed = CliRunner().invoke(APPS["team"], ["trace", "find"]).stdout
    assert f"team trace {attempt.run} --patch" in printed
    with pytest.raises(NoSuchRun, match="printed nothing"):
        traces.output_of(context, attempt.run)


def test_a_name_that_is_too_short_or_names_nothing_is_refused(team, scripted):
    """Three characters name no run."""
    context = ended(scripted)
    run = context.state().runs[0].id
    assert traces.trace_run(context, run[:36]).run.id == run
    for name in (run[:3], "ffffffff-none"):
        with pytest.raises(NoSuchRun, match="no run's id begins with"):
            traces.trace_run(context, name)


def test_a_plan_is_drawn_and_its_tasks_are_dispatchable(team, shown):
    """A roadmap in, a plan and a tasks.json out; past sprints are a roadmap, too."""
    text = b"tasks:\n- id: a\n  title: A\n  estimate: 1h\n  files: [x.py]\n"
    (team.folder / "roadmap.yaml").write_bytes(text)
    work = plans.plan(plans.read_roadmap(text, "roadmap.yaml", team.home))
    assert shown("team", "plan", "roadmap.yaml", "--json") == work.document()
    assert shown("team", "plan", "roadmap.yaml", "--tasks") == plans.tasks_of(work, text).document()
    (team.home / "team.toml").write_text('[agents.shell]\ncommand = ["true"]\n')
    context = opening.open_team(team.home, {})
    assert sprints.run_sprint(context).converged
    assert len(plans.plan(plans.forecast(context)).items) == 3


def test_the_team_itself_is_told(team, shown):
    """Settings, personas, templates, mail, and texts to install."""
    context = team.context()
    assert shown("team", "config", "--json") == as_json(team_api.config(team.home).document())
    assert shown("team", "personas", "--json") == team_api.personas(team.home).document()
    assert shown("team", "templates", "--json") == as_json(team_api.templates(team.home).document())
    assert b'"tasks"' in team_api.template("code-review", {"path": "src"}, team.home)
    for subject in ("one", "two"):
        context.mailbox.send(Letter("bob", ["ann"], subject))
    mail = team_api.inbox(context, "ann", unread=True, limit=1)
    assert ([each["subject"] for each in mail.document()], mail.more) == (["two"], True)
    assert "[Service]" in team_api.install_texts(context, "systemd").document()["text"]


def test_a_team_is_made(team):
    """What is there already is left alone, and said so."""
    made = team_api.init(team.folder, ["forge"], {"PATH": ""})
    document = made.document()
    assert (document["personas"], document["base"], document["settings"]) == (["forge"], "main", True)
    assert (document["roster"], document["scheduled"]) == (4, 4)
    assert team_api.init(team.folder, [], {}).document()["settings"] is False
