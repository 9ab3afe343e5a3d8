"""An approval counts only with the code that the team's key gives, and an event only from who writes its kind."""

from __future__ import annotations

import os
import stat

import pytest
from team_mail.mail.errors import LogUnavailable
from team_mail.mail.log.event import Draft
from team_mail.mail.open import open_log
from team_mail.scheduler.approval import ApprovalKey
from team_mail.scheduler.kinds import Kind, is_writer

RUN, PATCH = "run-1", "a" * 64


@pytest.fixture
def key(tmp_path):
    open_log(tmp_path).append([Draft("mail.sent", "you", ("ann",), "x")])
    return ApprovalKey(tmp_path)


def test_only_the_code_of_this_patch_with_this_key_verifies(key, tmp_path):
    """Not that of another run or patch, of another team, nor one without a key."""
    assert not key.verifies(RUN, PATCH, "")
    code = key.sign(RUN, PATCH)
    assert ApprovalKey(tmp_path).verifies(RUN, PATCH, code)
    assert key.sign(RUN, PATCH) == code
    for run, patch, given in (("run-2", PATCH, code), (RUN, "b" * 64, code), (RUN, PATCH, ""), (RUN, PATCH, None)):
        assert not key.verifies(run, patch, given)
    key.path.unlink()
    assert not key.verifies(RUN, PATCH, code)
    assert key.sign(RUN, PATCH) != code


@pytest.mark.parametrize(("log", "mode"), [(0o644, 0o600), (0o664, 0o660)])
def test_the_key_is_for_those_who_may_write_the_log(key, tmp_path, log, mode):
    """A team of several users shares it by its group; nobody else reads it."""
    (tmp_path / "mail" / "events.jsonl").chmod(log)
    key.sign(RUN, PATCH)
    assert stat.S_IMODE(key.path.stat().st_mode) == mode


def test_what_is_no_key_is_none(key, tmp_path):
    """A link, a pipe or a part of a key verifies nothing, and is never waited for; a torn one is made anew."""
    code = key.sign(RUN, PATCH)
    key.path.rename(tmp_path / "elsewhere")
    key.path.symlink_to(tmp_path / "elsewhere")
    assert not key.verifies(RUN, PATCH, code)
    with pytest.raises(LogUnavailable, match="nothing was approved"):
        key.sign(RUN, PATCH)
    key.path.unlink()
    os.mkfifo(key.path)
    assert not key.verifies(RUN, PATCH, code)
    key.path.unlink()
    key.path.write_bytes((tmp_path / "elsewhere").read_bytes()[:9])
    assert not key.verifies(RUN, PATCH, code)
    assert key.verifies(RUN, PATCH, key.sign(RUN, PATCH))


PERSONS = {
    "deploy.approved", "patch.approved", "run.stopped", "dispatch.stopped", "scheduler.paused", "scheduler.resumed",
    "schedule.paused", "schedule.resumed", "session.created", "session.paused", "session.resumed", "session.completed",
    "session.deleted", "command.started", "command.finished", "sprint.abandoned",
}  # fmt: skip
ANYBODYS = ("task.opened", "claim.")
WEAVERS = {
    "patch.landed", "patch.conflicted", "patch.refused", "patch.held", "patch.rejected", "weave.done", "gate.started",
    "gate.judged", "weave.lost",
}  # fmt: skip


@pytest.mark.parametrize("kind", [*Kind, "run.unheard"])
def test_each_kind_has_its_writers(kind):
    """Programs write theirs, people what is theirs from outside of runs; agents write none of them."""
    senders = ("scheduler", "supervisor", "weaver", "postmaster", "you", "ann")
    writers = {(sender, run) for sender in senders for run in (None, "run-1") if is_writer(kind, sender, run)}
    if kind.startswith(ANYBODYS):  # each act of theirs is judged by its token
        assert writers >= {("you", None), ("ann", None), ("scheduler", None)}
        return
    of_rounds = kind.startswith(("review.", "round.", "deploy."))
    program = "weaver" if kind in WEAVERS else "supervisor" if of_rounds else "scheduler"
    if kind in PERSONS:
        assert writers == {("you", None), ("ann", None)}
    else:
        assert writers == ({(program, None), (program, "run-1")} if kind in set(Kind) else set())


def test_nothing_beside_the_key_keeps_a_person_from_approving(key):
    """An agent without a sandbox may put folders and pipes where the next process would write."""
    key.path.with_name(f"{key.path.name}.{os.getpid()}").mkdir()
    assert key.verifies(RUN, PATCH, key.sign(RUN, PATCH))
    assert len([*key.path.parent.glob("approval.key.*")]) == 1, "and nothing else is left"
