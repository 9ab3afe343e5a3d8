"""What the fake forge knows of its one repository: a bare clone, issues, pull requests, comments, checks.

Numbers, ids and times go up by one, so that two runs of the same steps give the same answers.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from .kinds import CLOSED, OPEN, combined

START = datetime(2026, 1, 1, tzinfo=UTC)
_BRANCHES, _PULLS = "refs/heads/", "refs/pull/"


class Invalid(Exception):
    """The request is refused, with a status and the entries of `errors`."""

    def __init__(self, status: int, message: str, *errors: Mapping[str, str]) -> None:
        super().__init__(message)
        self.status, self.errors = status, [dict(error) for error in errors]


@dataclass
class Repository:
    """A repository `owner/name`. `people` maps logins to what the API calls their association with it."""

    folder: Path
    owner: str
    name: str
    people: dict[str, str]
    issues: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    comments: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    remarks: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])  # review comments
    reviews: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    checks: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    statuses: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _ids: int = 1000

    @property
    def git_folder(self) -> Path:
        """The bare repository."""
        return self.folder / self.owner / f"{self.name}.git"

    def make(self, source: Path | None) -> None:
        """Make the bare repository, with the branches of another one if it is given."""
        self.git_folder.parent.mkdir(parents=True, exist_ok=True)
        words = ["clone", "--bare", str(source)] if source else ["init", "--bare", "--initial-branch=main"]
        _git(None, *words, str(self.git_folder))
        _git(self.git_folder, "config", "http.receivepack", "true")
        _git(self.git_folder, "config", "receive.denyNonFastForwards", "false")

    def git(self, *words: str) -> str:
        """Run git in the bare repository and return its output."""
        return _git(self.git_folder, *words)

    def tip(self, branch: str) -> str:
        """Return the commit of a branch, "" if there is none."""
        return self._commit(_BRANCHES + branch)

    def _commit(self, ref: str) -> str:
        found = subprocess.run(  # noqa: S603
            ["git", "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"],  # noqa: S607
            cwd=self.git_folder, env=_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        return found.stdout.strip()

    def new_id(self) -> int:
        """Return an id that nothing has yet."""
        self._ids += 1
        return self._ids

    def now(self) -> str:
        """Return a time that is later than the last one."""
        return f"{START + timedelta(seconds=self._ids):%Y-%m-%dT%H:%M:%SZ}"

    def user(self, login: str) -> dict[str, Any]:
        """Return the account of a login."""
        return {"login": login, "id": sum(login.encode()), "type": "User"}

    def said(self, login: str, body: str) -> dict[str, Any]:
        """Return what everything has that somebody says."""
        return {
            "id": self.new_id(), "user": self.user(login), "author_association": self.people.get(login, "NONE"),
            "body": body, "created_at": self.now(), "updated_at": self.now(),
        }  # fmt: skip

    def add_comment(self, login: str, number: int, body: str) -> dict[str, Any]:
        """Write a comment below an issue or a pull request."""
        said = self.said(login, body) | {"number": number}
        said["html_url"] = f"https://forge.example/{self.owner}/{self.name}/issues/{number}#{said['id']}"
        self.comments[said["id"]] = said
        return said

    def next_number(self) -> int:
        """Return the number of the next issue or pull request, which share them."""
        return max([0, *self.issues, *self.pulls]) + 1

    def open_issue(self, login: str, title: str, body: str = "", labels: tuple[str, ...] = ()) -> dict[str, Any]:
        """Open an issue."""
        number = self.next_number()
        named = [{"name": label} for label in labels]
        self.issues[number] = self.said(login, body) | {
            "number": number, "title": title, "state": OPEN, "labels": named,
            "html_url": f"https://forge.example/{self.owner}/{self.name}/issues/{number}",
        }  # fmt: skip
        return self.issues[number]

    def open_pull(self, login: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Open a pull request from a branch. Raises Invalid as the API does."""
        whose, _, branch = str(given.get("head", "")).rpartition(":")
        base, head = str(given.get("base", "")), self.tip(branch)
        for name, commit in (("head", head), ("base", self.tip(base))):
            if not commit:
                raise Invalid(422, "Validation Failed", {"resource": "PullRequest", "field": name, "code": "invalid"})
        if any(self.is_open_from(pull, branch) and pull["base"]["ref"] == base for pull in self.pulls.values()):
            said = f"A pull request already exists for {whose or self.owner}:{branch}."
            raise Invalid(422, "Validation Failed", {"resource": "PullRequest", "code": "custom", "message": said})
        if self.git("rev-list", "--count", f"{base}..{branch}") == "0":
            said = f"No commits between {base} and {branch}"
            raise Invalid(422, "Validation Failed", {"resource": "PullRequest", "code": "custom", "message": said})
        return self.add_pull(login, str(given.get("title", "")), str(given.get("body") or ""), branch, base, head)

    def add_pull(  # noqa: PLR0917
        self, login: str, title: str, body: str, branch: str, base: str, head: str, *, fork: str = ""
    ) -> dict[str, Any]:
        """Add a pull request whose commits are here; `fork` is the owner of the repository that its branch is in."""
        number = self.next_number()
        owner = fork or self.owner
        self.pulls[number] = self.said(login, body) | {
            "number": number, "title": title, "state": OPEN, "draft": False, "merged": False, "merged_at": None,
            "labels": [], "html_url": f"https://forge.example/{self.owner}/{self.name}/pull/{number}",
            "head": {"ref": branch, "sha": head, "label": f"{owner}:{branch}", "repo": _named(owner, self.name)},
            "base": {"ref": base, "sha": self.tip(base), "repo": _named(self.owner, self.name)},
        }  # fmt: skip
        self.git("update-ref", f"{_PULLS}{number}/head", head)
        return self.pulls[number]

    def is_open_from(self, pull: Mapping[str, Any], branch: str) -> bool:
        """Tell whether a pull request is open and comes from a branch of this repository."""
        own = f"{self.owner}/{self.name}"
        head = pull["head"]
        return pull["state"] == OPEN and head["ref"] == branch and head["repo"]["full_name"] == own

    def pulls_from(self, source: Path, commit: str, **about: str) -> dict[str, Any]:
        """Add a pull request from a fork, whose commit is in another repository on this disk.

        `about` has `login`, `title`, `body`, `branch` and `base`.
        """
        self.git("fetch", "--quiet", str(source), f"+{commit}:{_PULLS}incoming")
        head = self._commit(f"{_PULLS}incoming")
        login = about.get("login", "stranger")
        return self.add_pull(
            login, about.get("title", "A change"), about.get("body", ""), about.get("branch", "patch-1"),
            about.get("base", "main"), head, fork=login,
        )  # fmt: skip

    def push_to_pull(self, number: int, source: Path, commit: str) -> None:
        """Move a pull request of a fork to another commit, as its author does by pushing."""
        self.git("fetch", "--quiet", str(source), f"+{commit}:{_PULLS}{number}/head")
        self.pulls[number]["head"]["sha"] = self._commit(f"{_PULLS}{number}/head")

    def refresh(self) -> None:
        """Let each open pull request follow its branch."""
        for number, pull in self.pulls.items():
            head = pull["head"]
            tip = self.tip(head["ref"]) if self.is_open_from(pull, head["ref"]) else ""
            if tip and tip != head["sha"]:
                head["sha"] = tip
                self.git("update-ref", f"{_PULLS}{number}/head", tip)

    def merge(self, number: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Merge a pull request by moving its base forward. Raises Invalid: 409 if its head is not the one named."""
        pull = self.pulls[number]
        if given.get("sha") not in {None, pull["head"]["sha"]}:
            raise Invalid(409, "Head branch was modified. Review and try the merge again.")
        if pull["state"] != OPEN or not self._is_ahead(pull):
            raise Invalid(405, "Pull Request is not mergeable")
        self.git("update-ref", _BRANCHES + pull["base"]["ref"], pull["head"]["sha"])
        pull |= {"state": CLOSED, "merged": True, "merged_at": self.now()}
        return {"sha": pull["head"]["sha"], "merged": True, "message": "Pull Request successfully merged"}

    def _is_ahead(self, pull: Mapping[str, Any]) -> bool:
        base, head = self.tip(pull["base"]["ref"]), pull["head"]["sha"]
        return self.git("merge-base", base, head) == base

    def add_check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Add a check run, with the annotations of its output."""
        output = dict(given.get("output") or {})
        annotations = output.pop("annotations", [])
        run: dict[str, Any] = {
            "id": self.new_id(), "name": given.get("name", ""), "head_sha": given.get("head_sha", ""),
            "status": given.get("status", "completed"), "conclusion": given.get("conclusion"),
            "html_url": f"https://forge.example/{self.owner}/{self.name}/runs/{self._ids}",
            "output": {"title": None, "summary": None, **output, "annotations_count": len(annotations)},
        }  # fmt: skip
        self.checks[run["id"]] = run | {"annotations": annotations}
        return run

    def combined(self, commit: str) -> dict[str, Any]:
        """Return the combined status of a commit: the last of each context."""
        last = {each["context"]: each for each in self.statuses if each["sha"] == commit}
        state = combined({str(each["state"]) for each in last.values()})
        return {"state": state, "sha": commit, "total_count": len(last), "statuses": [*last.values()]}


def _named(owner: str, name: str) -> dict[str, str]:
    return {"full_name": f"{owner}/{name}"}


def _git(folder: Path | None, *words: str) -> str:
    ended = subprocess.run(  # noqa: S603
        ["git", *words], cwd=folder, env=_environment(), check=True, capture_output=True, text=True  # noqa: S607
    )  # fmt: skip
    return ended.stdout.strip()


def _environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return clean | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
