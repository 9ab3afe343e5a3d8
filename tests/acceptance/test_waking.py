"""A team that is led by `scheduler run`, in separate processes: questions, answers, and mail that reaches a run."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from team_mail.mail.log.log import EventLog

from ..console import Piped
from ..sandboxes import SANDBOXED
from .test_scheduler import Project

ASK = json.dumps({"type": "result", "subtype": "success", "is_error": False, "result": "Which fruit?"})
DONE = ASK.replace("Which fruit?", "Done.")
# Asks until somebody says plum.
ASKING = f"if grep -q 'It is plum'; then echo '{DONE}'; else echo '{ASK}'; fi"
# Tells that it began, waits for a message, takes it into account and makes a file of it.
HEARING = """\
cat > /dev/null; .team/run/team-mail send --to you -s "I begin" --type fyi
until ls .team/run/inbox/*.md > /dev/null 2>&1; do sleep 0.02; done
for file in .team/run/inbox/*.md; do touch "${file%.md}.taken"; cp "$file" heard.txt; done
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "project")
    project.folder.mkdir()
    project.git("init", "--quiet", "--initial-branch=main")
    project.git("commit", "--quiet", "--allow-empty", "-m", "Begin")
    (project.team / "personas").mkdir(parents=True)
    (project.team / "personas" / "ann.md").write_text("---\nid: ann\n---\nDo your part.\n")
    return project


@pytest.fixture
def leading(project: Project) -> Iterator[list[Piped]]:
    """The schedulers that a test starts, which are ended after it."""
    started: list[Piped] = []
    yield started
    for each in started:
        if each.poll() is None:
            each.send_signal(signal.SIGTERM)
            each.wait(20)


def until(project: Project, kind: str, number: int = 1) -> None:
    """Wait for so many events of a kind."""
    stop = threading.Event()
    patience = threading.Timer(50, stop.set)
    patience.start()
    (project.team / "mail").mkdir(exist_ok=True)
    events = (event for event in EventLog(project.team / "mail").follow(0, stop=stop) if event.kind == kind)
    assert len([*islice(events, number)]) == number, f"{kind} never came"
    patience.cancel()


def test_the_answer_to_a_question_wakes_a_team_that_has_nothing_to_do(project, leading):
    """The question is what needs somebody; with its answer the persona runs again at once, and nothing is open."""
    project.agent(ASKING, '[sprint]\nevery = "1d"\n')
    leading.append(project.start("scheduler", "run"))
    until(project, "sprint.finished")
    status = json.loads(project.ok("team", "status", "--json"))
    (need,) = [each for each in status["needs"] if each["kind"] == "mail"]
    assert (need["sender"], need["subject"]) == ("ann", "Which fruit?")
    (asked,) = [event for event in project.events("mail.sent") if event["data"]["type"] == "question"]

    project.ok("team-mail", "reply", str(asked["seq"]), "--persona", "you", "-b", "It is plum.")

    until(project, "sprint.finished", 2)
    assert [event["data"]["outcome"] for event in project.events("sprint.finished")] == ["unanswered", "converged"]
    assert json.loads(project.ok("team", "status", "--json"))["needs"] == []


@pytest.mark.parametrize("sandbox", ["none", pytest.param("bwrap", marks=SANDBOXED)])
@pytest.mark.parametrize("killed", [False, True])
def test_mail_reaches_a_run_in_its_workspace(project, leading, sandbox, killed):
    """In a sandbox too, and if its scheduler was killed before: the next one brings what came meanwhile."""
    project.agent(HEARING, f'sandbox = "{sandbox}"\n[sprint]\nevery = "1d"\ndeliver = "running"\n')
    leading.append(project.start("scheduler", "run"))
    until(project, "mail.sent")  # it has begun
    if killed:
        leading[0].send_signal(signal.SIGKILL)
        leading[0].wait(20)
    project.ok("team-mail", "send", "--from", "you", "--to", "ann", "-s", "Also this", "-b", "plum")
    if killed:
        leading.append(project.start("scheduler", "run"))

    until(project, "sprint.finished")

    assert len(project.events("run.started")) == 1
    assert "\n| plum\n" in project.git("show", "team/sprint-1:heard.txt")
    assert [event["sender"] for event in project.events("mail.read")] == ["ann"]


# Takes into account what it finds, for half a second; a journal tells what it saw.
LISTENING = """\
cat > /dev/null
for round in 1 2 3 4 5 6 7 8 9 10; do
    for file in .team/run/inbox/*.md; do
        if test -e "$file" && ! test -e "${file%.md}.taken"; then
            cat "$file" >> JOURNAL; touch "${file%.md}.taken"
        fi
    done
    sleep 0.05
done
"""


@pytest.mark.parametrize("number", [4, pytest.param(60, marks=pytest.mark.storm)])
def test_no_mail_is_lost_while_schedulers_are_killed(project, leading, number):
    """Each message is seen by a run and read in the end, whichever run, prompt or inbox had it."""
    journal = project.folder.with_name("journal")
    sprint = '[sprint]\nevery = "1d"\ndeliver = "running"\nmax_attempts = 1000\nretry_backoff = "0s"\n'
    project.agent(LISTENING.replace("JOURNAL", str(journal)), sprint)
    leading.append(project.start("scheduler", "run"))
    until(project, "run.started")
    for each in range(number):
        project.ok("team-mail", "send", "--from", "you", "--to", "ann", "-s", f"mail {each}!", "-b", "plum")
        if each % 2:
            leading[-1].send_signal(signal.SIGKILL)
            leading[-1].wait(20)
            leading.append(project.start("scheduler", "run"))

    until(project, "mail.read", number)

    seen = journal.read_text()
    assert [each for each in range(number) if f"Subject: mail {each}!" not in seen] == []
    read = [event["ref"] for event in project.events("mail.read")]
    assert sorted(read) == sorted(
        event["id"] for event in project.events("mail.sent") if event["recipients"] == ["ann"]
    )
