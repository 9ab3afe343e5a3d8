"""A team beside a forge on loopback, which began with the team's repository."""

from __future__ import annotations

import pytest
from team_mail.team.forge.fake import FakeForge


@pytest.fixture
def forge(team, tmp_path):
    with FakeForge(tmp_path / "forge", source=team.folder) as forge:
        (team.folder.parent / "token").write_text("token-of-team-bot\n")
        yield forge


@pytest.fixture
def opened(team, forge):
    """Opens the team with the settings that lead to the forge, and more of them."""

    def opened(more="", tables=""):
        return team.context({}, forge.settings("../token") + more + tables)

    return opened


@pytest.fixture
def sprint(team, forge):
    """Plays a sprint, after which the team has the settings that lead to the forge."""

    def sprint(scripts, tables=""):
        return team.sprint(scripts, forge.settings("../token") + tables)

    return sprint
