"""`team dispatch`, `trace` and `replay` in separate processes: the examples, kills, interrupts, hostile input."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..console import Piped, as_text, run_command
from ..on_server import log_file

ROOT = Path(__file__).parent.parent.parent
TEAM = Path(sys.executable).with_name("team")
EXAMPLES = sorted((ROOT / "examples" / "dispatch").glob("*.json"))
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("TEAM_", "_TEAM", "PYTHON", "EDITOR", "VISUAL", "GIT_", "COV"))
} | {
    "GIT_AUTHOR_NAME": "ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org", "GIT_CONFIG_GLOBAL": "/dev/null",
}  # fmt: skip
RESULT = {
    "type": "result", "subtype": "success", "is_error": False, "result": 'Done.\n{"answer": 42}', "total_cost_usd": 0.1,
}  # fmt: skip
STREAM = [
    {
        "type": "assistant",
        "message": {"content": [{"type": "tool_use", "id": "t1", "name": "Read", "input": {"file": "list.txt"}}]},
    },
    {
        "type": "user",
        "message": {"content": [{"type": "tool_result", "tool_use_id": "t1", "content": "one"}]},
    },
    RESULT,
]


class Project:
    """A repository with a shell script as agent, and without personas."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".team"

    def agent(self, script: str) -> None:
        self.home.mkdir(exist_ok=True)
        command = json.dumps(["sh", "-c", script])
        (self.home / "team.toml").write_text(f'[agents.shell]\ncommand = {command}\ntimeout = "20s"\n')

    def git(self, *words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=self.folder, env=CLEAN, check=True, capture_output=True, text=True
        ).stdout.strip()

    def run(self, *words: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
        return as_text(run_command("team", *words, cwd=self.folder, env=CLEAN, stdin=stdin, timeout=60))

    def document(self, *words: str, code: int = 0):
        ended = self.run(*words)
        assert ended.returncode == code, ended.stderr
        return json.loads(ended.stdout)

    def start(self, *words: str) -> Piped:
        return Piped("team", *words, cwd=self.folder, env=CLEAN)

    def write(self, *tasks: dict, **config) -> str:
        (self.folder / "tasks.json").write_text(json.dumps({"tasks": tasks, "config": config}))
        return "tasks.json"

    def events(self, kind: str = "") -> list[dict]:
        lines = log_file(self.home).read_text().splitlines()
        return [event for event in map(json.loads, lines) if kind in {"", event["kind"]}]

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder.parent)) for path in self.folder.parent.rglob("*")}


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder)
    project.git("init", "--quiet", "--initial-branch=main")
    (folder / "list.txt").write_text("one\ntwo\n")
    project.git("add", ".")
    project.git("commit", "--quiet", "-m", "Begin")
    return project


def task(name: str, *after: str, **fields) -> dict:
    return {"task_id": name, "agent": "forge", "description": f"Do {name}.", "dependencies": [*after]} | fields


