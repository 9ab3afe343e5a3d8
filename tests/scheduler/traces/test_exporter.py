"""Traces that are sent while a team is led, to a collector that may be down."""

from __future__ import annotations

import threading

import pytest
from team_mail.mail.errors import UsageError
from team_mail.mail.log.event import Draft
from team_mail.scheduler.traces.exporter import Exporter
from team_mail.scheduler.traces.otlp import NotExported
from team_mail.team.api.outside import exports

from ..notify.receiver import Receiver
from .test_spans import message

SETTINGS = '[otel]\nendpoint = "{}"\nheaders_file = "headers"\n'


def gate(name):
    return Draft("gate.judged", "weaver", data={"sprint": 1, "gate": name, "passed": True, "seconds": 0.1})


def opened(team, receiver):
    (team.folder / "headers").write_text("X-Key: abc\n")
    context = team.context({}, SETTINGS.format(receiver.url.removesuffix("/hook")))
    context.append([gate("before")])
    return context


def names(receiver):
    requests = [message(got.json) for got in receiver.got]
    return [span.name for each in requests for span in each.resource_spans[0].scope_spans[0].spans]


def test_what_ends_is_sent_and_after_a_failure_nothing_is_missing(team):
    """The first request is refused; what it held is sent again, with all that came meanwhile, and nothing before."""
    said, status = [], [503]
    begun = threading.Event()

    def answer(_):
        return status.pop() if status else 200

    with Receiver(answer) as collector:
        context = opened(team, collector)
        with Exporter(context, lambda text: (said.append(text), begun.set()), every=0.1, pause=0.1):
            while not (team.home / "work" / "otel").exists():
                begun.wait(0.05)
            context.append([gate("one")])
            assert begun.wait(60)
            context.append([gate("two")])
            got = collector.until(2)
        with Exporter(context, said.append, every=0.1):  # the next one begins where this one ended
            context.append([gate("three")])
            collector.until(3)
    assert {each.path for each in got} == {"/v1/traces"}
    assert got[0].headers["x-key"] == "abc"
    assert names(collector) == ["gate one", "gate one", "gate two", "gate three"]
    assert said == ["traces: the collector did not take 1 spans: answered 503; tried again in 0.1 s"]


def test_another_collector_in_the_settings_gets_what_ends_from_then_on(team):
    """Nothing is sent twice or left out when it changes, and nothing any more without one."""
    said, begun = [], threading.Event()
    with Receiver() as first, Receiver() as second:
        context = opened(team, first)
        with Exporter(context, said.append, every=0.05) as exporter:
            while not (team.home / "work" / "otel").exists():
                begun.wait(0.05)
            context.append([gate("one")])
            first.until(1)
            exporter.renew(context)
            exporter.renew(team.context({}, SETTINGS.format(second.url.removesuffix("/hook"))))
            context.append([gate("two")])
            second.until(1)
            exporter.renew(team.context({}, ""))
            context.append([gate("three")])
    assert (names(first), names(second), said) == (["gate one"], ["gate two"], [])


def test_headers_that_are_none_are_refused_at_the_start(team):
    with Receiver() as collector:
        context = opened(team, collector)
        (team.folder / "headers").write_text("a key\n")
        with pytest.raises(UsageError, match="each line must be a header"):
            Exporter(context, lambda _: None).__enter__()


def test_the_past_is_sent_by_command(team):
    with Receiver() as collector:
        context = opened(team, collector)
        assert exports.send(context, collector.url.removesuffix("/hook")) == 1
        collector.answer = lambda _: 400
        with pytest.raises(NotExported, match="the collector did not take 1 spans: answered 400"):
            exports.send(context, collector.url)
    assert names(collector)[:1] == ["gate before"]
