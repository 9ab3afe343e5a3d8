"""What a scheduler is given in its environment: only the agents that name it get it, and nobody reads it elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from .test_scheduler import BIN, CLEAN, NAMES, Project, project

__all__ = ["project"]

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that shows the environment of processes")
# Root may read everything; without its capabilities it is a user as others are.
POWERLESS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
SPY = """
cat > /dev/null
pid=$$
while [ "$pid" -gt 1 ]; do
  words=$(tr '\\0' ' ' < /proc/$pid/cmdline)
  case "$words" in
  *keeping/start.py*|*{bin}/scheduler*)
    echo "above: $words"
    cat /proc/$pid/environ /proc/$pid/mem > /dev/null 2>&1 && echo "READ $words"
    head -c 1 /proc/$pid/environ > /dev/null 2>&1 && echo "READ $words" ;;
  esac
  pid=$(sed 's/.*) [A-Z] \\([0-9]*\\) .*/\\1/' /proc/$pid/stat)
done
env > "$0.$TEAM_PERSONA"
"""


def run(project: Project, word: str, *, before: list[str] | None = None, **environ: str) -> None:
    """Run the real console script, as a shell starts it."""
    command, env = [*(before or []), BIN / "scheduler", word], CLEAN | environ
    subprocess.run(command, cwd=project.folder, env=env, check=True, capture_output=True)


@LINUX
@pytest.mark.skipif(bool(POWERLESS) and not shutil.which("setpriv"), reason="root needs setpriv to be like others")
def test_no_agent_reads_the_environment_of_a_scheduler_a_keeper_or_a_warden(project):
    """Each gets what its own `env` names, and finds nothing else in the processes above it (A8)."""
    spy = project.folder.parent / "spy"
    spy.write_text(SPY.replace("{bin}", str(BIN)))
    command = f"command = {json.dumps(['bash', str(spy)])}\n"
    (project.team / "team.toml").write_text(
        f'[team]\nagent = "trusted"\n[agents.trusted]\n{command}env = ["MY_KEY"]\n[agents.other]\n{command}'
    )
    (project.team / "personas" / "bob.md").write_text("---\nid: bob\nagent: other\n---\nMind your line.\n")

    run(project, "tick", before=POWERLESS, MY_KEY="opensesame", MY_SECRET="hunter2")

    output = [path.read_text() for path in project.team.glob("runs/*/output.log")]
    assert len(output) == 3
    for text in output:
        assert text.count("above:") == 3, text
        assert "READ" not in text
    seen = {name: (spy.parent / f"spy.{name}").read_text() for name in NAMES}
    assert "hunter2" not in "".join([*output, *seen.values(), project.log().decode()])
    assert {name for name, text in seen.items() if "MY_KEY=opensesame" in text} == {"ann", "cyd"}


@LINUX
@pytest.mark.skipif(os.getuid() != 0, reason="nobody but root can read it at all")
def test_the_first_environment_of_a_leading_scheduler_has_no_secret(project):
    """Unsetting a variable would not do: what a process started with can be read as long as it lives, by root too."""
    project.agent(
        "cat > /dev/null; pid=$(sed 's/.*\"pid\": \\([0-9]*\\).*/\\1/' $TEAM_HOME/work/leader); "
        "tr '\\0' '\\n' < /proc/$pid/environ > leader.env; true"
    )
    wrapped = {"LD_BIND_NOW": "1", "FAKETIME": "+0s"}  # as programs that start others by LD_PRELOAD set them
    run(project, "sprint", MY_SECRET="hunter2", TEAM_MY_TOKEN="hunter2", GIT_CONFIG_VALUE_0="hunter2", **wrapped)
    project.git("checkout", "--quiet", "team/sprint-1")
    text = (project.folder / "leader.env").read_text()
    assert "hunter2" not in text
    assert "PATH=" in text
    assert all(f"{name}={value}\n" in text for name, value in wrapped.items()), "it is started anew as it was"


def test_settings_of_git_in_the_environment_still_count(project):
    """They may hold a secret, so they are hidden as well."""
    (project.folder.parent / "ignored").write_text("*.private\n")
    project.agent("cat > /dev/null; touch {persona}.private {persona}.txt")
    run(
        project, "sprint", GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="core.excludesFile",
        GIT_CONFIG_VALUE_0=str(project.folder.parent / "ignored"),
    )  # fmt: skip
    files = project.git("ls-tree", "--name-only", "team/sprint-1").split()
    assert "ann.txt" in files
    assert "ann.private" not in files


@pytest.mark.parametrize("made_up", ["x", "0", "77", "9" * 30])
def test_a_variable_that_somebody_made_up_names_no_file_of_secrets(project, made_up):
    """What a shell or a timetable passes on by mistake stops no scheduler."""
    ended = project.run("scheduler", "tick", _TEAM_MAIL_HIDDEN=made_up)
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended
