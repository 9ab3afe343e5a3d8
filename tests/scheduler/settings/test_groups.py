"""Teams and channels in the settings: who they may name, and who reviews whom."""

from __future__ import annotations

from pathlib import Path

import pytest
from team_mail.scheduler.errors import SettingsError
from team_mail.scheduler.routes import routing_of
from team_mail.scheduler.settings.reading import read_settings
from team_mail.scheduler.settings.settings import Settings


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A team of nova, cipher and pixel; the human is you."""
    (tmp_path / "personas").mkdir()
    for name in ("nova", "cipher", "pixel"):
        (tmp_path / "personas" / f"{name}.md").write_text("Work.\n")
    return tmp_path


def read(home: Path, text: str) -> Settings:
    (home / "team.toml").write_text(text)
    return read_settings(home, {}).settings


def refusal(home: Path, text: str) -> str:
    with pytest.raises(SettingsError) as refused:
        read(home, text)
    assert refused.value.exit_code == 2
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[teams.code]\nmembers = ["novva"]',
            "team.toml:2: teams.code.members: no persona 'novva'; did you mean nova?",
        ),
        (
            '[teams.code]\nmembers = ["nova"]\nreviewers = ["cypher"]',
            "team.toml:3: teams.code.reviewers: no persona 'cypher'; did you mean cipher?",
        ),
        (
            '[gates.security]\nreport = "cypher"\nveto = true',
            "team.toml:2: gates.security.report: no persona 'cypher'; did you mean cipher?",
        ),
        ('[deploy]\npersona = "novva"', "team.toml:2: deploy.persona: no persona 'novva'; did you mean nova?"),
        ('[review.pixl]\nbefore = ["x"]', "team.toml:1: review.pixl: no persona 'pixl'; did you mean pixel?"),
        ('[channels.x]\nmembers = ["zzz"]', "channels.x.members: no persona 'zzz'; there are cipher, nova, pixel, you"),
    ],
)
def test_whoever_is_not_on_the_roster_is_refused_with_the_nearest_name(home, text, message):
    """The line is that of the list, and several strangers are told at once."""
    assert message in refusal(home, text)
    both = refusal(home, '[teams.a]\nmembers = ["x1"]\n[teams.b]\nmembers = ["x2"]')
    assert ("'x1'" in both, "'x2'" in both) == (True, True)


def test_without_a_roster_a_team_may_name_anybody(tmp_path):
    """As in mail, where any name will do then."""
    assert read(tmp_path, '[teams.code]\nmembers = ["nobody"]').teams["code"].members == ("nobody",)


def test_a_persona_may_be_in_two_teams_and_the_human_in_one(home):
    """Teams overlap as they do among people."""
    settings = read(home, '[teams.a]\nmembers = ["nova", "you"]\n[teams.b]\nmembers = ["nova"]\nreviewers = ["you"]')
    assert settings.addressed == {"a": ("nova", "you"), "b": ("nova",)}


@pytest.mark.parametrize(
    ("members", "more", "ok"),
    [
        ('"nova"', "", False),
        ('"nova", "nova"', "", False),
        ('"nova"', "self_review = true", True),
        ('"nova"', "self_review = false", False),
        ('"nova", "pixel"', "", True),
    ],
)
def test_nobody_reviews_work_that_is_only_their_own(home, members, more, ok):
    """A reviewer who is the only member is refused, unless the table allows it."""
    text = f'[teams.code]\nmembers = [{members}]\nreviewers = ["nova"]\n{more}\n'
    if ok:
        assert read(home, text).teams["code"].reviewers == ("nova",)
    else:
        assert "nova would review itself" in refusal(home, text)


def test_a_channel_has_the_members_of_its_table_and_of_all_its_teams(home):
    """A table alone, a team alone and both give a channel; each member is named once."""
    settings = read(
        home,
        '[teams.code]\nmembers = ["nova"]\nreviewers = ["cipher"]\nchannel = "review"\n'
        '[teams.ux]\nmembers = ["pixel"]\nreviewers = ["cipher"]\nchannel = "review"\n'
        '[channels.review]\nmembers = ["you", "nova"]\n[channels.news]\nmembers = ["you"]\n',
    )
    assert settings.channel_members == {"review": ("you", "nova", "cipher", "pixel"), "news": ("you",)}


def test_a_channel_without_a_table_of_its_own_members_may_take_those_of_its_team(home):
    """An empty table is no mistake where a team fills the channel."""
    settings = read(home, '[teams.code]\nmembers = ["nova"]\nchannel = "code"\n[channels.code]\n')
    assert settings.channel_members == {"code": ("nova",)}


def test_a_route_for_a_team_is_for_those_whom_its_name_addresses(home):
    """`@code` means the same in a rule as in an address: the channel of that name, else the team."""
    text = '[agents.a]\ncommand = ["a"]\n[route.r]\nagent = "a"\npersonas = ["@code", "@ux"]\n'
    text += (
        '[teams.code]\nmembers = ["nova"]\nreviewers = ["cipher"]\nchannel = "code"\n[teams.ux]\nmembers = ["pixel"]\n'
    )
    (rule,) = routing_of(read(home, text)).rules
    assert rule.personas == {"nova", "cipher", "pixel"}
