"""The command `team-mail` in its own processes: its output, its exit codes, and its errors."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..console import Piped, run_command
from ..on_server import log_file

COMMAND = str(Path(sys.executable).with_name("team-mail"))
LISTED = {
    "id", "seq", "ts", "sender", "recipients", "subject", "type", "priority", "thread", "reply_to", "read", "acked",
    "archived", "tags", "verified", "channel",
}  # fmt: skip
WHOLE = LISTED | {"body", "attachments", "cc", "due", "payload", "run", "trashed", "answered"}
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("TEAM_", "_TEAM", "PYTHON", "EDITOR", "VISUAL"))
}

Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder without a team above it."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def run(folder: Path) -> Run:
    """The command, run in the folder; standard input is closed unless given."""

    def run(*words: str, stdin: bytes | None = None, cwd: Path = folder, **environ: str) -> subprocess.CompletedProcess:
        return run_command("team-mail", *words, cwd=cwd, env=CLEAN | environ, stdin=stdin, timeout=30)

    return run


@pytest.fixture
def team(folder: Path, run: Run) -> Path:
    """A team of three with a roster, a group and two messages to boss, 2 and 3."""
    personas = folder / ".team" / "personas"
    personas.mkdir(parents=True)
    for name in ("boss", "curator", "scribe"):
        (personas / f"{name}.md").write_text(f"---\nid: {name}\n---\n")
    (folder / ".team" / "team.toml").write_text('[team]\nhuman = "ada"\n[groups]\ndocs = ["curator", "scribe"]\n')
    ok(run("send", "--from", "curator", "--to", "boss", "-s", "Work", "-b", "Do it."))
    ok(run("send", "--from", "scribe", "--to", "boss", "-s", "Words", "-b", "Say it."))
    return folder


def ok(ended: subprocess.CompletedProcess[bytes], code: int = 0) -> str:
    """Assert that stderr is empty; return stdout."""
    assert (ended.returncode, ended.stderr) == (code, b"")
    return ended.stdout.decode()


def document(ended: subprocess.CompletedProcess[bytes], code: int = 0) -> object:
    return json.loads(ok(ended, code))


def refused(ended: subprocess.CompletedProcess[bytes], code: int = 2) -> str:
    """Assert that stdout is empty and stderr is one line; return that line."""
    error = ended.stderr.decode()
    assert (ended.returncode, ended.stdout) == (code, b""), error
    assert re.fullmatch(r"team-mail: [^\n]+\n", error), error
    return error


def log_of(folder: Path) -> bytes:
    file = log_file(folder / ".team")
    return file.read_bytes() if file.exists() else b""


# -- lists and shapes


def test_a_plain_list_has_one_line_per_message(team, run):
    """The newest message is first, and each line says whether it is read."""
    ok(run("read", "2", "-p", "boss"))
    assert ok(run("inbox", "-p", "boss")) == (
        "[ NEW ] 3 | From: scribe | Subject: Words\n[READ ] 2 | From: curator | Subject: Work\n"
    )
    assert ok(run("inbox", "--unread", TEAM_PERSONA="boss@team")) == "[ NEW ] 3 | From: scribe | Subject: Words\n"
    assert ok(run("inbox", "-p", "boss", "-l", "1", "--from", "curator")).startswith("[READ ] 2 | ")
    assert ok(run("inbox", "-p", "boss", "--as-of", "2")) == "[ NEW ] 2 | From: curator | Subject: Work\n"
    assert ok(run("inbox", "-p", "scribe")) == ""


def test_json_has_exactly_the_documented_keys(team, run):
    """A single message has more keys than a listed one, and a sent one has states."""
    for words in (["inbox", "-p", "boss"], ["search", "work"], ["check", "-p", "boss"]):
        answer = document(run(*words, "--json"), 3 if words[0] == "check" else 0)
        assert answer
        assert all(item.keys() == LISTED for item in answer)
    message = document(run("read", "2", "-p", "boss", "--json"))
    assert message.keys() == WHOLE
    assert (message["body"], message["read"], message["recipients"]) == ("Do it.", True, ["boss"])
    assert all(item.keys() == WHOLE for item in document(run("thread", "2", "--json")))
    (sent,) = document(run("sent", "-p", "curator", "--json"))
    assert sent.keys() == LISTED | {"states"}
    assert sent["states"] == {"boss": "read"}
    assert document(run("inbox", "-p", "scribe", "--json")) == []


def test_a_sent_message_is_acknowledged_by_number_and_in_json_by_id(team, run):
    """It is the number that the inbox shows."""
    assert (
        ok(run("send", "-f", "boss", "--to", "curator,scribe", "-s", "x", "-b", "y")) == "sent 4 to curator, scribe\n"
    )
    sent = document(run("send", "-f", "boss", "--to", "@docs", "--cc", "ada", "-s", "x", "-b", "y", "--json"))
    assert sent.keys() == WHOLE | {"repeated"}
    assert (sent["body"], sent["sender"], sent["recipients"], sent["repeated"]) == (
        "y", "boss", ["curator", "scribe", "ada"], False,
    )  # fmt: skip
    message = document(run("read", sent["id"], "--peek", "-p", "ada", "--json"))
    assert (message["seq"], message["recipients"], message["cc"]) == (
        sent["seq"],
        ["curator", "scribe", "ada"],
        ["ada"],
    )


def test_a_whole_message_is_headers_an_empty_line_and_the_body(team, run):
    """A message that was not written in a run is marked as such."""
    shown = ok(run("read", "2", "-p", "boss", "--peek"))
    heading, _, body = shown.partition("\n\n")
    assert body == "Do it.\n"
    assert [line.split(": ")[0] for line in heading.splitlines()] == ["Message", "From", "To", "Date", "Subject"]
    assert "From: curator (not from a run)" in heading
    assert ok(run("inbox", "-p", "boss", "-u")).count("NEW") == 2, "a peek marks nothing"


# -- every other command


def test_marks_can_be_set_and_removed(team, run):
    """Each command prints what it did; --json prints the messages with the new marks."""
    for command, printed in [
        ("ack", "acked 2, 3"), ("archive", "archived 2, 3"), ("unarchive", "unarchived 2, 3"),
        ("trash", "trashed 2, 3"), ("restore", "restored 2, 3"), ("unread", "unread 2, 3"),
    ]:  # fmt: skip
        assert ok(run(command, "2", "3", "-p", "boss")) == f"{printed}\n"
    (archived,) = document(run("archive", "2", "-p", "boss", "--json"))
    assert archived.keys() == LISTED
    assert (archived["archived"], archived["read"], archived["acked"]) == (True, False, True)
    assert ok(run("inbox", "-p", "boss", "--archived")).startswith("[ NEW ] 2 |")
    assert ok(run("inbox", "-p", "boss", "--trashed")) == ""
    assert len(ok(run("inbox", "-p", "boss", "--all")).splitlines()) == 2


def test_tags_can_be_added_removed_and_listed(team, run):
    """They are listed for one message, or all with the number of messages."""
    assert ok(run("tag", "add", "2", "hot", "-p", "boss")) == "2: hot\n"
    assert ok(run("tag", "ls", "-p", "boss")) == "hot\t1\n"
    assert document(run("tag", "ls", "2", "-p", "boss", "--json")) == ["hot"]
    assert document(run("tag", "ls", "-p", "boss", "--json")) == [{"tag": "hot", "messages": 1}]
    assert ok(run("inbox", "-p", "boss", "--tag", "hot")).startswith("[ NEW ] 2")
    assert document(run("tag", "rm", "2", "hot", "-p", "boss", "--json"))["tags"] == []
    assert "is not a tag" in refused(run("tag", "add", "2", "a b", "-p", "boss"))


def test_a_reply_is_in_the_thread_the_search_and_the_sent_mail(team, run):
    """The sender of the answered message sees that it was answered."""
    assert ok(run("reply", "2", "-b", "Done.", "-p", "boss")) == "sent 4 to curator\n"
    shown = ok(run("thread", "4"))
    assert re.findall("^Subject: (.*)$", shown, re.MULTILINE) == ["Work", "Re: Work"]
    assert ok(run("search", "done")) == "[ NEW ] 4 | From: boss | Subject: Re: Work\n"
    assert ok(run("sent", "-p", "curator")) == "2\tboss: answered\tWork\n"


def test_check_summarizes_unread_mail_with_exit_code_3_or_is_silent(team, folder, run, tmp_path):
    """It fits into a shell prompt: no output without unread mail or without a team."""
    assert ok(run("check", "-p", "boss"), 3) == "2 unread\n3 scribe: Words\n2 curator: Work\n"
    assert len(ok(run("check", "-p", "boss", "--budget", "20"), 3)) <= 21
    assert ok(run("check", "-p", "scribe")) == ""
    assert ok(run("check", "-p", "boss", cwd=tmp_path)) == ""
    assert ok(run("inbox", "-p", "boss", "--exit-code"), 3)
    assert ok(run("inbox", "-p", "scribe", "--exit-code")) == ""


@pytest.mark.in_files("the copy mends itself, and repair is refused")
def test_the_log_can_be_shown_counted_verified_and_queried(team, run):
    """`log`, `stats`, `verify`, `repair` and `query` print what is documented."""
    assert [line.split()[2] for line in ok(run("log")).splitlines()] == ["log.opened", "mail.sent", "mail.sent"]
    assert [event["seq"] for event in document(run("log", "--json", "--kind", "mail", "-l", "1"))] == [3]
    assert document(run("stats", "--json")).keys() == {"kinds", "personas", "overdue"}
    assert ok(run("stats")).startswith("kinds:\nlog.opened\t1\t")
    assert ok(run("verify")) == "3 events verified, up to 3\n"
    assert document(run("verify", "--json")) == {
        "events": 3, "head": 3, "damage": [], "unfinished_bytes": 0, "lost": [], "copies": []
    }  # fmt: skip
    assert ok(run("repair")) == "nothing to repair: 3 events verified; checksums and Parquet copies are rewritten\n"
    assert ok(run("query", "select sender, subject from events where kind = 'mail.sent' order by seq")) == (
        "curator\tWork\nscribe\tWords\n"
    )
    assert document(run("query", "select count(*) n from events", "--json")) == [{"n": 3}]
    refused(run("query", "drop table events"))
    refused(run("query", "select * from read_text('/etc/passwd')"))


def test_mail_of_a_persona_that_left_is_returned(team, run):
    """It is in the sender's inbox; a second `bounce` returns nothing; the old mailbox can still be read."""
    (team / ".team" / "personas" / "boss.md").unlink()
    assert ok(run("bounce")) == "2 returned\n"
    assert document(run("bounce", "--json")) == []
    assert "Undeliverable: Work" in ok(run("inbox", "-p", "curator"))
    assert len(ok(run("inbox", "-p", "boss")).splitlines()) == 2


