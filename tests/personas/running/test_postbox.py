"""The mail of a run: files in its outbox, and the `team-mail` that asks its keeper."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from binascii import b2a_base64
from pathlib import Path

import pytest
from team_mail.mail.errors import UsageError
from team_mail.mail.letter import Letter
from team_mail.mail.open import open_mailbox
from team_mail.personas.running.folder import RunFolder
from team_mail.personas.running.launcher import Request
from team_mail.personas.running.mail_process import MailProcess
from team_mail.personas.running.postbox import Postbox
from team_mail.personas.running.request import OF_TEAM, check_request
from team_mail.scheduler.claims.claims import Claims, NewTask
from team_mail.team.commands import team

INSTALLED = Path(sys.executable).with_name("team-mail")


class Run:
    """A workspace of ann's run, with the team's mail beside it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / ".team"
        (self.home / "personas").mkdir(parents=True)
        for name in ("ann", "bob"):
            (self.home / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nWork.\n")
        self.workspace = folder / "state" / "a work: space"
        self.workspace.mkdir(parents=True)
        self.folder = RunFolder(self.workspace)
        self.folder.make()

    def mail(self) -> MailProcess:
        return MailProcess(self.workspace, "ann", "run-1", self.home)

    def sent(self) -> list:
        return [event for event in open_mailbox(self.home).log.read() if event.kind == "mail.sent"]

    def put(self, name: str, text: str) -> Path:
        file = self.folder.path / "outbox" / name
        file.write_text(text)
        return file

    def ask(self, *words: str, stdin: bytes | None = None, command: Path | None = None) -> subprocess.CompletedProcess:
        given = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        return subprocess.run(
            [command or self.folder.path / "team-mail", *words], cwd=self.workspace, env={"PATH": os.environ["PATH"]},
            capture_output=True, check=False, timeout=60, **given,
        )  # fmt: skip

    def until(self, met) -> None:
        """Wait until something is so."""
        end = time.monotonic() + 20
        while not met():
            assert time.monotonic() < end
            threading.Event().wait(0.02)


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path)


# -- the command


def test_the_command_of_a_run_sends_and_reads_as_its_persona(run):
    """It has no variables and no right on the log: the folder says whose run it is."""
    (run.workspace / "plan.md").write_text("The plan.\n")
    with run.mail():
        sent = run.ask("send", "--to", "bob", "-s", "-a odd", "-b", "-", "-a", "plan.md", stdin=b"A long\ntext\n")
        assert (sent.returncode, sent.stdout, sent.stderr) == (0, b"sent 2 to bob\n", b"")
        listed = run.ask("sent", "--json")
        written = run.ask("search", "long", "--json")
    (event,) = run.sent()
    assert (event.sender, event.run, event.subject, event.body) == ("ann", "run-1", "-a odd", "A long\ntext\n")
    assert event.data["attachments"][0]["name"] == "plan.md"
    assert [message["seq"] for message in json.loads(listed.stdout)] == [2]
    assert [message["seq"] for message in json.loads(written.stdout)] == [2]


def test_a_run_sees_the_mail_of_its_persona_alone(run):
    """By number, id, thread, word or attachment: what others wrote to each other is no mail of this run."""
    mailbox = open_mailbox(run.home, create=True)
    mailbox.send(Letter("bob", ["you"], "Private", "the secret", attachments=[("key", b"secret")]))
    own = mailbox.send(Letter("bob", ["ann"], "Yours", "the secret is elsewhere"))
    mailbox.send(Letter("you", ["bob"], "Re: Yours", "the secret: 7", thread=own.id, due="2020-01-01T00:00:00Z"))
    mailbox.send(Letter("you", ["ann"], "Late", "the answer", due="2020-01-02T00:00:00Z"))
    with run.mail():
        for words in (
            ["read", "2", "--peek"],
            ["thread", "2"],
            ["attachment", "2"],
            ["reply", "4", "-bx"],
            ["ack", "2"],
        ):
            ended = run.ask(*words)
            assert (ended.returncode, b"no message" in ended.stderr) == (2, True), ended
        assert b"is not for runs" in run.ask("log").stderr
        assert run.ask("nonsense").stderr.startswith(b"Usage: team-mail [OPTIONS]"), "not the process that answers"
        overdue = json.loads(run.ask("stats", "--json").stdout)["overdue"]
        assert [row["persona"] for row in overdue] == ["ann"]
        found = run.ask("search", "secret").stdout + run.ask("thread", "3").stdout + run.ask("inbox").stdout
        assert b"elsewhere" in found
        assert b"Private" not in found
        assert b"secret: 7" not in found


