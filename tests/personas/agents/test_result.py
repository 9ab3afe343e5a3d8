"""What a run gives as its result: its file, the JSON in its last message, or that message."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.personas.agent import Assignment, Job
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.agents.result import MAX_OUTPUT, MAX_TEXT, output_of
from team_mail.personas.errors import BadOutput
from team_mail.personas.running.process import RunLimits
from team_mail.personas.value import MAX_DEPTH, fault_in, read_value


def test_the_file_counts_for_more_than_the_message(tmp_path):
    """What a run wrote down on purpose is its result, whatever kind of JSON it is."""
    for value in ({"a": [1, 2.5, None]}, [], "text", 0):
        (tmp_path / "output.json").write_text(f"\n{json.dumps(value)}\n")
        assert output_of(tmp_path, b'{"other": 1}') == value


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is no JSON: Expecting value"),
        (b"{'a': 1}", "is no JSON: Expecting property name"),
        (b'{"a": 1, "a": 2}', "has the key 'a' twice"),
        (b'{"\\u001b": 1, "\\u001b": 2}', r"has the key '\x1b' twice"),
        (b'{"a": NaN}', "holds NaN, which JSON has no word for"),
        (b'{"a": 1e999}', "holds a number that JSON has no word for"),
        (b'{"a": 9007199254740993}', "beyond 2^53"),
        (b"9" * 5_000, "Exceeds the limit"),
        (b'["\\ud800"]', "half of a surrogate pair"),
        (b"[" * 25 + b"]" * 25, "is nested deeper than 24"),
        (b"[" * 100_000, "is nested deeper than 24"),
        (b'"\xff"', "is not UTF-8 at byte 1"),
        (b'"' + b"x" * MAX_OUTPUT + b'"', "is over 1 MiB"),
    ],
)
def test_a_file_that_nobody_could_read_is_refused_with_the_reason(tmp_path, data, says):
    """One line that names the file, so that the run fails with it."""
    (tmp_path / "output.json").write_bytes(data)
    with pytest.raises(BadOutput) as refused:
        output_of(tmp_path, b'{"other": 1}')
    assert str(refused.value).startswith("output.json ")
    assert says in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("put", ["pipe", "link", "folder", "loop"])
def test_only_a_regular_file_is_read(tmp_path, put):
    """A pipe would never end, and a link could show anything of the machine."""
    file = tmp_path / "output.json"
    (tmp_path / "secret").write_text('{"key": 1}')
    {
        "pipe": lambda: os.mkfifo(file),
        "link": lambda: file.symlink_to(tmp_path / "secret"),
        "folder": file.mkdir,
        "loop": lambda: file.symlink_to(file),
    }[put]()
    with pytest.raises(BadOutput, match=r"output.json (is no regular file|cannot be read)"):
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
def test_a_message_may_hold_the_result(tmp_path, message):
    """Alone, at its end, or in a block: the last object that is one."""
    assert output_of(tmp_path, message.encode()) == {"n": 1}
    stream = json.dumps({"type": "result", "is_error": False, "result": message})
    assert output_of(tmp_path, stream.encode()) == {"n": 1}


@pytest.mark.parametrize("message", ["All is well.", '[{"n": 1}]', '{"n": 1, "n": 2}', '```python\n{"n": 1}\n```', "{"])
def test_a_message_without_one_is_the_result(tmp_path, message):
    """As text, of which the end is kept."""
    assert output_of(tmp_path, message.encode()) == {"text": message}
    assert output_of(tmp_path, b"x" * 30_000 + message.encode())["text"][-len(message) :] == message
    assert len(output_of(tmp_path, b"x" * 30_000)["text"]) == MAX_TEXT


def test_a_message_made_to_be_slow_is_not(tmp_path):
    """Ten megabytes of what looks like beginnings take no time to be no result."""
    for row in ("```json\n", "{\n", '{"a":\n', "[" * 99 + "\n"):
        assert {"text"} == output_of(tmp_path, (row * (5_000_000 // len(row))).encode()).keys()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 60), 1 << 60) | st.floats() | st.text(st.characters(), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


def nested(value, depth=1) -> int:
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return max([depth, *(nested(one, depth + 1) for one in inner)])


@settings(max_examples=150, deadline=None)
@given(json_values, st.integers(0, 30))
def test_what_is_kept_can_be_written_and_read_again(value, wrapped):
    """A value without a fault comes back as it was through the strictest writer; one with a fault never gets in."""
    for _ in range(wrapped):
        value = [value]
    try:
        written = json.dumps(value, allow_nan=False, ensure_ascii=False).encode().decode()
        sound = nested(value) <= MAX_DEPTH
    except ValueError:
        sound = False
    if fault_in(value) is None:
        assert sound
        assert read_value(written) == value
    elif sound:
        assert "2^53" in str(fault_in(value))


# -- a command's result


TASK = Assignment("dispatch-1", "count", "Count.", {"n": 3, "of": ["\N{SNOWMAN}", "\ud800"]})


@pytest.fixture
def play(tmp_path):
    """Run a line of shell as the agent of a task, or of none; return its outcome."""
    (tmp_path / "work").mkdir()

    def make(script: str, assignment: Assignment | None = TASK, env_file: Path | None = None):
        agent = CommandAgent("a", ("sh", "-c", script), env_file=env_file, limits=RunLimits(grace=0.2))
        folder = tmp_path / "runs" / "r"
        return agent.play(Job("r", "bob", 1, 0, "", tmp_path / "work", folder, tmp_path, 20.0, assignment=assignment))

    return make


def test_a_command_takes_a_task_and_gives_a_result(play):
    """It finds the task's id, its input as JSON, and where to put its result, in its environment."""
    outcome = play('printf \'{"task": "%s", "input": %s}\' "$TEAM_TASK" "$(cat "$TEAM_INPUT")" > "$TEAM_OUTPUT"')
    assert (outcome.status, outcome.detail) == ("ok", "exit 0")
    assert outcome.output == {"task": "count", "input": {"n": 3, "of": ["\N{SNOWMAN}", "?"]}}