@pytest.mark.in_files("a backup is restored to files, see test_on_server.py")
def test_mail_can_be_backed_up_restored_and_exported(team, run, tmp_path):
    """A backup is restored into an empty team; exports are mbox, eml and JSON lines."""
    assert document(run("backup", str(tmp_path / "b.tar.gz"), "--json")).keys() == {
        "path",
        "head",
        "files",
        "bytes",
        "left_out",
    }
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        assert archive.getnames()
    empty = tmp_path / "other"
    empty.mkdir()
    restored = run("backup", str(tmp_path / "b.tar.gz"), "--restore", cwd=empty)
    assert (restored.returncode, restored.stdout) == (0, f"3 events restored from {tmp_path}/b.tar.gz\n".encode())
    assert ok(run("inbox", "-p", "boss", cwd=empty)) == ok(run("inbox", "-p", "boss"))
    for form, count in (("mbox", 2), ("eml", 2), ("jsonl", 2)):
        assert document(run("export", form, str(tmp_path / form), "--json"))["messages"] == count
    assert "format" in refused(run("export", "pst", str(tmp_path / "x")))


def test_every_command_has_help_and_there_is_a_version(run):
    """--help lists all commands, and each has its own help."""
    shown = ok(run("--help"))
    commands = re.findall(r"^  ([a-z]+) ", shown.partition("Commands:")[2], re.MULTILINE)
    assert set(commands) >= {
        "send", "inbox", "read", "attachment", "reply", "thread", "sent", "search", "check", "watch", "ack", "unread",
        "archive", "unarchive", "trash", "restore", "tag", "log", "stats", "bounce", "verify", "repair", "backup",
        "export", "query",
    }  # fmt: skip
    assert re.fullmatch(r"team-mail \d+\.\d+\.\d+\n", ok(run("--version")))
    for command in ("send", "inbox", "tag"):
        assert "Usage: team-mail" in ok(run(command, "-h"))


# -- errors


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["send", "--to", "", "-s", "x", "-b", "y"], "no recipient"),
        (["send", "--to", "curater", "-s", "x", "-b", "y"], "no persona 'curater'; did you mean curator?"),
        (["send", "--to", "@doc", "-s", "x", "-b", "y"], "no group @doc; did you mean docs?"),
        (["send", "--to", "boss", "--from", "bos", "-b", "y"], "no persona 'bos'; did you mean boss"),
        (["send", "--to", "boss"], "nothing to send"),
        (["send", "--to", "boss", "-b", "y", "--priority", "asap"], "priority 'asap'"),
        (["send", "--to", "boss", "-b", "y", "--type", "two words"], "type 'two words'"),
        (["send", "--to", "boss", "-b", "y", "--due", "soon"], "due 'soon' is not a time"),
        (["send", "--to", "boss", "-b", "y", "--payload", "{"], "not JSON"),
        (["send", "--to", "boss", "-b", "y", "--payload", "@nowhere"], "cannot read nowhere"),
        (["send", "--to", "boss", "-b", "y", "-a", "nowhere"], "cannot attach nowhere: No such file"),
        (["send", "--to", "boss", "--body-file", "nowhere"], "cannot read nowhere"),
        (["send", "--to", "boss", "-b", "x", "--body-file", "y"], "use one"),
        (["inbox"], "who are you? pass --persona or set TEAM_PERSONA"),
        (["ack", "2"], "who are you? pass --persona or set TEAM_PERSONA"),
        (["inbox", "-p", "bos"], "no persona 'bos'; did you mean boss?"),
        (["check", "-p", "bos"], "no persona 'bos'"),
        (["watch", "-p", "bos"], "no persona 'bos'"),
        (["inbox", "-p", "boss", "--as-of", "yesterday"], "as of 'yesterday'"),
        (["inbox", "-p", "boss", "--as-of", "9" * 25], "as of '999"),
        (["read", "99", "-p", "boss"], "no message '99'"),
        (["read", "0000", "-p", "boss"], "no message '0000'"),
        (["ack", "3", "99", "-p", "boss"], "no message '99'"),
        (["ack", "2", "-p", "curator"], "message 2 is not curator's: it went to boss"),
        (["reply", "2", "-p", "boss", "-b", "x", "--to", "nobody"], "no persona 'nobody'"),
        (["search", "%%"], "at least one word"),
    ],
)
def test_an_invalid_request_is_refused_in_one_line_and_nothing_is_written(words, reason, team, run):
    """The line says what and why; the exit code is 2; the log is unchanged."""
    before = log_of(team)
    assert reason in refused(run(*words))
    assert log_of(team) == before


def test_an_ambiguous_beginning_of_an_id_is_refused_with_the_numbers_of_its_messages(team, run):
    """Ids begin with the time, so ids of the same second have the same beginning."""
    ids = [item["id"] for item in document(run("inbox", "-p", "boss", "--json"))]
    error = refused(run("read", ids[0][:6], "-p", "boss"))
    assert "names more than one message (2, 3, …); use the number" in error


@pytest.mark.parametrize("words", [["inbox", "--limit", "0", "-p", "x"], ["inbox", "-l", "9" * 25, "-p", "x"], ["send"],
                                   ["nonsense"], ["inbox", "--nonsense"]])  # fmt: skip
def test_wrong_usage_exits_with_2_and_no_traceback(words, team, run):
    """Errors of the parser have the same exit code."""
    ended = run(*words)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert b"Traceback" not in ended.stderr


def test_a_run_cannot_act_as_another_persona(team, run):
    """It may give its own persona; another one is refused; its events have the id of the run."""
    inside = {"TEAM_RUN": "r-7", "TEAM_PERSONA": "curator"}
    before = log_of(team)
    for words in (
        ["send", "--from", "boss", "--to", "scribe", "-b", "x"],
        ["inbox", "-p", "boss"],
        ["ack", "2", "-p", "boss"],
    ):
        assert "this is a run of curator: it cannot act as boss" in refused(run(*words, **inside))
    assert log_of(team) == before
    sent = document(run("send", "--from", "curator@team", "--to", "scribe", "-s", "x", "-b", "y", "--json", **inside))
    assert document(run("read", str(sent["seq"]), "-p", "scribe", "--json"))["run"] == "r-7"


def test_bytes_that_are_not_text_are_refused(team, run):
    """This holds for standard input, a file, and an argument."""
    before = log_of(team)
    assert "standard input is not UTF-8 at byte 2" in refused(run("send", "--to", "boss", "-s", "x", stdin=b"ab\xff"))
    (team / "latin1").write_bytes("ü".encode("latin1"))
    assert "latin1 is not UTF-8 at byte 0" in refused(run("send", "--to", "boss", "--body-file", "latin1"))
    for words in (["send", "--to", "boss", "-s", "\udcff", "-b", "x"], ["send", "--to", "\udcff", "-b", "x"],
                  ["inbox", "-p", "\udcff"], ["read", "\udcff", "-p", "boss"]):  # fmt: skip
        refused(run(*words))
    for words in (
        ["inbox", "-p", "boss", "--tag", "\udcff"],
        ["search", "\udcff"],
        ["search", "work\udcff"],
        ["query", "select '\udcff'"],
    ):
        assert b"Traceback" not in run(*words).stderr
    assert log_of(team) == before


def test_settings_that_cannot_be_read_are_named(team, run):
    """The error names the file and what is wrong with it."""
    for text in ("[team", "team = 3\n", "groups = 3\n", "[groups]\ndocs = 3\n"):
        (team / ".team" / "team.toml").write_text(text)
        assert "team.toml" in refused(run("inbox", "-p", "boss"))
    ok(run("verify"))


def test_without_a_team_the_error_says_how_to_create_one(run):
    """A reading command creates nothing."""
    assert "the first `team-mail send` makes one" in refused(run("inbox", "-p", "boss"))


@pytest.mark.in_files("the copy mends itself")
def test_a_damaged_log_refuses_mail_with_exit_code_5_until_repaired_and_can_be_read(team, run):
    """verify reports the place; good mail is listed; after repair, mail can be sent again."""
    file = team / ".team" / "mail" / "events.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[1].replace(b"Do it", b"Do IT") + lines[2])
    verified = run("verify")
    assert (verified.returncode, verified.stderr.count(b"\n")) == (5, 1)
    assert b"seq 2: the line does not verify" in verified.stdout
    assert "nothing is written until `team-mail repair`" in refused(run("send", "--to", "boss", "-b", "x"), 5)
    shown = run("inbox", "-p", "boss")
    assert (shown.returncode, shown.stdout) == (0, b"[ NEW ] 3 | From: scribe | Subject: Words\n")
    assert shown.stderr.startswith(b"team-mail: the log is damaged; lines that do not verify are left out")
    assert ok(run("repair")).startswith("2 events kept")
    assert ok(run("send", "--to", "boss", "-b", "x")).startswith("sent ")
    ok(run("verify"))


