"""A team of chat models, against a fake server: real schedulers, keepers, mail and patches."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import psutil
from team_mail.mail.home import RUN_FOLDER

from ..chat_model import MODEL, ChatModel, Reply, call, calls, delta, refuses, says, sse, usage
from .test_scheduler import Project

KEY = "sk-of-nobody-at-all"
TEAM = """\
[team]
agent = "local"

[agents.local]
kind = "chat"
base_url = "{url}"
model = "{model}"
timeout = "60s"
env_file = "key.env"
commands = ["git status*", "ls *"]
max_parallel = 4
{more}
"""


class Team(Project):
    """A project whose personas a chat model plays."""

    def __init__(self, folder: Path, url: str, *personas: str, model: str = MODEL, more: str = "") -> None:
        super().__init__(folder)
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        (folder / "poem.txt").write_text("one\ntwo\nthree\n")
        (self.team / "personas").mkdir(parents=True)
        (self.team / "team.toml").write_text(TEAM.format(url=url, model=model, more=more))
        for name in personas:
            front = f"---\nid: {name}\npaths: ['docs/**', poem.txt]\n---\n"
            (self.team / "personas" / f"{name}.md").write_text(f"{front}You are `{name}`. Do your part.\n")
        (folder / "key.env").write_text(f"MY_KEY={KEY}\n")
        (folder / ".git" / "info" / "exclude").write_text("key.env\n")
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", "Begin")

    def end(self, persona: str) -> dict:
        """Return how the first run of a persona ended."""
        return next(event["data"] for event in self.events("run.finished") if event["data"]["persona"] == persona)


def script(body: dict, scripts: dict[str, list[Reply]]) -> Reply:
    """Return the next answer for a persona: as many turns on as the request has answers."""
    if "your attempt 1 " not in body["messages"][1]["content"]:
        return says("There is nothing to do about that mail.")
    name = next(name for name in scripts if f"You are `{name}`" in body["messages"][1]["content"])
    done = sum(message["role"] == "assistant" for message in body["messages"])
    return scripts[name][done]


def test_a_sprint_lands_patches_and_carries_mail_and_nobody_sees_the_key(tmp_path):
    """One calls tools, the other writes blocks; what one may not change is refused; tokens are counted."""
    block = "poem.txt\n<<<<<<< SEARCH\nthree\n=======\nthree of bob\n>>>>>>> REPLACE"
    mail = "```mail\nto: ann\nsubject: The end\n\nI changed the last line.\n```"
    scripts = {
        "ann": [
            calls(call("run", command="ls ."), call("read_mail", 1), call("write_file", 2, path="src/x", content="x")),
            calls(call("edit_file", path="poem.txt", old="one\n", new="one of ann\n"),
                  call("send_mail", 1, to=["bob"], subject="The beginning", body="I changed line one.")),
            says("I changed the first line."),
        ],  # and once more, when the mail of the other one comes
        "bob": [says(f"{block}\n\n{mail}"), says("I changed the last line.")],
    }  # fmt: skip
    with ChatModel(answer=lambda body: script(body, scripts)) as model:
        team = Team(tmp_path / "team", model.url, "ann", "bob")
        out = team.ok("scheduler", "sprint")
    assert "converged" in out
    assert team.git("show", "team/sprint-1:poem.txt") == "one of ann\ntwo\nthree of bob"
    sent = {(event["sender"], event["subject"]) for event in team.events("mail.sent") if event.get("run")}
    assert sent == {("ann", "The beginning"), ("bob", "The end")}
    ann = next(body for body in model.requests if len(body["messages"]) == 6 and "`ann`" in str(body))
    listing, inbox, refused = (each["content"] for each in ann["messages"] if each["role"] == "tool")
    assert (listing.split()[:2], "poem.txt" in listing) == (["exit", "0"], True)
    assert "FAILED" not in inbox
    assert "is not ann's" in refused or "is not this persona's to change" in refused
    assert team.end("ann")["usage"]["input"] == 300
    assert {headers["Authorization"] for headers in model.headers} == {f"Bearer {KEY}"}
    written = [path for path in team.folder.rglob("*") if path.is_file() and path.name != "key.env"]
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []


def test_a_run_outlives_a_scheduler_that_is_killed(tmp_path):
    """The next one takes it over: it is neither lost nor made twice; and the key is in no process that can be seen."""
    begun, go = threading.Event(), threading.Event()

    def between():
        begun.set()
        go.wait(30)

    slow = Reply([sse(delta(content="I think. "), done=False), sse(delta("stop"), usage(9, 9))], between=between)
    with ChatModel(answer=lambda body: calls(call("write_file", path="docs/a.md", content="a\n"))
                   if len(body["messages"]) == 2 else slow) as model:  # fmt: skip
        team = Team(tmp_path / "team", model.url, "ann")
        first = team.start("scheduler", "run")
        assert begun.wait(30)
        argv = [" ".join(process.cmdline()) for process in psutil.process_iter() if process.status() != "zombie"]
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=30)
        second = team.start("scheduler", "sprint")
        go.set()
        _, err = second.communicate(timeout=60)
    assert "team_mail.personas.chat.play" in " ".join(argv)
    assert KEY not in " ".join(argv)
    assert second.returncode == 0, err
    assert team.git("show", "team/sprint-1:docs/a.md") == "a"
    assert len(team.events("run.started")) - len(team.events("run.lost")) == 1


def test_mail_that_comes_as_a_model_is_done_is_answered_in_the_same_run(tmp_path):
    """With `deliver = "running"`: it becomes a further turn, and is read once the run has ended well."""
    sent = threading.Event()

    def answer(body: dict) -> Reply:
        asked = [message["content"] for message in body["messages"] if message["role"] == "user"]
        if any("And the second line?" in text for text in asked[1:]):
            return says("I looked at the second line, too.")
        if not sent.is_set():
            team.ok("team-mail", "send", "--to", "ann", "-s", "One more", "-b", "And the second line?")
            sent.set()
        return calls(call("search", pattern=f"line {len(body['messages'])}"))  # until it is there

    with ChatModel(answer=answer) as model:
        team = Team(tmp_path / "team", model.url, "ann", more='[sprint]\ndeliver = "running"\n')
        team.ok("scheduler", "sprint")
    assert len(team.events("run.started")) == 1
    assert team.run("team-mail", "inbox", "--persona", "ann", "--unread").stdout == ""


def test_what_no_other_run_could_do_better_spends_no_further_attempt(tmp_path):
    """A model that there is not is told with those that there are, after one run."""
    with ChatModel(replies=[refuses(404, "no such model")], models=[{"id": "qwen3-coder"}]) as model:
        team = Team(tmp_path / "team", model.url, "ann")
        assert team.run("scheduler", "sprint").returncode == 4
        (run,) = team.events("run.finished")
        assert "has no model 'qwen3'; it has qwen3-coder" in run["data"]["detail"]
        assert (run["data"]["status"], run["data"]["hopeless"]) == ("failed", True)
        doctor = json.loads(team.run("team", "doctor", "--json").stdout)
        told = [each["text"] for each in doctor["checks"] if each["what"] == "[agents.local]"]
        assert "it has qwen3-coder" in told[0]
        (team.team / "team.toml").write_text(TEAM.format(url=model.url, model="qwen3-coder", more=""))
        doctor = json.loads(team.ok("team", "doctor", "--json"))
        told = [each["text"] for each in doctor["checks"] if each["what"] == "[agents.local]"]
        assert told[0].startswith("qwen3-coder is there; context 32,768 tokens, as nobody says otherwise")


def test_a_result_of_a_task_is_a_file_that_the_model_writes(tmp_path):
    task = {"task_id": "find", "agent": "ann", "description": "Find the cause"}
    writes = call("write_file", path=f"{RUN_FOLDER}/output.json", content='{"cause": "floats"}')
    with ChatModel(replies=[calls(writes), says("found")]) as model:
        team = Team(tmp_path / "team", model.url, "ann")
        (team.folder / "tasks.json").write_text(json.dumps({"tasks": [task]}))
        result = json.loads(team.ok("team", "dispatch", "tasks.json", "--json"))
    assert result["results"][0]["output"] == {"cause": "floats"}


def test_a_budget_ends_a_run_that_goes_on(tmp_path):
    """The keeper counts what each answer tells; the run need not end for that."""
    numbers = iter(range(10_000))
    with ChatModel(answer=lambda _: calls(call("write_file", path=f"docs/{next(numbers)}", content="x"))) as model:
        team = Team(tmp_path / "team", model.url, "ann", more='turns = 5000\n[budget]\nrun = "2000 tokens"')
        team.run("scheduler", "sprint")
    end = team.events("run.finished")[0]["data"]
    assert end["status"] == "quota"
    assert len(model.requests) < 4000


def test_a_trial_shows_that_a_model_works_here(tmp_path):
    """It writes, mails, reads an attachment, settles a conflict and ends."""

    def answer(body: dict) -> Reply:
        results = [message["content"] for message in body["messages"] if message["role"] == "tool"]
        if not results:
            return calls(call("list_files", path=RUN_FOLDER), call("read_file", 1, path="poem.txt"))
        if len(results) == 2:
            return calls(call("read_file", path=next(row for row in results[0].split() if row.endswith("/word.txt"))))
        if len(results) > 3:
            return says("All of it is done.")
        word = results[2].split()[1]
        rows = [row.partition("\t")[2] for row in results[1].splitlines()]
        poem = settled([row for row in rows if not row.startswith("[")])
        return calls(
            call("write_file", path="trial/word.txt", content=word),
            call("write_file", 1, path="poem.txt", content=poem),
            call("send_mail", 2, to=["bob"], subject="The word", body=word),
        )  # fmt: skip

    with ChatModel(answer=answer) as model:
        team = Team(tmp_path / "team", model.url, "ann")
        tried = json.loads(team.ok("team", "try", "local", "--yes", "--json"))
    assert tried["works"]
    assert (tried["trials"][0]["version"], tried["trials"][0]["tokens_in"]) == (MODEL, 400)


def settled(rows: list[str]) -> str:
    """Take the marks of a conflict out of a text, and the common version."""
    kept, shown = [], True
    for row in rows:
        if row.startswith(("<<<<<<<", ">>>>>>>", "|||||||", "=======")):
            shown = not row.startswith("|||||||")
        elif shown:
            kept.append(row)
    return "".join(f"{row}\n" for row in kept)
