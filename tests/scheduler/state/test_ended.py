"""Sums of ended sprints that are kept: the same as if they were read anew, and read no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from team_mail.mail.clock import ManualClock
from team_mail.mail.log.memory import MemoryLog
from team_mail.mail.query.memory import MemoryProjections
from team_mail.scheduler.state import reading
from team_mail.scheduler.state.ended import EndedSprints

from .test_reading import Story

NOW = datetime(2027, 1, 1, tzinfo=UTC)
LISTED = 6


@pytest.mark.parametrize("seed", [3, 11])
def test_kept_sums_are_those_of_the_log_whatever_comes_later(seed):
    """Patches that were held and runs that were lost are decided sprints later; the other sprints are read once."""
    clock = ManualClock(NOW - timedelta(days=9))
    log = MemoryLog(clock=clock)
    story, projections, ended, read = Story(log, clock, seed), MemoryProjections(log), EndedSprints(), []

    def sprints(spans):
        read.append(len(spans))
        return reading.read_sprints(projections, spans)

    for number in range(12):
        story.sprint(end=number < 11)
        spans = reading.read_spans(projections, LISTED)
        anew = EndedSprints().summed(spans, lambda spans: reading.read_sprints(projections, spans), NOW)
        assert ended.summed(spans, sprints, NOW) == anew
        assert [each.sprint for each in anew] == [span.number for span in spans]
    assert min(read[LISTED:]) < LISTED
    assert all(number >= 1 for number in read)  # of the last one more may come
