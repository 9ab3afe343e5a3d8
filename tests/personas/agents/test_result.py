"""A run's result: its file, the JSON in its last message, or that message."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from team_mail.personas.agent import Assignment, Job
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.agents.result import MAX_OUTPUT, MAX_TEXT, output_of
from team_mail.personas.errors import BadOutput
from team_mail.personas.running.process import RunLimits


def run_folder(workspace):
    folder = workspace / ".team" / "run"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_the_file_takes_precedence_over_the_message(tmp_path):
    """What a run wrote to its output file is its result, whatever kind of JSON it is."""
    for value in ({"a": [1, 2.5, None]}, [], "text", 0):
        (run_folder(tmp_path) / "output.json").write_text(f"\n{json.dumps(value)}\n")
        assert output_of(tmp_path, b'{"other": 1}') == value


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON: Expecting value"),
        (b"{'a': 1}", "not JSON: Expecting property name"),
        (b'{"a": 1, "a": 2}', "JSON has the key 'a' twice"),
        (b'{"\\u001b": 1, "\\u001b": 2}', r"JSON has the key '\x1b' twice"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": 1e999}', "NaN and infinity are not JSON"),
        (b'{"a": 9007199254740993}', "beyond 2^53"),
        (b"9" * 5_000, "Exceeds the limit"),
        (b'["\\ud800"]', "a lone surrogate is not text"),
        (b"[" * 25 + b"]" * 25, "data is nested deeper than 24"),
        (b"[" * 100_000, "JSON is nested deeper than"),
        (b'"\xff"', "is not UTF-8 at byte 1"),
        (b'"' + b"x" * MAX_OUTPUT + b'"', "is over 1 MiB"),
    ],
)
def test_a_file_that_is_not_readable_json_is_refused_with_the_reason(tmp_path, data, says):
    """The error is one line that names the file, and the run fails with it."""
    (run_folder(tmp_path) / "output.json").write_bytes(data)
    with pytest.raises(BadOutput) as refused:
        output_of(tmp_path, b'{"other": 1}')
    assert str(refused.value).startswith("output.json")
    assert says in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("put", ["pipe", "link", "folder", "loop"])
def test_only_a_regular_file_is_read(tmp_path, put):
    """Reading a pipe would never end, and a link could expose any file of the machine."""
    file = run_folder(tmp_path) / "output.json"
    (tmp_path / "secret").write_text('{"key": 1}')
    {
        "pipe": lambda: os.mkfifo(file),
        "link": lambda: file.symlink_to(tmp_path / "secret"),
        "folder": file.mkdir,
        "loop": lambda: file.symlink_to(file),
    }[put]()
    with pytest.raises(BadOutput, match=r"output.json (is not a regular file|cannot be read)"):
        output_of(tmp_path, b"")


@pytest.mark.parametrize(
    "message",
    [
        '{"n": 1}',
        ' \n{\n  "n": 1\n}\n',
        'Done.\n\n```json\n{"n": 1}\n```\n',
        '```json\n{"n": 0}\n```\nNo, rather:\n```JSON\n{"n": 1}\n```\nGood luck.',
        '```\n{"n": 1}\n```',
        'Done:\n{"n": 1}',
        'Done:\n{\n  "n": 1\n}\n',
        '```json\n{"n": 1}\n```\n```json\nnot this\n```',
        '```json\n{"n": 1}\n```\n```json\n{"n": 0',
    ],
)
def test_the_result_may_be_in_the_message(tmp_path, message):
    """The last JSON object counts: as the whole message, at its end, or in a block."""
    assert output_of(tmp_path, message.encode()) == {"n": 1}
    stream = json.dumps({"type": "result", "is_error": False, "result": message})
    assert output_of(tmp_path, stream.encode()) == {"n": 1}


@pytest.mark.parametrize("message", ["All is well.", '[{"n": 1}]', '{"n": 1, "n": 2}', '```python\n{"n": 1}\n```', "{"])
def test_a_message_without_an_object_is_the_result_itself(tmp_path, message):
    """The result is its text, cut to the end."""
    assert output_of(tmp_path, message.encode()) == {"text": message}
    assert output_of(tmp_path, b"x" * 30_000 + message.encode())["text"][-len(message) :] == message
    assert len(output_of(tmp_path, b"x" * 30_000)["text"]) == MAX_TEXT


def test_a_message_full_of_possible_starts_is_read_quickly(tmp_path):
    """Five megabytes of lines that look like the start of a result cost few attempts."""
    for row in ("```json\n", "{\n", '{"a":\n', "[" * 99 + "\n"):
        assert {"text"} == output_of(tmp_path, (row * (5_000_000 // len(row))).encode()).keys()


# -- a command's result


TASK = Assignment("dispatch-1", "count", "Count.", {"n": 3, "of": ["\N{SNOWMAN}", "\ud800"]})


@pytest.fixture
def play(tmp_path):
    """Run a line of shell as the agent of a task, or without one; return its outcome."""
    (tmp_path / "work").mkdir()

    def make(script: str, assignment: Assignment | None = TASK, env_file: Path | None = None):
        agent = CommandAgent("a", ("sh", "-c", script), env_file=env_file, limits=RunLimits(grace=0.2))
        folder = tmp_path / "runs" / "r"
        return agent.play(Job("r", "bob", 1, 0, "", tmp_path / "work", folder, tmp_path, 20.0, assignment=assignment))

    return make


def test_a_command_reads_its_task_and_writes_its_result(play):
    """Its environment names the task, the file with its input as JSON, and the file for its result."""
    outcome = play('printf \'{"task": "%s", "input": %s}\' "$TEAM_TASK" "$(cat "$TEAM_INPUT")" > "$TEAM_OUTPUT"')
    assert (outcome.status, outcome.detail) == ("ok", "exit 0")
    assert outcome.output == {"task": "count", "input": {"n": 3, "of": ["\N{SNOWMAN}", "?"]}}


def test_the_result_of_an_earlier_attempt_is_removed(play):
    """A file that an earlier attempt left in the folder does not count for the next one."""
    assert play('echo 1 > "$TEAM_OUTPUT"').output == 1
    assert play("echo done").output == {"text": "done"}


def test_a_result_that_cannot_be_read_fails_the_run(play):
    """The reason names the file; without a task the file is ignored."""
    outcome = play('echo "{" > "$TEAM_OUTPUT"')
    assert (outcome.status, outcome.exit, outcome.output) == ("failed", 0, None)
    assert outcome.detail.startswith("exit 0, but output.json: not JSON: ")
    assert play('echo "{" > "$TEAM_OUTPUT"; test -z "$TEAM_TASK$TEAM_INPUT"', None).status == "ok"


@pytest.mark.parametrize("task", [TASK, None])
def test_a_run_whose_output_reports_an_error_has_failed(play, task):
    """An exit code of 0 does not make it a success: its mail stays unread, its task has failed."""
    event = json.dumps({"type": "result", "subtype": "success", "is_error": True, "result": "Credit is \x1b[1mlow"})
    outcome = play(f"echo '{event}'", task)
    assert (outcome.status, outcome.exit) == ("failed", 0)
    assert outcome.detail == "exit 0, but the agent reported an error: Credit is \\x1b[1mlow"


def test_a_failed_run_has_no_result(play):
    """And a run that replaced its own log with a pipe blocks nobody."""
    assert play('echo 1 > "$TEAM_OUTPUT"; exit 3').output is None
    assert play('cd "$TEAM_HOME/runs/r"; rm output.log; mkfifo output.log').output == {"text": ""}


def test_secrets_are_masked_in_the_result(play, tmp_path):
    """Values of `env_file` are masked in keys and strings of the result, as they are in the log."""
    (tmp_path / "env").write_text('TOKEN=sk-0123456789\nLONGER=sk-0123456789-and"more\n')
    script = """echo '{"sk-0123456789": ["sk-0123456789-and\\"more", "a sk-0123456789", 1]}' > "$TEAM_OUTPUT" """
    assert play(script, env_file=tmp_path / "env").output == {"***": ["***", "a ***", 1]}
