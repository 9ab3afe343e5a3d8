"""The commands of a set-up, in the environment that gates have too."""

from __future__ import annotations

from team_mail.personas.setup.preparation import SetUp, set_up


def test_git_in_a_set_up_finds_its_own_repository_or_none(job, tmp_path, monkeypatch):
    """Neither the one above the workspace nor one that a variable of the scheduler names."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_PARAMETERS"):
        monkeypatch.setenv(name, str(tmp_path / "other"))
    script = "cd .. && git init -q . && cd - && env && git rev-parse --show-toplevel"

    output = set_up(SetUp((("sh", "-c", script),)), job()).output.decode()

    assert "fatal: not a git repository" in output
    assert [row.partition("=")[0] for row in output.splitlines() if row.startswith("GIT_")] == [
        "GIT_CEILING_DIRECTORIES"
    ]
    assert (tmp_path / ".git").is_dir()
