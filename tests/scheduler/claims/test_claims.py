"""What is done to claims, on a log in memory with a clock set by hand: who gets what, and who is refused why."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from datetime import timedelta

import pytest
from team_mail.mail.clock import ManualClock
from team_mail.mail.directory import Directory
from team_mail.mail.errors import UnknownRecipient, UsageError
from team_mail.mail.log.blobs import MemoryBlobs
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
from team_mail.mail.log.memory import MemoryLog
from team_mail.mail.mailbox import Mailbox
from team_mail.mail.process import named
from team_mail.mail.query.memory import MemoryProjections
from team_mail.mail.query.rows import FileProjections
from team_mail.scheduler.claims.claims import Claims, NewTask
from team_mail.scheduler.claims.lease import Presence, lease_of, presence
from team_mail.scheduler.errors import (
    ClaimError,
    LeaseConflict,
    LeaseExpired,
    LeaseNotExpired,
    NoSuchTask,
    VersionConflict,
)

WORKER = {"host": "here", "boot": "b", "pid": 7, "start": "1"}
TEAM = Directory(frozenset({"forge", "scribe"}), {}, "you")


class Team:
    """Two programs with the same log, `claims` and `other`, a clock, and what is known of the process of claims."""

    def __init__(self):
        self.clock = ManualClock()
        self.log = MemoryLog(clock=self.clock)
        self.process = Presence.UNKNOWN
        self.claims, self.other = self.opened(), self.opened()

    def opened(self) -> Claims:
        mailbox = Mailbox(self.log, MemoryBlobs(), MemoryProjections(self.log), TEAM, self.clock)
        return Claims(mailbox, self.clock, lambda _: self.process)

    def add(self, name, **fields):
        return self.claims.add(NewTask(name, **fields), "you")

    def wait(self, seconds):
        self.clock.sleep(seconds)

    def state(self, name):
        moment = self.other.moment()
        return str(moment.state(moment.task(name)))

    def kinds(self):
        return [event.kind for event in self.log.read() if event.kind.startswith(("claim.", "task."))]

    def mails(self):
        return [event for event in self.log.read() if event.kind == "mail.sent"]


@pytest.fixture
def team():
    return Team()


def test_a_task_is_taken_worked_on_and_done(team):
    """The token is the seq of the event that took it, and ends it."""
    team.add("fix", title="Fix it", to="forge", input={"a": [1]})
    claim = team.claims.claim("fix", "forge", 60)
    assert claim.token == team.log.head().seq
    assert team.state("fix") == "claimed"
    end, now = team.claims.finish("fix", claim.token, "forge", output={"b": 2})
    assert (end.status, end.data["output"], now) == ("success", {"b": 2}, True)
    assert team.state("fix") == "done"
    assert team.other.finish("fix", claim.token, "forge")[1] is False, "it is done already"
    with pytest.raises(ClaimError, match="fix is done by forge"):
        team.other.claim("fix", "scribe", 60)


def test_a_second_claimer_is_told_by_whom_and_until_when(team):
    """One owner, whichever program asks."""
    team.add("fix")
    token = team.claims.claim("fix", "forge", 60).token
    with pytest.raises(LeaseConflict, match=rf"claimed by forge until 2026-01-01 00:01:00Z \(token {token}\)"):
        team.other.claim("fix", "scribe", 60)


def test_a_late_end_is_recorded_as_late_and_never_used(team):
    """The fence: the older token changes nothing, and its output is kept apart."""
    team.add("fix")
    old = team.claims.claim("fix", "forge", 60)
    team.wait(61)
    new = team.other.claim("fix", "scribe", 60)
    with pytest.raises(LeaseExpired, match=rf"lost to scribe \(token {new.token}\) at 2026-01-01 00:01:01Z"):
        team.claims.renew("fix", old.token, "forge")
    with pytest.raises(LeaseExpired, match="lost to scribe"):
        team.claims.finish("fix", old.token, "forge", output="mine")
    assert team.state("fix") == "claimed"
    team.other.finish("fix", new.token, "scribe", output="theirs")
    with pytest.raises(LeaseExpired, match="kept as late"):
        team.claims.finish("fix", old.token, "forge", output="mine again")
    task = team.claims.moment().task("fix")
    assert task.end
    assert task.end.data["output"] == "theirs"
    assert [end.data["output"] for end in task.late] == ["mine", "mine again"]


def test_an_end_after_the_lease_counts_while_nobody_else_has_the_task(team):
    """Work is thrown away only where somebody else does it."""
    team.add("fix")
    claim = team.claims.claim("fix", "forge", 60)
    team.wait(61)
    assert [each.token for each in team.other.clean("you")] == [claim.token]
    assert team.state("fix") == "open"
    assert team.claims.finish("fix", claim.token, "forge")[1]
    assert team.state("fix") == "done"


@pytest.mark.parametrize("token", [0, -1, 10**30, 1])
def test_a_token_of_no_claim_is_refused(team, token):
    """Nothing is written; nor for that of another task."""
    team.add("fix")
    team.add("mend")
    other, head = team.claims.claim("mend", "forge", 60), team.log.head()
    for refused in (token, other.token):
        for act in (team.claims.renew, team.claims.release, team.claims.finish):
            with pytest.raises(NoSuchTask, match=r"no claim|not a token of fix, but of mend"):
                act("fix", refused, "forge")
    with pytest.raises(NoSuchTask, match="a token of the task mend"):
        team.claims.renew(None, other.token, "forge")
    assert team.log.head() == head


@pytest.mark.parametrize("text", ["0", "0s", "-1", "-5m", "25h", "10d", "soon", "", "nan", "1e3"])
def test_a_lease_is_from_a_second_to_a_day(text):
    """The rule is said."""
    with pytest.raises(UsageError, match="--lease"):
        lease_of(text)


def test_a_lease_is_read_as_people_write_it():
    """Its ends included."""
    assert [lease_of(text) for text in ("1s", "90", "2m", "1h30m", "24h")] == [1, 90, 120, 5400, 86400]


def test_after_a_release_renewing_is_refused_and_releasing_again_is_not(team):
    """What was given back is over, and stays so."""
    team.add("fix")
    claim = team.claims.claim("fix", "forge", 60)
    assert team.claims.release("fix", claim.token, "forge", "not mine")[1] is True
    assert team.other.release("fix", claim.token, "forge")[1] is False
    with pytest.raises(LeaseExpired, match="given back"):
        team.claims.renew("fix", claim.token, "forge")
    with pytest.raises(LeaseExpired, match="kept as late"):
        team.claims.finish("fix", claim.token, "forge")
    assert team.state("fix") == "open"
    assert team.kinds().count("claim.released") == 1


def test_the_next_task_has_the_highest_priority_and_then_the_greatest_age(team):
    """Of those for the claimer or for anybody."""
    for name, priority, to in (
        ("a", "low", ""), ("b", "normal", ""), ("c", "high", "scribe"), ("d", "normal", "forge"),
        ("e", "urgent", "forge"),
    ):  # fmt: skip
        team.add(name, priority=priority, to=to)
    order = []
    while claim := team.claims.next("forge", 60):
        order.append(claim.task)
    assert order == ["e", "b", "d", "a"]
    assert team.claims.next("forge", 60) is None
    claim = team.claims.next("forge", 60, personas=["scribe"], others=False)
    assert claim
    assert (claim.task, claim.owner) == ("c", "scribe")


def test_a_task_that_comes_after_an_open_one_is_not_offered(team):
    """By its name it is refused; a failed one before it never lets it go."""
    team.add("first")
    team.add("second", after=["first"], priority="urgent")
    assert team.state("second") == "waiting"
    with pytest.raises(ClaimError, match="second comes after first"):
        team.claims.claim("second", "forge", 60)
    claim = team.claims.next("forge", 60)
    assert claim
    assert claim.task == "first"
    assert team.other.next("forge", 60) is None
    team.claims.finish("first", claim.token, "forge", error="it broke")
    assert (team.state("first"), team.state("second")) == ("failed", "waiting")


def test_three_claims_without_an_end_go_to_the_human(team):
    """The task is set aside with one mail, however its claims ended; who names it may still do it."""
    team.add("fix")
    team.claims.release("fix", team.claims.claim("fix", "forge", 60).token, "forge", "too hard")
    team.claims.claim("fix", "scribe", 60)
    team.wait(61)
    last = team.claims.next("forge", 60, process=WORKER)
    assert last, "taking it puts on record that the claim before is over"
    assert team.mails() == []
    team.process = Presence.GONE
    assert team.state("fix") == "aside"
    assert team.other.next("scribe", 60) is None, "it puts on record that the last claim is over"
    (mail,) = team.mails()
    assert (mail.sender, mail.recipients, mail.subject) == ("scheduler", ("you",), "Task fix is set aside")
    assert "too hard" in mail.body
    assert "its time was up" in mail.body
    assert "its process 7 has ended" in mail.body
    team.process = Presence.UNKNOWN
    last = team.claims.claim("fix", "you", 60)
    team.claims.finish("fix", last.token, "you")
    assert team.state("fix") == "done"


def test_a_process_that_works_holds_its_claim_beyond_the_lease(team):
    """One long call of a model is no death; an end frees at once; a suspended process has its lease and no more."""
    team.add("fix")
    team.process = Presence.WORKING
    claim = team.claims.claim("fix", "forge", 60, process=WORKER)
    team.wait(3600)
    with pytest.raises(LeaseConflict, match="while process 7 goes on"):
        team.other.claim("fix", "scribe", 60)
    assert team.claims.renew("fix", claim.token, "forge").until == team.clock.now() + timedelta(seconds=60)
    team.process = Presence.SUSPENDED
    assert team.state("fix") == "claimed"
    team.wait(61)
    assert team.state("fix") == "open"
    team.process = Presence.WORKING
    team.claims.renew("fix", claim.token, "forge")
    team.process = Presence.GONE
    assert team.other.claim("fix", "scribe", 60).epoch == 2


def test_a_claim_that_was_renewed_is_not_expired_by_who_looked_before(team):
    """Whoever looks, waits and writes is late: the event names what it has seen."""
    team.add("fix")
    claim = team.claims.claim("fix", "forge", 60)
    team.wait(61)
    ((seen, why),) = team.other.moment().over()
    team.claims.renew("fix", claim.token, "forge")
    team.other._expire([(seen, why)])
    assert team.state("fix") == "claimed"
    assert team.claims.finish("fix", claim.token, "forge")[1]


def test_a_claim_that_goes_on_is_taken_away_by_force_alone(team):
    """Who did it and why is on record, and the owner's end is late."""
    team.add("fix")
    claim = team.claims.claim("fix", "forge", 60)
    with pytest.raises(LeaseNotExpired, match="--force --reason"):
        team.other.take_away("fix", None, "you", "", force=False)
    taken = team.other.take_away("fix", None, "you", "it hangs", force=True)
    assert (taken.by, taken.why, taken.ended) == ("you", "it hangs", "claim.released")
    with pytest.raises(LeaseExpired, match=r"taken away by you at .*: it hangs"):
        team.claims.finish("fix", claim.token, "forge")
    with pytest.raises(ClaimError, match="nobody has claimed fix"):
        team.other.take_away("fix", None, "you", "again", force=True)
    again = team.claims.claim("fix", "forge", 60)
    team.wait(61)
    assert team.other.take_away("fix", None, "you", "", force=False).ended == "claim.expired"
    assert again.epoch == 2


