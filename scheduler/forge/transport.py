"""Git to and from the forge. The token goes from its file into git by a pipe, and stands in no command and no config.

Nothing is ever pushed by force: what others pushed is theirs.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlsplit

from ...mail.text.escape import line
from ...personas.errors import GitError
from ...personas.git import Git
from ...personas.web.urls import is_loopback
from ..context import Context
from ..errors import BranchMoved, NotReady
from .github import Github

_LIMIT = 600.0  # seconds
_SAID = 300
_HELPER = '!f() { test "$1" = get && printf "username=x-access-token\\npassword=%s\\n" "$(cat PATH)"; }; f'


class Remote(NamedTuple):
    """Where git pushes to and fetches from, with what it needs for that."""

    git: Git
    address: str


def remote_of(context: Context, github: Github) -> Remote:
    """Return the repository at the forge, as git reaches it. Raises NotReady for the name of a remote that is none."""
    address = github.settings.git_address
    if "/" not in address and ":" not in address:
        named = context.git.run("config", "--get", f"remote.{address}.url").stdout.decode().strip()
        if not named:
            raise NotReady(f"[github] remote names {address!r}, which is no remote here; git remote -v lists them")
        address = named
    address = _without_user(address)
    options = ["protocol.https.allow=always", "protocol.ssh.allow=always", "http.followRedirects=false"]
    options += ["transfer.fsckObjects=true", "push.recurseSubmodules=no", "fetch.recurseSubmodules=no"]
    if address.startswith("http://") and is_loopback(urlsplit(address).hostname or ""):
        options.append("protocol.http.allow=always")
    if not context.git.run("config", "--get", "core.sshCommand").stdout:
        options.append("core.sshCommand=ssh -oBatchMode=yes")  # nobody is there to answer a question
    if address.startswith("http"):
        helper = _HELPER.replace("PATH", shlex.quote(str(github.token_file)))
        options += ["credential.helper=", f"credential.helper={helper}"]
    return Remote(replace(context.git, options=(*context.git.options, *options)), address)


def _without_user(address: str) -> str:
    """Return an address without the user and password that it may hold for HTTP, as those are the token's."""
    scheme, found, rest = address.partition("://")
    if not found or not scheme.startswith("http"):
        return address
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"


def tip_of(remote: Remote, branch: str) -> str:
    """Return the commit of a branch at the forge, "" if it is not there. Raises GitError."""
    ref = f"refs/heads/{branch}"
    rows = _run(remote, "ls-remote", "--refs", remote.address, ref).splitlines()
    return next((row.split("\t")[0] for row in rows if row.endswith(f"\t{ref}")), "")


def push(remote: Remote, commit: str, branch: str, sprint: int) -> bool:
    """Bring a branch at the forge to a commit; tell whether it was not there yet.

    What is there may have commits of others on top. Raises BranchMoved if it has some that are not in the commit, and
    says how to go on; GitError.
    """
    theirs = tip_of(remote, branch)
    if theirs == commit:
        return False
    if theirs:
        fetch(remote, f"refs/heads/{branch}", f"refs/team-mail/github/{branch}")
        if remote.git.is_ancestor(commit, theirs):
            return False
        if not remote.git.is_ancestor(theirs, commit):
            raise BranchMoved(
                f"{branch} at the forge is at {theirs[:12]}, with commits of others that are not in {commit[:12]}, and "
                f"nothing is pushed by force; to go on: git switch {branch} && git pull --no-rebase "
                f"{shlex.quote(remote.address)} {branch} && git switch - && scheduler publish {sprint}"
            )
    try:
        _run(remote, "push", "--porcelain", remote.address, f"{commit}:refs/heads/{branch}")
    except GitError as error:
        if "non-fast-forward" in str(error) or "fetch first" in str(error) or "stale info" in str(error):
            raise BranchMoved(
                f"{branch} was moved at the forge just now; scheduler publish {sprint} looks again"
            ) from None
        raise
    return True


def fetch(remote: Remote, ref: str, own: str) -> str:
    """Fetch a ref of the forge into a ref of our own, and return its commit. Raises GitError."""
    _run(remote, "fetch", "--no-tags", "--no-write-fetch-head", "--no-auto-gc", remote.address, f"+{ref}:{own}")
    return remote.git.line("rev-parse", "--verify", "--end-of-options", f"{own}^{{commit}}")


def _run(remote: Remote, *words: str) -> str:
    ended = remote.git.run(*words, timeout=_LIMIT)
    if ended.returncode:
        said = line((ended.stderr + ended.stdout).decode(errors="replace").strip())[-_SAID:]
        raise GitError((words[0], remote.address), ended.returncode, said.encode())
    return ended.stdout.decode(errors="replace")
