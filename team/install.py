"""Text that starts sprints unattended: a systemd unit, a crontab line, a GitHub Actions workflow.

Pure: a folder and settings in, lines out. Names are quoted for each of the three, or refused if that is impossible.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..mail.errors import UsageError
from ..scheduler.settings.settings import Settings

_MINUTES = (5, 6, 10, 12, 15, 20, 30)  # the shortest interval of GitHub in minutes
_HOURS = (1, 2, 3, 4, 6, 8, 12)
_LONGEST_LINE = 998  # of a crontab, on Debian
_LONGEST_JOB = 360  # minutes that GitHub gives a job


class InstallTarget(NamedTuple):
    """Where a team works: the top of its checkout, the scheduler's command, and the PATH of its agents."""

    top: Path
    command: str
    path: str


def texts(top: Path, settings: Settings, form: str = "all") -> Iterator[str]:
    """Return the lines of one form, `systemd`, `crontab` or `github`, or of `all`. Raises UsageError."""
    beside = Path(sys.executable).with_name("scheduler")
    command = str(beside) if beside.exists() else shutil.which("scheduler") or "scheduler"
    path = os.pathsep.join(dict.fromkeys(os.environ.get("PATH", os.defpath).split(os.pathsep)))
    place = InstallTarget(top.absolute(), command, path)
    forms = {
        "systemd": lambda: systemd_unit(place),
        "crontab": lambda: crontab_line(place),
        "github": lambda: github_workflow(settings),
    }
    if form not in {*forms, "all"}:
        raise UsageError(f"no form {form!r}; there are {', '.join(forms)} and all")
    chosen = [form] if form != "all" else [*forms]
    return iter("\n\n".join(forms[name]() for name in chosen).splitlines())


def systemd_unit(place: InstallTarget) -> str:
    """Write the unit of a user's service that runs `scheduler run`, and how to start it."""
    name = "team-mail-" + (re.sub(r"[^A-Za-z0-9_.-]+", "-", place.top.name).strip("-") or "team")
    folder = _one_line(place.top, "a systemd unit").replace("%", "%%")
    return f"""\
# systemd: save as ~/.config/systemd/user/{name}.service, then
#   systemctl --user daemon-reload && systemctl --user enable --now {name}
#   loginctl enable-linger        so that it runs while you are logged out
#   journalctl --user -fu {name}
[Unit]
Description=Sprints of the team in {folder}

[Service]
WorkingDirectory={folder}
Environment={_systemd("PATH=" + place.path)}
ExecStart=:/usr/bin/env {_systemd(place.command)} run
KillMode=process
TimeoutStopSec=120
Restart=on-failure
RestartSec=30

[Install]
WantedBy=default.target"""


def crontab_line(place: InstallTarget) -> str:
    """Return a crontab line: a tick each minute, which does nothing unless a sprint is due or open."""
    top, command, path = (
        shlex.quote(_one_line(text, "a crontab", "\\")).replace("%", r"\%")
        for text in (place.top, place.command, place.path)
    )
    line = f"* * * * * cd {top} && PATH={path} {command} tick --quiet >/dev/null"
    if len(line) > _LONGEST_LINE:
        raise UsageError(
            f"the crontab's line would have {len(line)} characters, and cron takes {_LONGEST_LINE}; shorten PATH"
        )
    return f"""\
# crontab -e: a tick each minute goes on with the sprint, or starts one when it is due; while one is running, the next
# is left out. What goes wrong comes by cron's own mail.
{line}"""


def github_workflow(settings: Settings) -> str:
    """Return a workflow that keeps the team's mail on a branch and pushes the woven branches."""
    sprint = settings.sprint
    rhythm = sprint.cron and re.sub(r"(?<=[ ,])7(?=,[^ ]*$|$)", "0", sprint.cron)  # GitHub accepts only 0 for Sunday
    secrets = sorted({name for agent in settings.agents.values() for name in agent.env})
    minutes = min(_LONGEST_JOB, math.ceil(sprint.deadline / 60) + 30)
    return workflow(rhythm or nearest_cron(sprint.every or 0), settings.team.base, secrets, minutes)


