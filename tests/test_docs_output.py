"""Every output that a document quotes is made again and compared: what is printed today is what the reader sees.

A block of the language `console` is a session: its commands are run, in the order of the document, in one shell and one
empty folder, and what they print is what stands below them. A block `text NAME` or `json NAME` is made by the function
of that name here. In both, `…` on a line of its own stands for any lines, and at the end of a line for its rest.
"""

from __future__ import annotations

import fcntl
import html
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from team_mail.personas.agents.presets.preset import presets
from team_mail.scheduler.foretell.meetings import Meeting
from team_mail.scheduler.foretell.notices import Notice

from .console import shims

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PLAIN = {"sh", "toml", "python", "json", "yaml", "markdown", "sql", "conf"}  # for the reader to use: no output
DRAWN = {"diagram", "files"}  # drawn by hand: no command prints them
SAME = [  # what differs from run to run, and what stands for it
    (r"\x1b\[[0-9;]*m", ""),
    (r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "ID"),
    (r"\bdispatch-\d{8}_\d{6}\b", "dispatch-TIME"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?", "TIME"),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d(?!:)", "TIME"),
    (r"\b[0-9a-f]{7,64}\b", "ID"),
    (r"\b\d+(?:\.\d+)? (ms|s|seconds)\b", r"N \1"),
    (r'("seconds": )[\d.]+', r"\1N"),
    (r"\b\d+:ID\b", "N:ID"),
    (r"(?<=message )\d+|(?<=Message )\d+", "N"),
    (r"\bblobs/[0-9a-f]{2}/ID", "blobs/ID"),
    (r"\bteam\.toml:\d+", "team.toml:N"),
    (r'("\w+_ms": )\d+', r"\1N"),
    (r"\bprocess \d+", "process N"),
    (r"[ \t]+", " "),
]


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    document: str
    language: str
    name: str
    text: str


def blocks(path: Path) -> list[Block]:
    """Find the fenced blocks of a document, those in lists included."""
    matches = re.findall(r"^( *)```(\w*) ?([\w-]*)\n(.*?)^\1```$", path.read_text(), re.DOTALL | re.MULTILINE)
    return [
        Block(path.name, language, name, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE))
        for indent, language, name, text in matches
    ]


ALL = [block for path in DOCUMENTS for block in blocks(path)]


def normal(text: str, home: Path, masks: str = "") -> list[str]:
    """Reduce an output to what is the same in every run; `masks` are words that change places."""
    text = text.replace(str(home), "/home/you")
    for pattern, replacement in [*SAME, *([(rf"\b(?:{masks})\b", "WHO")] if masks else [])]:
        text = re.sub(pattern, replacement, text)
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def matches(shown: list[str], made: list[str]) -> bool:
    """Tell whether what was made fits what is shown, with its ellipses."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line.removesuffix("…")) + r".*" * line.endswith("…") + r"\n"
        for line in shown
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in made)) is not None


def environment(home: Path) -> dict[str, str]:
    """What a reader's shell has: the commands, a name for git, no team.

    Nothing that a scheduler would start anew without, see personas/hidden.py: each command would take far longer.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
    who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in NAMES.items()}
    programs = [each.program for each in presets()]  # a new team would name those that are installed here
    apart = [place for place in os.get_exec_path() if not any(Path(place, name).exists() for name in programs)]
    path = os.pathsep.join([str(shims()), str(Path(sys.executable).parent), *apart])
    return kept | who | {"HOME": str(home), "PATH": path, "NO_COLOR": "1", "GIT_EDITOR": "true", "COLUMNS": "200"}


DROPPED = ("TEAM_", "GIT_", "COV_", "PYTEST_", "EDITOR", "VISUAL")
NAMES = {"NAME": "You", "EMAIL": "you@example.org"}


def commands(text: str) -> list[tuple[str, str]]:
    """Split a session into commands, with the lines that go on with `> `, and what is shown below each."""
    matches = re.findall(r"^\$ (.*\n(?:> .*\n)*)((?:(?!\$ ).*\n)*)", text, re.MULTILINE)
    return [(command.replace("\n> ", "\n").rstrip("\n"), shown) for command, shown in matches]