@pytest.mark.in_files("what cannot be written is the file")
def test_a_read_only_folder_is_one_line_of_error(team, run, tmp_path):
    """Reading works; sending says why not. Run as a user without rights, because root can write anywhere."""
    if os.geteuid() == 0 and not Path("/usr/bin/setpriv").exists():
        pytest.skip("root may write anywhere, and there is no setpriv to be somebody else")
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in (team / ".team" / "mail", empty):
        path.chmod(0o555)
    for path in (team / ".team" / "mail").iterdir():
        path.chmod(0o444)
    for path in (tmp_path, *tmp_path.parents[:-1]):
        if path.stat().st_uid == os.geteuid() and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    drop = ["setpriv", "--reuid", "65534", "--clear-groups"] if os.geteuid() == 0 else []

    # Somebody without rights here cannot write what coverage measures, either.
    unmeasured = {name: value for name, value in CLEAN.items() if not name.startswith("COVERAGE")}

    def run_as(*words: str, cwd: Path = team) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*drop, COMMAND, *words],
            cwd=cwd,
            env=unmeasured,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    if drop and subprocess.run([*drop, COMMAND, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("somebody without rights cannot run this interpreter")
    before = log_of(team)
    assert "cannot write the log" in refused(run_as("send", "--to", "boss", "-b", "x"), 1)
    assert "cannot store" in refused(run_as("send", "--to", "boss", "-b", "x" * 70_000), 1)
    assert "cannot write the log" in refused(run_as("send", "--to", "boss", "-b", "x", cwd=empty), 1)
    assert ok(run_as("inbox", "-p", "boss")).count("NEW") == 2
    assert log_of(team) == before


# -- bodies


def test_a_body_can_be_given_in_every_documented_way(team, run):
    """That is --body, --body -, --body-file, a pipe, and a file as standard input."""
    (team / "body.txt").write_text("from a file\n")
    base = ["send", "--to", "boss", "-s", "x", "--json"]
    with (team / "body.txt").open("rb") as file:
        redirected = subprocess.run([COMMAND, *base], cwd=team, env=CLEAN, stdin=file, capture_output=True, check=False)
    for ended, body in [
        (run(*base, "-b", "given"), "given"),
        (run(*base, "-b", "-", stdin=b"dash"), "dash"),
        (run(*base, "--body-file", "body.txt"), "from a file\n"),
        (run(*base, stdin="pipe ü\r\n".encode()), "pipe ü\r\n"),
        (run(*base, "-b", "given", stdin=b"not this"), "given"),
        (run(*base), ""),
        (redirected, "from a file\n"),
    ]:
        assert document(run("read", str(document(ended)["seq"]), "-p", "boss", "--json"))["body"] == body


def test_a_piped_body_of_two_mebibytes_is_read_whole(team, run):
    """The sender need not care about the size."""
    body = "0123456789abcdeü" * (1 << 17)
    sent = document(run("send", "--to", "boss", "-s", "long", "--json", stdin=body.encode()))
    assert document(run("read", str(sent["seq"]), "-p", "boss", "--json"))["body"] == body
    assert ok(run("read", str(sent["seq"]), "-p", "boss")).endswith(f"\n\n{body}\n")


def test_read_names_the_command_that_writes_an_attachment(team, run):
    """It writes the same bytes as were sent, and no path of the team's folder is shown."""
    (team / "a b.bin").write_bytes(bytes(range(256)))
    sent = document(run("send", "--to", "boss", "-s", "x", "-b", "y", "-a", "a b.bin", "--json"))
    (attachment,) = document(run("read", str(sent["seq"]), "-p", "boss", "--json"))["attachments"]
    assert attachment.keys() == {"name", "sha256", "size"}
    (line,) = [x for x in ok(run("read", str(sent["seq"]), "-p", "boss")).splitlines() if x.startswith("Attachment")]
    assert line == f"Attachment: a b.bin (256 bytes): team-mail attachment {sent['seq']}"
    written = run(*line.partition(": team-mail ")[2].split(), "-p", "boss")
    assert (written.returncode, written.stdout, written.stderr) == (0, bytes(range(256)), b"")


def test_an_attachment_of_several_is_given_by_name_or_number(team, run):
    """They can be listed, and a wrong or missing name is answered with the right ones."""
    for name, data in (("a.txt", "alpha"), ("b.txt", "beta")):
        (team / name).write_text(data)
    words = ["send", "--to", "boss", "-s", "x", "-a", "a.txt", "-a", "b.txt", "--json"]
    seq = str(document(run(*words))["seq"])
    assert ok(run("attachment", seq, "b.txt", "-p", "boss")) == "beta"
    assert ok(run("attachment", seq, "1", "-p", "boss")) == "alpha"
    assert ok(run("attachment", seq, "--list", "-p", "boss")) == "1\ta.txt\t5\n2\tb.txt\t4\n"
    assert [item["name"] for item in document(run("attachment", seq, "--json", "-p", "boss"))] == ["a.txt", "b.txt"]
    names = "give the name or number of one: 1 'a.txt', 2 'b.txt'"
    assert f"message {seq} has 2 attachments; {names}" in refused(run("attachment", seq, "-p", "boss"))
    assert f"no single attachment 'c.txt'; {names}" in refused(run("attachment", seq, "c.txt", "-p", "boss"))
    assert "message 2 has no attachments" in refused(run("attachment", "2", "-p", "boss"))
    assert "who are you?" in refused(run("attachment", seq))


def test_an_attachment_can_be_written_to_a_file(team, run):
    """Its bytes are the same; where the file cannot be written, one line says so."""
    (team / "a.bin").write_bytes(bytes(range(256)))
    seq = str(document(run("send", "--to", "boss", "-s", "x", "-a", "a.bin", "--json"))["seq"])
    assert ok(run("attachment", seq, "--out", "copy.bin", "-p", "boss")) == ""
    assert (team / "copy.bin").read_bytes() == bytes(range(256))
    assert "nowhere/copy" in refused(run("attachment", seq, "--out", "nowhere/copy", "-p", "boss"), 1)


def test_an_attachment_is_found_by_the_run_that_the_message_is_about(team, run):
    """A run knows its own id before it has mail about it; the newest message to the reader counts."""
    first, second = "0191aaaa-1111-8111-8111-111111111111", "0191aaaa-2222-8222-8222-222222222222"
    for number, about in enumerate((first, second, first)):
        (team / "fix.patch").write_text(f"patch {number}")
        words = ["--payload", json.dumps({"run": about}), "-a", "fix.patch", "--from", "curator"]
        ok(run("send", "--to", "boss", "-s", "x", *words))
    ok(run("send", "--to", "boss", "-s", "without a patch", "--payload", json.dumps({"run": first})))
    within = {"TEAM_PERSONA": "boss", "TEAM_RUN": first}
    assert ok(run("attachment", first, **within)) == "patch 2"
    assert ok(run("attachment", second[:13], **within)) == "patch 1"
    assert "more than one run" in refused(run("attachment", first[:8], **within))
    assert "no message" in refused(run("attachment", first[:7], **within))
    assert "no message" in refused(run("attachment", first, "-p", "scribe")), "it went to someone else"
    assert "cannot act as scribe" in refused(run("attachment", first, "-p", "scribe", **within))


def test_the_same_key_sends_once(team, run):
    """A script that runs again gets the same answer."""
    words = ["send", "--to", "boss", "-s", "x", "-b", "y", "--key", "nightly", "--json", "--due", "+2h"]
    first = document(run(*words))
    assert document(run(*words)) == first | {"repeated": True}
    assert (
        ok(run(*(word for word in words if word != "--json")))
        == f"sent {first['seq']} to boss; it was sent before with this key\n"
    )
    answer = ["reply", "2", "-p", "boss", "-b", "Yes.", "--key", "yes", "--json"]
    assert [document(run(*answer))["repeated"], document(run(*answer))["repeated"]] == [False, True]
    assert len(ok(run("inbox", "-p", "boss")).splitlines()) == 3


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        (["--payload", "1"], ["--payload", "true"], "payload"),
        (["--payload", '{"a": 1}'], ["--payload", '{"a": 1.0}'], "payload"),
        ([], ["--due", "+4h"], "due"),
        (["--due", "+4h"], ["--due", "+5h"], "due"),
        (["--due", "2030-01-01"], ["--due", "+4h"], "due"),
    ],
)
def test_what_looks_alike_to_python_is_another_content(team, run, first, second, what):
    """`1` is not `true`, and a date is not a span of time."""
    words = ["send", "--key", "k", "--to", "boss", "-s", "x"]
    ok(run(*words, *first))
    assert "repeated" in ok(run(*words, *first, "--json"))
    assert f"differs in {what};" in refused(run(*words, *second))