def test_what_changed_since_the_caller_looked_is_refused(team):
    """`expect` is checked where the event is written as well, so that nothing comes between."""
    version = team.add("fix").version
    team.claims.release("fix", team.claims.claim("fix", "forge", 60, expect=version).token, "forge")
    with pytest.raises(VersionConflict, match=f"not {version}"):
        team.other.claim("fix", "scribe", 60, expect=version)
    claim = team.other.claim("fix", "scribe", 60)
    seen = team.other.moment().task("fix").version
    team.claims.renew("fix", claim.token, "scribe")
    for act in (team.other.renew, team.other.release, team.other.finish):
        with pytest.raises(VersionConflict):
            act("fix", claim.token, "scribe", expect=seen)
    assert team.state("fix") == "claimed"


def test_a_task_that_is_not_there_is_refused_with_the_nearest(team):
    """A slip of the pen is seen at once."""
    team.add("fix-login")
    with pytest.raises(NoSuchTask, match="did you mean fix-login"):
        team.claims.claim("fix-logn", "forge", 60)
    with pytest.raises(NoSuchTask, match="no task 'nothing'"):
        team.add("mend", after=["nothing"])
    with pytest.raises(UnknownRecipient, match="forge"):
        team.add("mend", to="forg")


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "x" * 101, "dispatch-20260101_000000"])
def test_a_name_that_is_none_is_refused(team, name):
    """The rule is that of the tasks of a dispatch."""
    with pytest.raises(UsageError, match="the name"):
        team.add(name)


