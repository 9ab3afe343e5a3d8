"""What agents choose (names of files, subjects, words) is escaped by whatever prints it, on a terminal too."""

from __future__ import annotations

import pytest

from ..console import shown_by_command
from .test_scheduler import CLEAN, Project, project

__all__ = ["project"]

# It sets the title of a window, moves the cursor, turns the direction of text, and hides behind a C1 control.
HOSTILE = "\x1b]0;PWN\x07\x1b[2A\u202e\x9b31m"
AGENT = """
cat > /dev/null
h=$(printf '\\033]0;PWN\\007\\033[2A\\342\\200\\256\\302\\23331m')
if [ {persona} = ann ]; then mkdir -p .github/workflows && echo on > ".github/workflows/$h.yml"; fi
if [ {persona} = bob ]; then echo new > "$h.txt"; fi
if [ {persona} = cyd ]; then echo "$h"; echo "$h" >&2; exit 3; fi
.team/run/team-mail send --to you --to ann -s "subject $h" -b "body $h" --type question
printf -- "---\\nto: you\\nsubject: '%s'\\nattachments: ['$h']\\n---\\nx\\n" "$h" > ".team/run/outbox/$h.md"
echo "$h"
"""
COMMANDS = """
scheduler status
scheduler history
scheduler report
scheduler approve HOSTILE
scheduler approve ann
scheduler stop HOSTILE
scheduler --dry-run
scheduler sprint --dry-run
scheduler sprint
scheduler land
scheduler weave HOSTILE
team personas
team config
team trace RUN
team trace HOSTILE
team plan
team dispatch HOSTILE
team-mail inbox -p you
team-mail read 5 -p you
team-mail read HOSTILE -p you
team-mail thread 5
team-mail search subject
team-mail sent -p ann
team-mail log
team-mail check -p you
team-mail stats
team-mail query SELECT_SUBJECTS
team-mail attachment 5 -p you --list
team-mail send --to HOSTILE -s x -b y
team-mail inbox -p you --json
scheduler status --json
""".strip().splitlines()


def shown(project: Project, words: list[str]) -> str:
    """Return what a command prints on a terminal."""
    env = CLEAN | {"TERM": "xterm-256color", "COLUMNS": "200", "TEAM_PERSONA": ""}
    return shown_by_command(words[0], *words[1:], cwd=project.folder, env=env).decode(errors="surrogateescape")


@pytest.fixture
def hostile(project: Project) -> Project:
    project.agent(AGENT, "[sprint]\nmax_attempts = 1\n")
    project.run("scheduler", "sprint")
    return project


def test_no_command_prints_what_an_agent_chose_as_it_is(hostile):
    """Titles, cursors, directions: all of them are shown as escapes, by every command, in results and in errors."""
    run = hostile.events("run.started")[0]["run"]
    given = {"HOSTILE": HOSTILE, "RUN": run, "SELECT_SUBJECTS": "SELECT subject, body, data FROM events"}
    escaped = 0
    for command in COMMANDS:
        text = shown(hostile, [given.get(word, word) for word in command.split()])
        for bad in ("\x1b]0;", "PWN\x07", "\x1b[2A\u202e", "\u202e", "\x9b31m"):
            assert bad not in text, (command, text)
        escaped += "\\x1b]0;PWN" in text or "\\u001b]0;PWN" in text
    assert escaped > 15, "most of them have something to show"
