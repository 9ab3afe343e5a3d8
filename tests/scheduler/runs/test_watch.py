"""Watching the log while runs go on."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from team_mail.mail.log.event import Draft
from team_mail.scheduler.runs.watch import Watch


def inotify_instances() -> int:
    descriptors = Path("/proc/self/fd")
    return sum(str(each.readlink()).endswith("inotify") for each in descriptors.iterdir() if each.is_symlink())


def stopped(context, run: str) -> None:
    context.append([Draft("run.stopped", "you", ref=run)])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors as Linux shows them")
def test_two_hundred_watches_on_one_log_share_one_file_watcher(team):
    """A user may have no more than 128 inotify instances; each batch still hears of its own runs."""
    contexts, before = [team.context() for _ in range(3)], inotify_instances()
    with ExitStack() as stack:
        watches = [stack.enter_context(Watch(contexts[number % 3], threading.Event())) for number in range(200)]
        stops = [watch.stop_of(f"run-{number}") for number, watch in enumerate(watches)]
        for number in (0, 199):
            stopped(contexts[0], f"run-{number}")
        assert stops[0].wait(30)
        assert stops[199].wait(30)
        assert inotify_instances() - before <= 1
        assert not stops[100].is_set()


def test_a_watch_that_is_left_hears_no_more_and_the_others_do(team):
    """The shared thread ends with the last of them, and a later watch starts another."""
    context = team.context()
    first, second, third = (Watch(context, threading.Event()) for _ in range(3))
    with second:
        with first:
            gone = first.stop_of("a")
        stop = second.stop_of("a")
        stopped(context, "a")
        assert stop.wait(30)
    assert not gone.is_set()
    with third:
        again = third.stop_of("b")
        stopped(context, "b")
        assert again.wait(30)


def test_the_end_of_a_batch_ends_each_of_its_runs(team):
    """Also those that ask for their stop later."""
    watch = Watch(team.context(), threading.Event())
    before = watch.stop_of("a")
    watch.end()
    assert before.is_set()
    assert watch.stop_of("b").is_set()
    assert watch.stopped
