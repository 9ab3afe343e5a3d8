"""The agents that need no model: the bundled script that plays any task, the function, and the workers' personas."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.clock import ManualClock
from team_mail.personas.agent import Assignment, Job, Outcome
from team_mail.personas.agents.function import FunctionAgent
from team_mail.personas.agents.scripted import ScriptedAgent
from team_mail.personas.agents.scripts import bundled_agent
from team_mail.personas.agents.specimen import specimen
from team_mail.personas.bundled import library, with_bundled
from team_mail.personas.persona import Persona
from team_mail.personas.prompt import Situation, write_prompt
from team_mail.personas.roster import Roster, read_roster

NODES = ("Effect", "Compute", "Reducer", "Orchestrator")


@pytest.fixture
def job(tmp_path):
    """Make a job for a persona, with the input of its task."""
    (tmp_path / "work").mkdir()

    def make(persona: str, description: str = "Do it.", timeout: float = 20.0, **given) -> Job:
        task = Assignment("dispatch-1", "t", description, given)
        folder = tmp_path / "runs" / persona
        return Job("r", persona, 1, 0, "words", tmp_path / "work", folder, tmp_path, timeout, assignment=task)

    return make


def files_in(folder) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


# -- the coder


@pytest.mark.parametrize("node", NODES)
def test_the_coder_writes_a_module_that_runs(job, node):
    """Each kind of node is a module that can be imported without a warning, and the same each time."""
    this = job("coder", contract_description="Writes orders.", node_type=node, output_path="src/shop/orders_db.py")
    outcome = bundled_agent().play(this)
    written = (this.workspace / "src" / "shop" / "orders_db.py").read_text()
    assert outcome.output == {
        "generated_file": "src/shop/orders_db.py",
        "validation_passed": True,
        "node_type": node,
        "validation_level": "moderate",
        "lines": len(written.splitlines()),
    }
    assert written.startswith('"""Writes orders.\n')
    subprocess.run([sys.executable, "-W", "error", "-c", written], check=True)
    assert bundled_agent().play(this).output == outcome.output


@pytest.mark.parametrize(
    "path",
    ["/tmp/x.py", "../x.py", "a/../../x.py", "", ".", ".git/config", ".GIT/hooks/x", "link/x.py", "file", "loop/x",
     "\0", "n" * 300 + ".py", "folder", "file/x.py"],
)  # fmt: skip
def test_the_coder_writes_nowhere_else(job, tmp_path, path):
    """A path that is absolute, climbs out, or cannot be written is told in the result, and nothing is written."""
    this = job("coder", contract_description="x", node_type="Compute", output_path=path)
    (this.workspace / "folder").mkdir()
    (this.workspace / "link").symlink_to(tmp_path)
    (this.workspace / "loop").symlink_to("loop")
    (tmp_path / "secret").write_text("kept")
    (this.workspace / "file").symlink_to(tmp_path / "secret")
    before = files_in(tmp_path)
    outcome = bundled_agent().play(this)
    output = outcome.output
    assert (outcome.status, output["generated_file"], output["validation_passed"]) == ("ok", None, False)
    assert output["problem"].isprintable()
    assert files_in(tmp_path) - {"runs/coder/prompt.md"} == before
    assert (tmp_path / "secret").read_text() == "kept"


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.text(max_size=20), st.sampled_from(NODES))
def test_no_description_can_break_the_module(description, stem, node):
    """Quotes, backslashes, keywords: what comes out parses, and nothing of it is run but what we wrote."""
    plain = ast.parse(specimen("x.py", node, ""))
    found = ast.parse(specimen(f"{stem}.py", node, description))
    assert [type(one) for one in found.body] == [type(one) for one in plain.body]


def test_what_is_no_python_is_text():
    """A path that does not end in .py gets the description."""
    assert specimen("notes.md", "Effect", "Say\n why.") == "Say why.\n"


# -- debug