def nearest_cron(every: float) -> str:
    """Return the crontab fields of the next shorter interval that cron can express, at least five minutes."""
    minutes, hours = every / 60, every / 3600
    if hours >= 24:  # noqa: PLR2004 - a day
        return "0 6 * * *"
    if hours >= 1:
        return f"0 */{max(hour for hour in _HOURS if hour <= hours)} * * *"
    return f"*/{max((minute for minute in _MINUTES if minute <= minutes), default=_MINUTES[0])} * * * *"


def _one_line(text: str | Path, what: str, refused: str = "") -> str:
    """Refuse names that a line cannot hold."""
    text = str(text)
    if re.search(r"[\x00-\x1f\x7f]", text) or text != text.strip() or text.endswith("\\") or set(refused) & set(text):
        raise UsageError(f"{json.dumps(text)} cannot be written into {what}; give the folder a plainer name")
    return text


def _systemd(text: str) -> str:
    """Quote a word of a unit: C escapes within double quotes, and no specifier."""
    escaped = _one_line(text, "a systemd unit").replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'.replace("%", "%%")


_WORKFLOW = """\
# GitHub Actions: save as .github/workflows/team.yml on the default branch, together with .team/team.toml and
# .team/personas. The mail is kept on the branch team/mail: whoever can read the repository can read it.
name: team
on:
  schedule:
    - cron: @RHYTHM@  # UTC
  workflow_dispatch:
permissions:
  contents: write
concurrency:
  group: team-mail
  cancel-in-progress: false
jobs:
  sprint:
    runs-on: ubuntu-latest
    timeout-minutes: @MINUTES@
    defaults:
      run:
        shell: bash
    steps:
      - uses: actions/checkout@v4
        with:
          ref: @BASE@
          fetch-depth: 0
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - name: Install the team and its agent
        run: |
          pip install team-mail
          # and here the command that team.toml names
      - name: Bring back the mail and the branches of earlier sprints
        env:
          BASE: @BASE@
        run: |
          git switch -C "$BASE"
          git fetch origin '+refs/heads/team/sprint-*:refs/heads/team/sprint-*'
          if git ls-remote --exit-code origin refs/heads/team/mail >/dev/null; then
            git fetch origin '+refs/heads/team/mail:refs/remotes/origin/team/mail'
            mkdir -p .team/mail
            git archive refs/remotes/origin/team/mail | tar -x -C .team/mail
            team-mail verify
          fi
      - name: Sprint
@SECRETS@        run: scheduler sprint --json --quiet | tee "$RUNNER_TEMP/sprint.json"
      - name: Keep the mail
        if: always()
        env:
          GIT_AUTHOR_NAME: team-mail
          GIT_AUTHOR_EMAIL: team-mail@users.noreply.github.com
          GIT_COMMITTER_NAME: team-mail
          GIT_COMMITTER_EMAIL: team-mail@users.noreply.github.com
        run: |
          test -d .team/mail || exit 0
          export GIT_INDEX_FILE="$RUNNER_TEMP/mail.index"
          git --work-tree=.team/mail add --all --force .
          tree=$(git write-tree)
          parent=$(git rev-parse --quiet --verify refs/remotes/origin/team/mail || true)
          commit=$(git commit-tree "$tree" ${parent:+-p "$parent"} -m "Mail up to run $GITHUB_RUN_NUMBER")
          git push origin "$commit:refs/heads/team/mail"
      - name: Push what was woven
        if: always()
        run: |
          git for-each-ref --count=1 --format=x 'refs/heads/team/sprint-*' | grep -q x || exit 0
          git push origin 'refs/heads/team/sprint-*:refs/heads/team/sprint-*'"""


def workflow(rhythm: str, base: str, secrets: Sequence[str], minutes: int) -> str:
    """Write the workflow: when it starts, from which branch, with which secrets in the agents' environment."""
    passed = "".join(f"          {name}: ${{{{ secrets.{name} }}}}\n" for name in secrets)
    values = {
        "@RHYTHM@": json.dumps(rhythm),
        "@MINUTES@": str(minutes),
        "@BASE@": json.dumps(base).replace("${{", "${{ '${{' }}"),
        "@SECRETS@": f"        env:\n{passed}" if passed else "",
    }
    text = _WORKFLOW
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text