def test_a_key_that_is_in_use_leaves_nothing_behind(team, run):
    """No blob of what was refused; and a repeated answer does not mark the message read again."""
    (team / "a.txt").write_text("first")
    (team / "b.txt").write_text("second")
    ok(run("send", "--key", "k", "--to", "boss", "-s", "x", "-a", "a.txt"))
    blobs = sorted((team / ".team" / "mail" / "blobs").rglob("*"))
    assert "attachments" in refused(run("send", "--key", "k", "--to", "boss", "-s", "x", "-a", "b.txt"))
    assert sorted((team / ".team" / "mail" / "blobs").rglob("*")) == blobs
    ok(run("reply", "2", "-p", "boss", "-b", "yes", "--key", "a"))
    ok(run("unread", "2", "-p", "boss"))
    before = log_of(team)
    assert "sent before" in ok(run("reply", "2", "-p", "boss", "-b", "yes", "--key", "a"))
    assert "differs in body" in refused(run("reply", "2", "-p", "boss", "-b", "no", "--key", "a"))
    assert log_of(team) == before


def test_a_home_with_a_whole_path_needs_no_current_folder(team, run, tmp_path):
    """A shell may stand in a folder that was deleted."""
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f'cd "{gone}"; rmdir "{gone}"; "{COMMAND}" check -p boss; echo $?; "{COMMAND}" inbox -p boss | wc -l'
    env = CLEAN | {"TEAM_HOME": str(team / ".team")}
    ended = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, timeout=30, check=False)
    assert ended.stdout == "2 unread\n3 scribe: Words\n2 curator: Work\n3\n2\n", ended.stderr


def test_a_check_in_json_is_always_json(folder, run):
    """Also where there is no team, or none yet."""
    assert document(run("check", "-p", "x", "--json")) == []
    assert document(run("check", "-p", "x", "--json", TEAM_HOME=str(folder / "new"))) == []
    assert "name is empty" in refused(run("check", "-p", ""))


@pytest.mark.parametrize("seconds", ["inf", "nan", "99999999999999"])
def test_a_timeout_that_is_none_is_refused(team, run, seconds):
    """Nobody waits for a thread that cannot be started."""
    assert "is no number of seconds" in refused(run("watch", "-p", "boss", "--timeout", seconds))


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (["--to", "scribe"], "recipients"),
        (["-s", "z"], "subject"),
        (["-b", "z"], "body"),
        (["-b", "y" * 100_000 + "z"], "body"),
        (["--thread", "2"], "thread"),
        (["--priority", "high"], "priority"),
        (["--type", "task"], "type"),
        (["--cc", "ada"], "recipients, cc"),
        (["--payload", "[1]"], "payload"),
        (["-a", "file.txt"], "attachments"),
        (["--due", "2030-01-01"], "due"),
    ],
)
def test_a_key_of_another_message_is_refused(team, run, other, what):
    """Whatever differs, nothing is written; a script that forgot to change the key hears of it."""
    (team / "file.txt").write_text("text")
    long = len(other[1]) > 1000
    words = ["send", "--key", "k", "--to", "boss", "-s", "x", "-b", "y" * 100_000 if long else "y"]
    ok(run(*words))
    before = log_of(team)
    replaced = [*words, *other] if other[0] not in words else [*words]
    if other[0] in words:
        replaced[words.index(other[0]) + 1] = other[1]
    error = refused(run(*replaced))
    assert f"the key 'k' was used before, for message 4, which differs in {what}; nothing was sent" in error
    assert log_of(team) == before


def test_a_thread_is_that_of_a_message_or_a_uuid(team, run):
    """A typing error would begin a thread that nobody finds."""
    fresh = "0191aaaa-1111-8111-8111-111111111111"
    assert document(run("send", "--to", "boss", "-s", "x", "--thread", fresh, "--json"))["thread"] == fresh
    root = document(run("read", "2", "--peek", "--json"))["id"]
    assert document(run("send", "--to", "boss", "-s", "x", "--thread", "2", "--json"))["thread"] == root
    assert "no message '99'" in refused(run("send", "--to", "boss", "-s", "x", "--thread", "99"))
    assert "no message 'topic'" in refused(run("send", "--to", "boss", "-s", "x", "--thread", "topic"))


@pytest.mark.parametrize(
    ("sender", "why"),
    [
        ("bosss", "no persona 'bosss'; did you mean boss"),
        ("", "name is empty"),
        ("@all", "is a group"),
        ("all", "is a group"),
        ("all@team", "is a group"),
        ("@docs", "is a group"),
    ],
)
def test_only_somebody_of_the_team_sends(team, run, sender, why):
    """An answer to a group or to nobody would reach the wrong people."""
    assert why in refused(run("send", "--to", "boss", "-s", "x", "--from", sender))
    assert why in refused(run("reply", "2", "-b", "x", "-p", sender))


