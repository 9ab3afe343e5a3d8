"""The same commands with the log on PostgreSQL: tests of other modules, run again, and what is of a cluster alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from team_mail.mail.open import open_log
from team_mail.mail.process import myself

from ..console import run_command
from ..postgres import needs_postgres
from . import test_cli, test_dispatch
from .test_cli import (
    document,
    folder,
    ok,
    refused,
    run,
    team,
    test_a_body_can_be_given_in_every_documented_way,
    test_a_reply_is_in_the_thread_the_search_and_the_sent_mail,
    test_an_attachment_can_be_written_to_a_file,
    test_check_summarizes_unread_mail_with_exit_code_3_or_is_silent,
    test_mail_of_a_persona_that_left_is_returned,
    test_marks_can_be_set_and_removed,
    test_of_runs_that_mark_at_once_one_is_first,
    test_the_same_key_sends_once,
    test_watch_shows_mail_as_it_arrives_until_interrupted,
)
from .test_dispatch import project as dispatching
from .test_outliving import place, test_ticks_leave_alone_what_goes_on_and_put_on_record_what_has_ended
from .test_scheduler import (
    project,
    test_a_killed_scheduler_leaves_no_agent_and_the_next_one_continues,
    test_a_new_user_previews_runs_reads_and_lands_a_sprint,
    test_a_second_scheduler_is_refused,
    test_pause_resume_and_stop,
)

__all__ = [  # what is run again, and the fixtures of it
    "dispatching", "folder", "place", "project", "run", "team",
    "test_a_body_can_be_given_in_every_documented_way",
    "test_a_killed_scheduler_leaves_no_agent_and_the_next_one_continues",
    "test_a_new_user_previews_runs_reads_and_lands_a_sprint",
    "test_a_reply_is_in_the_thread_the_search_and_the_sent_mail",
    "test_a_second_scheduler_is_refused", "test_an_attachment_can_be_written_to_a_file",
    "test_check_summarizes_unread_mail_with_exit_code_3_or_is_silent", "test_mail_of_a_persona_that_left_is_returned",
    "test_marks_can_be_set_and_removed", "test_of_runs_that_mark_at_once_one_is_first", "test_pause_resume_and_stop",
    "test_the_same_key_sends_once",
    "test_ticks_leave_alone_what_goes_on_and_put_on_record_what_has_ended",
    "test_watch_shows_mail_as_it_arrives_until_interrupted",
]  # fmt: skip

pytestmark = [needs_postgres, pytest.mark.on_server]
Command = Callable[..., object]


@pytest.fixture
def on_server(log_on_server):
    """Where the log of a test is."""
    return log_on_server


def test_what_is_sent_on_one_host_is_read_on_another(team, run, tmp_path):
    """Each has its own copy in its own folder; attachments come when they are asked for."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / ".team").mkdir(parents=True)
    note = team / "note.txt"
    note.write_text("attached\n")
    ok(run("send", "--to", "boss", "--from", "scribe", "-s", "Far", "-b", "x" * 70_000, "-a", str(note)))
    assert "4 unread" not in ok(run("check", "-p", "boss", cwd=elsewhere), 3)
    assert document(run("read", "4", "-p", "boss", "--json", cwd=elsewhere))["body"] == "x" * 70_000
    assert ok(run("attachment", "4", "-p", "boss", cwd=elsewhere)) == "attached\n"
    assert "2 unread" in ok(run("check", "-p", "boss"), 3)
    lines = [(place / ".team" / "mail" / "events.jsonl").read_text() for place in (team, elsewhere)]
    assert lines[0] == lines[1]


def test_verify_backup_and_export_work_on_the_copy_and_repair_is_refused(team, run, tmp_path):
    """A restored backup is a log in files."""
    assert "3 events verified" in ok(run("verify"))
    ok(run("backup", str(tmp_path / "b.tar.gz")))
    assert ok(run("export", "jsonl", str(tmp_path / "mail.jsonl"))) == f"2 messages in {tmp_path / 'mail.jsonl'}\n"
    assert "is a copy" in refused(run("repair"))
    new = tmp_path / "new"
    new.mkdir()
    assert "restore without [log] url" in refused(run("backup", "--restore", str(tmp_path / "b.tar.gz"), cwd=new))
    ok_in_files = run("backup", "--restore", str(tmp_path / "b.tar.gz"), cwd=new, TEAM_LOG_URL="")
    assert ok_in_files.stdout == f"3 events restored from {tmp_path / 'b.tar.gz'}\n".encode()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://host/db", "must begin with postgresql://"),
        ("postgresql://me:hunter2@host/db", "has a password"),
        ("postgresql://host/db?password=hunter2", "has a password"),
    ],
)
def test_a_wrong_url_is_refused_and_a_password_never_shown(team, run, url, why):
    """The variable and the line of team.toml are checked alike."""
    (team / ".team" / "team.toml").write_text(f'[log]\nurl = "{url}"\n')
    for given in (url, ""):
        error = refused(run("inbox", "-p", "boss", TEAM_LOG_URL=given))
        assert why in error
        assert "hunter2" not in error


