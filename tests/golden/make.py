"""Make the golden team: a real team's `.team` and repository, written by the commands as they were at one commit.

    .venv/bin/python tests/golden/make.py [FOLDER]

Run by hand, once for a format; the data beside this file was made by version 0.1.0, at commit 11b3f73. It works in
FOLDER, /tmp/golden-team by default, which must not exist; `expected/` names it, so it should be a neutral place. Beside
the team it writes `expected/`: what the reading commands said of it then, as they printed it. README.md says why none
of this is ever made anew to let a test pass.

All is done with the real commands, in real processes, but for three things that they cannot be asked for: a log is
sealed at 16 MB, so `sealed` appends through `EventLog` with a smaller limit; and `torn` and `altered` do to the file
what a power cut and an editor do.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from team_mail.mail.event import Draft
from team_mail.mail.log import EventLog

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
WHO = ("Team", "team@example.org")
ENVIRON = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", "TZ": "UTC",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": WHO[0], "GIT_AUTHOR_EMAIL": WHO[1], "GIT_COMMITTER_NAME": WHO[0], "GIT_COMMITTER_EMAIL": WHO[1],
}  # fmt: skip

# -- the repository and its team

AGENT = r"""#!/bin/sh
# agent.sh PERSONA ATTEMPT SPRINT: plays everybody without a model; of a dispatch, by the task.
cat > /dev/null
own() { sed -i "s/^$1: .*/$1: $2/" plan.txt; }
title() { sed -i "1s/.*/The ferry of $1/" plan.txt; }
flow() { mkdir -p .github/workflows && echo "on: push # $1" > ".github/workflows/$1.yml"; }
long() { head -c "$1" /dev/zero | tr '\0' "$2"; }
give() { printf '%s\n' "$1" > "$TEAM_OUTPUT"; }

if test -n "$TEAM_TASK"; then
    case "$TEAM_TASK-$2" in
    find-*) give '{"cause": "floats", "places": [{"file": "plan.txt", "line": 1}], "größe": 0.1}' ;;
    fix-*) title "fix"; cp "$TEAM_INPUT" input.json; give '{"done": true}' ;;
    clash-1) sleep 4; title "clash" ;;
    clash-*) title "fix and clash"; give '["both"]' ;;
    trace-*) cat stream.jsonl ;;
    large-*) printf '{"text": "%s"}\n' "$(long 17000 r)" > "$TEAM_OUTPUT" ;;
    break-*) echo "half" > half.txt; echo "the disk is full"; exit 3 ;;
    slow-*) sleep 600 ;;
    wait-1 | load-1 | stuck-*) sleep 600 ;;
    *) echo "$TEAM_TASK" > "$TEAM_TASK.txt"; give "{\"file\": \"$TEAM_TASK.txt\"}" ;;
    esac
    exit
fi
case "$3-$1-$2" in
1-ann-1) title ann; team-mail send --to bob -s "I took the title" -b "It is mine now." > /dev/null ;;
1-bob-1) sleep 3; title bob ;;
1-cyd-*) echo "attempt $2" > broken.txt; own cyd "broken in attempt $2" ;;
1-dan-1) ln -s plan.txt link.txt ;;
1-eve-1) flow check ;;
1-fay-1) flow release ;;
1-gus-1) echo "no connection"; exit 3 ;;
1-ivy-1) own ivy half; sleep 600 ;;
2-fay-1 | 2-gus-1) sleep 600 ;;
2-*) ;;
3-ann-1)
    title "ann, again"
    team-mail send --to you -s "A question" -t question -b "Which colour?" > /dev/null
    team-mail send --to dan,eve -s "Once more" -b "The title has changed." > /dev/null ;;