def test_a_pipe_that_nobody_closes_is_read_only_for_the_text_of_a_mail(run):
    """The tools of agents leave standard input open; a command that needs nothing of it does not wait for its end."""
    reading, writing = os.pipe()
    with run.mail():
        for words in (["inbox"], ["send", "--to", "bob", "-bx"], ["reply", "2", "--body=x"], ["read", "2"]):
            command = [run.folder.path / "team-mail", *words]
            ended = subprocess.run(command, stdin=reading, capture_output=True, check=False, timeout=60)
            assert ended.returncode == 0, ended
        os.close(writing)
        os.close(reading)
        for words in (["--body", "-"], ["-b-"], ["--body=-"], []):
            assert run.ask("send", "--to", "bob", *words, stdin=b"given\n").returncode == 0
    assert [event.body for event in run.sent()] == ["x", "x", *["given\n"] * 4]


def test_an_attachment_is_written_where_the_agent_says(run):
    """Its bytes cross; the file is written with the agent's rights."""
    open_mailbox(run.home, create=True)
    with run.mail():
        (run.workspace / "data").write_bytes(bytes(range(256)))
        run.ask("send", "--to", "ann", "-s", "x", "-a", "data")
        assert run.ask("attachment", "2", "--out", "copy").returncode == 0
        assert run.ask("attachment", "2").stdout == bytes(range(256))
    assert (run.workspace / "copy").read_bytes() == bytes(range(256))


def test_the_installed_command_gives_way_to_the_one_of_the_run(run):
    """A process of the run that dropped its variables, or found another `team-mail` first, still is the run."""
    with run.mail():
        ended = run.ask("send", "--from", "you", "--to", "bob", "-s", "x", command=INSTALLED)
        assert (ended.returncode, ended.stdout) == (2, b"")
        assert b"this is a run of ann: it cannot act as you" in ended.stderr
        assert run.ask("send", "--to", "bob", "-s", "x", command=INSTALLED).returncode == 0
    assert [(event.sender, event.run) for event in run.sent()] == [("ann", "run-1")]


def test_what_reads_files_of_the_machine_is_refused(run):
    """The mail process has more rights than the agent: it must not lend them."""
    with run.mail():
        for words in (["query", "select * from read_text('/etc/passwd')"], ["backup", "x"], ["watch"]):
            ended = run.ask(*words)
            assert (ended.returncode, ended.stdout) == (2, b"")
            assert b"is not for runs" in ended.stderr
        missing = run.ask("send", "--to", "bob", "-a", "none")
    assert (missing.returncode, missing.stderr) == (1, b"team-mail: cannot read none: No such file or directory\n")
    assert run.sent() == []


