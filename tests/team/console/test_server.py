"""The console as a program: it prints an address that logs in once, and answers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from http.cookiejar import CookieJar

import pytest

COMMAND = [sys.executable, "-c", "from team_mail.team.commands.entry import team; team()"]


@pytest.fixture
def address(team):
    """Start the console of a team; yield the address that it prints."""
    command = [*COMMAND, "console", "--port", "0"]
    with subprocess.Popen(command, cwd=team.folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield re.search(r"http://\S+", process.stdout.readline())[0]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def test_the_address_logs_in_once_and_the_cookie_is_asked_for(address):
    """Whoever opens the printed address sees the team; whoever has not, or opens it again, sees nothing."""
    base = address.partition("/login")[0]
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    with pytest.raises(urllib.error.HTTPError, match="401"):
        browser.open(f"{base}/api/status")
    assert browser.open(address).status == 200
    with browser.open(f"{base}/api/personas") as answer:
        assert {*json.load(answer)} >= {"ann", "bob", "cyd"}
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(address)