def test_debug_finds_what_a_trace_names_and_what_stands_out(job):
    """The line where a trace ends first, then the gravest; a file that is not there is a finding, too."""
    this = job(
        "debug",
        problem_description="Totals are wrong",
        affected_files=["src/cart.py", "src/gone.py", "../secret", "src/good.py"],
        error_traces=['Traceback\n  File "/app/src/cart.py", line 2, in add\nTypeError: x', "at src/cart.py:999"],
    )
    (this.workspace / "src").mkdir()
    (this.workspace / "src" / "cart.py").write_text("def add(item, to=[]):\n    to.append(item)\n    x = eval(item)\n")
    (this.workspace / "src" / "good.py").write_text("a = 1\n")
    before = files_in(this.workspace)

    output = bundled_agent().play(this).output

    told = [(found["file"], found["line"], found["text"]) for found in output["findings"]]
    assert told == [
        ("src/cart.py", 2, "is where a trace ends: to.append(item)"),
        ("src/cart.py", 3, "runs text as code"),
        ("src/cart.py", 1, "shares one default between calls"),
        ("src/good.py", 1, "nothing stands out in 1 line"),
        ("src/gone.py", 0, "is not in this commit"),
        ("../secret", 0, "../secret is not within the repository; name a file from its top"),
    ]
    assert output["root_cause"] == "src/cart.py:2 is where a trace ends: to.append(item)"
    assert output["suggested_fix"].startswith("src/cart.py:2: ")
    assert output["severity"] == "high"
    assert files_in(this.workspace) == before


def test_debug_says_how_far_it_got(job):
    """Without a file to read there is no cause, and that is said."""
    output = bundled_agent().play(job("debug", problem_description="x", affected_files=["a.py", "b.py"])).output
    assert output["root_cause"] == "not found by reading alone: 0 of 2 affected files could be read"
    assert output["severity"] == "low"
    assert len(output["findings"]) == 2


def test_debug_reads_no_file_that_is_none(job, tmp_path):
    """Links to elsewhere, folders and what is too large are told, not read."""
    this = job(
        "debug", problem_description="x", affected_files=["link", "folder", "huge", "data"], analysis_depth="deep"
    )
    (tmp_path / "secret").write_text("password = eval(x)")
    (this.workspace / "link").symlink_to(tmp_path / "secret")
    (this.workspace / "folder").mkdir()
    (this.workspace / "huge").write_bytes(b"x" * (1 << 20))
    (this.workspace / "data").write_bytes(b"\xff\x00\x1b eval(\n" * 3)
    output = bundled_agent().play(this).output
    assert [found["line"] for found in output["findings"]] == [1, 2, 3, 0, 0, 0]
    assert "password" not in json.dumps(output)


# -- everybody else


def test_anybody_else_answers_and_changes_nothing(job):
    """The files that the input names, and what was asked, so that others have something to refer to."""
    this = job("forge", "Add a\nbasket.", where={"files": ["src/a.py", "src/none.py"]}, n=1, top="/etc/passwd")
    (this.workspace / "src").mkdir()
    (this.workspace / "src" / "a.py").touch()
    outcome = bundled_agent().play(this)
    assert outcome.output == {
        "summary": "forge was asked for: Add a basket. Nothing was changed.",
        "files": ["src/a.py"],
    }
    assert files_in(this.workspace) == {"src/a.py"}


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["/", "..", "deep", "a.py", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["output_path", "node_type", "contract_description", "affected_files", "error_traces", "analysis_depth"]


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), anything), st.sampled_from(["coder", "debug", "forge"]))
def test_no_input_can_make_the_script_fail(tmp_path_factory, given_input, persona):
    """Whatever a task brings, the run ends well, with a result that JSON can hold."""
    folder = tmp_path_factory.mktemp("script")
    task = Assignment("dispatch-1", "t", "", given_input)
    outcome = bundled_agent().play(Job("r", persona, 1, 0, "", folder, folder / "runs", folder, 9.0, assignment=task))
    assert outcome.status == "ok", outcome.detail
    json.dumps(outcome.output, allow_nan=False).encode()


def test_a_sentence_in_the_input_is_no_file(job):
    """No disk takes a name of 256 letters, be they ever so harmless."""
    outcome = bundled_agent().play(job("forge", question="why " * 70, noun="\N{SNOWMAN}" * 100))
    assert (outcome.status, outcome.output["files"]) == ("ok", [])


def test_a_script_may_give_a_result(job):
    """A mapping is the result, an outcome is how it ended; `default` plays whoever has no script."""
    agent = ScriptedAgent(
        {
            "ann": lambda _: {"n": 1},
            "bob": lambda _: Outcome("ok", 0, 1.0, "exit 0", output=[2]),
            "cyd": lambda _: None,
        },
        default=lambda job: {"who": job.persona},
    )
    results = [agent.play(job(name)).output for name in ("ann", "bob", "cyd", "dan")]
    assert results == [{"n": 1}, [2], None, {"who": "dan"}]


