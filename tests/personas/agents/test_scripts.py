"""The agents that need no model: the bundled script, the function, and the personas that they play."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.personas.agent import Assignment, Job
from team_mail.personas.agents.scripts import bundled_agent
from team_mail.personas.agents.specimen import specimen

from ...samples import examples

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
    """List the files below a folder but those through which a run and its keeper speak."""
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return {file for file in files if ".team/run/" not in file}


# -- the coder


@pytest.mark.parametrize("node", NODES)
def test_the_coder_writes_a_module_that_runs(job, node):
    """The module of each node type can be imported without a warning, and is always the same."""
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
def test_the_coder_writes_only_inside_the_workspace(job, tmp_path, path):
    """A path that is absolute, leads outside or cannot be written is a problem in the result; nothing is written."""
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


@settings(max_examples=examples(75), deadline=None)
@given(st.text(max_size=60), st.text(max_size=20), st.sampled_from(NODES))
def test_no_description_breaks_the_module(description, stem, node):
    """With quotes, backslashes or keywords in it, the module still parses and has no statements of its own."""
    plain = ast.parse(specimen("x.py", node, ""))
    tree = ast.parse(specimen(f"{stem}.py", node, description))
    assert [type(node) for node in tree.body] == [type(node) for node in plain.body]


def test_a_file_that_is_not_python_gets_the_description():
    """Only paths that end in .py get a module."""
    assert specimen("notes.md", "Effect", "Say\n why.") == "Say why.\n"


# -- debug


def test_debug_reports_traced_lines_first_then_by_severity(job):
    """The line where a trace ends comes first; files that are missing or outside are findings, too."""
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

    assert [(finding["file"], finding["line"], finding["text"]) for finding in output["findings"]] == [
        ("src/cart.py", 2, "is where a trace ends: to.append(item)"),
        ("src/cart.py", 3, "runs text as code"),
        ("src/cart.py", 1, "shares a mutable default between calls"),
        ("src/good.py", 1, "nothing stands out in 1 line"),
        ("src/gone.py", 0, "is not in this commit"),
        ("../secret", 0, "../secret is not in the repository; give a path relative to its top"),
    ]
    assert output["root_cause"] == "src/cart.py:2 is where a trace ends: to.append(item)"
    assert output["suggested_fix"].startswith("src/cart.py:2: ")
    assert (output["severity"], output["complies"]) == ("high", False)
    assert files_in(this.workspace) == before


def test_debug_says_how_many_files_it_could_read(job):
    """Without a file to read it reports no cause, and says why."""
    output = bundled_agent().play(job("debug", problem_description="x", affected_files=["a.py", "b.py"])).output
    assert output["root_cause"] == "not found by reading alone: 0 of 2 affected files could be read"
    assert (output["severity"], output["complies"]) == ("low", False)
    assert len(output["findings"]) == 2


def test_debug_says_that_files_comply_in_which_nothing_stands_out(job):
    """Tasks that write a file again only if it does not comply are then skipped."""
    this = job("debug", problem_description="x", affected_files=["good.py"])
    (this.workspace / "good.py").write_text("a = 1\n")

    assert bundled_agent().play(this).output["complies"] is True


def test_debug_reads_only_regular_files_of_limited_size(job, tmp_path):
    """Links that lead outside, folders and large files are reported, not read."""
    this = job(
        "debug", problem_description="x", affected_files=["link", "folder", "huge", "data"], analysis_depth="deep"
    )
    (tmp_path / "secret").write_text("password = eval(x)")
    (this.workspace / "link").symlink_to(tmp_path / "secret")
    (this.workspace / "folder").mkdir()
    (this.workspace / "huge").write_bytes(b"x" * (1 << 20))
    (this.workspace / "data").write_bytes(b"\xff\x00\x1b eval(\n" * 3)
    output = bundled_agent().play(this).output
    assert [finding["line"] for finding in output["findings"]] == [1, 2, 3, 0, 0, 0]
    assert "password" not in json.dumps(output)


# -- every other persona


def test_other_personas_answer_and_change_nothing(job):
    """The answer has the request and the files that the input names."""
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


@settings(max_examples=examples(50), deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), anything), st.sampled_from(["coder", "debug", "forge"]))
def test_no_input_makes_the_script_fail(tmp_path_factory, given_input, persona):
    """With any input the run ends well, and its result can be written as JSON."""
    folder = tmp_path_factory.mktemp("script")
    task = Assignment("dispatch-1", "t", "", given_input)
    outcome = bundled_agent().play(Job("r", persona, 1, 0, "", folder, folder / "runs", folder, 9.0, assignment=task))
    assert outcome.status == "ok", outcome.detail
    json.dumps(outcome.output, allow_nan=False).encode()


def test_a_sentence_in_the_input_is_not_taken_for_a_file(job):
    """The system refuses file names of 256 letters, which must not fail the run."""
    outcome = bundled_agent().play(job("forge", question="why " * 70, noun="\N{SNOWMAN}" * 100))
    assert (outcome.status, outcome.output["files"]) == ("ok", [])


def test_every_persona_makes_the_file_that_its_task_declares(job):
    """Otherwise the task would have failed; what is there already is left as it is."""
    this = job("scribe", "Tell it.", output_path="docs/report.md")
    assert "docs/report.md was written without a model." in bundled_agent().play(this).output["summary"]
    assert (this.workspace / "docs" / "report.md").read_text() == "Tell it.\n"
    (this.workspace / "docs" / "report.md").write_text("mine\n")
    assert "Nothing was changed." in bundled_agent().play(this).output["summary"]
    assert (this.workspace / "docs" / "report.md").read_text() == "mine\n"
    outside = job("scribe", output_path="../report.md")
    assert (
        "Nothing was changed: ../report.md is not in the repository" in bundled_agent().play(outside).output["summary"]
    )
