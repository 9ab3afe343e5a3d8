"""Why a key of another tool's file has no effect here, and what to do instead: one sentence each."""

from __future__ import annotations

_SERVERS = "servers are set in the agent's own settings, or with args in its [agents] table"
_DISPLAY = "is for that tool's own display"
_CALLED = "says how that tool calls it; here it gets mail, tasks, and runs in sprints if `scheduled: true`"
_SAMPLING = "no run can be told it; set it in the agent's own settings"
_EFFORT = "no run can be told it; write it into args of its [agents] table"
_TURNS = "the turns of a run are not counted; its timeout bounds it"
_TEAM = "others are written to by mail; say in the prompt whom"
_MEMORY = "every run begins anew; what is to last belongs in a file of the repository"
_ASKED = "what a run may do without asking its [agents] table says"
_PEOPLE = "is a description for people; what is to be followed belongs in the prompt"
_SETTINGS = "is set in the agent's own settings"
_OTHERS_RULES = "is that tool's own; no run can be told it"

REASONS = {
    "agent": "is that tool's mode; which agent plays it here its [agents] table says",
    "agents": _TEAM,
    "allow_code_execution": "what a run may do its agent decides",
    "allow_delegation": _TEAM,
    "approval_policy": _ASKED,
    "argument-hint": _CALLED,
    "author": _DISPLAY,
    "automation_mode": _CALLED,
    "background": _CALLED,
    "cache": _OTHERS_RULES,
    "capabilities": _PEOPLE,
    "category": _DISPLAY,
    "color": _DISPLAY,
    "disable-model-invocation": _CALLED,
    "domain": _DISPLAY,
    "effort": _EFFORT,
    "expertise": _PEOPLE,
    "features": _SETTINGS,
    "handoffs": _TEAM,
    "hidden": _DISPLAY,
    "hired_by": _DISPLAY,
    "hooks": "hooks are set in the agent's own settings, and gates of team.toml judge what it made",
    "icon": _DISPLAY,
    "infer": _CALLED,
    "initialPrompt": _CALLED,
    "isolation": "every run has a clone of its own already",
    "kind": _CALLED,
    "level": _DISPLAY,
    "license": _DISPLAY,
    "limitations": _PEOPLE,
    "max_iter": _TURNS,
    "max_reasoning_attempts": _TURNS,
    "max_retry_limit": "`sprint.max_attempts` of team.toml says it for all",
    "max_rpm": "`sprint.pace` and `max_parallel` of team.toml hold back services",
    "max_turns": _TURNS,
    "maxSteps": _TURNS,
    "maxTurns": _TURNS,
    "mcp-servers": _SERVERS,
    "mcp_servers": _SERVERS,
    "mcpServers": _SERVERS,
    "memory": _MEMORY,
    "metadata": _DISPLAY,
    "mode": _CALLED,
    "model_context_window": _SETTINGS,
    "model_provider": _SETTINGS,
    "model_reasoning_effort": _EFFORT,
    "model_reasoning_summary": _SAMPLING,
    "model_verbosity": _SAMPLING,
    "nickname_candidates": _DISPLAY,
    "options": _SAMPLING,
    "personality": _SAMPLING,
    "proactive": _CALLED,
    "pronouns": _DISPLAY,
    "reasoning": _EFFORT,
    "reasoningEffort": _EFFORT,
    "sandbox_workspace_write": _ASKED,
    "service_tier": _SAMPLING,
    "shell_environment_policy": _SETTINGS,
    "skills": "skills are the agent's own; name the file in the prompt, or set it in the agent's settings",
    "source": _DISPLAY,
    "steps": _TURNS,
    "system_template": _OTHERS_RULES,
    "tags": _DISPLAY,
    "target": _CALLED,
    "temperature": _SAMPLING,
    "textVerbosity": _SAMPLING,
    "title": _DISPLAY,
    "tools": "tools are given to the agent in its own settings",
    "top_p": _SAMPLING,
    "triggers": _CALLED,
    "type": _DISPLAY,
    "user-invocable": _CALLED,
    "user-invokable": _CALLED,
    "verbose": _DISPLAY,
    "version": _DISPLAY,
    "web_search": _SETTINGS,
}
UNKNOWN = "is nothing that this project knows, and has no effect"


def why_not(key: str) -> str:
    """Return why a key has no effect."""
    return REASONS.get(key, UNKNOWN)
