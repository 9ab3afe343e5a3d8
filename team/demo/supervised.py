"""The material of orion's demo: a shop in git, a team under a supervisor, and the script that plays it."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from pathlib import Path

from ...mail.home import ignore_mail
from ...scheduler.kinds import Mode
from .material import commit, copied, make_project, persona_file

LIVE = "live"  # the folder that flux deploys to, beside the project
CREW = {
    "orion": ("🌌", "gives its name to the program that asks for reports, decides and has deployed; nobody plays it"),
    "nova": ("💫", "writes what the shop can do"),
    "cipher": ("🔐", "reviews what has landed, and vetoes queries that are put together from input"),
    "pixel": ("🎨", "looks at a picture of the page, and scores it"),
    "echo": ("🧪", "writes tests, runs them all, and reports how many pass"),
    "flux": ("🚀", "deploys what was approved"),
}
_TURNS = ("nova", "cipher", "pixel", "echo", "flux")  # in sequence
_ASKED = ("cipher", "flux")  # who works only when asked
_SETTINGS = """\
# The team of the demo: one script plays everybody but orion, who is the supervising program.
[team]
base = "main"
human = "you"
agent = "crew"

[agents.crew]
command = {command}
timeout = "2m"

[supervisor]
name = "orion"
review = "{review}"

[sprint]
parallel = "{parallel}"
gather = "0s"
retry_backoff = "0s"

[teams.code]
members = ["nova"]
reviewers = ["cipher"]
channel = "review"
[teams.ux]
members = ["pixel"]
channel = "ux"
[teams.qa]
members = ["echo"]
channel = "qa"

[channels.code]
members = ["nova", "cipher", "flux", "orion"]
[channels.review]
members = ["orion"]
[channels.ux]
members = ["nova", "orion"]
[channels.qa]
members = ["nova", "orion"]

[gates.security]
report = "cipher"
veto = true
says = "BLOCKED - Security issue"
[gates.ui]
report = "pixel"
key = "score"
threshold = 6
says = "BLOCKED - UI too poor"
[gates.tests]
report = "echo"
key = "pass_rate"
threshold = 0.8
says = "BLOCKED - Tests failing"

[review.pixel]
before = {drawing}

[deploy]
persona = "flux"
"""


def make_shop(folder: Path) -> None:
    """Create the repository of the shop in an empty or new folder, with one commit on `main`."""
    make_project(folder, "shop.txt")


def make_crew(
    folder: Path, mode: str, review: str, speed: float, asked: Collection[str] = (), *, careless: bool = False
) -> None:
    """Create the team of a shop.

    Args:
        folder: The repository of the shop.
        mode: "parallel" or "sequential".
        review: What is reported on, "this round" or "last round".
        speed: What the script divides the seconds of all work by.
        asked: Who else works only when asked, besides cipher and flux.
        careless: Whether nova first writes what cipher vetoes.
    """
    home = folder / ".team"
    (home / "personas").mkdir(parents=True)
    for name, (emoji, description) in CREW.items():
        front = [f"priority: {len(_TURNS) - _TURNS.index(name)}"] if name in _TURNS else ["scheduled: false"]
        front += ["scheduled: mail"] if name in {*_ASKED, *asked} else []
        front += ["paths: []"] if name == "flux" else []
        (home / "personas" / f"{name}.md").write_text(persona_file(name, emoji, description, *front), encoding="utf-8")
    script, live = copied(folder.parent, "crew.py"), folder.parent / f"{folder.name}-{LIVE}"
    words = [sys.executable, "-I", "-S", str(script), "{persona}", "{attempt}", f"{speed:g}", str(live)]
    words += ["careless"] if careless else []
    words += ["asked"] if asked else []
    settings = _SETTINGS.format(
        command=json.dumps(words), review=review,
        parallel="never" if mode == Mode.SEQUENTIAL else "always",
        drawing=json.dumps([sys.executable, "-B", "-m", "shop.draw", "{out}/page.png"]),
    )  # fmt: skip
    (home / "team.toml").write_text(settings, encoding="utf-8")
    ignore_mail(home)
    commit(folder, "Hire a team")