def test_a_name_is_given_once(team):
    """Of two who add it at once, one event is written, and one is told."""
    team.add("fix", title="first")
    with pytest.raises(ClaimError, match="there is a task 'fix' already, of you"):
        team.other.add(NewTask("fix", title="second"), "forge")
    assert team.kinds() == ["task.opened"]


@pytest.mark.parametrize("fields", [{"priority": "highest"}, {"paths": ["../x"]}, {"input": {"a": float("nan")}}])
def test_other_bad_fields_are_refused(team, fields):
    """Nothing is written."""
    with pytest.raises(UsageError):
        team.add("fix", **fields)
    assert team.kinds() == []


def test_paths_that_overlap_are_refused(team):
    """Until they are released, or their time is up."""
    claim = team.claims.hold(["src/auth/**"], [], "you", 60)
    for glob in ("src/*/login.py", "src", "**/*.py"):
        with pytest.raises(LeaseConflict, match="claimed by you"):
            team.other.hold([glob], [], "forge", 60)
    other = team.other.hold(["docs/**", "src/web.py"], ["release"], "forge", 60)
    with pytest.raises(LeaseConflict, match="release is claimed by forge"):
        team.claims.hold([], ["release"], "you", 60)
    team.claims.release(None, claim.token, "you")
    assert team.other.hold(["src/auth/a.py"], [], "forge", 60)
    with pytest.raises(LeaseConflict):
        team.claims.hold(["docs"], [], "you", 60)
    team.claims.renew(None, other.token, "forge", 120)
    team.wait(61)
    with pytest.raises(LeaseConflict):
        team.claims.hold(["docs"], [], "you", 60)
    team.wait(60)
    assert team.claims.hold(["docs"], ["release"], "you", 60)


