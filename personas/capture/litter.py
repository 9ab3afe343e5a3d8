"""The files that coding agents leave behind for themselves: histories, caches, logs. They are no part of a patch.

A file that the base commit has is the project's, and a change to it counts as any other.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...mail.text.globs import matches

LITTER = (
    "**/.aider*",
    "**/.claude/settings.local.json",
    "**/.claude/todos/**",
    "**/.claude/shell-snapshots/**",
    "**/.claude/statsig/**",
    "**/.claude/projects/**",
    "**/.codex/sessions/**",
    "**/.codex/log/**",
    "**/.codex/history.jsonl",
    "**/.codex/auth.json",
    "**/.gemini/tmp/**",
    "**/.gemini/history/**",
    "**/.qwen/tmp/**",
    "**/.opencode/node_modules/**",
    "**/.copilot/session-state/**",
    "**/.copilot/logs/**",
    "**/.playwright-mcp/**",
)


def is_litter(path: bytes, more: Sequence[str]) -> bool:
    """Tell whether a file that the base does not have is an agent's own; `more` are globs of the settings."""
    return matches(path, (*LITTER, *more))


def only_ignores_litter(before: bytes, after: bytes, more: Sequence[str]) -> bool:
    """Tell whether a `.gitignore` was changed only by lines that name litter, as some agents add them unasked."""
    old, new = before.splitlines(), after.splitlines()
    added = [line for line in new[len(old) :] if line.strip()]
    names = (line.strip().lstrip(b"/") for line in added)
    return new[: len(old)] == old and bool(added) and all(is_litter(name, more) for name in names)