3-cyd-1) title cyd ;;
3-eve-2) sleep 2; own eve "second thoughts" ;;
3-cyd-2 | 3-dan-2) sleep 600 ;;
3-fay-1) ;;
*) own "$1" "sprint $3, attempt $2" ;;
esac
"""
STREAM = [
    {"type": "assistant", "message": {"content": [
        {"type": "tool_use", "id": "t1", "name": "Read", "input": {"file": "plan.txt"}}]}},
    {"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "t1", "content": "one"}]}},
    {"type": "result", "subtype": "success", "is_error": False, "result": 'Done.\n{"answer": 42}',
     "total_cost_usd": 0.25},
]  # fmt: skip
NAMES = ("ann", "bob", "cyd", "dan", "eve", "fay", "gus", "ivy")
FRONT = {
    "ann": "priority: 2\nemoji: ⛴\ndescription: Names things.\n", "ivy": "timeout: 2s\n",
    "jon": "scheduled: false\ndescription: Reads mail only.\n",
}  # fmt: skip
SETTINGS = """[team]
human = "you"
agent = "shell"

[agents.shell]
command = ["sh", "agent.sh", "{persona}", "{attempt}", "{sprint}"]
timeout = "1h"

[sprint]
parallel = "always"
max_attempts = 3
retry_backoff = 0
deadline = "4h"

[groups]
crew = ["ann", "bob"]

[gates.tests]
command = ["sh", "-c", "test ! -e broken.txt || { echo 'a test failed: broken.txt'; exit 1; }"]

