"""Personas whose files name others that come first: when they start, and who holds nobody up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.personas.roster import Roster, read_roster
from team_mail.scheduler.context import Member
from team_mail.scheduler.errors import NotReady
from team_mail.team.api.team import personas as listed_personas

from .test_decide import ROSTER, Story, launched, skipped

CHAIN = (
    Member("ann", "shell"),
    Member("bob", "shell", after=("ann",)),
    Member("cyd", "shell", after=("bob", "ann")),
    Member("dan", "shell"),
)


def front(after):
    return f"---\nafter: {after}\n---\nDo your part.\n"


def test_a_persona_starts_once_the_work_of_those_before_it_is_woven():
    """Neither while they run, nor while their patches wait, nor while they mend a conflict."""
    story = Story().start()
    assert [name for name, *_ in launched(story.plan(roster=CHAIN))] == ["ann", "dan"]
    assert skipped(story.plan(roster=CHAIN))["bob"] == "starts after the work of ann is woven"
    assert skipped(story.plan(roster=CHAIN))["cyd"] == "starts after the work of bob, ann is woven"
    story.launch("ann").ran("dan")
    assert launched(story.plan(roster=CHAIN)) == []
    story.finish("ann", patch=True)
    assert launched(story.plan(roster=CHAIN)) == []
    story.conflicted("ann").mail("ann").done()
    assert launched(story.plan(roster=CHAIN)) == [("ann", 2, "mail")]
    story.ran("ann", 2, "mail", patch=True)
    story.unread = {}
    story.landed("ann", 2).done()
    assert launched(story.plan(roster=CHAIN)) == [("bob", 1, "batch")]
    story.ran("bob")
    assert launched(story.plan(roster=CHAIN)) == [("cyd", 1, "batch")]
    story.ran("cyd").done().mail("ann").mail("bob")
    assert [name for name, *_ in launched(story.plan(roster=CHAIN))] == ["ann", "bob"], "the second time nobody waits"


def test_a_first_run_that_mail_asks_for_waits_too():
    """In a sprint that began for the mail of another one."""
    story = Story().start(personas=("ann",)).launch("ann").mail("bob", sender="ann")
    assert launched(story.plan(roster=CHAIN)) == []
    assert skipped(story.plan(roster=CHAIN))["bob"] == "starts after the work of ann is woven"
    story.finish("ann", patch=True)
    assert launched(story.plan(roster=CHAIN)) == []
    story.landed("ann", 1)
    assert launched(story.plan(roster=CHAIN)) == [("bob", 1, "mail")]


def test_whoever_failed_holds_the_others_up_until_it_is_tried_again_or_given_up():
    """Between two tries, too; once it is set aside, they start."""
    story = Story(retry_backoff=60, max_attempts=2).start(personas=("ann", "bob")).ran("ann", status="failed")
    roster = CHAIN[:2]
    plan = story.plan(roster=roster)
    assert (launched(plan), plan.finish) == ([], None)
    assert plan.wait_until
    story.later(seconds=61).ran("ann", 2, "retry", status="failed").done()
    plan = story.plan(roster=roster)
    assert [skip.persona for skip in plan.aside] == ["ann"]
    assert launched(plan) == [("bob", 1, "batch")]


def test_those_that_take_no_part_hold_nobody_up():
    """A sprint of some personas, one that is not scheduled, and one that has left."""
    assert launched(Story().start(personas=("bob",)).plan(roster=CHAIN)) == [("bob", 1, "batch")]
    assert launched(Story().start().plan(roster=(Member("bob", "shell", after=("ann", "gone")),))) == [
        ("bob", 1, "batch")
    ]


def test_in_batches_they_are_of_different_ticks(team):
    """Though the first one changed nothing: whatever it did is woven when its batch is over."""
    (team.home / "personas" / "bob.md").write_text(front("[ann]"))
    result = team.sprint({}, '[sprint]\nrolling = "never"\n')
    ticks = {run.persona: run.tick for run in team.context().state().runs}
    assert (result.converged, ticks) == (True, {"ann": 1, "cyd": 1, "bob": 2})


@given(st.data())
def test_whatever_the_order_everybody_starts_once_and_after_those_before_it(data):
    """For any personas of which none waits for a later one, on any number of places."""
    names = [member.id for member in ROSTER]
    roster = [
        Member(name, "shell", after=tuple(data.draw(st.sets(st.sampled_from(names[:at]))) if at else ()))
        for at, name in enumerate(names)
    ]
    story, ended, open_ = Story().start(), [], []
    while len(ended) < len(names):
        for name, *_ in launched(story.plan(roster=data.draw(st.permutations(roster)))):
            if len(open_) < 2:
                assert {*next(member.after for member in roster if member.id == name)} <= {*ended}
                story.launch(name)
                open_.append(name)
        assert open_, "somebody can always go on"
        name = open_.pop(data.draw(st.integers(0, len(open_) - 1)))
        story.finish(name)
        ended.append(name)
    assert story.plan(roster=roster).finish == "converged"


def test_a_sprint_weaves_the_first_before_the_second_starts(team):
    """So the second one has their work in its workspace."""
    (team.home / "personas" / "bob.md").write_text(front("[ann]"))
    (team.home / "personas" / "cyd.md").write_text(front("bob"))
    seen = {}

    def look(job):
        seen[job.persona] = (job.workspace / "poem.txt").read_text().splitlines()
        return team.replaced(5, "bob")(job) if job.persona == "bob" else None

    result = team.sprint({"ann": team.replaced(3, "ann"), "bob": look, "cyd": look})
    assert result.converged
    assert ("ann" in seen["bob"], "bob" in seen["bob"]) == (True, False)
    assert ("ann" in seen["cyd"], "bob" in seen["cyd"]) == (True, True)


@pytest.mark.parametrize(
    ("waits", "circle"),
    [
        ({"ann": "ann"}, "ann -> ann"),
        ({"ann": "[bob, cyd]", "cyd": "[ann]"}, "(ann -> cyd -> ann|cyd -> ann -> cyd)"),
    ],
)
def test_personas_that_wait_for_each_other_are_refused_by_name(team, waits, circle):
    """Before anything starts, and with the exit code of wrong settings."""
    for name, after in waits.items():
        (team.home / "personas" / f"{name}.md").write_text(front(after))
    with pytest.raises(
        NotReady, match=rf"personas wait for each other \(`after` in their files\): {circle}$"
    ) as refused:
        team.sprint({})
    assert refused.value.exit_code == 2
    assert team.kinds() == []


def test_a_name_that_is_nobodys_is_told_and_holds_nobody_up(tmp_path):
    """Its file may have been removed."""
    (tmp_path / "lore.md").write_text(front("[forgge, forge, forge]"))
    (tmp_path / "forge.md").write_text("Do your part.\n")
    roster = read_roster(tmp_path)
    assert roster.problems == (
        f"{tmp_path}/lore.md: after names 'forgge', which is no persona here; did you mean forge or lore?",
    )
    assert roster.get("lore").after == ("forgge", "forge")
    assert roster.circle is None
    assert Roster().circle is None


def test_the_list_of_personas_names_those_that_wait_for_each_other(team):
    """Before somebody starts a sprint."""
    (team.home / "personas" / "ann.md").write_text(front("ann"))
    assert any("ann -> ann" in problem for problem in listed_personas(team.home, {}).problems)