def run(session: list[str], home: Path) -> list[str]:
    """Run commands one after the other in one shell; return what each printed, output and errors as they came."""
    mark = "=== next ==="
    script = "\n".join(f"echo '{mark}'\n{command}" for command in session)
    ended = subprocess.run(
        ["bash", "-c", script], cwd=home, env=environment(home), text=True, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return [part.removeprefix("\n") for part in ended.stdout.split(f"{mark}\n")[1:]]


_REPOSITORY = "git init --quiet --initial-branch=main . && git commit --quiet --allow-empty --message Begin"
_EXAMPLES = f"ln -s {ROOT}/examples examples"
# What each session finds when it begins, and the words in it that change places from run to run.
_MUTE = r"""mkdir .team && cat > agent.sh <<'END'
sed -i -e '/^||||||| /,/^=======$/d' -e '/^[<>]\{7\} /d' poem.txt
mkdir trial && cat .team/run/attachments/*/word.txt > trial/word.txt
echo Done.
END
printf '[team]\nagent = "mine"\n[agents.mine]\ncommand = ["bash", "%s"]\n' "$PWD/agent.sh" > .team/team.toml
"""
# The fake of Jules, which ends with the shell.
_JULES = r"""mkdir .team && printf 'a\nb\n' > list.txt
git init --quiet --initial-branch=main . && git add list.txt && git commit --quiet --message Begin
sed 's/b/bee/' list.txt > new.txt && git diff --no-index list.txt new.txt | sed 's/new.txt/list.txt/' > change.patch
python -m team_mail.personas.jules.fake --patch change.patch --ask "Which of both?" > fake.txt 2>&1 < /dev/null &
trap "kill $!" EXIT
until grep --quiet url fake.txt; do sleep 0.05; done
export JULES_API_KEY=test-key
printf '[agents.jules]\nkind = "jules"\nsource = "acme/shop"\nplan = "human"\n' > .team/team.toml
grep url fake.txt >> .team/team.toml
"""
# Files that a document shows, by the names of their blocks; its session finds them committed.
FILES = {"settings": ".team/team.toml", "reviewer": ".team/personas/cipher.md", "agent": "agent.sh"}


def _files(document: str) -> str:
    """Return the commands that write the files that a document shows."""
    shown = {FILES[block.name]: block.text for block in ALL if block.document == document and block.name in FILES}
    written = (f"cat > {name} <<'END OF FILE'\n{text}END OF FILE" for name, text in shown.items())
    return "\n".join(["mkdir -p .team/personas", *written])


_NOVA = "printf -- '---\\nid: nova\\n---\\nWrite the code.\\n' > .team/personas/nova.md"
_FORGE = rf"""{_REPOSITORY} && team init --personas forge > init
python -m team_mail.team.forge.fake --from . --folder ../forge octo/app > ../fake 2>&1 < /dev/null &
trap "kill $!" EXIT; until [ -s ../fake ]; do sleep 0.05; done
printf '[agents.shell]\ncommand = ["sh", "-c", "cat > /dev/null; echo Done > done.txt"]\n' > .team/team.toml
API=$(sed -n 's/^api = "\(.*\)"/\1/p' ../fake)
cat ../fake >> .team/team.toml && git add .team && git commit --quiet --message Team && scheduler sprint
"""
SCENES = {
    "agents.md": (_MUTE, ""),
    "claims.md": (f"{_REPOSITORY} && mkdir .team", ""),
    "dispatch.md": (f"{_REPOSITORY} && {_EXAMPLES}", ""),
    "jules.md": (_JULES, ""),
    "github.md": (_FORGE, ""),
    "mail.md": ("", ""),
    "notify.md": (f"{_REPOSITORY} && {_files('notify.md')}", ""),
    "personas.md": (_REPOSITORY, ""),
    "plan.md": (_EXAMPLES, ""),
    "sessions.md": (f"{_REPOSITORY} && {_EXAMPLES} && mkdir .team", ""),
    "settings.md": (f"{_REPOSITORY} && team init --personas forge > init", ""),
    "sprint.md": (f"{_REPOSITORY} && team init --personas forge,scribe,artisan > init", ""),
    "supervisor.md": (
        f"{_REPOSITORY}\n{_files('supervisor.md')}\n{_NOVA}\ngit add . && git commit --quiet --message 'Add a team'",
        "",
    ),
    "tutorial.md": ("", "forge|scribe|artisan"),
}


@pytest.mark.parametrize("document", [path.name for path in DOCUMENTS if any(
    block.language == "console" for block in blocks(path))])  # fmt: skip
def test_console_sessions_in_docs_print_what_they_show(document, tmp_path):
    """Whoever types the commands of a document sees what it shows."""
    before, masks = SCENES[document]
    home = tmp_path / "home"
    home.mkdir()
    session = [each for block in ALL if (block.document, block.language) == (document, "console")
               for each in commands(block.text)]  # fmt: skip
    _, *made = run([before or ":", *(command for command, _ in session)], home)
    for (command, shown), output in zip(session, made, strict=True):
        wanted, actual = normal(shown, home, masks), normal(output, home, masks)
        assert matches(wanted, actual), f"{document}: $ {command}\n\nprints\n\n{output}\n\nnot\n\n{shown}"


def test_every_block_is_for_use_or_is_made_by_a_test():
    """A block whose language says nothing, or whose name no test knows, may be an output that is no longer true."""
    unknown = [
        f"{block.document}: ```{block.language} {block.name}\n{block.text[:60]}"
        for block in ALL
        if (block.document != "README.md" or block.language)
        and block.language != "console"
        and not (block.language in PLAIN and not block.name)
        and block.name not in {*MADE, *DRAWN, *FILES}
    ]
    assert unknown == []


def test_what_is_for_use_holds_no_session():
    """An output below a command in a block of another language would be compared with nothing."""
    assert [
        block for block in ALL if block.language != "console" and re.search(r"^\$ ", block.text, re.MULTILINE)
    ] == []


# -- the README, whose commands print more than one reads there


_, SUCCESS, STEPS, *_ = [block.text for block in ALL if block.document == "README.md" and not block.language]


def first_success(factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder in which the two commands were run, once for all processes of the tests, and what they printed."""
    folder = factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    home, record = folder / "success", folder / "success.json"
    with (folder / "success.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            home.mkdir()
            record.write_text(json.dumps(run(SUCCESS.splitlines(), home)))
    return home, json.loads(record.read_text())


def test_the_first_success_of_the_readme_is_one(tmp_path_factory):
    """The two commands that cost nothing: a team at work, and what it landed."""
    _, (demo, log) = first_success(tmp_path_factory)
    assert "Sprint 1 converged, 7 landed" in demo
    assert log.count("    Team-Mail-Run: ") == 7


def test_the_commands_of_the_readme_work_on_a_repository(tmp_path):
    """From a repository without a team to the result on its branch, with a line of shell for an agent."""
    agent = """export TEAM_AGENTS_SHELL_COMMAND="sh -c 'echo done >> {persona}.md'" TEAM_TEAM_AGENT=shell"""
    made = run([f"mkdir your-repository && cd your-repository && {_REPOSITORY} && cd .. && {agent}",
                *STEPS.splitlines(), "ls"], tmp_path)  # fmt: skip
    assert "3 patches landed on team/sprint-1" in made[-3]
    assert made[-2].endswith("3 commits further\n")
    assert made[-1].split() == ["artisan.md", "forge.md", "scribe.md"]


@pytest.mark.storm  # it plays the whole demo once more
def test_the_picture_of_the_readme_shows_what_is_printed():
    """The lines of docs/demo.svg are those that the demo prints today, but for who was first; else `make picture`."""
    code = "import record; print(*record.recorded(), sep=chr(10))"
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "docs", capture_output=True, text=True, check=True
    ).stdout
    texts = re.findall(r'<text [^>]*?y="([\d.]+)"[^>]*?clip-path="url\(#demo-line-\d+\)">(.*?)</text>', PICTURE)
    lines: dict[float, str] = {}
    for y, text in texts:
        lines[float(y)] = lines.get(float(y), "") + html.unescape(text).replace("\xa0", " ")
    assert sorted(alike("\n".join(lines.values()))) == sorted(alike(printed))


PICTURE = (ROOT / "docs" / "demo.svg").read_text()


def alike(text: str) -> list[str]:
    """The lines of the demo without what depends on who ended first: names, numbers and files, and any waiting."""
    text = re.sub(r"(?m)^waiting until .*\n?", "", text)
    normalized = normal(text, ROOT, "absolutist|artisan|forge|lore|scribe|steward")
    return [re.sub(r" (in )?[\w/.]+\.(md|py|toml).*|, \d+ files? changed", "", line) for line in normalized]


# -- blocks that are one file, one mail, one line


@pytest.fixture(scope="module")
def collision(tmp_path_factory):
    """A sprint of two recorded patches to one line: one lands, the other's author gets mail and runs once more."""
    home = tmp_path_factory.mktemp("collision")
    made = run([COLLISION], home)
    return home / "project", made[0]


COLLISION = """
mkdir project patches && cd project && git init --quiet --initial-branch=main
printf '%s\\n' one two three four five > poem.txt && git add poem.txt && git commit --quiet --message Begin
for each in ann:THREE bob:drei
do
    sed -i "s/three/${each#*:}/" poem.txt
    git diff --full-index > ../patches/${each%:*}.patch && git checkout --quiet .
    cp ../patches/${each%:*}.patch ../patches/${each%:*}.2.patch
done
scheduler sprint --replay ../patches --repo . --json 2> progress
"""
LATE = "ann|bob|THREE|drei"  # whichever ends first lands


def events(project: Path, kind: str) -> list[dict]:
    """The events of a kind in a team's log."""
    lines = (project / ".team" / "mail" / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def conflict_mail(project: Path, _: str) -> str:
    """The weaver's mail, as its reader sees it."""
    (mail,) = [event for event in events(project, "mail.sent") if event["sender"] == "weaver"]
    return f"Subject: {mail['subject']}\n\n{mail['body']}"


def prompt(project: Path, _: str) -> str:
    """The mail within the prompt of the run that it woke."""
    (text,) = [
        text for path in (project / ".team" / "runs").glob("*/prompt.md")
        if "## Message" in (text := path.read_text())
    ]  # fmt: skip
    return re.sub(r".*?(## Message.*?===== end message \d+ \w+ =====\n).*", r"\1", text, flags=re.DOTALL)


def commit(project: Path, _: str) -> str:
    """The message of the commit that landed."""
    return subprocess.run(
        ["git", "log", "-1", "--format=%B", "team/sprint-1"], cwd=project, capture_output=True, text=True, check=True
    ).stdout


def summary(_: Path, printed: str) -> str:
    """The last thing that the sprint printed."""
    return json.dumps(json.loads(printed))


def log_line(project: Path, _: str) -> str:
    """A line of the log with a message in it."""
    run(['team-mail send --to curator --from you --subject Hello --body "Please review the plan."'], project.parent)
    return (project.parent / ".team" / "mail" / "events.jsonl").read_text().splitlines()[1]


def notice(_: Path, __: str) -> str:
    """What a run is told of another one that changes the same lines."""
    theirs = "".join(["def total(self, currency):\n", *(f"    row {number}\n" for number in range(11))])
    spans = ((20, 31),)
    meeting = Meeting("r2", "1c9f0a52-0000", "cyd", False, "kiosk/cart.py", spans, spans, (theirs,))
    return Notice(meeting, 1, 7, "ann", is_first=False, yields=False).text


MADE = {
    "notice": notice,
    "conflict-mail": conflict_mail,
    "prompt": prompt,
    "commit": commit,
    "summary": summary,
    "line": log_line,
}


@pytest.mark.parametrize("name", MADE)
def test_a_quoted_text_is_what_is_made_today(name, collision):
    """A mail, a prompt, a commit, a line of the log: each is shown as the code writes it now."""
    project, printed = collision
    shown = [block.text for block in ALL if block.name == name]
    made = MADE[name](project, printed)
    assert shown
    for text in shown:
        assert matches(normal(text, project, LATE), normal(made, project, LATE)), f"{name} is\n\n{made}"
