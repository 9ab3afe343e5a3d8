"""What the login of a worker or of a member may append: for runs that it holds, as who it is, and nothing else."""

from __future__ import annotations

import threading

import pytest
from team_mail.mail.errors import LogUnavailable, TeamMailError
from team_mail.mail.log.event import Draft, derived_id, serialise

from ...postgres import logins, needs_postgres, remote_log

pytestmark = needs_postgres
TS = "2026-01-01T00:00:00.000000Z"
RUN, OTHER = "run-1", "run-2"


def mail(run: str | None = RUN, sender: str = "ada", kind: str = "mail.sent") -> Draft:
    return Draft(kind, sender, ("bob",), "hello", run=run)


def offered(run: str = RUN, epoch: int = 1, persona: str = "ada") -> Draft:
    own = derived_id("offered", run, str(epoch))
    return Draft("run.offered", "scheduler", run=run, data={"epoch": epoch, "persona": persona}, id=own)


def taken(run: str = RUN, epoch: int = 1, who: str = "") -> Draft:
    own = derived_id("taken", run, str(epoch), who) if who else derived_id("taken", run, str(epoch))
    return Draft("run.taken", "scheduler", run=run, data={"epoch": epoch, "worker": {}}, id=own)


def returned(run: str = RUN, epoch: int = 1) -> Draft:
    own = derived_id("returned", run, str(epoch))
    return Draft("run.returned", "scheduler", run=run, data={"epoch": epoch, "result": ""}, id=own)


class Host:
    """A login that appends."""

    def __init__(self, server) -> None:
        self.server = server

    def append(self, *drafts: Draft) -> list:
        return self.server.send([serialise(draft, TS).middle.decode() for draft in drafts], "a place")

    def is_refused(self, *drafts: Draft) -> str:
        """Return why they are refused; nothing of them is written."""
        before = self.server.head()
        with pytest.raises(LogUnavailable) as refused:
            self.append(*drafts)
        assert self.server.head() == before
        return str(refused.value)


@pytest.fixture
def hosts(request, tmp_path, postgres):
    """A leader, two workers and a member; run-1 is offered for ada, in its first epoch."""
    log = remote_log(request, tmp_path / "mail")
    with logins(postgres, log.server) as login:
        leader, worker, other, member = (Host(login(role)) for role in ("leader", "worker", "worker", "member"))
        leader.append(offered())
        yield leader, worker, other, member


def test_a_worker_writes_as_the_persona_of_a_run_from_taking_to_returning_it(hosts):
    """Mail and marks, its claims, and whatever else is refused is so at any time."""
    _, worker, other, _ = hosts
    assert "does not hold run run-1" in worker.is_refused(mail())
    worker.append(taken())
    worker.append(mail(), mail(kind="mail.read"), mail(kind="claim.taken"))
    assert "that run is of ada, not of eve" in worker.is_refused(mail(sender="eve"))
    assert "does not hold run run-2" in worker.is_refused(mail(run=OTHER))
    assert "does not hold run run-1" in other.is_refused(mail())
    assert "run.finished is for a leader" in worker.is_refused(mail(kind="run.finished"))
    assert "not granted" in worker.is_refused(mail(run=None))
    assert "that run is of ada" in worker.is_refused(mail(), mail(sender="eve"))  # as a whole
    worker.append(returned())
    assert "does not hold run run-1" in worker.is_refused(mail())


def test_a_run_is_taken_once_and_returned_by_who_has_taken_it(hosts):
    """An append whose reply was lost is sent again, and is no new one."""
    _, worker, other, member = hosts
    assert "is not offered" in worker.is_refused(taken(OTHER))
    assert "is not offered" in worker.is_refused(taken(epoch=2))
    assert "takes no runs" in member.is_refused(taken())
    worker.append(taken())
    assert worker.append(taken())[0].line
    assert other.append(taken())[0].line  # that of the other worker, who was first
    assert "another one has taken" in other.is_refused(taken(who="other"))
    assert "does not hold that run" in other.is_refused(returned())
    assert "is not offered" in worker.is_refused(returned(epoch=2))
    worker.append(returned())
    assert worker.append(returned())[0].line


def test_a_run_that_is_offered_again_is_held_no_more(hosts):
    """Whoever had it was silent for too long, and may come back."""
    leader, worker, other, _ = hosts
    worker.append(taken())
    leader.append(offered(epoch=2))
    assert "does not hold" in worker.is_refused(mail())
    assert "is not offered" in worker.is_refused(returned())
    other.append(taken(epoch=2))
    other.append(mail())
    leader.append(offered())  # the same as before: what is known opens nothing
    other.append(mail())


@pytest.mark.parametrize("kind", ["run.finished", "run.lost"])
def test_a_run_that_has_ended_is_held_no_more(hosts, kind):
    """The leader decides when that is."""
    leader, worker, _, _ = hosts
    worker.append(taken())
    leader.append(mail(kind=kind, sender="scheduler"))
    assert "does not hold" in worker.is_refused(mail())


def test_a_login_writes_without_a_run_as_who_was_granted_to_it(hosts, request):
    """So a person writes from any host; a persona of a run is no grant, and a grant is no run."""
    leader, worker, _, member = hosts
    owner = type(worker.server)(
        worker.server.address._replace(url=worker.server.address.url.replace(user(worker), "team"))
    )
    request.addfinalizer(owner.close)
    for host in (worker, member):
        assert "not granted" in host.is_refused(mail(run=None))
        owner.grant(user(host), "ada")
        owner.grant(user(host), "ada")
        host.append(mail(run=None), mail(run=None, kind="claim.taken"))
        assert "bob is not granted" in host.is_refused(mail(run=None, sender="bob"))
        assert "does not hold run" in host.is_refused(mail())
        assert "session.created is for a leader" in host.is_refused(mail(run=None, kind="session.created"))
        with pytest.raises(LogUnavailable, match="does not let this login"):
            host.server.grant(user(host), "eve")
    assert owner.grants() == [(user(member), "ada"), (user(worker), "ada")]
    owner.grant(user(member), "ada", revoke=True)
    assert "not granted" in member.is_refused(mail(run=None))
    leader.append(mail(run=None, sender="anybody"))


def user(host: Host) -> str:
    return host.server.address.url.split("//")[1].split("@")[0]


def test_of_two_workers_that_take_a_run_at_once_one_holds_it(hosts):
    """Whose event is in the log is who may return it."""
    leader, worker, other, _ = hosts
    for number in range(20):
        run = f"both-{number}"
        leader.append(offered(run))
        start, took = threading.Barrier(2), []

        def take(host, run=run, start=start, took=took):
            start.wait()
            if host.append(taken(run))[0].line is None:
                took.append(host)

        threads = [threading.Thread(target=take, args=[host]) for host in (worker, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (first,) = took
        first.append(mail(run))
        assert "does not hold" in (other if first is worker else worker).is_refused(mail(run))


def test_an_event_that_cannot_be_understood_is_refused_and_never_lets_anything_through(hosts):
    """The server reads what a worker sends; what is no number or no table is no epoch."""
    leader, worker, _, _ = hosts
    for data in ({}, {"epoch": "x"}, {"epoch": None}, {"epoch": 1.5}, {"epoch": [1]}, {"epoch": 2**62}):
        draft = Draft("run.taken", "scheduler", run=RUN, data=data)
        with pytest.raises(TeamMailError):
            worker.append(draft)
    leader.append(Draft("run.offered", "scheduler", run=OTHER, data={"persona": "ada"}))
    assert "is not offered" in worker.is_refused(taken(OTHER))
