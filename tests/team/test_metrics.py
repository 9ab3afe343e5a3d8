"""`team metrics` against the reference parser of Prometheus and a naive count over the log."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Draft
from team_mail.scheduler.appends import AppendTimes
from team_mail.team.api.outside.metrics import metrics

HOSTILE = 'a"b\\c\nd{e}'


def parsed(context):
    """Every sample by name and labels, as the reference parser reads the text."""
    text = "\n".join(metrics(context).prometheus()) + "\n"
    families = [*text_string_to_metric_families(text)]
    assert all(family.type in {"counter", "gauge"} and family.documentation for family in families)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def finished(agent, status, seconds, usd, given):
    data = {"persona": "ann", "agent": agent, "status": status, "seconds": seconds, "sprint": 1}
    return Draft("run.finished", "scheduler", run="r", data=data | {"usage": {"usd": usd, "input": given, "output": 7}})


def test_the_figures_of_a_sprint_are_those_of_its_log(team):
    team.sprint({"ann": team.replaced(3, "ann"), "bob": team.replaced(3, "bob")})
    context = team.context()
    found = parsed(context)
    kinds = Counter(event.kind for event in context.mailbox.log.read())
    for kind, number in kinds.items():
        assert found["team_mail_events_total", ("kind", kind)] == number
    ends = [event.data for event in context.mailbox.log.read() if event.kind == "run.finished"]
    for (status, agent), number in Counter((data["status"], data["agent"]) for data in ends).items():
        assert found["team_mail_runs_total", ("agent", agent), ("status", status)] == number
    seconds = sum(data["seconds"] for data in ends)
    assert abs(found["team_mail_run_seconds_total", ("agent", "shell")] - seconds) < 1e-6
    assert found["team_mail_patches_total", ("status", "conflicted")] == kinds["patch.conflicted"] > 0
    assert found["team_mail_sprints_total", ("outcome", "converged")] == 1
    assert found["team_mail_log_head",] == kinds.total()
    assert found["team_mail_led",] == 0


def test_money_tokens_gates_notices_and_odd_names_are_counted(team):
    context = team.context()
    context.append(
        [
            finished(HOSTILE, "ok", 1.5, 0.25, 100), finished(HOSTILE, "failed", 2, 1, 10**15),
            finished("b", "ok", "long", "much", None), finished("b", "ok", 1.0, 1.0, 1)._replace(sender="ann"),
            Draft("run.lost", "scheduler", run="x", data={"persona": "ann", "agent": "b", "why": "gone"}),
            Draft("gate.judged", "weaver", data={"gate": "tests", "passed": False, "seconds": 0.5}),
            Draft("dispatch.finished", "scheduler", data={"dispatch": "d", "seconds": 1.0}),
            Draft("notice.failed", "scheduler", ref="x", data={"notify": "ci", "why": "500"}),
        ]
    )  # fmt: skip
    found = parsed(context)
    agent = ("agent", HOSTILE)
    assert found["team_mail_runs_total", agent, ("status", "ok")] == 1
    assert found["team_mail_runs_total", ("agent", "b"), ("status", "ok")] == 1
    assert found["team_mail_runs_total", ("agent", "b"), ("status", "lost")] == 1
    assert found["team_mail_run_seconds_total", agent] == 3.5
    assert found["team_mail_run_usd_total", agent] == 1.25
    assert found["team_mail_run_tokens_total", agent, ("direction", "input")] == 10**15 + 100
    assert found["team_mail_run_tokens_total", agent, ("direction", "output")] == 14
    assert found["team_mail_gate_runs_total", ("gate", "tests"), ("passed", "false")] == 1
    assert found["team_mail_dispatches_total",] == 1
    assert found["team_mail_notices_total", ("endpoint", "ci"), ("outcome", "failed")] == 1


def test_unread_mail_has_a_number_and_an_age(team):
    context = team.context()
    context.mailbox.send(Letter("ann", ["bob", "you"], "Hello"))
    found = parsed(context)
    assert found["team_mail_unread", ("persona", "bob")] == found["team_mail_unread", ("persona", "you")] == 1
    assert 0 <= found["team_mail_unread_age_seconds", ("persona", "bob")] < timedelta(hours=1).total_seconds()
    assert metrics(context).document()["team_mail_unread"][0]["labels"] in [{"persona": "bob"}, {"persona": "you"}]


def test_the_latency_of_appends_is_that_of_the_scheduler_that_leads(team):
    """It is told within the time between two writes, and no longer once its process is gone."""
    took = []
    times = AppendTimes(team.home, every=0.0)
    context = replace(team.context(), timed=lambda seconds: (took.append(seconds), times.add(seconds)))
    assert ("team_mail_appends_total",) not in parsed(context)
    for _ in range(3):
        context.append([finished("b", "ok", 1.0, 1.0, 1)])
    found = parsed(context)
    assert found["team_mail_appends_total",] == len(took) == 3
    assert found["team_mail_append_seconds_total",] == pytest.approx(sum(took))
    assert found["team_mail_append_longest_seconds",] == pytest.approx(max(took))

    file = team.home / "work" / "appends"
    told = json.loads(file.read_text())
    for process in (told["process"] | {"start": "0"}, {}, None):
        file.write_text(json.dumps(told | {"process": process}))
        assert ("team_mail_appends_total",) not in parsed(context)
