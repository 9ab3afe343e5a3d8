"""`task_command`: what a program may have run in the checkout, what never is, and what comes of it."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path

import pytest
from team_mail.mail.log.event import Draft, derived_id
from team_mail.mail.open import open_log
from team_mail.scheduler.errors import SettingsError
from team_mail.scheduler.settings.reading import read_settings
from team_mail.scheduler.settings.webhooks import READING, wrong_git_words
from team_mail.team import session, webhooks

WHO = ("-c", "user.name=You", "-c", "user.email=you@example.org")
ALL = f"git = {json.dumps([*READING])}\n"


def git(*words):
    return subprocess.run(["git", *WHO, *words], capture_output=True, text=True, check=False).stdout


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Has a command run, in a repository with one commit whose settings the test writes by `ask.allow`."""
    monkeypatch.chdir(tmp_path)
    for name in ("TEAM_HOME", "TEAM_RUN", "TEAM_PERSONA", "TEAM_SESSION"):
        monkeypatch.delenv(name, raising=False)
    Path(".team").mkdir()
    Path(".gitignore").write_text(".team\n")
    Path("a.txt").write_text("one\n")
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-q", "-m", "Begin")
    context = cache(session.reading_context)

    def send(kind, *words, **more):
        payload = {"command": "task_command", "type": kind, "words": [*words], **more}
        answer = webhooks.answer(context(), payload, "you")
        document = json.loads(json.dumps(answer.document()))
        return answer.status, document.get("result") or document["error"]

    send.allow = lambda text: Path(".team", "team.toml").write_text(f"[webhooks]\n{text}")
    return send


def events():
    return [*open_log().read()]


@pytest.mark.parametrize(
    "words",
    [
        "status --short -b", "log -5 --oneline --since=yesterday -- a.txt", "log -n3 main..topic", "show HEAD:a.txt",
        "diff --stat HEAD~1...HEAD -- src/a.py", "blame -L1,5 a.py", "grep -in needle", "log -Sneedle", "tag --list",
        "branch -a -vv", "ls-files -o --exclude-standard", "rev-parse --short HEAD", "log --format=%h%x09%s",
    ],
)  # fmt: skip
def test_words_of_git_that_read_are_let_through(words):
    """What somebody asks who wants to know how things stand."""
    assert wrong_git_words(words.split()) == ""


@pytest.mark.parametrize(
    "words",
    [
        "log --output=x", "diff --outp=x", "show --ext-diff", "log --textconv", "diff --no-index a b",
        "diff /etc/passwd a",
        "diff -- /dev/null /etc/passwd", "diff -- a ../b", "diff a/../../b c", "show HEAD:../a", "log ~root", "diff ..",
        "grep -Ovi x", "grep --open-files-in-pager=vi x", "grep -f x", "grep --no-index x", "blame --contents x a",
        "blame -Sx a", "log -S --output=x", "log --grep --output=x", "log -n -- --output=x", "branch topic",
        "branch -D main",
        "branch -- topic", "tag v1", "tag -d v1", "log --show-signature", "log -L1,2:a", "diff -Ox a",
        "log --remerge-diff",
        "ls-files -X x", "status --no-optional-locks", "status -v", "log --exec-path", "diff -", "log -c\0",
        "rev-parse --parseopt", "show --since=", "log --max-count",
    ],
)  # fmt: skip
def test_words_of_git_that_do_more_are_refused(words):
    """They run a program, write, or read beyond the repository; or they take the next word for a value of theirs."""
    assert wrong_git_words(words.split(" "))


def test_no_beginning_of_a_dangerous_option_is_taken_for_another():
    """Git takes every unambiguous beginning of an option for the whole."""
    for option in ("--output", "--ext-diff", "--textconv", "--no-index", "--open-files-in-pager", "--contents"):
        for name, listed in READING.items():
            beginnings = {option[:length] for length in range(3, len(option) + 1)} - {*listed.split()}
            assert [each for each in beginnings if not wrong_git_words([name, f"{each}=x"])] == []
            assert [each for each in beginnings if not wrong_git_words([name, each])] == []


