"""Repositories of two commits, and the host that fetches from them."""

from __future__ import annotations

from team_mail.personas.setup.remotes import HostRepository

from ...conftest import git


def repository(folder, *options, files=0):
    """Make a repository with a poem of two versions, and as many files beside it."""
    folder.mkdir()
    git(folder, "init", "--quiet", "-b", "main", *options)
    for number in range(files):
        (folder / f"{number}.txt").write_text(f"{number}\n" * 50)
    for text in ("one\n", "two\n"):
        (folder / "poem.txt").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", text)
    return folder


def host(folder):
    """Return a host's repository of our own making, which is not there yet."""
    return HostRepository(folder / "host.git", folder / "lock", own=True)
