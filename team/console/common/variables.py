"""What the variables of queries mean, for the description of the API: those that several routes have, and more."""

from __future__ import annotations

_MEANINGS = {
    "limit": "How many rows at most: 100 by default, and never more than 1,000.",
    "before": "Only rows before this one: what the header Link of the page before says.",
    "persona": "Whose mail it is; by default the human's.",
    "skip": "How many of the best matches to leave out: what the header Link of the page before says.",
    "whole": "1 for bodies that are not cut.",
    "all": "1 for what is over, too.",
    "q": "Words to search for in subject and body.",
    "sql": "A SELECT over the log.",
    "name": "The name of a saved query, in place of sql.",
    "p.NAME": "The value of the query's parameter $NAME.",
    "workers": "How many work at once.",
    "tools": "1 for tool calls and their outputs, too.",
}


def described(*names: str, **more: str) -> dict[str, str]:
    """Return the meaning of each of a route's variables: those of a usual one by name, `more` with their own."""
    return {name: _MEANINGS[name] for name in names} | more