def test_git_starts_no_program_that_a_config_names(ask):
    """Not a filter, fsmonitor, hook, pager, external diff, text conversion, alias or gpg, which git itself would."""
    ask.allow(ALL)
    evil = "touch .team/evil; cat"
    Path(".gitattributes").write_text("*.txt filter=evil diff=evil\n")
    git("add", ".")
    git("commit", "-q", "-m", "Attributes")
    for name, value in {
        "filter.evil.clean": "sh -c 'touch .team/evil; cat'", "filter.evil.required": "true",
        "diff.external": "sh -c 'touch .team/evil'", "diff.evil.textconv": "sh -c 'touch .team/evil; cat \"$0\"'",
        "core.fsmonitor": "sh -c 'touch .team/evil'", "core.pager": "sh -c 'touch .team/evil; cat'",
        "gpg.program": "./gpg", "log.showSignature": "true", "alias.status": f"!{evil}", "alias.log": f"!{evil}",
    }.items():  # fmt: skip
        git("config", name, value)
    Path("gpg").write_text(
        "#!/bin/sh\ncat > /dev/null\ntouch .team/evil\necho '\n[GNUPG:] SIG_CREATED ' >&2\n"
        "echo '-----BEGIN PGP SIGNATURE-----'\n"
    )
    Path("gpg").chmod(0o755)
    git("commit", "-q", "-S", "--allow-empty", "-m", "Sign")
    assert "gpgsig" in git("cat-file", "-p", "HEAD")
    Path("a.txt").write_text("two\n")
    git("status", "--short")
    assert Path(".team/evil").exists(), "git itself does start them"
    Path(".team/evil").unlink()
    for words in (
        "status --short", "diff", "log -p", "show", "blame a.txt", "grep two", "ls-files -m", "describe --always",
        "log --format=%G?", "branch -v", "tag --list", "rev-parse HEAD", "merge-base HEAD HEAD", "ls-tree HEAD",
    ):  # fmt: skip
        status, result = ask("git", *words.split())
        assert (status, result["exit"]) == (200, 0), result
        assert not Path(".team/evil").exists(), words
    assert ask("git", "diff")[1]["output"].endswith("-one\n+two\n")


def test_nothing_is_run_unless_the_settings_name_it(ask):
    """A refusal says what to add, or what was meant; nothing is on record of it."""
    assert ask("git", "log")[0] == ask("shell", "true")[0] == 403
    assert events() == []


def test_a_command_is_run_as_it_stands_in_the_settings(ask):
    """Without a shell, without a word more, in the top of the checkout; and its exit code is told."""
    ask.allow('shell = [["echo", "$(touch evil); *"], ["false"], ["nothing-of-this-name"], ["pwd"]]\ngit = ["log"]\n')
    assert ask("shell", "echo", "$(touch evil); *")[1]["output"] == "$(touch evil); *\n"
    assert ask("shell", "pwd")[1]["output"] == f"{Path.cwd()}\n"
    status, result = ask("shell", "false")
    assert (status, result["exit"], result["detail"]) == (200, 1, "exit 1")
    status, result = ask("shell", "nothing-of-this-name")
    assert (status, result["exit"]) == (200, None)
    assert "cannot start nothing-of-this-name" in result["detail"]
    head = len(events())
    for words in (["echo"], ["echo", "$(touch evil); *", "more"], ["false", ""], ["sh", "-c", "false"], [], ["\0"]):
        assert ask("shell", *words)[0] in {400, 403}
    status, error = ask("git", "lgo")
    assert (status, error["code"]) == (403, "NOT_ALLOWED")
    assert "did you mean log" in error["message"]
    assert 'add "diff" to git in [webhooks]' in ask("git", "diff")[1]["message"]
    assert 'did you mean ["false"]? To allow it, add ["flase"]' in ask("shell", "flase")[1]["message"]
    assert len(events()) == head