[gates.score]
command = ["sh", "-c", "echo '{\\"passed\\": 9, \\"total\\": 10}'"]
threshold = 0.5
"""


class Team:
    """A repository with a team in it, and the commands to steer it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".team"
        self.log = self.home / "mail" / "events.jsonl"

    def run(self, *words: str, code: int | None = 0, persona: str = "", stdin: str = "") -> str:
        name, *rest = words
        command = [BIN / name if name in {"team-mail", "scheduler", "team"} else name, *rest]
        environ = ENVIRON | ({"TEAM_PERSONA": persona} if persona else {})
        ended = subprocess.run(
            command, cwd=self.folder, env=environ, input=stdin, capture_output=True, text=True, check=False
        )
        if code is not None and ended.returncode != code:
            sys.exit(f"{words}: exit {ended.returncode}, not {code}\n{ended.stdout}{ended.stderr}")
        print("+", *words, file=sys.stderr)
        return ended.stdout

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        print("+", *words, "&", file=sys.stderr)
        return subprocess.Popen(
            [BIN / words[0], *words[1:]], cwd=self.folder, env=ENVIRON, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def events(self) -> list[dict]:
        lines = b"".join(path.read_bytes() for path in [*sorted(self.log.parent.glob("segments/*.jsonl")), self.log])
        return [json.loads(line) for line in lines[: lines.rfind(b"\n")].splitlines()]

    def until(self, kind: str, after: int = 0, **data) -> None:
        """Wait until an event of a kind and with these data is there, behind seq `after`."""
        for _ in range(6_000):
            matching = [e for e in self.events() if e["seq"] > after and e["kind"] == kind]
            if any(data.items() <= event["data"].items() for event in matching):
                return
            time.sleep(0.01)
        sys.exit(f"no {kind} with {data}")

    def alive(self, persona: str) -> None:
        """Wait until the last run of a persona gives a sign of life."""
        run = [e["run"] for e in self.events() if e["kind"] == "run.started" and e["data"]["persona"] == persona][-1]
        while not (self.home / "runs" / run / "heartbeat").exists():
            time.sleep(0.01)

    def seq(self, subject: str) -> str:
        """Return the number of the last message of a subject."""
        return str([e["seq"] for e in self.events() if e["kind"] == "mail.sent" and e["subject"] == subject][-1])

    def send(self, to: str, subject: str, body: str, *more: str, by: str = "") -> str:
        self.run("team-mail", "send", "--to", to, "-s", subject, "--body", "-", *more, persona=by, stdin=body)
        return self.seq(subject)

    def sealed(self) -> None:
        """Seal the active file, which the commands do at 16 MB."""
        EventLog(self.log.parent, segment_bytes=1).append(
            [
                Draft(
                    "mail.sent",
                    "you",
                    ("ann",),
                    "First in a new file",
                    "The one before is sealed.",
                    data={"type": "note"},
                )
            ]
        )

    def torn(self) -> None:
        """Leave what a power cut leaves within a write: part of a line."""
        with self.log.open("ab") as file:
            file.write(b'{"v":1,"seq":')

    def altered(self, subject: str) -> None:
        """Change the letters of one message by hand, as an editor would."""
        self.log.write_bytes(self.log.read_bytes().replace(subject.encode(), subject.upper().encode(), 1))


def repository(team: Team) -> None:
    team.folder.mkdir(parents=True)
    rows = ["The ferry", *(f"{name}: nothing" for name in NAMES)]
    (team.folder / "plan.txt").write_text("\n\n\n\n".join(rows) + "\n")
    (team.folder / "agent.sh").write_text(AGENT)
    (team.folder / "stream.jsonl").write_text("".join(json.dumps(event) + "\n" for event in STREAM))
    (team.folder / ".gitignore").write_text("/.team/\n/traces/\n")
    team.run("git", "init", "--quiet", "--initial-branch=main")
    team.run("git", "add", ".")
    team.run("git", "commit", "--quiet", "-m", "Begin")
    (team.home / "personas").mkdir(parents=True)
    for name in (*NAMES, "hal", "jon", "kim"):
        text = f"---\nid: {name}\n{FRONT.get(name, '')}---\nMind your line of plan.txt.\n"
        (team.home / "personas" / f"{name}.md").write_text(text)
    (team.home / "team.toml").write_text(SETTINGS)


# -- its life


def mail(team: Team) -> None:
    """Mail in every state, and a log that was cut off, altered, repaired and sealed."""
    team.send("jon", "Doomed", "This one is altered on disk.")
    team.send("jon", "Welcome", "You only read.")
    team.altered("Doomed")
    team.run("team-mail", "verify", code=5)
    team.run("team-mail", "repair")
    team.send("@all", "Launch on Friday", "Everybody: the ferry leaves on Friday.", "--priority", "high")
    team.send("@crew", "For the crew", "Two of you.", "--cc", "jon", by="dan")
    team.torn()
    team.send("jon", "Colours", "\x1b[31mred\x1b[0m, a tab\t, a bell\a and \u202ebackwards\u202c", by="ann")
    team.send(
        "jon", "Grüße aus Łódź 船 🚢", "Ünïcödé: ﷺ, e\u0301, 日本語, 👩‍👩‍👧 and \u2028 a line separator.", by="bob"
    )
    team.send("jon", "A long one", "All work and no play.\n" * 3000, by="ann")
    team.send("jon", "From mbox", "From the quay\n.\n>From the sea\n--=_team-mail\n", by="ivy")
    attached = {"chart.bin": bytes(range(256)), "größe.txt": "Länge\n".encode()}
    for name, content in attached.items():
        (team.folder / name).write_bytes(content)
    team.send("jon", "Two files", "See both.", *(word for name in attached for word in ("-a", name)), by="cyd")
    for name in attached:
        (team.folder / name).unlink()
    for _ in range(2):  # the second is a repeat
        team.send(
            "jon", "A task", "Do it.", "-t", "task", "--due", "2026-01-01", "--priority", "urgent",
            "--payload", '{"steps": [1, 2.5, null, "ß"]}', "--key", "build-417", by="ann",
        )  # fmt: skip
    team.send("jon", "Long ago", "You owe me an answer.", "--due", "2020-01-01", "--priority", "urgent", by="dan")
    team.send("bob,you", "Some day", "No hurry.", "--due", "2999-12-31", "--priority", "low", by="jon")
    for subject in (
        "To read",
        "To read again",
        "To ack",
        "To archive",
        "To bring back",
        "To trash",
        "To restore",
        "To tag",
    ):
        team.send("jon", subject, f"{subject}.", by="eve")
    do = team.run
    for word, *subjects in (
        ("read", "To read"), ("read", "To read again"), ("unread", "To read again"), ("ack", "To ack"),
        ("archive", "To archive"), ("archive", "To bring back"), ("unarchive", "To bring back"), ("trash", "To trash"),
        ("trash", "To restore"), ("restore", "To restore"), ("ack", "A task"),
    ):  # fmt: skip
        do("team-mail", word, *map(team.seq, subjects), persona="jon")
    do("team-mail", "tag", "add", team.seq("To tag"), "later", persona="jon")
    do("team-mail", "tag", "add", team.seq("To tag"), "wrong", persona="jon")
    do("team-mail", "tag", "rm", team.seq("To tag"), "wrong", persona="jon")
    do("team-mail", "tag", "add", team.seq("Two files"), "later", persona="jon")
    do("team-mail", "reply", team.seq("A task"), "-b", "Done.", "-t", "result", persona="jon")
    do("team-mail", "reply", team.seq("Re: A task"), "-b", "Thank you.", persona="ann")
    do("team-mail", "reply", team.seq("For the crew"), "-b", "Aye.", "--all", persona="bob")
    do("team-mail", "send", "--to", "fay", "-s", "In the thread", "-b", "Look.", "--thread", team.seq("For the crew"),
       persona="dan")  # fmt: skip
    team.send("hal", "Are you there?", "Come in.", by="gus")
    (team.home / "personas" / "hal.md").unlink()
    do("team-mail", "bounce")
    team.send("kim", "And you?", "Come in.", by="gus")
    (team.home / "personas" / "kim.md").unlink()  # the next sprint returns it
    team.sealed()


def sprints(team: Team) -> None:
    """Sprint 1 is spent: who conflicts, is refused, held, red, fails, takes too long. Sprint 2 converges."""
    team.run("scheduler", "sprint", "--json", code=4)
    team.run("scheduler", "land", "1")
    team.run("scheduler", "approve", "eve")
    team.run("scheduler", "pause")
    team.run("scheduler", "tick")
    team.run("scheduler", "tick")
    team.run("scheduler", "resume")
    led = team.start("scheduler", "sprint", "--mode", "sequential")
    team.until("run.started", sprint=2, persona="fay")
    team.alive("fay")
    led.send_signal(signal.SIGTERM)
    led.wait()
    led = team.start("scheduler", "sprint")
    team.until("run.started", sprint=2, persona="gus")
    team.alive("gus")
    team.run("scheduler", "stop", "gus")
    led.wait()
    team.sealed()
    team.send("cyd", "Another try", "Without broken.txt, please.")


def task(name: str, *after: str, agent: str = "ann", **fields) -> dict:
    return {"task_id": name, "agent": agent, "description": f"Do {name}: ß.", "dependencies": [*after]} | fields


def dispatched(team: Team, *tasks: dict) -> str:
    """Write tasks into a file beside the repository; return its name."""
    file = team.folder.with_name(team.folder.name + ".json")
    file.write_text(json.dumps({"tasks": tasks, "config": {"max_workers": 4, "timeout_seconds": 3600}}))
    return str(file)


def dispatches(team: Team) -> None:
    """One that is killed, gone on with, and partly fails; one that is interrupted."""
    file = dispatched(
        team,
        task("find", agent="bob", priority=1),
        task("clash", agent="cyd"),
        task("fix", "find", input_data={"cause": "{{ tasks.find.output.cause }}", "all": ["{{ tasks.find.output }}"]}),
        task("trace", agent="dan"),
        task("large", "find", agent="dan", input_data={"text": "i" * 17_000}),
        task("wait", "large", agent="eve"),
        task("break", "wait", agent="fay", retries=1, retry_backoff=0),
        task("after", "break", "find", agent="fay"),
        task("slow", agent="gus", timeout_seconds=1),
    )
    started = team.start("team", "dispatch", file)
    team.until("run.started", task="wait")
    team.until("task.finished", task="clash", status="success")
    started.kill()
    started.wait()
    name = next(event["data"]["dispatch"] for event in team.events() if event["kind"] == "dispatch.started")
    team.run("team", "dispatch", "--resume", name, code=1)
    started = team.start("team", "dispatch", dispatched(team, task("stuck"), task("never", "stuck")))
    team.until("run.started", task="stuck")
    started.send_signal(signal.SIGINT)
    started.wait()


def cut_off(team: Team) -> None:
    """Kill a dispatch in the middle, then a sprint, in which patches have landed, one conflicted, and one waits."""
    file = dispatched(
        team,
        task("dig", agent="ivy", estimate="1h"),
        task("load", "dig", agent="gus", input_data={"file": "{{ tasks.dig.output.file }}"}, estimate="30m"),
        task("sail", "load", "dig", agent="ivy", input_data={"both": "{{ tasks.load.output }}"}, estimate=60),
    )
    started = team.start("team", "dispatch", file)
    team.until("run.started", task="load")
    team.alive("gus")
    started.kill()
    started.wait()
    started = team.start("scheduler", "sprint")
    for name in ("cyd", "dan", "eve"):
        team.until("run.started", sprint=3, persona=name, attempt=2)
        team.alive(name)
    team.until("patch.captured", after=team.events()[-1]["seq"], sprint=3, persona="eve")
    started.kill()
    started.wait()


def keep(team: Team) -> None:
    """Copy what state is read from: no runs, no work, no Parquet copies, no quarantine."""
    target = HERE / "team"
    shutil.rmtree(target, ignore_errors=True)
    away = shutil.ignore_patterns(
        "*.parquet", "*.sha256", "*.ids", "quarantine", "lock", ".gitignore", "runs", "work", "templates"
    )
    shutil.copytree(team.home, target, ignore=away)
    for path in target.rglob("*.jsonl"):
        path.chmod(0o644)
    team.run("git", "bundle", "create", "--quiet", str(HERE / "repository.bundle"), "--all")


# -- what is read of it


def questions(team: Team) -> dict[str, list[list[str]]]:
    """List what the commands are asked."""
    seq = team.seq
    names = [e["data"]["dispatch"] for e in team.events() if e["kind"] == "dispatch.started"]
    return {
        "team-mail": [
            *(["inbox", "-p", name, "--all"] for name in (*NAMES, "jon", "you")),
            *(["inbox", "-p", "jon", *words] for words in (
                ["--unread"], ["--archived"], ["--trashed"], ["--tag", "later"], ["--as-of", seq("To archive")],
            )),
            *(["sent", "-p", name] for name in ("ann", "gus", "you")),
            *(["thread", seq(subject), "-p", "jon"] for subject in ("For the crew", "A task")),
            *(["read", seq(subject), "-p", "jon", "--peek"] for subject in (
                "Colours", "Grüße aus Łódź 船 🚢", "Two files", "A task",
            )),
            ["read", seq("Conflict with ann in plan.txt"), "-p", "cyd", "--peek"],
            ["search", "日本語"], ["search", "patch", "-p", "you"],
            ["check", "-p", "jon"], ["stats"], ["tag", "ls", "-p", "jon"], ["verify"],
            ["log", "--kind", "patch"], ["log", "--kind", "mail.tagged"],
            ["query", "SELECT sender, count(*) AS events FROM events GROUP BY 1 ORDER BY 1"],
        ],
        "scheduler": [
            ["status"], ["history"], ["report", "1"], ["report", "3"],
            ["--dry-run", "--set", "sprint.deadline=366d"], ["--dry-run", "--set", "sprint.deadline=1s"],
        ],
        "team": [
            ["personas"], ["config"], ["plan", "--from-sprint"], ["trace", "--index"],
            ["trace", "--index", "--dispatch", names[0]],
            *(["trace", name] for name in ("fix", "trace", "break", "after", "load")),
            ["replay", names[-1], "--dry-run"],
        ],
    }  # fmt: skip


def answered(team: Team) -> None:
    """Ask, of a team that has only what is kept, and write down what is said."""
    for name in ("runs", "work"):
        shutil.rmtree(team.home / name, ignore_errors=True)
    (HERE / "expected").mkdir(exist_ok=True)
    for command, asked in questions(team).items():
        cases = [
            {"words": words, "output": json.loads(team.run(command, *words, "--json", code=None))} for words in asked
        ]
        text = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
        (HERE / "expected" / f"{command}.json").write_text(f"[\n{text}\n]\n")


def main() -> None:
    """Make it all."""
    team = Team(Path(sys.argv[1] if len(sys.argv) > 1 else "/tmp/golden-team"))
    if team.folder.exists():
        sys.exit(f"{team.folder} is there already; remove it, or name another folder")
    for step in (repository, mail, sprints, dispatches, cut_off):
        step(team)
    keep(team)
    answered(team)
    team.folder.with_name(team.folder.name + ".json").unlink()
    print(f"made of {team.folder}; look for names of this machine in {HERE / 'team'}")


if __name__ == "__main__":
    main()