def test_a_task_and_paths_keep_each_other_out(team):
    """Whoever edits by hand and whoever does a task take turns on the same files."""
    team.add("login", paths=["src/auth/**"])
    team.add("docs", paths=["docs/**"])
    hold = team.claims.hold(["src/**"], [], "you", 60)
    with pytest.raises(LeaseConflict, match=r"login may change src/auth/.*claimed by you"):
        team.other.claim("login", "forge", 60)
    claim = team.other.next("forge", 60)
    assert claim
    assert claim.task == "docs"
    with pytest.raises(LeaseConflict, match=r"docs/\*\* is claimed by forge"):
        team.claims.hold(["docs/**"], [], "you", 60)
    team.wait(61)
    assert team.other.claim("login", "forge", 60).globs == ("src/auth/**",)
    with pytest.raises(LeaseExpired):
        team.claims.renew(None, hold.token, "you")


def test_of_many_threads_one_owns_each_task(team):
    """None is lost and none has two owners; the fold says so to each of them."""
    names = [f"t{number}" for number in range(12)]
    for name in names:
        team.add(name)
    owned, start = [], threading.Barrier(4)

    def race(number):
        claims = team.opened()
        start.wait()
        for name in names:
            try:
                owned.append((name, claims.claim(name, f"p{number}", 60).token))
            except LeaseConflict:
                continue

    threads = [threading.Thread(target=race, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for name, _ in owned) == sorted(names)
    assert {token for _, token in owned} == {claim.token for claim in team.other.moment().fold.current}


def test_what_is_known_of_a_real_process():
    """It works, is suspended, works again, and is gone; of one of another machine nothing is known."""
    team = Team()
    team.add("fix")
    process = subprocess.Popen(["sleep", "60"])
    try:
        claim = team.claims.claim("fix", "forge", 60, process=named(process.pid))
        assert presence(claim) == Presence.WORKING
        process.send_signal(signal.SIGSTOP)
        while presence(claim) == Presence.WORKING:
            pass
        assert presence(claim) == Presence.SUSPENDED
    finally:
        process.kill()
        process.wait()
    assert presence(claim) == Presence.GONE
    away = team.claims.hold([], ["x"], "forge", 60, process=named(process.pid) | {"boot": "another"})
    assert presence(away) == Presence.UNKNOWN


def test_a_line_that_was_seen_and_undone_is_forgotten(tmp_path):
    """A reader that saw a claim whose writing failed half way reads all anew once something else stands there."""
    log = EventLog(tmp_path / "mail")
    claims = Claims(Mailbox(log, MemoryBlobs(), FileProjections(log), TEAM))
    claims.add(NewTask("fix"), "you")
    size = log.active.stat().st_size
    ghost = claims.claim("fix", "forge", 60)
    assert claims.moment().fold.claim(ghost.token)
    os.truncate(log.active, size)
    other = EventLog(tmp_path / "mail")
    other.append([Draft("mail.sent", "ann", ("bob",), subject) for subject in ("Hello", "again")])
    assert claims.moment().fold.claim(ghost.token) is None
    assert claims.claim("fix", "scribe", 60).owner == "scribe"