def test_what_is_printed_is_fit_to_be_shown(ask, monkeypatch):
    """Secrets are blotted out, control characters escaped, and what is too long is cut; no variable gets through."""
    monkeypatch.setenv("DEPLOY_TOKEN", "a-secret-of-ours")
    Path("b.txt").write_text("a-secret-of-ours \x1b[2J\u202e\n")
    ask.allow('shell = [["cat", "b.txt"], ["env"], ["seq", "100000"]]\n')
    assert ask("shell", "cat", "b.txt")[1]["output"] == "*** \\x1b[2J\\u202e\n"
    assert "DEPLOY_TOKEN" not in ask("shell", "env")[1]["output"]
    result = ask("shell", "seq", "100000")[1]
    assert (result["cut"], result["exit"]) == (True, 0)
    assert result["output"].startswith("1\n2\n")
    assert result["output"].endswith("\n100000\n")
    assert 64 << 10 <= len(result["output"]) < 65 << 10


def test_a_command_that_takes_too_long_is_ended_with_all_it_started(ask):
    """And its end is on record; so is that it began before it did anything."""
    ask.allow('timeout = "1s"\nshell = [["sh", "-c", "sleep 600 & echo $!; wait"]]\n')
    result = ask("shell", "sh", "-c", "sleep 600 & echo $!; wait")[1]
    assert (result["exit"], result["detail"]) == (None, "no end within 1s")
    assert not Path(f"/proc/{int(result['output'])}").exists()
    started, finished = events()[1:]
    assert (started.kind, finished.kind, finished.ref) == ("command.started", "command.finished", started.id)
    assert finished.data["output"] == result["output"]


def test_a_command_with_a_key_is_run_once(ask):
    """Who asks again gets what came of it; other words, or one that was cut off, are refused."""
    words = ("sh", "-c", "echo x >> .team/ran; cat .team/ran")
    ask.allow(f'shell = [{json.dumps(words)}]\ngit = ["log"]\n')
    first = ask("shell", *words, idempotency_key="k")[1]
    again = ask("shell", *words, idempotency_key="k")[1]
    assert (first["output"], first["repeated"]) == ("x\n", False)
    assert again == first | {"repeated": True}
    assert ask("shell", *words)[1]["output"] == "x\nx\n"
    assert ask("git", "log", idempotency_key="k")[1]["code"] == "KEY_REUSED"
    data = {"type": "git", "words": ["log"], "key": "cut"}
    open_log().append([Draft("command.started", "you", data=data, id=derived_id("command.started", "you", "cut"))])
    status, error = ask("git", "log", idempotency_key="cut")
    assert (status, error["code"]) == (409, "COMMAND_CUT_OFF")


def test_a_command_belongs_to_the_session_that_it_names(ask):
    """One that is paused has nothing run."""
    ask.allow('git = ["log"]\n')
    context = session.reading_context()
    webhooks.answer(context, {"command": "create_session", "session": "login"}, "you")
    assert ask("git", "log", session="login")[0] == 200
    assert {event.data["session"] for event in events() if event.kind.startswith("command.")} == {"login"}
    open_log().append([Draft("session.paused", "you", data={"session": "login"})])
    assert ask("git", "log", session="login")[0] == 409
    assert ask("git", "log", session="logni")[0] == 404


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('git = ["push"]', "must be a command of git that only reads"),
        ('git = ["lgo"]', "did you mean log"),
        ('shell = ["make test"]', 'as in [["make", "test"]]'),
        ('shell = ["make test", "make lint"]', 'as in [["make", "test"]]'),
        ("shell = [[]]", "list of a command's words"),
        ('timeout = "2h"', "timeout"),
        ('timeuot = "1m"', "did you mean timeout"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, text, why):
    """With their line, and what is meant."""
    (tmp_path / "team.toml").write_text(f"[webhooks]\n{text}\n")
    with pytest.raises(SettingsError) as refused:
        read_settings(tmp_path, {})
    assert "team.toml:2" in str(refused.value)
    assert why in str(refused.value)
