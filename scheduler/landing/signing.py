"""Signatures on the commits that landed, where the user's git settings ask for them and a key is at hand.

The weaver makes commits by the hundred to find out what lands, so they are signed at the end, once gates have passed:
each is written anew with a signature, and its children name the new one. Git signs with the user's settings and key
(`user.signingKey`, `gpg.format`), as in `git commit -S`.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...mail.log.disk import Disk
from ...personas.git import Git, users_environment
from ..weaver.result import Conflicted, ConflictHunk, Woven

_LONGEST = 120.0  # seconds for one signature: somebody may have to type a passphrase
_PERSON = re.compile(r"^(author|committer) (.*) <(.*)> (\d+ [+-]\d+)$")
_DURABLE = ("-c", "core.fsync=all", "-c", "core.fsyncMethod=fsync", "-c", "i18n.commitEncoding=UTF-8")


def signed(git: Git, woven: Woven, wanted: bool | None) -> Woven:
    """Return a weave whose commits are signed, if that is `wanted`; if that fails, `unsigned` says why.

    With None, `commit.gpgSign` of the user's settings decides. Raises GitError for a commit that does not exist.
    """
    if not woven.landed or not (_asked(git) if wanted is None else wanted):
        return woven
    key, parent, names = _key(git), woven.start, dict[str, str]()
    for landed in woven.landed:
        try:
            parent = names[landed.commit] = _sign(git, landed.commit, parent, key)
        except _Unsigned as reason:
            return replace(woven, unsigned=str(reason))
    for oid in names.values():
        Disk().sync_folder(git.directory / "objects" / oid[:2])
    return _renamed(woven, names)


class _Unsigned(Exception):
    """Git did not sign; the message is its own."""


def _asked(git: Git) -> bool:
    return _users(git, "config", "--type=bool", "--get", "commit.gpgSign").stdout.strip() == b"true"


def _key(git: Git) -> str:
    """Return the key to sign with, "" for the one that the settings name: the weaver has none of its own."""
    if _users(git, "config", "--get", "user.signingKey").stdout.strip():
        return ""
    format = _users(git, "config", "--get", "gpg.format").stdout.strip()  # noqa: A001
    person = _users(git, "var", "GIT_COMMITTER_IDENT").stdout.decode(errors="replace").rpartition(" <")
    return person[2].partition(">")[0] if format in {b"", b"openpgp", b"x509"} else ""


def _sign(git: Git, commit: str, parent: str, key: str) -> str:
    """Write a commit anew on another parent, with a signature; return its id. Raises _Unsigned."""
    head, _, message = git("cat-file", "commit", commit).partition(b"\n\n")
    tree, *_ = (line.removeprefix("tree ") for line in head.decode(errors="replace").splitlines())
    environment: dict[str, str] = {}
    for line in head.decode(errors="replace").splitlines():
        if match := _PERSON.match(line):
            who = f"GIT_{match[1].upper()}"
            environment |= {f"{who}_NAME": match[2], f"{who}_EMAIL": match[3], f"{who}_DATE": match[4]}
    words = (*_DURABLE, "commit-tree", f"-S{key}", "-p", parent, "-F", "-", tree)
    ended = _users(git, *words, stdin=message, environment=environment)
    if ended.returncode:
        said = [line for line in ended.stderr.decode(errors="replace").splitlines() if line.strip()]
        raise _Unsigned("; ".join(line.removeprefix("error: ").removeprefix("fatal: ") for line in said[:2]))
    return ended.stdout.decode().strip()


def _renamed(woven: Woven, names: Mapping[str, str]) -> Woven:
    """Return a weave with other names for its commits."""

    def name(commit: str) -> str:
        return names.get(commit, commit)

    def hunks(conflicted: Conflicted) -> Sequence[ConflictHunk]:
        return [
            replace(hunk, landed_by=tuple((who, name(commit), key) for who, commit, key in hunk.landed_by))
            for hunk in conflicted.hunks
        ]

    return replace(
        woven,
        tip=name(woven.tip),
        landed=tuple(replace(each, commit=name(each.commit)) for each in woven.landed),
        conflicted=tuple(replace(each, tip=name(each.tip), hunks=tuple(hunks(each))) for each in woven.conflicted),
    )


def _users(
    git: Git, *words: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git in the repository with the user's settings, among them those of the key."""
    env = users_environment() | {"GIT_DIR": str(git.directory), "LC_ALL": "C", **(environment or {})}
    argv = ["git", *words]
    try:
        return subprocess.run(  # noqa: S603
            argv, cwd=git.directory, env=env, input=stdin, capture_output=True, timeout=_LONGEST, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 1, b"", b"no end within %d s" % _LONGEST)