def test_a_message_and_a_thread_are_shown_without_a_persona(team, run):
    """Whoever looks is nobody's reader: nothing is marked."""
    before = log_of(team)
    message = document(run("read", "2", "--peek", "--json"))
    assert (message["body"], message["read"]) == ("Do it.", False)
    assert [m["body"] for m in document(run("thread", "2", "--json"))] == ["Do it."]
    assert "who are you?" in refused(run("read", "2"))
    assert log_of(team) == before


def test_watching_begins_where_it_is_told_to_and_ends_in_time(team, run):
    """A script waits for an answer to what it has just sent, and no longer than it wants."""
    (message,) = [
        json.loads(line) for line in ok(run("watch", "-p", "boss", "--after", "2", "--once", "--json")).splitlines()
    ]
    assert message["seq"] == 3
    lines = ok(run("watch", "-p", "boss", "--after", "0", "--timeout", "0.1")).splitlines()
    assert [line.split(" | ")[0] for line in lines] == ["[ NEW ] 2", "[ NEW ] 3"]
    assert ok(run("watch", "-p", "boss", "--once", "--timeout", "0.1"), 1) == ""


def test_whoever_marks_second_is_told_who_was_first(team, run):
    """Two runs of one persona take the same task: the log knows which one has it."""
    first, second = ({"TEAM_PERSONA": "boss", "TEAM_RUN": run} for run in ("run-1", "run-2"))
    assert ok(run("ack", "2", **first)) == "acked 2\n"
    assert ok(run("ack", "2", **first)) == "acked 2\n"
    late = run("ack", "2", "--json", **second)
    mark = json.loads(late.stdout)[0]["marked_by"]
    assert (mark["run"], late.returncode) == ("run-1", 0)
    assert late.stderr.decode() == f"team-mail: 2 was acked first by run run-1, at {mark['ts']}\n"
    assert log_of(team).count(b'"kind":"mail.acked"') == 1
    ok(run("read", "3", **first))
    assert b"3 was read first by run run-1" in run("read", "3", **second).stderr
    ok(run("unread", "3", **second))
    assert b"first" not in run("read", "3", **second).stderr, "it was unread again, and is second's now"


def test_of_runs_that_mark_at_once_one_is_first(team, run):
    """The log has one mark, and all others name its run."""
    runs = [f"run-{number}" for number in range(6)]
    processes = [
        Piped("team-mail", "ack", "2", "--json", cwd=team, env=CLEAN | {"TEAM_PERSONA": "boss", "TEAM_RUN": name})
        for name in runs
    ]  # fmt: skip
    answers = [(process.communicate(timeout=60), process.returncode) for process in processes]
    assert {code for _, code in answers} == {0}
    assert log_of(team).count(b'"kind":"mail.acked"') == 1
    told = [json.loads(out)[0].get("marked_by", {}).get("run") for (out, _), _ in answers]
    (first,) = {name for name in told if name}
    assert [name or first for name in told] == [first] * 6
    assert told[runs.index(first)] is None


# -- check, at every prompt of every agent


def prompt(team: Path, *words: str, **environ: str) -> tuple[int, str, set[str]]:
    """Run `check` in a process that starts cold; return its exit code, its output and the modules that it loaded."""
    env = CLEAN | {"PYTHONPROFILEIMPORTTIME": "1"} | environ
    ended, bare = (
        subprocess.run(argv, cwd=team, env=env, capture_output=True, timeout=30, check=False)
        for argv in ([COMMAND, "check", *words], [sys.executable, "-c", "pass"])
    )
    loaded, always = (
        {line.rpartition("|")[2].strip() for line in e.stderr.decode().splitlines()} for e in (ended, bare)
    )
    return ended.returncode, ended.stdout.decode(), loaded - always


def grow_old(team: Path) -> None:
    """Make roster and settings older than two seconds: what is newer may change again at the same time."""
    for path in (team / ".team" / "personas", team / ".team" / "team.toml"):
        os.utime(path, (1, 1))


@pytest.mark.in_files("psycopg imports more")
def test_a_prompt_waits_for_neither_typer_nor_duckdb(team, run):
    """Only the first look of a persona goes through the whole command line; nothing is lost between two looks."""
    grow_old(team)
    assert "duckdb" not in prompt(team, "-p", "boss")[2]
    for words in (["-p", "boss"], ["--persona=boss@team", "--budget", "300"]):
        code, text, loaded = prompt(team, *words)
        assert (code, text) == (3, "2 unread\n3 scribe: Words\n2 curator: Work\n")
        assert not loaded & {"typer", "duckdb", "uuid_utils", "pathlib", "pydantic"}
    ok(run("read", "2", "-p", "boss"))
    ok(run("archive", "3", "-p", "boss"))
    assert prompt(team, TEAM_PERSONA="boss")[:2] == (0, "")
    code, text, loaded = prompt(team, TEAM_PERSONA="boss")
    assert (code, text) == (0, "")
    assert not loaded & {"typer", "duckdb", "uuid_utils", "pathlib", "pydantic", "json", "re", "typing"}
    ok(run("unread", "2", "-p", "boss"))
    ok(run("send", "--from", "scribe", "--to", "@docs", "-s", "Not for the boss"))
    code, text, loaded = prompt(team, TEAM_PERSONA="boss")
    assert (code, text) == (3, "1 unread\n2 curator: Work\n")
    assert "typer" not in loaded


def test_a_prompt_sees_who_left_the_team(team, run):
    """A name is looked up again when the roster or the settings have changed."""
    grow_old(team)
    for _ in range(2):
        assert prompt(team, "-p", "ada")[0] == 0
    assert b"no persona 'nobody'" in run("check", "-p", "nobody").stderr
    (team / ".team" / "team.toml").write_text('[team]\nhuman = "eve"\n')
    assert b"no persona 'ada'" in run("check", "-p", "ada").stderr
    (team / ".team" / "personas" / "ada.md").write_text("---\nid: ada\n---\n")
    assert prompt(team, "-p", "ada")[0] == 0
    (team / ".team" / "personas" / "ada.md").unlink()
    assert b"no persona 'ada'" in run("check", "-p", "ada").stderr


@pytest.mark.parametrize(
    "words", [["--budget", "0"], ["--budget"], ["--budget", "x"], ["-p"], ["extra"], ["--jso"], ["-p", ""]]
)
def test_a_wrong_word_at_a_prompt_is_answered_by_the_command_line(team, run, words):
    """The short way takes what it knows, and nothing else."""
    grow_old(team)
    assert prompt(team, "-p", "boss")[0] == 3
    assert run("check", "-p", "boss", *words).returncode == 2


