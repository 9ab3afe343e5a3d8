"""The address book: what an address means, and which channel it goes through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.mail.directory import Directory, Subteam, channels_of
from team_mail.mail.errors import UnknownRecipient, UsageError

PEOPLE = ("ann", "bob", "cyd", "dan")
NAMES = ("code", "ux", "qa", "review")
TEAM = Directory(
    frozenset(PEOPLE), {"code": ("ann",), "docs": ("bob", "cyd")}, "you",
    channels={"code": ("ann", "bob"), "review": ("cyd", "ann")},
)  # fmt: skip

members = st.lists(st.sampled_from(PEOPLE), max_size=3).map(tuple)
addresses = st.lists(
    st.sampled_from(
        [*PEOPLE, "you", "@all", "@ALL", "all@team", *(f"{sign}{name}" for sign in "@#" for name in NAMES)]
    ),
    max_size=4,
)


def oracle(given_: list[str], sender: str, groups: dict, channels: dict) -> list[str]:
    """Whom addresses reach, each once, read off the rules one by one. Raises KeyError for a name of nobody."""
    reached = []
    for address in given_:
        if address.lower() in {"@all", "all@team"}:
            found = [name for name in sorted([*PEOPLE, "you"]) if name != sender]
        elif address.startswith("#"):
            found = [name for name in channels[address[1:]] if name != sender]
        elif address.startswith("@"):
            whole = channels[address[1:]] if address[1:] in channels else groups[address[1:]]
            found = [name for name in whole if name != sender]
        else:
            found = [address]
        reached += [name for name in found if name not in reached]
    return list(dict.fromkeys(reached))


@given(
    addresses, st.sampled_from([*PEOPLE, "you"]),
    st.dictionaries(st.sampled_from(NAMES), members, max_size=3),
    st.dictionaries(st.sampled_from(NAMES), members, max_size=3),
)  # fmt: skip
def test_addresses_reach_whom_the_rules_say(given_, sender, groups, channels):
    """A message reaches these people and no others, or it is refused."""
    directory = Directory(frozenset(PEOPLE), groups, "you", channels=channels)
    try:
        wanted = oracle(given_, sender, groups, channels)
    except KeyError:
        with pytest.raises(UnknownRecipient, match=r"no (group|channel) "):
            directory.recipients(given_, sender)
        return
    if wanted:
        assert directory.recipients(given_, sender) == tuple(wanted)
    else:
        with pytest.raises(UsageError, match=r"no recipient|reaches nobody but"):
            directory.recipients(given_, sender)


@given(
    st.dictionaries(
        st.sampled_from(NAMES), st.builds(Subteam, members, members, st.sampled_from(["", *NAMES])), max_size=4
    ),
    st.dictionaries(st.sampled_from(NAMES), members, max_size=3),
)
def test_the_members_of_a_channel_are_those_of_its_table_and_its_teams(teams, listed):
    """Nobody is missing, nobody is there twice, and there is no channel that nothing names."""
    channels = channels_of(teams, listed)
    assert channels.keys() == {*listed, *(team.channel for team in teams.values())} - {""}
    for name, named in channels.items():
        own = [team for team in teams.values() if team.channel == name]
        assert sorted(named) == sorted(
            {*listed.get(name, ()), *(each for team in own for each in (*team.members, *team.reviewers))}
        )


def test_a_channel_comes_before_a_team_of_its_name():
    """`@code` then means members and reviewers, as `#code` does."""
    assert TEAM.recipients(["@code"], "you") == TEAM.recipients(["#code"], "you") == ("ann", "bob")
    assert TEAM.channel_of(["@code"]) == TEAM.channel_of(["dan", " #code "]) == "code"
    assert TEAM.channel_of(["@docs", "@all", "ann"]) is None


@pytest.mark.parametrize(
    ("address", "sender", "says"),
    [
        ("@docs", "bob", None),
        ("@solo", "ann", "@solo reaches nobody but ann, who sends it; name somebody else, too"),
        ("#den", "dan", "#den reaches nobody but dan, who sends it"),
        ("@none", "dan", "@none reaches nobody but dan"),
    ],
)
def test_an_address_that_names_only_its_sender_says_so(address, sender, says):
    """Nothing is sent to nobody without a word; and whoever else is named gets it."""
    directory = TEAM._replace(groups={**TEAM.groups, "solo": ("ann",), "none": ()}, channels={"den": ("dan", "dan")})
    if says is None:
        assert directory.recipients([address], sender) == ("cyd",)
        return
    with pytest.raises(UsageError) as refused:
        directory.recipients([address], sender)
    assert says in str(refused.value)
    assert directory.recipients([address, "cyd"], sender) == ("cyd",)


def test_a_team_of_one_who_writes_to_all_is_told_so():
    """The broadcast of the only one reaches nobody."""
    with pytest.raises(UsageError, match="@ALL reaches nobody but you"):
        Directory(frozenset({"you"})).recipients(["@ALL"], "you")


def test_a_message_goes_through_one_channel():
    """Two would be two memories of one message: the refusal says what to do."""
    with pytest.raises(UsageError, match="goes through one channel, not code, review: send one to each"):
        TEAM.channel_of(["@code", "#review"])
    with pytest.raises(UsageError, match="not review, code"):
        TEAM.channel_of(["@code"], kept="review")
    assert TEAM.channel_of(["ann"], kept="gone") == "gone"


@pytest.mark.parametrize("name", ["review", "@review", "#review", " review "])
def test_a_channel_is_found_by_its_name_with_or_without_a_sign(name):
    """People write it in each way."""
    assert TEAM.checked_channel(name) == "review"


def test_an_unknown_channel_is_refused_with_the_nearest_name():
    """A team or a group is none; and where there are none at all, the words say how to make one."""
    with pytest.raises(UnknownRecipient, match=r"no channel 'reveiw'; did you mean review\?"):
        TEAM.checked_channel("#reveiw")
    with pytest.raises(UnknownRecipient, match="no channel 'docs'; there are code, review"):
        TEAM.checked_channel("docs")
    with pytest.raises(UnknownRecipient, match=r"names none: write \[channels.review\]"):
        Directory().checked_channel("review")
    with pytest.raises(UnknownRecipient, match="no channel #docs; there are code, review"):
        TEAM.recipients(["#docs"], "ann")


@pytest.mark.parametrize("name", ["@code", "#code", "@ALL", "All", "all@team"])
def test_no_group_and_no_channel_sends(name):
    """A sender is somebody."""
    with pytest.raises(UsageError, match="it receives mail, and sends none"):
        TEAM.checked_sender(name)