def test_a_dispatch_runs_and_a_second_host_is_refused_meanwhile(dispatching, tmp_path):
    """One host leads as long as something goes on there; the other one says so, and starts nothing."""
    file = dispatching.write(test_dispatch.task("a"))
    result = dispatching.run("dispatch", file, "--agent", "scripted", "-q")
    assert (result.returncode, json.loads(result.stdout)["status"]) == (0, "success")
    second = tmp_path / "second"
    dispatching.git("clone", "--quiet", str(dispatching.folder), str(second))
    words = ("dispatch", str(dispatching.folder / file), "--agent", "scripted", "-q")
    with open_log(dispatching.folder / ".team").beat(myself(), {"is": "scheduler"}, leads=True):
        refused_there = run_command("team", *words, cwd=second, env=test_dispatch.CLEAN, timeout=60)
    allowed = run_command("team", *words, cwd=second, env=test_dispatch.CLEAN, timeout=60)
    assert allowed.returncode == 0, allowed.stderr
    assert refused_there.returncode == 1
    assert b"this team is led from" in refused_there.stderr
    assert str(dispatching.folder).encode() in refused_there.stderr


def test_a_team_moves_to_a_server_and_back(folder: Path, run, on_server):
    """By hand, in the way that docs/cluster.md tells."""
    files = {"TEAM_LOG_URL": "", "TEAM_LOG_NAME": ""}
    ok_lines = run("send", "--to", "you", "-s", "one", "-b", "x", **files)
    assert ok_lines.returncode == 0

    def team_command(*words: str) -> str:
        ended = run_command("team", *words, cwd=folder, env=test_cli.CLEAN | files, timeout=60)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.decode()

    moved = json.loads(team_command("log", "migrate", "--to", on_server.url, "--name", on_server.schema, "--json"))
    assert (moved["events"], moved["copied"]) == (2, 2)
    assert "is a copy of a log on a server" in refused(run("send", "--to", "you", "-b", "x", **files), 1)
    (folder / ".team" / "team.toml").write_text(moved["team_toml"])
    ok(run("send", "--to", "you", "-s", "two", "-b", "x", **files))
    state = json.loads(team_command("cluster", "status", "--json"))
    assert (state["events"], state["closed"], state["encrypted"]) == (3, None, False)
    assert json.loads(team_command("log", "migrate", "--to", "file", "--json"))["events"] == 3
    (folder / ".team" / "team.toml").unlink()
    ok(run("send", "--to", "you", "-s", "three", "-b", "x", **files))
    assert [m["subject"] for m in document(run("inbox", "-p", "you", "--json", **files))] == ["three", "two", "one"]


def test_status_says_who_leads_and_a_login_may_write_as_who_was_granted_to_it(team, on_server):
    """In text for people, and as JSON; a login that there is not is an error."""
    from team_mail.mail.remote.connection import Server

    def command(*words: str, code: int = 0) -> str:
        ended = run_command("team", "cluster", *words, cwd=team, env=test_cli.CLEAN, timeout=60)
        assert ended.returncode == code, ended.stderr
        return (ended.stdout if code == 0 else ended.stderr).decode()

    assert "nobody has led it yet\n" in command("status")
    home, login = team / ".team", f"{on_server.schema}_laptop"
    with open_log(home).beat(myself(), {"is": "scheduler", "slots": 4}, leads=True):
        said = command("status")
        state = json.loads(command("status", "--json"))
    assert f"led from {state['leader']} in epoch 1, for " in said
    assert f"{home}: scheduler {os.getpid()}, leads, slots 4, there for " in said
    ((process,), seconds) = state["processes"], state["seconds"]
    assert (process["pid"], process["what"], process["epoch"], process["gone"]) == (
        os.getpid(), {"is": "scheduler", "slots": 4}, 1, False,
    )  # fmt: skip
    assert 0 < seconds <= 6
    assert "nobody leads it just now\n" in command("status")
    assert f"has no login {login}" in command("grant", login, "--persona", "ada", code=2)
    server = Server(on_server)
    server.run(lambda c: c.execute(f"CREATE ROLE {login} LOGIN IN ROLE {on_server.schema}_member".encode()))
    server.close()
    assert f"- {login} may write as ada\n" in command("grant", login, "--persona", "ada@team")
    assert json.loads(command("status", "--json"))["grants"] == [{"role": login, "persona": "ada"}]
    assert json.loads(command("grant", login, "--persona", "ada", "--revoke", "--json"))["grants"] == []
