"""Traces: sprints, dispatches, runs and gates as OpenTelemetry has them, made from the log, which is the tracer."""
