"""What the rules of a run allow: files by globs, and commands as a shell would read them."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.personas.running.rules import Rules

GIT = Rules(commands=("git *", "npm test"))


@pytest.mark.parametrize(
    ("paths", "path", "allowed"),
    [
        (None, "src/a.py", True),
        (("docs/**",), "docs/a.md", True),
        (("docs/**",), "src/a.py", False),
        (("docs/**",), "docs/../src/a.py", False),
        (None, "/etc/passwd", False),
        ((), "README.md", False),
        ((), ".team/run/outbox/1", True),
        (None, ".team/team.toml", False),
        (None, ".GIT/config", False),
    ],
)
def test_files_are_allowed_by_globs(paths, path, allowed):
    assert (Rules(paths=paths).why_not_write(path) is None) == allowed


def test_what_is_refused_says_what_is_allowed():
    assert Rules(paths=("docs/**",)).why_not_write("a.py") == (
        "a.py is not this persona's to change; it may change docs/**"
    )
    assert GIT.why_not_run("rm -rf x") == (
        "rm -rf x is no command that it may run; it may run git *, npm test, and team-mail, without redirections"
    )


@pytest.mark.parametrize(
    "command",
    ["git", "git status", "git log -n 3 && git diff | git apply", "npm test", "team-mail inbox",
     "/x/y/team-mail send --to a", "git commit -m 'one; two && three'", "git status\ngit log"],
)  # fmt: skip
def test_a_command_is_allowed_if_each_part_is(command):
    assert GIT.why_not_run(command) is None


@pytest.mark.parametrize(
    "command",
    ["npm", "npm test now", "gitk", "git status; rm x", "git status & rm x", "git log > x", "git log < x",
     "git $(rm x)", "git `rm x`", 'git "$(rm x)"', "git ${x:-y}", "git log 'unclosed", "(git log)", "git status\nrm x",
     "git log $'\\'' ; rm -rf x #'", "git log # don't\nrm -rf x # '", "X=1 git log", "git log |& rm", "rm; team-mail"],
)  # fmt: skip
def test_a_command_that_could_run_another_is_refused(command):
    assert GIT.why_not_run(command)


def test_without_rules_anything_is_allowed_and_with_none_mail_alone():
    assert Rules().why_not_run("rm -rf x > y") is None
    assert Rules(commands=()).why_not_run("ls")
    assert Rules(commands=()).why_not_run("team-mail inbox") is None


LETTERS = st.sampled_from([*";&|'\"\\\n\t\r $(){}#<>`!=-", "git", "log", "bad"])


@settings(max_examples=150)
@given(st.lists(LETTERS, max_size=14).map("".join))
def test_bash_starts_nothing_else_in_a_command_that_is_allowed(tail):
    """The shell itself is the oracle: whatever it would run in place of git is told by its name."""
    command = f"git {tail}"
    if GIT.why_not_run(command):
        return
    script = f'git() {{ :; }}\nteam-mail() {{ :; }}\ncommand_not_found_handle() {{ echo OTHER "$1"; }}\n{command}\n'
    environ = {"PATH": "/nowhere"}
    ended = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, env=environ, check=False)
    assert "OTHER" not in ended.stdout, (command, ended.stdout)
