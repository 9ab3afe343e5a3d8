"""Any test with the log on PostgreSQL: `pytest --on-server`, or the mark `on_server`, gives it a schema of its own.

The tests are the same: what a test opens, and every command that it runs, is told by the environment where the log is.
A test that is about the files of a log, or that has two teams, says so by `@pytest.mark.in_files("why")`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from team_mail.mail.open import open_log
from team_mail.mail.remote.place import Address

from .console import LOG
from .postgres import new_schema

OPTION = "--on-server"


def add_option(parser: pytest.Parser) -> None:
    """Add the option to the command line."""
    parser.addoption(OPTION, action="store_true", help="keep the log of each test on PostgreSQL")


def skip_those_in_files(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what makes no sense with the log on a server, and say why."""
    if config.getoption(OPTION):
        for item in items:
            if marker := item.get_closest_marker("in_files"):
                item.add_marker(pytest.mark.skip(reason=f"in files alone: {marker.args[0]}"))


@pytest.fixture(autouse=True)
def log_on_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Address | None]:
    """Let the log of this test be on the session's server, if that was asked for; yield where it is."""
    if request.config.getoption(OPTION) or request.node.get_closest_marker("on_server"):
        server = new_schema(request.getfixturevalue("postgres"))  # it stays: what a module's tests share is there
        server.close()
        address = server.address
        for name, value in zip(LOG, (address.url, address.schema), strict=True):
            for environ in (os.environ, *_environments(request.function.__globals__)):
                monkeypatch.setitem(environ, name, value)
        yield address
        from team_mail.mail.remote.connection import server_of

        server_of(address).close()
    else:
        yield None


def log_file(home: Path) -> Path:
    """Return the path of the lines of a team's log; those of a copy are brought up to date first."""
    if (home / "mail" / "remote").exists():
        open_log(home).head()
    return home / "mail" / "events.jsonl"


def _environments(names: Mapping[str, object]) -> list[dict[str, str]]:
    """Return what the module of a test gives to the commands that it runs itself, such as CLEAN."""
    return [value for value in names.values() if isinstance(value, dict) and "PATH" in value]
