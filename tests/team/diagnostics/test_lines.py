"""Lines of diagnostics: JSON whatever is in them, and what each command says in them."""

from __future__ import annotations

import json
import logging
import math
import re
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
from team_mail.mail.errors import LogError
from team_mail.scheduler.state.dispatches import read_dispatch
from team_mail.team.diagnostics.lines import LIMIT, JsonLines, Line, TextLines

from ...console import run_command
from ...test_docs_output import environment

texts = st.one_of(
    st.text(st.characters(codec=None), max_size=40),  # lone surrogates, too
    st.sampled_from(["\x00\x1b[2J", "\u2028\u202e", '"\\\n', "😀" * 20_000, "x" * 100_000, "\ud800" * 9_000]),
)
values = st.one_of(texts, st.integers(), st.floats(), st.booleans(), st.none(), st.just(math.nan))
FIELDS = ("event", "run", "persona", "sprint", "dispatch", "session", "seconds", "error", "usd", "status")


@given(texts, st.dictionaries(st.sampled_from(FIELDS), values))
def test_a_line_is_valid_json_of_at_most_16_kib_under_hostile_text(text, fields):
    line = JsonLines("scheduler").format(Line(logging.INFO, text, fields))
    document = json.loads(line, parse_constant=lambda word: 1 / 0)
    assert len(line.encode()) < LIMIT
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert [*document][:5] == ["ts", "level", "program", "pid", "msg"]
    assert document.keys() >= fields.keys()
    document["msg"].encode()
    if text.isascii() and len(text) < 4_000 and len(line) < 10_000:
        assert document["msg"] == text
    for name, value in fields.items():
        if isinstance(value, int | bool) or (isinstance(value, float) and math.isfinite(value)):
            assert document[name] == value


@given(texts, texts)
def test_a_line_of_text_is_one_line_that_controls_no_terminal(text, value):
    line = TextLines("scheduler").format(Line(logging.WARNING, text, {"error": value}))
    assert len(line.splitlines()) <= 1
    assert "\x1b" not in line
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z WARNING scheduler: ", line)


def test_a_record_of_another_package_has_its_error():
    error = LogError("no space")
    given = (LogError, error, None)
    record = logging.LogRecord("apscheduler", logging.ERROR, "x.py", 1, "failed %s", ("job",), given)
    document = json.loads(JsonLines("scheduler").format(record))
    assert (document["msg"], document["error"]) == ("failed job", "LogError: no space")


SETTINGS = '[agents.shell]\ncommand = ["sh", "-c", "echo {persona} >> {persona}.txt"]\n[logging]\n'


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_sprint_tells_in_json_what_its_runs_did_and_nothing_else_on_standard_error(team, tmp_path):
    """The same lines stand in the file of the settings."""
    (team.home / "team.toml").write_text(f'{SETTINGS}file = ".team/logs/{{program}}-{{pid}}.jsonl"\n')
    environ = environment(tmp_path) | {"TEAM_SESSION": "login"}
    (team.folder / "poem.txt").write_text("changed")
    assert run_command("team", "session", "create", "login", cwd=team.folder, env=environ).returncode == 0
    ended = run_command("scheduler", "sprint", "--log-format", "json", "--yes", cwd=team.folder, env=environ)
    shown = lines(ended.stderr.decode())
    (file,) = (team.home / "logs").iterdir()
    assert lines(file.read_text()) == shown
    assert file.name == f"scheduler-{shown[0]['pid']}.jsonl"
    done = [line for line in shown if line["event"] == "run.ended"]
    assert {line["persona"] for line in done} == {"ann", "bob", "cyd"}
    for line in done:
        assert (line["level"], line["sprint"], line["session"], line["status"]) == ("info", 1, "login", "ok")
        assert line["seconds"] > 0
        assert re.fullmatch(r"[0-9a-f-]{36}", line["run"])
    assert [line["msg"] for line in shown if line["event"] == "note"] == [
        "note: changes to 1 file are not committed, and so not part of the sprint"
    ]
    assert {"tick.planned", "run.started", "patches.woven"} <= {line["event"] for line in shown}
    assert "sprint 1 converged" in ended.stdout.decode()


def test_an_error_ends_the_lines_and_the_command_with_its_code(team, tmp_path):
    (team.home / "team.toml").write_text('[agents.shell]\ncommand = ["no-such-agent"]\n')
    words = ("scheduler", "sprint", "--log-format", "json", "--log-level", "error", "--yes")
    ended = run_command(*words, cwd=team.folder, env=environment(tmp_path))
    (line,) = lines(ended.stderr.decode())
    assert (ended.returncode, line["level"], line["event"]) == (2, "error", "command.failed")
    assert "no-such-agent" in line["error"]
    words = ("scheduler", "sprint", "--log-format", "text", "--yes")
    ended = run_command(*words, cwd=team.folder, env=environment(tmp_path))
    assert re.fullmatch(rb"\S+Z ERROR   scheduler: .*no-such-agent.*event=command\.failed.*\n", ended.stderr)


def test_a_send_a_check_and_an_inbox_load_nothing_of_it():
    """Nor of notices, nor Python's own modules for either."""
    code = "import sys, team_mail.mail.commands.entry, team_mail.mail.commands.daily; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    slow = {"logging", "http.client", "ssl", "socket"}
    assert "team_mail.mail.commands.daily" in loaded
    assert not slow & {*loaded}
    assert [name for name in loaded if "diagnostics" in name or "notify" in name] == []


def test_a_dispatch_tells_which_task_and_dispatch_a_run_is_of(team, tmp_path):
    """Standard output has the result, as without it."""
    (team.folder / "tasks.json").write_text(json.dumps({"tasks": [{"task_id": "one", "agent": "ann"}]}))
    words = ("team", "dispatch", "tasks.json", "--agent", "scripted", "--log-format", "json")
    ended = run_command(*words, cwd=team.folder, env=environment(tmp_path))
    assert (ended.returncode, json.loads(ended.stdout)["status"]) == (0, "success")
    (run,) = [line for line in lines(ended.stderr.decode()) if line["event"] == "run.ended"]
    assert (run["program"], run["task"], run["status"]) == ("team", "one", "ok")
    assert run["dispatch"] == read_dispatch(team.context().mailbox.projections).id