# -- functions


def test_a_function_gives_its_value(job):
    """Nothing is written, no prompt is asked for: the value is the result."""
    this = job("ann", n=20)
    outcome = FunctionAgent(lambda job: job.assignment.input["n"] * 2.1).play(this)
    assert (outcome.status, outcome.exit, outcome.output, outcome.detail) == ("ok", 0, 42.0, "exit 0")
    assert "prompt" not in vars(this)
    assert not this.folder.exists()


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (ValueError("no\nsuch \x1b[1mthing"), "failed", "ValueError: no\\nsuch \\x1b[1mthing"),
        (KeyError("n"), "failed", "KeyError: 'n'"),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (RecursionError(), "failed", "RecursionError"),
    ],
)
def test_what_a_function_raises_is_how_it_ended(job, error, status, detail):
    """In one line, whatever it is; there is no result then."""

    def raises(_):
        raise error

    outcome = FunctionAgent(raises).play(job("ann"))
    assert (outcome.status, outcome.detail, outcome.output) == (status, detail, None)


def test_a_function_that_raises_when_told_to_end_was_stopped(job):
    """It is no failure of its own; one that goes on to its end has done its work."""

    def raises(job):
        job.stop.set()
        raise RuntimeError("told to end")

    outcome = FunctionAgent(raises).play(job("ann"))
    assert (outcome.status, outcome.detail) == ("stopped", "RuntimeError: told to end")
    assert FunctionAgent(lambda job: job.stop.set()).play(job("ann")).status == "ok"


def test_a_function_that_takes_too_long_has_no_result(job):
    """Nobody can end it, but what comes too late does not count."""
    clock = ManualClock()
    outcome = FunctionAgent(lambda _: clock.sleep(3.0) or 1, clock).play(job("ann", timeout=2.0))
    assert outcome == Outcome("timeout", None, 3.0, "no end within 2s")
    assert FunctionAgent(lambda _: clock.sleep(2.0) or 1, clock).play(job("ann", timeout=2.0)).output == 1


# -- the personas


def test_a_team_without_personas_has_the_bundled_ones():
    """The workers and all of the library that can be given a task, in no sprint, played by the team's own agent."""
    roster = with_bundled(Roster(problems=("x",)))
    ids = [persona.id for persona in roster.personas]
    members = {file.name.removesuffix(".md") for file in library()} - {"weaver", "you"}
    assert ids[:2] == ["coder", "debug"]
    assert {*ids} == {"coder", "debug", *members}
    assert len(ids) == len({*ids})
    assert roster.scheduled == ()
    assert {persona.agent for persona in roster.personas} == {None}
    assert roster.problems == ("x",)


def test_a_teams_own_persona_comes_first(tmp_path):
    """Whoever wrote a coder of their own has that one, and who is in sprints stays there."""
    (tmp_path / "coder.md").write_text("---\nagent: claude\n---\n\nMine.")
    (tmp_path / "forge.md").write_text("Mine, too.")
    roster = with_bundled(read_roster(tmp_path))
    assert [persona.id for persona in roster.personas][:3] == ["coder", "forge", "debug"]
    assert roster.get("coder") == read_roster(tmp_path).get("coder")
    assert {persona.id for persona in roster.scheduled} == {"coder", "forge"}


@pytest.mark.parametrize("name", ["coder", "debug"])
def test_the_workers_know_their_input_and_their_result(name):
    """Their prompts name every key of both, and are written like those of the library."""
    worker = with_bundled(Roster()).get(name)
    assert isinstance(worker, Persona)
    keys = {
        "coder": "contract_description node_type output_path context_files validation_level Effect Compute Reducer "
        "Orchestrator strict moderate lenient",
        "debug": "problem_description affected_files error_traces analysis_depth hypothesis quick standard deep",
    }[name]
    results = {"coder": "generated_file validation_passed", "debug": "root_cause findings suggested_fix severity"}[name]
    assert not {key for key in keys.split() if f"`{key}`" not in worker.prompt}
    assert not {key for key in results.split() if f'"{key}":' not in worker.prompt}
    assert re.findall(r"(?m)^## (\w+)", worker.prompt) == ["Role", "Objective", "Situation", "Act", "Verify"]
    text = write_prompt(worker, [], Situation(0, 1, "r", "abc", "team/dispatch-1", "you", (), "demo"))
    assert "{{" not in text
    assert text.count("A task of a dispatch") == 1