# -- on a terminal


def typed(words: list[str], cwd: Path, until: bytes = b"", **environ: str) -> tuple[int, str]:
    """Run the command on a terminal of its own; interrupt it once `until` was shown. Return exit code and screen."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(COMMAND, [COMMAND, *words], CLEAN | {"TERM": "xterm", "COLUMNS": "100"} | environ)
    shown, deadline = b"", time.monotonic() + 20
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                piece = os.read(terminal, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
            if until and until in shown:
                os.write(terminal, b"\x03")
                until = b""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    return code, shown.decode().replace("\r\n", "\n")


def test_a_terminal_gets_a_table_without_colour_if_no_color_is_set(team, run):
    """Text is escaped in the table, too."""
    ok(run("send", "-f", "curator", "--to", "boss", "-s", "\x1b[31mred\u202e", "-b", "x"))
    code, screen = typed(["inbox", "-p", "boss"], team)
    assert code == 0
    assert "sent (UTC)" in screen
    assert r"\x1b[31mred\u202e" in screen
    assert "[ NEW ]" not in screen
    _, screen = typed(["inbox", "-p", "boss"], team, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", screen)
    assert json.loads(typed(["inbox", "-p", "boss", "--json"], team)[1])[0]["subject"] == "\x1b[31mred\u202e"
    assert typed(["inbox", "-p", "scribe"], team) == (0, "no mail for scribe\n")


def test_a_terminal_shows_an_attachment_that_is_text_and_refuses_one_that_is_not(team, run):
    """Text is escaped; bytes would change the terminal's state, so --out is named instead."""
    (team / "a.bin").write_bytes(bytes(range(256)))
    (team / "a.txt").write_text("red \x1b[31m\n")
    ok(run("send", "--to", "boss", "-s", "x", "-a", "a.bin", "-a", "a.txt"))
    assert typed(["attachment", "4", "a.txt", "-p", "boss"], team) == (0, "red \\x1b[31m\n")
    code, screen = typed(["attachment", "4", "a.bin", "-p", "boss"], team)
    assert (code, screen.count("\n")) == (2, 1)
    assert "is binary" in screen
    assert "--out FILE" in screen


def test_on_a_terminal_the_body_is_written_in_an_editor(team, run):
    """The saved draft is sent; a failing editor, an empty draft, or no editor sends nothing."""
    code, screen = typed(["send", "--to", "boss", "-s", "typed"], team, EDITOR="printf 'from the editor\\n' >")
    assert (code, screen) == (0, "sent 4 to boss\n")
    assert ok(run("read", "4", "-p", "boss")).endswith("\n\nfrom the editor\n")
    before = log_of(team)
    for editor, words in {"false": "exited with 1", "true": "the draft is empty", "": "set EDITOR"}.items():
        code, screen = typed(["send", "--to", "boss", "-s", "typed"], team, EDITOR=editor)
        assert (code, screen.count("\n")) == (2, 1), screen
        assert words in screen
    assert log_of(team) == before


