"""What the settings say of sessions of Jules, and the names that its client, its runs and its fake share."""

from __future__ import annotations

from dataclasses import dataclass

URL = "https://jules.googleapis.com/v1alpha"
VARIABLE = "JULES_API_KEY"
AUTO_CREATE_PR = "AUTO_CREATE_PR"
HUMAN = "human"  # approves plans; otherwise they are approved at once
RESULT = "jules.json"  # in `.team/run` of a run's workspace: what its session came to
CHANGED, UNCHANGED, UNTAKEN, BROKEN = "changed", "unchanged", "untaken", "broken"  # in it: what the session came to


@dataclass(frozen=True)
class Orders:
    """How sessions are made and followed.

    `whom` approves its plans. `asks` gets what Jules says and asks, "" for who answers the run's questions. At most
    `creates` are created at once, in the team; each is looked at `every` so many seconds, and given up after `patience`
    seconds at work. `remote` is the repository that Jules works on, by its name in git or its address; with `push`,
    what a run finds is pushed there for its session to start from.
    """

    source: str
    branch: str
    whom: str
    plan: str = "auto"
    pull_request: bool = False
    creates: int = 5
    every: float = 10.0
    patience: float = 1_800.0
    url: str = URL
    remote: str = "origin"
    push: bool = False
    asks: str = ""
