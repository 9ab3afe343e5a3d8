"""All routes of the console. The document that describes them, and the pages, are made of this table."""

from __future__ import annotations

from .api import logins, mail, overview, runs, sprints
from .common.route import Route

ROUTES: tuple[Route, ...] = (*overview.ROUTES, *mail.ROUTES, *runs.ROUTES, *sprints.ROUTES, *logins.ROUTES)