@pytest.mark.parametrize(
    "words",
    [
        ["--", "query", "select * from read_text('SECRET')"],
        ["--", "backup", "PLANTED"],
        ["--install-completion"],
        ["--version", "--install-completion"],
        ["--help", "--", "backup", "PLANTED"],
        ["send", "--to", "ann", "-s", "x", "-a", "SECRET"],
        ["send", "--to", "ann", "-s", "x", "-aSECRET"],
        ["send", "--to", "ann", "-s", "x", "--attach=SECRET"],
        ["send", "--to", "ann", "-s", "x", "-a", "0/mine", "-a", "0/../SECRET"],
        ["send", "--to", "ann", "-s", "x", "--body-file", "SECRET"],
        ["send", "--to", "ann", "-s", "x", "--payload", "@SECRET"],
        ["reply", "2", "-b", "x", "--attach", "SECRET"],
        ["reply", "2", "--body-file=SECRET"],
        ["attachment", "2", "--out", "PLANTED"],
        ["attachment", "2", "-oPLANTED"],
        ["attachment", "-o", "PLANTED", "2"],
    ],
)
def test_a_request_written_by_hand_reads_and_writes_no_file_of_the_machine(run, tmp_path, monkeypatch, words):
    """An agent in a sandbox need not use our launcher, which would have looked at the words."""
    secret, planted = tmp_path / "secret", tmp_path / "planted"
    secret.write_text('"of the user"')
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    filled = [word.replace("SECRET", str(secret)).replace("PLANTED", str(planted)) for word in words]
    name = "1" * 32 + ".json"
    request = {"v": 1, "words": filled, "files": [["0/mine", "eA=="]], "stdin": None, "width": 0}
    with run.mail():
        (run.workspace / "data").write_bytes(b"x")
        assert run.ask("send", "--to", "ann", "-s", "x", "-a", "data").returncode == 0
        (run.folder.path / "requests" / f"{name}.tmp").write_text(json.dumps(request))
        (run.folder.path / "requests" / f"{name}.tmp").rename(run.folder.path / "requests" / name)
        run.until((run.folder.path / "answers" / name).exists)
    answer = (run.folder.path / "answers" / name).read_text()
    assert json.loads(answer)["exit"] == 2
    assert len(run.sent()) == 1
    assert not planted.exists()
    assert not (tmp_path / "home").exists()


def test_help_and_mistakes_are_told_as_everywhere(run):
    """What is no command, and what lacks a word, is answered by the command itself."""
    with run.mail():
        assert b"team-mail [OPTIONS] COMMAND" in run.ask("--help").stdout
        assert b"Send a message." in run.ask("send", "--help").stdout
        assert run.ask("--version").returncode == 0
        assert b"No such command" in run.ask("sned").stderr
        assert b"Missing option" in run.ask("send", "-s", "x").stderr
        assert b"No such option" in run.ask("send", "--two", "bob").stderr
        assert run.ask("tag", "add", "9", "x").returncode != 0


def test_a_request_that_nobody_answers_ends_with_advice(run):
    """The keeper is gone: what is left is the outbox."""
    launcher = Path(sys.modules[RunFolder.__module__].__file__).with_name("launcher.py")
    code = (
        f"import runpy, sys; sys.argv = ['x', {str(run.folder.path)!r}, 'inbox']\n"
        f"space = runpy.run_path({str(launcher)!r}); space['main'].__globals__['PATIENCE'] = 0.1\n"
        "sys.exit(space['main']())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 1
    assert "the keeper of this run is gone" in ended.stderr
    assert "/outbox is sent by whoever finds this run" in ended.stderr


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"{}", b'{"v": 2}', b'{"v": 1, "words": 5}', b"\xff", b"[" * 100_000,
        b'{"v": 1, "words": ["send"], "files": [["../x", ""]], "stdin": null, "width": 0}',
    ],
)  # fmt: skip
def test_a_request_of_another_form_is_answered_with_an_error(run, data):
    """Whatever an agent writes there, the process that answers goes on."""
    name = "0" * 32 + ".json"
    with run.mail():
        (run.folder.path / "requests" / name).write_bytes(data)
        run.until((run.folder.path / "answers" / name).exists)
        assert run.ask("send", "--to", "bob", "-s", "x").returncode == 0
    assert json.loads((run.folder.path / "answers" / name).read_text())["exit"] == 1


# -- the outbox


