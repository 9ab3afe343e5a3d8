"""Platforms that the package does not run on: one line that says so."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["team_mail", "team_mail.mail.cli", "team_mail.scheduler.cli", "team_mail.team.cli"])
def test_windows_gets_one_line_and_no_traceback(module):
    """Whoever installs it on Windows reads what to do, whichever command was typed."""
    code = f"import sys; sys.platform = 'win32'; import {module}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "team-mail does not run on Windows, which has no flock; use it on Linux, or in WSL\n"