def test_the_result_of_another_attempt_is_not_taken(play):
    """What an earlier run left in the folder is gone before the next one starts."""
    assert play('echo 1 > "$TEAM_OUTPUT"').output == 1
    assert play("echo said").output == {"text": "said"}


def test_a_broken_result_is_a_failed_run(play):
    """The reason names the file; without a task nobody looks."""
    outcome = play('echo "{" > "$TEAM_OUTPUT"')
    assert (outcome.status, outcome.exit, outcome.output) == ("failed", 0, None)
    assert outcome.detail.startswith("exit 0, but output.json is no JSON: ")
    assert play('echo "{" > "$TEAM_OUTPUT"; test -z "$TEAM_TASK$TEAM_INPUT"', None).status == "ok"


@pytest.mark.parametrize("task", [TASK, None])
def test_an_agent_that_says_it_failed_has_failed(play, task):
    """Whatever its exit code: mail that it was told stays unread, its task is no success."""
    said = json.dumps({"type": "result", "subtype": "success", "is_error": True, "result": "Credit is \x1b[1mlow"})
    outcome = play(f"echo '{said}'", task)
    assert (outcome.status, outcome.exit) == ("failed", 0)
    assert outcome.detail == "exit 0, but it says that it failed: Credit is \\x1b[1mlow"


def test_a_run_that_failed_gives_no_result(play):
    """Nor does one that made its own log into something else hold up anybody."""
    assert play('echo 1 > "$TEAM_OUTPUT"; exit 3').output is None
    assert play('cd "$TEAM_HOME/runs/r"; rm output.log; mkfifo output.log').output == {"text": ""}


def test_secrets_are_in_no_result(play, tmp_path):
    """What the file of secrets sets is blotted out wherever it stands in the result, as it is in the log."""
    (tmp_path / "env").write_text('TOKEN=sk-0123456789\nLONGER=sk-0123456789-and"more\n')
    script = """echo '{"sk-0123456789": ["sk-0123456789-and\\"more", "a sk-0123456789", 1]}' > "$TEAM_OUTPUT" """
    assert play(script, env_file=tmp_path / "env").output == {"***": ["***", "a ***", 1]}
