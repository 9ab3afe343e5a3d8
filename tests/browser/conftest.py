"""A team with agents that are real processes, the real server of its console, and a browser that looks at it.

`CHROMIUM` names another browser than Debian's, and SHOTS a folder for pictures of all pages.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]  # `make browser` installs it

ROOT = Path(__file__).parent.parent.parent
AXE = ROOT / ".browser" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
# What a persona does is in its prompt: speak so many lines, fail, hide a text, or change files.
AGENT = r"""
prompt=$(cat)
lines=$(printf '%s' "$prompt" | sed -n 's/.*SAY \([0-9]*\).*/\1/p' | tail -1)
case "$prompt" in *FAIL*) echo "the model is not there" >&2; exit 3;; esac
case "$prompt" in *HIDE*) printf 'all \342\200\256is \033[31mred\033[0m\n';; esac
case "$prompt" in *ATTRIBUTES*) echo '* text' > .gitattributes;; esac
n=0
while [ "$n" -lt "${lines:-1}" ]; do n=$((n + 1)); echo "$TEAM_PERSONA says line $n"; sleep 0.1; done
"""


class Server:
    """The console of a team as a process of its own, always at the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Start it; return the address that logs in."""
        command = [Path(sys.executable).with_name("team"), "console", "--port", str(self.port)]
        env = {name: value for name, value in os.environ.items() if not name.startswith("TEAM_")}
        self.process = subprocess.Popen(command, cwd=self.folder, env=env, stdout=subprocess.PIPE, text=True)
        return re.search(r"http://\S+", self.process.stdout.readline())[0]

    def stop(self) -> None:
        """End it as Control-C does."""
        if self.process:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
            self.process.stdout.close()
            self.process = None


class Desk:
    """A browser that has logged in, its contexts, and what its pages complained of."""

    def __init__(self, browser: Browser, server: Server) -> None:
        self.browser, self.server = browser, server
        self.complaints: list[str] = []
        self.state = None
        self._open: list[BrowserContext] = []

    def page(self, size=DESK, scheme="light", **more) -> Page:
        """Open a tab of a size and a colour scheme."""
        context = self.browser.new_context(viewport=size, color_scheme=scheme, storage_state=self.state, **more)
        context.set_default_timeout(20_000)
        self._open.append(context)
        page = context.new_page()
        page.on("console", lambda told: told.type == "error" and self.complaints.append(f"{page.url}: {told.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        if self.state is None:
            self.log_in(page, self.server.start())
        return page

    def log_in(self, page: Page, address: str) -> None:
        """Open an address that the server printed."""
        page.goto(address)
        self.state = page.context.storage_state()

    def close(self) -> None:
        for context in self._open:
            context.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser, started once."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path, "no browser: apt-get install chromium, or name one in CHROMIUM"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def desk(team, chromium, monkeypatch) -> Iterator[Desk]:
    """A browser at the console of a team of ann, bob and cyd, whose agent is a shell."""
    for name in ("TEAM_HOME", "TEAM_RUN", "TEAM_PERSONA", "TEAM_SESSION"):
        monkeypatch.delenv(name, raising=False)
    (team.home / "team.toml").write_text(f"[agents.shell]\ncommand = ['sh', '-c', '''{AGENT}''']\n")
    server = Server(team.folder)
    made = Desk(chromium, server)
    yield made
    made.close()
    server.stop()