def test_a_file_in_the_outbox_is_sent(run):
    """An agent that can only write files has mail, too."""
    (run.workspace / "report.md").write_text("All is well.\n")
    run.put(
        "first.md",
        "---\nto: [bob, you]\nsubject: 'A: file'\ntype: question\nattachments: report.md\n---\n\nWhat now?\n",
    )
    with run.mail():
        run.until(run.sent)
        run.until(lambda: not (run.folder.path / "outbox" / "first.md").exists())
        run.put("second.md", "---\nreply_to: 2\n---\nNothing.\n")
    first, second = run.sent()
    assert (first.recipients, first.subject, first.body, first.data["type"]) == (
        ("bob", "you"), "A: file", "What now?", "question",
    )  # fmt: skip
    assert (second.reply_to, second.recipients, second.run) == (
        first.id,
        ("bob", "you")[:0] + second.recipients,
        "run-1",
    )
    assert listed(run.folder.path / "sent") == ["2-first.md", "3-second.md"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Hello", "no front matter: begin with ---"),
        ("---\nsubject: x\n---\nHello", "nobody to send to: add `to: NAME`"),
        ("---\nto: bub\n---\nHello", "no persona 'bub'; did you mean bob?"),
        ("---\nto: bob\nfrom: you\n---\nHello", "line 3: from is no field of a mail"),
        ("---\nto: bob\nattachments: ../../.team/team.toml\n---\n", "line 3: attachments cannot be read: ../../"),
        ("---\nto: bob\nattachments: /etc/passwd\n---\n", "not a path in the workspace"),
        ("---\nto: bob\nattachments: link\n---\n", "line 3: attachments cannot be read: link"),
        ("---\nto: bob\ntype: two words\n---\nHello", "type 'two words' is not one word"),
        ("---\nto: bob\nreply_to: 99\n---\nHello", "no message '99'"),
    ],
)
def test_a_mail_that_cannot_be_sent_has_the_reason_beside_it(run, text, why):
    """It is tried again once it is changed, and not before."""
    (run.workspace / "link").symlink_to("/etc/passwd")
    file = run.put("mail.md", text)
    error = file.with_name("mail.md.error")
    with run.mail():
        run.until(error.exists)
        assert why in error.read_text()
        assert run.folder.waiting() == ([], [])
        os.utime(error, (1, 1))
        file.write_text("---\nto: bob\n---\nHello\n")
        run.until(run.sent)
    assert listed(run.folder.path / "outbox") == []


def test_unfinished_files_are_left_alone(run):
    """Names that editors use, folders and links are no mail."""
    for name in (".hidden", "mail.md~", "mail.md.tmp"):
        run.put(name, "---\nto: bob\n---\nHello\n")
    run.mail().finish()
    assert run.sent() == []
    assert len(listed(run.folder.path / "outbox")) == 3


def test_the_same_file_is_one_mail_however_often_it_is_sent(run):
    """A process that was killed between sending and moving it leaves it for the next."""
    for _ in range(3):
        run.put("mail.md", "---\nto: bob\n---\nHello\n")
        run.mail().finish()
    assert len(run.sent()) == 1
    run.put("mail.md", "---\nto: bob\n---\nHello again\n")
    run.mail().finish()
    assert len(run.sent()) == 2


def test_no_acknowledged_mail_is_lost_or_doubled_when_the_mail_process_is_killed(run):
    """It is killed at random while files and commands send; what `sent` names is in the log, once."""
    acknowledged = []
    with run.mail() as mail:
        for number in range(12):
            run.put(f"{number}.md", f"---\nto: bob\nsubject: file {number}\n---\nHello\n")
            if number % 4 == 3 and (process := mail._process):
                process.send_signal(signal.SIGKILL)
            ended = run.ask("send", "--to", "bob", "-s", f"command {number}") if number % 4 != 3 else None
            if ended and ended.returncode == 0:
                acknowledged.append(f"command {number}")
    subjects = [event.subject for event in run.sent()]
    assert len(subjects) == len(set(subjects))
    assert {*acknowledged, *(f"file {number}" for number in range(12))} <= {*subjects}


