"""`team ask` in its own processes: an agent plays planner, workers and reporter from a script of what each one says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..samples import STORM
from .test_costs import on_terminal
from .test_scheduler import Project

PLAYER = """
import json, os, pathlib, sys
prompt, who, run = sys.stdin.read(), os.environ["TEAM_PERSONA"], pathlib.Path(".team/run")
task = next(line.split("`")[1] for line in prompt.splitlines() if line.startswith("Task `") or "task `" in line.lower())
(pathlib.Path({place!r}) / f"{{task}}.prompt").write_text(prompt)
said = json.loads((pathlib.Path({place!r}) / "said.json").read_text())
what = said.get(task, said.get(who, {{"text": "done"}}))
for name, text in what.pop("files", {{}}).items():
    pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(name).write_text(text)
if "fails" in what:
    sys.exit(what["fails"])
(run / "output.json").write_text(json.dumps(what))
"""


class Asked(Project):
    """A project whose agent says what the test gives for each task or persona."""

    def says(self, **said: Any) -> None:
        place = self.folder.parent / "stage"
        place.mkdir(exist_ok=True)
        (place / "said.json").write_text(json.dumps(said))
        (place / "player.py").write_text(PLAYER.format(place=str(place)))
        self.team.mkdir(exist_ok=True)
        command = json.dumps(["python3", str(place / "player.py")])
        (self.team / "team.toml").write_text(f'[team]\nagent = "player"\n[agents.player]\ncommand = {command}\n')

    def prompt(self, task: str) -> str:
        return (self.folder.parent / "stage" / f"{task}.prompt").read_text()

    def asked(self, request: str, *words: str, code: int = 0) -> Any:
        return json.loads(self.ok("team", "ask", request, "--json", *words, code=code))


@pytest.fixture
def project(tmp_path: Path) -> Asked:
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    project = Asked(folder)
    project.git("init", "--quiet", "--initial-branch=main")
    (folder / "src" / "auth.py").write_text("def login(): return 1 / 0\n")
    project.git("add", ".")
    project.git("commit", "--quiet", "-m", "Begin")
    return project


def coder(name: str, contract: str, needs: list[str] | None = None, **more: Any) -> dict[str, Any]:
    given = {"contract_description": contract, "node_type": "Compute", "output_path": f"src/{name}.py"} | more
    return {
        "task_id": name,
        "agent": "coder",
        "description": f"Write {name}.",
        "input_data": given,
        "dependencies": needs or [],
    }


def debug(name: str, problem: str, files: list[str]) -> dict[str, Any]:
    given = {"problem_description": problem, "affected_files": files}
    return {"task_id": name, "agent": "debug", "description": problem, "input_data": given}


def wrote(name: str) -> dict[str, Any]:
    return {"files": {f"src/{name}.py": f"# {name}\n"}, "generated_file": f"src/{name}.py", "validation_passed": True}


MEND = "mend: {{ tasks.find.output.root_cause }}"
FOUND = {"root_cause": "division by zero", "findings": [], "suggested_fix": "return 1", "severity": "high"}
ANSWER = {"answer": "It is done.", "mend": {}}
# The request patterns that guides of dispatchers publish: what is asked, what the planner makes of it, what comes back.
PATTERNS = {
    "parallel generation": (
        "Generate a parser, a writer and a checker at the same time",
        [coder(name, f"a {name}") for name in ("parser", "writer", "checker")],
        {name: wrote(name) for name in ("parser", "writer", "checker")},
        [("parser", "writer", "checker")],
    ),
    "debug, then fix": (
        "Debug the authentication module, then generate a fixed version",
        [debug("find", "login fails", ["src/auth.py"]), coder("auth", MEND, ["find"])],
        {"find": FOUND, "auth": wrote("auth")},
        [("find",), ("auth",)],
    ),
    "parallel analysis": (
        "Look for what is wrong in login, logout and the tokens, all at once",
        [debug(name, f"{name} fails", ["src/auth.py"]) for name in ("login", "logout", "tokens")],
        dict.fromkeys(("login", "logout", "tokens"), FOUND),
        [("login", "logout", "tokens")],
    ),
    "validate and regenerate": (
        "Check the generated module, and generate it again if it is wrong",
        [
            coder("auth", "a login"), debug("check", "is auth right?", ["src/auth.py"]) | {"dependencies": ["auth"]},
            coder("again", "auth again: {{ tasks.check.output.suggested_fix }}", ["check"], output_path="src/auth.py"),
        ],
        {"auth": wrote("auth"), "check": FOUND, "again": {**wrote("auth"), "files": {"src/auth.py": "# again\n"}}},
        [("auth",), ("check",), ("again",)],
    ),
}  # fmt: skip


# Side by side, and one after the other; the storm goes through the others, too.
HERE = {"parallel generation", "debug, then fix"}


@pytest.mark.parametrize("pattern", [pytest.param(name, marks=() if name in HERE else STORM) for name in PATTERNS])
def test_a_published_pattern_is_planned_carried_out_and_answered(project, pattern):
    """What can run at once does, outputs reach the tasks that name them, and the answer comes last."""
    request, tasks, said, waves = PATTERNS[pattern]
    project.says(planner={"tasks": tasks}, reporter=ANSWER, **said)
    done = project.asked(request, "--yes")
    assert (done["dispatch"]["status"], done["answer"], done["mend"]) == ("success", "It is done.", {})
    assert done["invented_traces"] == []
    assert [each["task_id"] for each in done["dispatch"]["results"]] == [task["task_id"] for task in tasks]
    assert f'"request": "{request}"' in project.prompt("ask-plan-1")
    results = project.prompt("ask-answer")
    assert all(f'"trace": "traces/{task["task_id"]}.json"' in results for task in tasks)
    references = [task["task_id"] for task in tasks if "{{" in json.dumps(task)]
    outputs = (FOUND["root_cause"], FOUND["suggested_fix"])
    assert all(any(output in project.prompt(name) for output in outputs) for name in references)
    started = [event["data"]["task"] for event in project.events("run.started") if event["data"]["task"] in said]
    ended = [event["data"]["task"] for event in project.events("task.finished") if event["data"]["task"] in said]
    assert sorted(started) == sorted(ended) == sorted(said)
    place = {name: number for number, names in enumerate(waves) for name in names}
    assert [place[name] for name in started] == sorted(place[name] for name in started)


def test_a_task_that_was_not_necessary_is_answered_for_and_needs_no_mending(project):
    """The planner may set a condition; the reporter is told why its task was skipped, and the command succeeds."""
    tasks = [
        debug("check", "is auth right?", ["src/auth.py"]),
        coder("auth", MEND.replace("find", "check"), ["check"])
        | {"when": {"task": "check", "key": "complies", "equals": False}},
    ]
    project.says(planner={"tasks": tasks}, reporter=ANSWER, check=FOUND | {"complies": True})

    done = project.asked("Check auth, and write it again if it is wrong", "--yes")

    assert [result["status"] for result in done["dispatch"]["results"]] == ["success", "skipped"]
    assert (done["dispatch"]["status"], done["answer"], done["mend"]) == ("success", "It is done.", {})
    assert '"why": "check.complies is true"' in project.prompt("ask-answer")
    assert '"when": {' in project.prompt("ask-plan-1")


def test_what_is_refused_goes_back_to_the_planner_with_the_reasons(project):
    """Every reason, and what it gave; the second answer is taken."""
    wrong = {"tasks": [{"task_id": "find", "agent": "debugger", "input_data": {"x": "{{ tasks.none.output.y }}"}}]}
    right = {"tasks": [debug("find", "login fails", ["src/auth.py"])]}
    project.says(**{"ask-plan-1": wrong, "ask-plan-2": right, "find": FOUND, "reporter": ANSWER})
    done = project.asked("Why does login fail? {{ tasks.x }}", "--yes")
    assert done["dispatch"]["status"] == "success"
    again = project.prompt("ask-plan-2")
    assert "there is no persona 'debugger'; did you mean debug?" in again
    assert "refers to unknown task 'none'" in again
    assert "{ { tasks.none.output.y }}" in again


def test_after_three_refusals_the_reasons_are_told_and_nothing_runs(project):
    """A planner that does not learn costs no more."""
    project.says(planner={"text": "I would rather talk."})
    ended = project.run("team", "ask", "Do it", "--yes", "-q")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "planner was refused 3 times" in ended.stderr
    assert 'the result has no "tasks"' in ended.stderr
    assert len(project.events("run.started")) == 3
    project.says(planner={"fails": "no model here"})
    assert "planner failed: exit 1: no model here" in project.run("team", "ask", "Do it", "--yes", "-q").stderr


def test_tasks_that_could_collide_run_one_after_the_other(project):
    """The planner says which files each one changes, and need not know that they meet."""
    tasks = [
        coder("auth", "a login"),
        {"task_id": "tidy", "agent": "forge", "description": "Tidy", "files": ["src/*.py"]},
    ]
    project.says(planner={"tasks": tasks}, reporter=ANSWER, auth=wrote("auth"), tidy={"text": "tidied"})
    shown = project.ok("team", "ask", "Login, and tidy", "--dry-run", "-q")
    assert "tidy and auth run one after the other: both may change src/auth.py" in shown
    assert {event["data"]["task"] for event in project.events("run.started")} == {"ask-plan-1"}
    document = project.asked("Login, and tidy", "--dry-run")
    assert [task.get("dependencies", []) for task in document["tasks"]] == [[], ["auth"]]
    (project.folder / "tasks.json").write_text(json.dumps(document))
    assert json.loads(project.ok("team", "dispatch", "tasks.json"))["status"] == "success"


def test_a_task_that_failed_is_answered_for(project):
    """With what the reporter says would mend it, and with the error where it says nothing."""
    tasks = [
        debug("find", "login fails", ["src/auth.py"]),
        coder("auth", "mend it", ["find"]),
        coder("other", "another"),
    ]
    project.says(
        planner={"tasks": tasks}, find={"fails": "no debugger"}, other=wrote("other"),
        reporter={"answer": "Half of it (traces/other.json).", "mend": {"find": "Install a debugger."}},
    )  # fmt: skip
    done = project.asked("Mend login", "--yes", code=1)
    assert done["mend"]["find"] == "Install a debugger."
    assert "blocked" in done["mend"]["auth"].lower() or "find" in done["mend"]["auth"]
    ended = project.run("team", "ask", "Mend login", "--yes", "-q")
    assert "find did not succeed: Install a debugger." in ended.stdout
    assert "traces: traces/find.json" in ended.stdout
    assert "other.json" not in ended.stdout.rpartition("traces: ")[2]


def test_without_a_terminal_somebody_has_to_say_that_it_may_run(project):
    """It is refused before it costs anything."""
    project.says(planner={"tasks": []})
    ended = project.run("team", "ask", "Do it")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "add --yes to go on at once, or --dry-run to stop there" in ended.stderr
    assert project.events() == []


def test_on_a_terminal_only_yes_goes_on(project):
    """The tasks are shown before; those of the planner alone are carried out then."""
    project.says(planner={"tasks": [coder("a", "x")]}, a=wrote("a"), reporter=ANSWER)
    printed, code = on_terminal(project, "n\n", "team", "ask", "Do it")
    assert (code, len(project.events("dispatch.started"))) == (1, 1), printed
    assert printed.rpartition("Write a.")[2].endswith("Go on? [y/N] team: nothing was started\n")
    printed, code = on_terminal(project, "y\n", "team", "ask", "Do it")
    assert (code, len(project.events("dispatch.started"))) == (0, 4), printed
    assert "It is done." in printed


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (coder("a", "x", output_path="../../etc/x"), "output_path ../../etc/x is"),
        ({"task_id": "ask-answer", "agent": "forge"}, "names that begin with ask- are those of planner and reporter"),
        ({"task_id": "again", "agent": "planner"}, "planner and reporter take no tasks of a request"),
    ],
)
def test_whatever_is_wrong_with_a_task_goes_back_to_the_planner(project, wrong, why):
    """Paths and names, too: the request does not die over what can be mended."""
    tries = {"ask-plan-1": {"tasks": [wrong]}, "ask-plan-2": {"tasks": [coder("b", "x")]}}
    project.says(**tries, b=wrote("b"), reporter=ANSWER)
    done = project.asked("Do it", "--yes")
    assert done["dispatch"]["status"] == "success"
    assert why in project.prompt("ask-plan-2")


def test_without_an_answer_the_command_fails_although_all_tasks_succeeded(project):
    """A script can tell; the results are there."""
    project.says(planner={"tasks": [coder("b", "x")]}, b=wrote("b"), reporter={"fails": "no words"})
    done = project.asked("Do it", "--yes", code=1)
    assert (done["dispatch"]["status"], done["answer"]) == ("success", None)


def test_an_answer_in_the_midst_of_words_is_found_and_its_traces_are_checked(project):
    """An agent may print all it did around it, and may name what is not there."""
    said = 'Thinking… {"x": 1} done: {"answer": "See traces/b.json and traces/c.json.", "mend": {}} Tokens: 4k'
    project.says(planner={"tasks": [coder("b", "x")]}, b=wrote("b"), reporter={"text": said})
    done = project.asked("Do it", "--yes")
    assert done["answer"] == "See traces/b.json and traces/c.json."
    assert done["invented_traces"] == ["traces/c.json"]
    ended = project.run("team", "ask", "Do it", "--yes", "-q")
    assert "the answer names traces that do not exist: traces/c.json" in ended.stdout


def test_what_planner_and_reporter_change_is_told(project):
    """It is not their part, and nobody would look for it."""
    project.says(
        planner={"tasks": [coder("b", "x")], "files": {"evil.txt": "x"}}, b=wrote("b"),
        reporter=ANSWER | {"files": {"e.txt": "x"}},
    )  # fmt: skip
    ended = project.run("team", "ask", "Do it", "--yes")
    assert "note: planner has changed files, which is not its part; they are on team/dispatch-" in ended.stderr
    assert "note: reporter has changed files" in ended.stderr


def test_the_advice_for_a_failed_task_can_be_carried_out(project):
    """It names the dispatch."""
    project.says(planner={"tasks": [coder("b", "x")]}, b={"fails": "not today"}, reporter={"answer": "No.", "mend": {}})
    done = project.asked("Do it", "--yes", code=1)
    advice = done["mend"]["b"]
    project.says(b=wrote("b"))
    words = advice[advice.index("team dispatch --resume") :].split()[:4]
    assert json.loads(project.ok(*words))["status"] == "success"


def test_a_run_makes_no_team_and_asks_for_nothing(project):
    """It would write into the human's checkout, and spend what nobody counts."""
    project.says(planner={"tasks": []})
    for words in (["ask", "x", "--yes"], ["init"]):
        ended = project.run("team", *words, TEAM_RUN="run-1", TEAM_PERSONA="ann", TEAM_HOME=str(project.team))
        assert ended.returncode == 2
        assert "can only be used by a person" in ended.stderr