def living(folder: Path) -> list[str]:
    """Return the processes that work for a team."""
    pids = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environ = (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"TEAM_HOME={folder}".encode() in environ and b"TEAM_RUN=" in environ:
            pids.append((entry / "cmdline").read_bytes().decode(errors="replace"))
    return pids


# -- the examples


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_runs_unchanged(project, example):
    """With the bundled agent in another repository, every task succeeds and has a trace."""
    given = json.loads(example.read_text())
    done = project.document("dispatch", str(example), "--agent", "scripted", "--trace-dir", "traces")
    assert done["status"] == "success"
    assert [task["task_id"] for task in done["results"]] == [task["task_id"] for task in given["tasks"]]
    for task in done["results"]:
        assert json.loads((project.folder / task["trace_file"]).read_text())["output"] == task["output"]
    written = [task["output"]["generated_file"] for task in done["results"] if "generated_file" in task["output"]]
    branch = f"team/dispatch-{project.events('dispatch.started')[0]['data']['dispatch'][-8:]}"
    assert written
    assert set(written) <= set(project.git("ls-tree", "-r", "--name-only", branch).splitlines())


def test_the_validation_example_writes_again_only_what_does_not_comply(project):
    """Two of three modules are sound: these are left as they are, and the report is written all the same."""
    for name, text in (
        ("sailings", "a = 1\n"),
        ("fares", "def f(of=[]):\n    return eval(of)\n"),
        ("timetable", "b = 2\n"),
    ):
        (project.folder / "src" / "ferry").mkdir(parents=True, exist_ok=True)
        (project.folder / "src" / "ferry" / f"{name}.py").write_text(text)
    project.git("add", ".")
    project.git("commit", "--quiet", "-m", "Ferry")
    example = next(path for path in EXAMPLES if path.stem == "03_validation_workflow")

    done = project.document("dispatch", str(example), "--agent", "scripted")

    assert {task["task_id"]: task["status"] for task in done["results"]} == {
        "check-sailings": "success", "check-fares": "success", "check-timetable": "success",
        "renew-sailings": "skipped", "renew-fares": "success", "renew-timetable": "skipped", "report": "success",
    }  # fmt: skip
    assert (done["status"], done["summary"]["skipped"], done["summary"]["failed"]) == ("success", 2, 0)
    assert done["results"][3]["why"] == "check-sailings.complies is true"
    branch = f"team/dispatch-{project.events('dispatch.started')[0]['data']['dispatch'][-8:]}"
    assert project.git("diff", "--name-only", "main", branch) == "src/ferry/fares.py"


def test_a_condition_of_a_shell_agents_output_skips_its_task(project):
    """The exit code is 0; trace and progress say why, and what cannot be decided is an error with exit code 1."""
    project.agent('cat > /dev/null; test "$TEAM_TASK" != check || echo \'{"pass_rate": 0.9}\' > "$TEAM_OUTPUT"')
    mend = task("mend", "check", when={"task": "check", "key": "pass_rate", "below": 0.8})
    file = project.write(task("check"), mend, task("tell", "mend"))

    ended = project.run("dispatch", file)

    assert ended.returncode == 0
    assert [each["status"] for each in json.loads(ended.stdout)["results"]] == ["success", "skipped", "success"]
    assert "mend: skipped, check.pass_rate is 0.9" in ended.stderr
    assert "skipped: check.pass_rate is 0.9" in project.run("trace", "mend").stdout
    project.write(task("check"), mend | {"when": mend["when"] | {"key": "rate"}})
    wrong = project.document("dispatch", file, code=1)
    assert "check.rate: there is no rate; did you mean pass_rate?" in wrong["results"][1]["error"]
    project.write(task("check"), mend | {"when": {"task": "chek", "key": "rate", "belw": 1}})
    refused = project.run("dispatch", file, "--dry-run")
    assert refused.returncode == 2
    assert json.loads(refused.stderr)["errors"] == [
        "tasks[1].when.belw: is no field of when; did you mean below?",
        "tasks[1].when.task: refers to unknown task 'chek'; did you mean check?",
    ]


def test_the_five_documented_examples_exist():
    """By their names."""
    assert [path.name for path in EXAMPLES] == [
        "01_parallel_generation.json", "02_debug_then_fix.json", "03_validation_workflow.json",
        "04_mixed_analysis.json", "05_complex_dependencies.json",
    ]  # fmt: skip


# -- input, output, exit codes


def test_tasks_come_from_a_file_or_a_pipe_and_results_go_to_standard_output(project):
    """Both give the same results; progress goes to standard error, and --quiet suppresses it."""
    project.agent('cat > /dev/null; echo "{\\"file\\": \\"$TEAM_TASK\\"}" > "$TEAM_OUTPUT"')
    file = project.write(task("a"), task("b", "a"))
    first = project.run("dispatch", file)
    piped = project.run("dispatch", "--quiet", stdin=(project.folder / file).read_bytes())
    assert (first.returncode, piped.returncode, piped.stderr) == (0, 0, "")
    assert "b (attempt 1): done" in first.stderr
    outputs = [[result["output"] for result in json.loads(ended.stdout)["results"]] for ended in (first, piped)]
    assert outputs == [[{"file": "a"}, {"file": "b"}]] * 2
    assert set(json.loads(first.stdout)) == {"status", "results", "summary", "trace_index"}


def test_a_failed_task_gives_exit_code_1_and_the_last_line_of_output_as_error(project):
    """The dispatch is partial, and the error is the reason that the agent printed."""
    project.agent('cat > /dev/null; test "$TEAM_TASK" != b || { echo the disk is full; exit 3; }')
    done = project.document("dispatch", project.write(task("a"), task("b"), task("c", "b")), code=1)
    assert (done["status"], done["summary"]["failed"]) == ("partial", 2)
    assert done["results"][1]["error"] == "exit 3: the disk is full"
    assert done["results"][2]["status"] == "blocked"


RETRY = '{"type":"system","subtype":"api_retry","error_status":500,"error":"server_error","session_id":"s"}'


@pytest.mark.parametrize(
    ("script", "says"),
    [
        pytest.param(
            "echo visit example.org to log in",
            "; the last that it printed: visit example.org to log in",
            marks=pytest.mark.storm,
        ),
        (f"echo '{RETRY}'", "; the agent reported an error: a request to the model failed: server_error (HTTP 500)"),
        ('echo \'{"type":"turn.started"}\'; echo no network >&2', "; the last that it printed: no network"),
        pytest.param(":", "", marks=pytest.mark.storm),
    ],
)
def test_a_task_that_took_too_long_tells_what_its_agent_said(project, script, says):
    """Whoever waits for a login or for a service that is gone says so, and ends with its time only."""
    project.agent(f"{script}; exec sleep 60")
    done = project.document("dispatch", project.write(task("a", timeout_seconds=1)), code=1)
    assert done["results"][0]["error"] == f"Task timeout exceeded: no end within 1s{says}"


@pytest.mark.in_files("to read a log on a server makes a copy")
def test_a_dry_run_shows_who_would_do_what_and_starts_nothing(project):
    """Neither the log nor a trace is written."""
    project.agent("exit 9")
    preview = project.document(
        "dispatch", project.write(task("a", estimate="1h"), task("b", "a", estimate="30m")), "--dry-run"
    )
    assert preview["waves"] == [["a"], ["b"]]
    assert preview["tasks"][0]["played_by"] == "shell"
    assert preview["estimated_seconds"] == 5400
    assert not (project.home / "mail").exists()
    assert not (project.folder / "traces").exists()


@pytest.mark.in_files("to read a log on a server makes a copy")
@pytest.mark.parametrize("words", [("--agent", "scripted", "--dry-run"), ()])
def test_a_dry_run_or_refused_dispatch_creates_no_team_folder(project, words):
    """Neither a dry run nor a dispatch without an agent writes a file."""
    file = project.write(task("a"))
    before = project.files()
    assert project.run("dispatch", file, *words).returncode == (0 if words else 2)
    assert project.files() == before


def test_command_line_options_override_the_config(project):
    """Workers, time limit and trace folder."""
    project.agent("cat > /dev/null; exec tail -f /dev/null")
    file = project.write(task("a"), max_workers=2, timeout_seconds=50, trace_dir="elsewhere")
    done = project.document("dispatch", file, "--timeout", "0.2", "--trace-dir", "here", "--max-workers", "1", code=1)
    assert done["results"][0]["error"].startswith("Task timeout exceeded: ")
    assert done["results"][0]["trace_file"] == "here/a.json"
    config = json.loads((project.folder / done["trace_index"]).read_text())["config"]
    assert (config["max_workers"], config["timeout_seconds"], config["trace_dir"]) == (1, 0.2, "here")
    assert not (project.folder / "elsewhere").exists()
    assert living(project.home) == []


def test_a_trace_has_the_tool_calls_of_the_agents_stream(project):
    """They are read from its JSON lines; the object at the end is the output."""
    lines = "\n".join(map(json.dumps, STREAM))
    (project.folder / "stream.jsonl").write_text(lines + "\n")
    project.git("add", "stream.jsonl")
    project.git("commit", "--quiet", "-m", "Record")
    project.agent("cat > /dev/null; cat stream.jsonl")
    done = project.document("dispatch", project.write(task("a")))
    trace = project.document("trace", "a", "--json")
    assert trace["mcp_calls"] == [{"tool": "Read", "input": {"file": "list.txt"}, "output": "one", "duration_ms": None}]
    assert trace["output"] == done["results"][0]["output"] == {"answer": 42}
    assert "tool 1: Read" in project.run("trace", "a").stdout
    assert "a\tforge\tsuccess" in project.run("trace", "--index").stdout


def test_the_same_tasks_can_be_replayed_with_another_agent(project):
    """The first agent fails; the bundled one plays the same tasks in a new dispatch."""
    project.agent("exit 1")
    first = project.document("dispatch", project.write(task("a"), task("b", "a")), code=1)
    name = json.loads((project.folder / first["trace_index"]).read_text())["correlation_id"]
    again = project.document("replay", name[-8:], "--agent", "scripted")
    assert (first["status"], again["status"]) == ("failure", "success")
    assert len({event["data"]["dispatch"] for event in project.events("dispatch.started")}) == 2


def test_tasks_can_be_made_from_a_template(project):
    """Its parameters are set on the command line; a missing one is named."""
    refused = project.run("dispatch", "--template", "build", "--agent", "scripted")
    assert refused.returncode == 2
    missing = json.loads(refused.stderr)["error"]
    assert "--set" in missing
    own = {
        "description": "Mine.",
        "parameters": {"what": {"description": "what to do"}},
        "tasks": [task("a", description="${what}")],
    }
    (project.home / "templates").mkdir(parents=True)
    (project.home / "templates" / "mine.json").write_text(json.dumps(own))
    done = project.document("dispatch", "--template", "mine", "--set", "what=Mow the lawn", "--agent", "scripted")
    assert "Mow the lawn" in done["results"][0]["output"]["summary"]


# -- killed, interrupted


def test_a_killed_dispatch_is_resumed_and_does_every_task_once(project, tmp_path):
    """After SIGKILL during the second task, no process is left, the first is not repeated, and the rest is done."""
    gate, ran = tmp_path / "gate", tmp_path / "ran"
    os.mkfifo(gate)
    project.agent(
        f'cat > /dev/null; test "$TEAM_TASK" != b -o -e {tmp_path}/again || cat {gate} || exit; '
        f'echo "$TEAM_TASK" >> {ran}; echo "$TEAM_TASK" > "$TEAM_TASK.txt"'
    )
    process = project.start("dispatch", project.write(task("a"), task("b", "a"), task("c", "b")))
    with process, gate.open("w") as held:  # it opens when the second task reads from it
        process.kill()
        gone = select.poll()
        gone.register(held, select.POLLERR)
        assert gone.poll(20_000)  # nobody reads any more: the task was ended, though its dispatch could not do it
    (tmp_path / "again").touch()
    name = project.events("dispatch.started")[0]["data"]["dispatch"]
    done = project.document("dispatch", "--resume", name)

    assert [result["status"] for result in done["results"]] == ["success"] * 3
    assert sorted(ran.read_text().split()) == ["a", "b", "c"]
    ended = [(e["data"]["task"], e["data"]["status"]) for e in project.events("run.finished")]
    assert ended == [("a", "ok"), ("b", "ok"), ("c", "ok")]
    assert [e["data"]["task"] for e in project.events("run.lost")] == ["b"]
    assert project.git("ls-tree", "--name-only", f"team/dispatch-{name[-8:]}").split() == [
        "a.txt", "b.txt", "c.txt", "list.txt",
    ]  # fmt: skip
    assert living(project.home) == []
    assert [path.name for path in (project.home / "work").iterdir()] == []


def test_an_interrupt_ends_every_child_and_prints_the_results_so_far(project, tmp_path):
    """After Ctrl-C the exit code is 130, each task has a result, no process is alive, and the rest can be resumed."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    project.agent(f'cat > /dev/null; test "$TEAM_TASK" = a || {{ cat {gate} & setsid tail -f /dev/null; }}')
    process = project.start("dispatch", project.write(task("a"), task("b", "a"), task("c", "b")))
    with gate.open("w"):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    done = json.loads(out)
    assert process.returncode == 130
    assert [result["status"] for result in done["results"]] == ["success", "cancelled", "cancelled"]
    assert done["summary"]["total_tasks"] == 3
    assert "--resume" in err
    assert living(project.home) == []


def test_a_closed_standard_error_fails_no_task(project):
    """The reader of the progress ends after the first byte, or never existed."""
    project.agent("cat > /dev/null")
    file, ends = project.write(task("a"), task("b", "a")), []
    for error in ("2> >(head -c 1 > /dev/null)", "2>&-"):
        process = subprocess.run(
            ["bash", "-c", f'"$0" dispatch {file} {error}', TEAM], cwd=project.folder, env=CLEAN,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False, timeout=60,
        )  # fmt: skip
        ends.append((process.returncode, json.loads(process.stdout)["status"]))
    assert ends == [(0, "success")] * 2


def test_the_result_is_json_in_any_locale(project):
    """An output stream that accepts only ASCII gets the same values."""
    project.agent(r"""cat > /dev/null; printf '{"x": "caf\303\251"}' > "$TEAM_OUTPUT" """)
    file, plain = project.write(task("a")), {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ended = subprocess.run(
        [TEAM, "dispatch", file, "-q"], cwd=project.folder, env=CLEAN | plain, capture_output=True, check=True,
        timeout=60,
    )  # fmt: skip
    trace = (project.folder / "traces" / "a.json").read_bytes()
    assert [json.loads(ended.stdout)["results"][0]["output"], json.loads(trace)["output"]] == [{"x": "café"}] * 2


def test_resume_refuses_a_dry_run_and_another_base(project):
    """It would have to start nothing, or to move its branch."""
    project.agent("exit 1")
    project.document("dispatch", project.write(task("a")), code=1)
    name, before = project.events("dispatch.started")[0]["data"]["dispatch"], project.events()
    for words in (("--dry-run",), ("--base", "main")):
        ended = project.run("dispatch", "--resume", name, *words)
        assert (ended.returncode, words[0] in json.loads(ended.stderr)["error"]) == (2, True)
    assert project.events() == before


# -- hostile input


DEEP = b'{"tasks": [{"task_id": "a", "agent": "forge", "input_data": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}]}"
HOSTILE = {
    "100,000 deep": DEEP,
    "nothing but brackets": b"[" * 100_000,
    "a slash": b'{"tasks": [{"task_id": "../../evil", "agent": "forge"}]}',
    "dots": b'{"tasks": [{"task_id": "..", "agent": "forge"}]}',
    "a newline": b'{"tasks": [{"task_id": "a\\nb", "agent": "forge"}]}',
    "an escape sequence": b'{"tasks": [{"task_id": "a\\u001b[2J", "agent": "forge"}]}',
    "a key twice": b'{"tasks": [{"task_id": "a", "task_id": "b", "agent": "forge"}]}',
    "half a surrogate": b'{"tasks": [{"task_id": "a", "agent": "forge", "description": "\\ud800"}]}',
    "not UTF-8": b'{"tasks": [{"task_id": "\xff", "agent": "forge"}]}',
    "NaN": b'{"tasks": [{"task_id": "a", "agent": "forge", "estimate": NaN}]}',
    "nothing": b"",
    "another thing": b'["tasks"]',
}


@pytest.mark.parametrize("given", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_tasks_are_refused_with_one_clear_error(project, given):
    """Exit code 2, one problem as JSON on standard error, and no new file anywhere."""
    (project.folder / "tasks.json").write_bytes(given)
    before = project.files()
    ended = project.run("dispatch", "tasks.json")
    error = json.loads(ended.stderr)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert (error["status"], len(error["errors"])) == ("failure", 1)
    assert error["error"].isprintable()
    assert len(error["error"]) < 400
    assert project.files() == before


def test_a_file_of_100_megabytes_is_refused_at_the_size_limit(project):
    """It is not read to its end and not kept in memory."""
    with (project.folder / "tasks.json").open("wb") as file:
        file.truncate(100 << 20)
    ended = project.run("dispatch", "tasks.json")
    assert ended.returncode == 2
    assert "16" in json.loads(ended.stderr)["error"]


@pytest.mark.parametrize(
    "words",
    [
        ("dispatch",),
        ("dispatch", "missing.json"),
        ("dispatch", "tasks.json", "--resume", "0123"),
        ("dispatch", "--template", "../../etc/passwd"),
        ("dispatch", "--timeout", "soon", "tasks.json"),
        ("dispatch", "--timeout", "0", "tasks.json"),
        ("dispatch", "--trace-dir", "", "tasks.json"),
        ("dispatch", "--resume", ""),
        ("dispatch", "--set", "a=b", "tasks.json"),
        ("dispatch", "--resume", "0123"),
        ("replay", "0123"),
    ],
)
def test_a_refused_call_says_what_to_do(project, words):
    """Exit code 2 and the documented form, whatever was wrong."""
    project.write(task("a"))
    ended = project.run(*words)
    error = json.loads(ended.stderr)
    assert (ended.returncode, ended.stdout, error["status"]) == (2, "", "failure")
    assert error["error"]


PROGRAM = """
import asyncio
from team_mail import FunctionAgent, ParallelDispatcher, TaskBuilder

def play(job):
    print("begun", flush=True)
    assert job.stop.wait(30)
    print("ended", flush=True)
    raise RuntimeError("told to end")

async def main():
    builder = TaskBuilder()
    tasks = [builder.create_task("a", "forge"), builder.create_task("b", "forge", dependencies=["a"])]
    await ParallelDispatcher(agent=FunctionAgent(play)).dispatch(tasks)

asyncio.run(main())
"""


def test_interrupting_an_awaited_dispatch_ends_its_runs(project):
    """`asyncio.run` cancels the await: the run is ended, everything is recorded, and the program stops."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=project.folder, env=CLEAN, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)

    events = [json.loads(line) for line in log_file(project.home).read_text().splitlines()]
    assert output == "ended\n"
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert [event["data"]["failed"] for event in events if event["kind"] == "dispatch.finished"] == [2]