@pytest.mark.parametrize("place", ["requests", "outbox", "sent", "answers", "."])
def test_a_folder_that_the_agent_replaced_by_a_link_leads_nowhere(run, tmp_path, place):
    """Nothing is read or written behind it."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "mail.md").write_text("---\nto: bob\n---\nHello\n")
    (target / ("0" * 32 + ".json")).write_text("{}")
    before = listed(target)
    run.put("mail.md", "---\nto: bob\n---\nHello\n")
    folder = run.folder.path / place
    folder.mkdir(exist_ok=True)
    folder.rename(tmp_path / "away")
    folder.symlink_to(target)
    run.mail().finish()
    assert listed(target) == before
    assert len(run.sent()) <= (place in {"sent", "answers", "requests"})


def test_what_is_no_file_is_told_and_left_alone(run):
    """It keeps nobody waiting for its end."""
    outbox = run.folder.path / "outbox"
    (outbox / "folder.md").mkdir()
    (outbox / "link.md").symlink_to("/etc/passwd")
    os.mkfifo(outbox / "pipe.md")
    with run.mail():
        for name in ("folder.md", "link.md", "pipe.md"):
            run.until((outbox / f"{name}.error").exists)
        assert run.folder.waiting() == ([], [])
    assert run.sent() == []


def test_a_mail_that_a_shell_writes_in_parts_is_sent_whole(run):
    """Each redirection closes the file; none of these moments is its end."""
    script = (
        "for n in $(seq 12); do echo --- > $n; echo to: bob >> $n; echo --- >> $n; echo a >> $n; echo b >> $n; done"
    )
    with run.mail():
        run.ask("inbox")  # from now on the process that sends is there
        subprocess.run(["sh", "-c", script], cwd=run.folder.path / "outbox", check=True)
        run.until(lambda: len(run.sent()) == 12)
    assert {event.body for event in run.sent()} == {"a\nb"}
    assert listed(run.folder.path / "outbox") == []


def test_an_outbox_that_the_agent_made_anew_is_watched(run):
    """What is told belongs to the folder that is gone."""
    outbox = run.folder.path / "outbox"
    with run.mail():
        run.ask("inbox")
        for number in range(2):
            outbox.rename(run.workspace / f"old-{number}")
            outbox.mkdir()
            run.put("mail.md", f"---\nto: bob\n---\nHello {number}\n")
            run.until(lambda: len(run.sent()) > number)  # noqa: B023 - it is called at once
    assert [event.body for event in run.sent()] == ["Hello 0", "Hello 1"]


def test_what_is_written_under_a_name_while_its_mail_is_sent_is_another_mail(run, monkeypatch):
    """It must not be put away as sent with the first one."""
    second = "---\nto: bob\n---\nTwo\n"

    class Meanwhile(Postbox):
        def _sent(self, name: str) -> str:
            done = super()._sent(name)
            run.put("mail.md", second)
            return done

    monkeypatch.setenv("TEAM_HOME", str(run.home))
    monkeypatch.setenv("TEAM_PERSONA", "ann")
    monkeypatch.setenv("TEAM_RUN", "run-1")
    run.put("mail.md", "---\nto: bob\n---\nOne\n")
    box = Meanwhile(RunFolder(run.workspace), "ann", "run-1")
    box.take(closing=True)
    box.take(closing=True)
    assert [event.body for event in run.sent()] == ["One", "Two"]


def test_a_person_in_a_folder_of_a_run_runs_nothing_of_it_and_is_shown_its_answers_escaped(tmp_path):
    """A repository that was cloned, or an agent in its workspace, may have put any script in place of `team-mail`."""
    folder, (terminal, inside) = tmp_path / ".team" / "run", pty.openpty()
    for name in ("requests", "answers"):
        (folder / name).mkdir(parents=True)
    (folder / "team-mail").write_text("#!/bin/sh\necho planted")
    (folder / "team-mail").chmod(0o755)
    command = [INSTALLED, "inbox"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=inside, stderr=inside) as person:
        while person.poll() is None and not (asked := [*(folder / "requests").glob("*.json")]):
            time.sleep(0.01)
        said = {"stdout": b2a_base64("\x1b]0;x\x07 \x9b2J\tü\n".encode()).decode(), "stderr": "", "exit": 0}
        if person.poll() is None:
            (folder / "new").write_text(json.dumps(said))
            (folder / "new").rename(folder / "answers" / asked[0].name)
        assert person.wait(30) == 0
    os.close(inside)
    assert os.read(terminal, 1000).decode() == "\\x1b]0;x\\x07 \\x9b2J\tü\r\n"
    os.close(terminal)


def test_requests_that_are_none_leave_the_mail_of_the_run_as_it_is(run):
    """Whatever stands there is answered with an error by the same process, and costs it no descriptor."""
    request = {"v": 1, "words": ["inbox"], "files": [], "stdin": None, "width": 0}
    odd = [
        json.dumps(request).replace('"width": 0', '"width": 1e999'),
        json.dumps(request | {"words": [[]]}).replace("[]]", "[" * 900 + "]" * 900 + "]"),
        json.dumps(request | {"words": "send"}),
        json.dumps(request | {"files": [["0/x", 7]]}),
        "[" * 100_000,
        "7",
    ]
    postbox = Postbox(run.folder, "ann", "run-1")
    for number, text in enumerate(odd):
        (run.folder.path / "requests" / f"{number:032x}.json").write_text(text)
    (run.folder.path / "requests" / f"{99:032x}.json").mkdir()
    for _ in range(3):
        postbox.take()
    answers = [json.loads(path.read_bytes()) for path in (run.folder.path / "answers").glob("*.json")]
    assert len(answers) == len(odd) + 1
    assert {answer["exit"] for answer in answers} <= {1, 2}
    opened = [path.resolve() for path in Path("/proc/self/fd").iterdir()]
    assert [path for path in opened if path.is_relative_to(run.workspace.resolve())] == []


# -- claims


def test_a_run_claims_through_its_keeper(run):
    """`team` in its workspace asks the mail process, which claims in the name of the run's persona."""
    claims = Claims(open_mailbox(run.home, create=True))
    for name, to in (("news", "bob"), ("fix", "ann")):
        claims.add(NewTask(name, to=to), "you")
    with run.mail():
        ended = run.ask("claim", "--next", "--json", command=INSTALLED.with_name("team"))
    assert ended.returncode == 0, ended.stderr
    taken = claims.moment().task("fix").current
    assert (taken.owner, taken.token) == ("ann", json.loads(ended.stdout)["token"])
    (event,) = [event for event in claims.mailbox.log.read() if event.kind == "claim.taken"]
    assert (event.sender, event.run) == ("ann", "run-1")