def test_watch_shows_mail_as_it_arrives_until_interrupted(team, run):
    """Ctrl-C exits with 130 and without a traceback."""
    with subprocess.Popen(
        [COMMAND, "watch", "-p", "boss", "--json"], cwd=team, env=CLEAN, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as watcher:
        deadline, subjects = time.monotonic() + 20, []
        while not subjects and time.monotonic() < deadline:
            ok(run("send", "-f", "curator", "--to", "boss", "-s", "now", "-b", "x"))
            if select.select([watcher.stdout], [], [], 0.5)[0]:
                subjects.append(json.loads(watcher.stdout.readline())["subject"])
        watcher.send_signal(signal.SIGINT)
        _, errors = watcher.communicate(timeout=10)
    assert subjects == ["now"]
    assert watcher.returncode == 130
    assert b"Traceback" not in errors


def test_a_broken_pipe_ends_the_command_silently(team, run):
    """`team-mail log | head -1` prints no error."""
    for _ in range(3):
        ok(run("send", "--to", "boss", "-s", "x" * 50_000, "-b", "y" * 60_000))
    for words in ("log", "log --json", "inbox -p boss --json", "thread 4"):
        ended = subprocess.run(
            ["sh", "-c", f"{COMMAND} {words} | head -c 1"],
            cwd=team,
            env=CLEAN,
            capture_output=True,
            check=False,
            timeout=20,
        )
        assert ended.stderr == b""


# -- surroundings


def test_the_first_send_creates_the_teams_folder_and_says_so_once(folder, run):
    """The folder is at the top of a git checkout, is found from below, and git ignores the mail."""
    (folder / ".git").mkdir()
    below = folder / "src" / "deep"
    below.mkdir(parents=True)
    first = run("send", "--to", "boss", "-s", "x", "-b", "y", cwd=below)
    assert (first.returncode, first.stdout) == (0, b"sent 2 to boss\n")
    notice = rf"team-mail: this team is in {re.escape(str(folder))}/\.team\n"
    assert re.fullmatch(notice, first.stderr.decode())
    assert (folder / ".team" / ".gitignore").read_text() == "/mail/\n/runs/\n/work/\n/run/\n/logs/\n"
    ok(run("send", "--to", "boss", "-s", "x", "-b", "y"))
    assert len(ok(run("inbox", "-p", "boss", cwd=below)).splitlines()) == 2
    assert document(run("read", "2", "-p", "boss", "--json"))["sender"] == "you"


def test_the_human_of_the_environment_is_on_the_team(team, run):
    """TEAM_TEAM_HUMAN beats the file, as in the scheduler; an empty variable is none."""
    assert "no persona 'bob'" in refused(run("send", "--to", "bob", "-s", "x", TEAM_TEAM_HUMAN=""))
    assert ok(run("send", "--to", "bob", "-s", "x", TEAM_TEAM_HUMAN=" bob ")).endswith(" to bob\n")
    sent = document(run("send", "--to", "boss", "-s", "x", "--json", TEAM_TEAM_HUMAN="bob"))
    assert document(run("read", str(sent["seq"]), "-p", "boss", "--json"))["sender"] == "bob"


def test_a_byte_order_mark_in_team_toml_changes_nothing(team, run):
    """Some editors write one; the human and the groups behind it are read."""
    file = team / ".team" / "team.toml"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert ok(run("send", "--to", "@docs", "--cc", "ada", "-s", "x")) == "sent 4 to curator, scribe, ada\n"


def test_team_home_names_the_teams_folder(team, run, tmp_path):
    """It overrides the current folder."""
    there = {"TEAM_HOME": str(team / ".team")}
    assert ok(run("inbox", "-p", "boss", cwd=tmp_path, **there)).count("NEW") == 2


def test_a_module_in_the_users_folder_is_not_imported(team, run):
    """A repository may contain its own or a malicious json.py."""
    for name in ("json", "enum", "typer", "duckdb", "re", "team_mail", "sitecustomize"):
        (team / f"{name}.py").write_text(f"open('imported-{name}', 'w')\nraise SystemExit(9)\n")
    ok(run("send", "--to", "boss", "-s", "x", "-b", "y"))
    ok(run("inbox", "-p", "boss"))
    assert not list(team.glob("imported-*"))


@pytest.mark.in_files("psycopg imports more")
@pytest.mark.parametrize(
    "words", [["send", "--to", "boss", "-s", "x", "-b", "y"], ["inbox", "-p", "boss"], ["check", "-p", "curator"]]
)
def test_frequent_commands_import_no_heavy_library(words, team):
    """Agents call them all the time; `send` imports no database, either."""
    code = (
        f"import atexit, sys; sys.argv = {['team-mail', *words]}\n"
        "atexit.register(lambda: print('loaded', *{name.partition('.')[0] for name in sys.modules}))\n"
        "from team_mail.mail.commands.entry import main\n"
        "main()"
    )
    ended = subprocess.run([sys.executable, "-I", "-c", code], cwd=team, env=CLEAN, capture_output=True, check=True,
                           stdin=subprocess.DEVNULL)  # fmt: skip
    loaded = set(ended.stdout.decode().splitlines()[-1].split())
    heavy = {"ibis", "pandas", "pyarrow", "pydantic", "rich", "numpy", "apscheduler", "watchfiles"}
    assert not loaded & (heavy | ({"duckdb", "email"} if words[0] == "send" else set()))


def test_the_log_is_one_json_object_a_line_with_its_keys_in_order(team):
    """jq and other tools can read it."""
    keys = ["v", "seq", "id", "ts", "kind", "sender", "recipients", "subject", "body", "thread", "reply_to", "priority",
            "ref", "run", "data", "prev", "hash"]  # fmt: skip
    events = [json.loads(line) for line in log_of(team).splitlines()]
    assert [list(event) for event in events] == [keys] * 3
    assert [event["seq"] for event in events] == [1, 2, 3]
    assert b"\r" not in log_of(team)


def completed(run: Run, line: str, **more) -> list[str]:
    words = line.split(" ")
    environ = {"_TEAM_MAIL_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    ended = run(**more, **environ)
    assert ended.stderr == b""
    return ended.stdout.decode().split()


def test_completion_offers_commands_personas_and_tags(team, run, tmp_path):
    """It offers nothing without a team or a persona."""
    ok(run("tag", "add", "2", "hot", "-p", "boss"))
    assert completed(run, "team-mail una") == ["unarchive"]
    assert completed(run, "team-mail inbox --persona cu") == ["curator"]
    assert completed(run, "team-mail send --to ") == [
        "ada",
        "boss",
        "curator",
        "postmaster",
        "scheduler",
        "scribe",
        "supervisor",
        "weaver",
    ]
    assert completed(run, "team-mail inbox --tag h", TEAM_PERSONA="boss") == ["hot"]
    assert completed(run, "team-mail inbox -p boss --tag ") == ["hot"]
    assert completed(run, "team-mail inbox --tag h") == []
    assert completed(run, "team-mail inbox --persona cu", cwd=tmp_path) == []
    (team / ".team" / "team.toml").write_text(
        '[channels.review]\nmembers = ["boss"]\n[channels.news]\nmembers = ["boss"]'
    )
    assert completed(run, "team-mail inbox --channel re") == ["review"]
    assert completed(run, "team-mail inbox --channel ", cwd=tmp_path) == []


@pytest.fixture(autouse=True, scope="module")
def figures() -> Iterator[None]:
    """Print the total time."""
    began = time.monotonic()
    yield
    print(f"acceptance of the command: {time.monotonic() - began:.1f} s")


def test_closed_full_or_narrow_outputs_cause_no_traceback(team, run):
    """Whatever the shell does with its streams, the command prints at most one line of error."""
    for redirection, code in (
        (">&-", 0),
        ("<&-", 0),
        ("2>&-", 0),
        *(((">/dev/full", 1),) if Path("/dev/full").exists() else ()),
    ):
        ended = subprocess.run(
            ["sh", "-c", f'"$0" inbox -p boss {redirection}', COMMAND],
            cwd=team,
            env=CLEAN,
            capture_output=True,
            check=False,
        )
        assert (ended.returncode, b"Traceback" in ended.stderr) == (code, False), (redirection, ended)
    ok(run("send", "--to", "boss", "--from", "scribe", "-s", "é"))
    assert "\\xe9" in ok(run("inbox", "-p", "boss", PYTHONIOENCODING="ascii"))


def test_values_that_json_cannot_represent_do_not_break_a_query(team, run):
    """A SELECT may return any type; the output is one JSON document."""
    asked = "SELECT 1.5 AS a, 'nan'::DOUBLE AS b, DATE '2026-01-01' AS c"
    assert json.loads(ok(run("query", asked, "--json"))) == [{"a": "1.5", "b": None, "c": "2026-01-01"}]


def test_a_program_as_sender_and_an_empty_key_are_refused(team, run):
    """They would be a forged bounce and an unset variable."""
    assert "is a program" in refused(run("send", "--to", "boss", "--from", "postmaster", "-s", "Undeliverable"), 2)
    assert "the key is empty" in refused(run("send", "--to", "boss", "--key", "", "-s", "x"), 2)


@pytest.mark.in_files("to read a log on a server makes a copy")
def test_a_team_home_where_nobody_has_sent_mail_yet_is_an_empty_team(folder, run):
    """A hook may ask before the first mail; readers make nothing, and a mistyped name is seen on stderr."""
    home = folder / "new" / ".team"
    environ = {"TEAM_HOME": str(home)}
    assert ok(run("check", "-p", "boss", **environ)) == ""
    listed = run("inbox", "-p", "boss", "--json", **environ)
    assert (listed.returncode, json.loads(listed.stdout)) == (0, [])
    assert f"TEAM_HOME names {home}, where nobody has sent mail yet" in listed.stderr.decode()
    assert "no message '1'" in run("read", "1", "-p", "boss", **environ).stderr.decode()
    assert not home.parent.exists()
    (folder / "file").write_text("")
    assert "is no folder" in refused(run("inbox", "-p", "boss", TEAM_HOME=str(folder / "file")))
