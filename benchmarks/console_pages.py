"""The pages of the console on a team with a past: the time of each on the server, beside the command of the same value.

A page is its route's value and its template, in one process that is warm; the command is a whole process. Each is
measured in turn and compared as medians: ratios travel, times do not. The log has 100,000 events, 10,000 with
`--quick`, and the pages of sprints are of one in its middle.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from history import BINS, Team, make, process
from table import cold, medians, seconds, show
from team_mail.team.console.common.console import Console
from team_mail.team.console.common.route import Asked, for_page
from team_mail.team.console.pages.page import shown
from team_mail.team.console.routes import ROUTES
from team_mail.team.open import open_team

MOST = 0.150  # seconds of a sprint as of a moment
PAGES = 0.100  # seconds of each other page


class Shown(NamedTuple):
    """A page of the console, with the command that prints the same."""

    path: str
    command: tuple[str, ...]
    at_a_moment: bool = False


def pages(team: Team) -> tuple[Shown, ...]:
    """Return the pages that are measured."""
    report = ("scheduler", "report", str(team.sprint))
    return (
        Shown("/sprints", ("scheduler", "history")),
        Shown("/sprint/{n}", report),
        Shown("/sprint/{n}", report, at_a_moment=True),
        Shown("/money", ("scheduler", "history")),
        Shown("/tasks", ("team", "task", "list")),
    )


def drawn(console: Console, page: Shown, sprint: int) -> Callable[[], object]:
    """Return what answers for a page and renders it."""
    route = next(each for each in ROUTES if each.page and each.page.path == page.path)
    assert route.page
    assert route.answer
    answer, template = route.answer, route.page.template
    path = {"n": str(sprint)} if "{n}" in page.path else {}
    query: dict[str, str] = {}
    if page.at_a_moment:
        moments = answer(console, Asked(path=path))["moments"]
        query = {"at": str(moments[len(moments) // 2]["seq"])}

    def render() -> object:
        request = Asked(path=path, query=query)
        asked, value = for_page(request, answer(console, request))
        return shown(template, value, console, asked, page.path)

    return render


def measured(team: Team) -> bool:
    """Measure all pages; tell whether each is as fast as it must be."""
    console = Console(lambda: open_team(team.top / ".team"))
    rows, good = [], True
    for page in pages(team):
        render, (program, *words) = drawn(console, page, team.sprint), page.command
        argv = [str(BINS / program), *words]
        own, command = medians(lambda r=render: seconds(r), lambda a=argv: seconds(lambda: process(a, team.top)))
        most = MOST if page.path == "/sprint/{n}" else PAGES
        name = f"{page.path}?at=SEQ" if page.at_a_moment else page.path
        rows.append(cold(f"{name}, at most {most * 1e3:.0f} ms", own, " ".join(page.command), command, 1))
        good = good and own <= most
    show(rows)
    return good


def main() -> None:
    """Make a team, or take the one in a folder, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a log of 10,000 events")
    events = 10_000 if parser.parse_args().quick else 100_000
    with tempfile.TemporaryDirectory(prefix="team-mail-pages-") as folder:
        sys.exit(0 if measured(make(Path(folder) / "team", events)) else 1)


if __name__ == "__main__":
    main()