def test_a_request_about_a_claim_brings_its_file(run):
    """What `--output @FILE` names is read by the launcher, with the agent's rights."""
    (run.workspace / "out.json").write_text("{}")
    request = Request(["done", "fix", "--output", f"@{run.workspace}/out.json", "--failed", "--output"])
    assert request.words == ["done", "fix", "--output", "@0/out.json", "--failed", "--output"]
    assert [name for name, _ in request.files] == ["0/out.json"]


@pytest.mark.parametrize(
    "words",
    [
        "claim --path **", "claim --path=**", "claim --name db", "claim fix --pid 1", "release fix --force --reason x",
        "claim fix --session x", "done fix --token 4 --output @/etc/passwd", "done fix --output=@../x --token 4",
        "renew --",
        "claim --next=1", "claim --help",
    ],
)  # fmt: skip
def test_what_a_run_may_not_ask_about_claims_is_refused(words):
    """Before `team` is started; the options are those that `team` has."""
    with pytest.raises(UsageError):
        check_request(words.split(), ["0/out.json"])


def test_the_options_of_claims_are_those_of_the_commands():
    """A request is parsed here as it will be there."""
    for name, options in OF_TEAM.items():
        params = {
            flag: not param.is_flag
            for param in team.command().commands[name].params
            if param.param_type_name == "option"
            for flag in param.opts
        }
        assert {flag: params[flag] for flag in options} == options
        assert all(flag.startswith("--") for flag in params)
    check_request(["done", "fix", "--token", "4", "--output", "@0/out.json"], ["0/out.json"])
    check_request(["claim", "fix", "--lease=5m", "--as", "ann"], [])
