"""What is news to a run: once for each pair and place, by what is on record."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as some
from team_mail.scheduler.foretell.meetings import Meeting
from team_mail.scheduler.foretell.notices import notices
from team_mail.scheduler.kinds import Kind
from team_mail.scheduler.state.facts import Fact, Run
from team_mail.scheduler.state.fold import Fold
from team_mail.scheduler.state.sprints import State

RUNS = [Run(f"r{number}", f"p{number}", 1, 1, 1, "b", "shell", "batch", "t") for number in range(3)]
STATE = State(runs=tuple(RUNS))


def meeting(run="r0", rival="r1", first=10, last=10, file="f", landed=False):
    return Meeting(
        run, rival, "p", landed, file, ((first, last),), ((first, last),), ("text\n",), "tip" if landed else ""
    )


def after(state, told):
    """The state once notices are on record, as the log gives it back."""
    fold = Fold()
    for notice in told:
        draft = notice.draft(delivered=True)
        fold.add(Fact(1, "t", str(Kind.RUN_FORETOLD), draft.sender, None, draft.run, draft.data, "h"))
    return replace(state, foretold=(*state.foretold, *fold.state().foretold))


MEETINGS = some.lists(
    some.builds(
        meeting, some.sampled_from(["r0", "r1", "gone"]), some.sampled_from(["r1", "r2"]), some.integers(1, 60),
        some.just(60), some.sampled_from("fg"), some.booleans(),
    ),
    max_size=40,
)  # fmt: skip


@given(MEETINGS)
def test_nothing_is_told_twice_and_nobody_is_told_without_end(meetings):
    """Whatever is met, a second look at the same tells nothing, and so does a later scheduler with the same log."""
    state = STATE
    for _ in range(8):
        told = [*notices(state, meetings, yielding=False)]
        state = after(state, told)
    again = [*notices(state, meetings, yielding=False)]
    assert all(sum(known.run == each.meeting.run for known in state.foretold) >= 20 for each in again)
    for run in ("r0", "r1"):
        assert sum(known.run == run for known in state.foretold) <= 20
    assert not any(known.run == "gone" for known in state.foretold)


def test_a_place_that_moves_a_little_is_the_same_and_another_one_is_news():
    """The lines of a change grow while it is made."""
    state = after(STATE, notices(STATE, [meeting(first=10, last=12)], yielding=False))
    assert [*notices(state, [meeting(first=8, last=15)], yielding=False)] == []
    for news in (meeting(first=30, last=31), meeting(file="g"), meeting(rival="r2"), meeting(landed=True)):
        assert len([*notices(state, [news], yielding=False)]) == 1


def test_the_first_of_two_goes_on_and_the_other_one_makes_room():
    """By the order in which they started; what has landed was there before anybody."""
    told = [*notices(STATE, [meeting(), meeting("r1", "r0"), meeting("r2", "r0", landed=True)], yielding=True)]
    assert [(each.is_first, each.yields) for each in told] == [(True, False), (False, True), (False, True)]
    assert [each.number for each in told] == [1, 1, 1]
    assert [each.text.splitlines()[2].split()[0] for each in told] == ["You", "Leave", "The"]
    stays = [*notices(STATE, [meeting("r1", "r0")], yielding=False)]
    assert "Stay out of line 10 of f" in stays[0].text
