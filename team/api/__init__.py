"""What every face asks and does: functions that take values and return values with a `document()` for JSON.

They print nothing and never exit; failures are raised as errors of the package. Long ones report their progress to a
listener, and end early when the function that they pass to `interrupts` is called.

- sprints: preview_tick, preview_sprint, tick, run_sprint, run_scheduled, run, check_members
- records: status, history, past, rounds, report, view_sprint, money
- control: stop, pause, resume, approve, refuse, approve_deploy, gates, land, abandon
- claims: add_task, import_tasks, list_tasks, show_task, claim_task, claim_next, claim_paths, renew, release, finish
- sessions: create, list_sessions, show, pause, resume, complete, delete, remember, attach, converse
- ask: plan_of, carry_out, answer
- dispatches: read_tasks, read_config, preview, dispatch, resume, replayed
- traces: runs, dispatches, view_dispatch, trace, trace_task, trace_run, output_of, patch_of, trace_index, export
- plans: read_roadmap, forecast, plan, tasks_of
- weaving: weave
- schedules: listed, run, pause, resume
- agents: registry, doctor, candidates, try_agents
- worker: work
- hook: guard, install, uninstall, states
- team: init, config, clean, personas, templates, template, inbox, install_texts
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [
    "agents", "ask", "claims", "control", "dispatches", "hook", "plans", "records", "schedules", "sessions", "sprints",
    "team", "traces", "weaving", "worker",
]  # fmt: skip

if TYPE_CHECKING:
    from . import (
        agents,
        ask,
        claims,
        control,
        dispatches,
        hook,
        plans,
        records,
        schedules,
        sessions,
        sprints,
        team,
        traces,
        weaving,
        worker,
    )
else:

    def __getattr__(name: str) -> object:
        """Load a module when it is first asked for: a face that has them all starts without waiting for any."""
        from importlib import import_module

        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module(f".{name}", __name__)
