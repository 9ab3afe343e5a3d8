"""Traces made from the log, as the published messages of the OpenTelemetry protocol read them."""

from __future__ import annotations

import base64
import json
import re

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from team_mail.mail.errors import UsageError
from team_mail.mail.log.event import Draft
from team_mail.scheduler.traces import otlp
from team_mail.team.api.outside import exports
from team_mail.team.commands.outside import measures
from typer.testing import CliRunner

ID = re.compile(r'"(traceId|spanId|parentSpanId)": "([0-9a-f]+)"')


def message(document):
    """Parse OTLP/JSON by the protocol's own messages; ids are hexadecimal there, and base64 in the general mapping."""
    text = ID.sub(lambda m: f'"{m[1]}": "{base64.b64encode(bytes.fromhex(m[2])).decode()}"', json.dumps(document))
    return json_format.Parse(text, ExportTraceServiceRequest())


def spans_of(context, since=0):
    return [
        span
        for document in exports.requests(context, since)
        for resource in message(document).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def attributes(span):
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def test_a_sprint_is_a_trace_whose_spans_are_its_runs(team):
    team.sprint({"ann": team.replaced(3, "ann"), "bob": team.replaced(3, "bob")})
    context = team.context()
    events = [*context.mailbox.log.read()]
    spans = spans_of(context)
    (root,) = [span for span in spans if not span.parent_span_id]
    runs = [span for span in spans if span.name.startswith("run ")]
    assert root.name == "sprint 1"
    assert len(runs) == sum(event.kind == "run.finished" for event in events)
    assert {span.trace_id for span in spans} == {root.trace_id}
    assert {span.parent_span_id for span in runs} == {root.span_id}
    assert len({span.span_id for span in spans}) == len(spans)
    assert (len(root.trace_id), len(root.span_id)) == (16, 8)
    for span in spans:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
    assert {attributes(span)["team_mail.persona"] for span in runs} == {"ann", "bob", "cyd"}
    assert {moment.name for span in runs for moment in span.events} >= {"patch.captured"}
    assert {moment.name for moment in root.events} == {"patch.landed", "patch.conflicted"}


def test_the_same_log_gives_the_same_spans_and_since_leaves_out_the_earlier_ones(team):
    team.sprint({"ann": team.replaced(3, "ann")})
    context = team.context()
    ends = [event.seq for event in context.mailbox.log.read() if event.kind == "run.finished"]
    everything = spans_of(context)
    assert spans_of(context) == everything
    late = spans_of(context, ends[-1])
    assert [span.name for span in late] == ["sprint 1"]
    assert late[0] in everything


def test_costs_and_errors_are_in_a_span(team):
    context = team.context()
    usage = {"model": "m", "input": 10, "output": 5, "usd": 0.5}
    data = {"dispatch": "d1", "persona": "ann", "task": "t", "agent": "a", "attempt": 1, "seconds": 2.0}
    context.append(
        [
            Draft("dispatch.started", "scheduler", data={"dispatch": "d1"}),
            Draft("run.started", "scheduler", run="r1", data=data),
            Draft("mail.sent", "ann", ("bob",), "a secret subject", run="r1", data={"type": "question"}),
            Draft("run.finished", "scheduler", run="r1",
                  data=data | {"status": "failed", "detail": "exit 1", "usage": usage}),
            Draft("run.finished", "ann", run="r1", data=data | {"status": "ok"}),
            Draft("run.lost", "scheduler", run="r2", data={"persona": "bob"}),
            Draft("gate.judged", "weaver", data={"sprint": 1, "gate": "tests", "passed": False, "seconds": 1.5}),
            Draft("deploy.started", "supervisor", data={"sprint": 1, "commit": "c", "attempt": 1}),
            Draft("deploy.finished", "supervisor",
                  data={"sprint": 1, "commit": "c", "attempt": 1, "outcome": "failed", "why": "exit 3"}),
            Draft("dispatch.finished", "scheduler", data={"dispatch": "d1", "successful": 0}),
        ]
    )  # fmt: skip
    run, gate, deploy, root = spans_of(context)
    assert (run.name, run.status.code, run.status.message) == ("run t", 2, "exit 1")
    told = attributes(run)
    assert (told["gen_ai.request.model"], told["gen_ai.usage.input_tokens"], told["team_mail.usd"]) == ("m", 10, 0.5)
    assert (gate.name, gate.end_time_unix_nano - gate.start_time_unix_nano) == ("gate tests", 1_500_000_000)
    assert (deploy.name, deploy.status.message, deploy.trace_id) == ("deploy", "exit 3", gate.trace_id)
    assert (root.name, root.trace_id, run.parent_span_id) == ("dispatch d1", run.trace_id, root.span_id)
    assert [moment.name for moment in run.events] == ["mail.sent"]
    assert "secret" not in json.dumps([*exports.requests(context)])


def test_many_spans_are_several_requests(team, monkeypatch):
    context = team.context()
    monkeypatch.chdir(team.folder)
    gate = Draft("gate.judged", "weaver", data={"sprint": 1, "gate": "g", "passed": True, "seconds": 0.1})
    context.append([gate] * (otlp.MOST + 1))
    shown = CliRunner().invoke(measures.export, ["otel"])
    sizes = [len(json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]) for line in shown.stdout.splitlines()]
    assert sizes == [otlp.MOST, 1]


def test_traces_go_to_no_private_address(team):
    with pytest.raises(UsageError, match="must lead to a public address"):
        exports.send(team.context(), "https://10.0.0.1:4318")
