"""The limit on a workspace's size: measured when asked, and when the disk fills."""

from __future__ import annotations

import pytest
from team_mail.personas.keeping import quota
from team_mail.personas.keeping.quota import Quota, used


def test_used_counts_the_blocks_of_all_files(tmp_path):
    """Nested files count, links are not followed, and a missing folder has no size."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "elsewhere").symlink_to("/")
    before = used(str(tmp_path))

    (tmp_path / "a" / "b" / "file").write_bytes(b"x" * 100_000)

    assert 100_000 <= used(str(tmp_path)) - before < 200_000
    assert used(str(tmp_path / "none")) == 0


def test_a_workspace_over_its_quota_is_full(tmp_path):
    """Measured at once when asked to, whatever the schedule says."""
    limit = Quota(str(tmp_path), 50_000)
    assert not limit.full(now=True)

    (tmp_path / "file").write_bytes(b"x" * 100_000)

    assert limit.full(now=True)


def test_a_quota_of_zero_is_no_limit(tmp_path):
    """A workspace without a quota is never measured."""
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    assert not Quota(str(tmp_path), 0).full(now=True)


@pytest.mark.parametrize(("free", "full"), [(1_000_000, False), (940_000, True)], ids=["disk is not filling", "it is"])
def test_a_workspace_is_measured_when_the_disk_has_filled_by_its_quota(tmp_path, monkeypatch, free, full):
    """Walking the workspace is expensive, so the free space of the disk is checked first."""
    monkeypatch.setattr(Quota, "_space", lambda self: 1_000_000)
    limit = Quota(str(tmp_path), 50_000)
    (tmp_path / "file").write_bytes(b"x" * 100_000)

    monkeypatch.setattr(Quota, "_space", lambda self: free)

    assert limit.full() is full


def test_a_workspace_is_measured_from_time_to_time(tmp_path, monkeypatch):
    """Another program may free as much disk space as the workspace takes."""
    monkeypatch.setattr(quota, "WALK", 0.0)
    limit = Quota(str(tmp_path), 50_000)

    (tmp_path / "file").write_bytes(b"x" * 100_000)

    assert limit.full()


def test_a_workspace_that_was_removed_is_not_full(tmp_path):
    """The agent may have removed its workspace, which must not stop the keeper."""
    assert not Quota(str(tmp_path / "none"), 50_000).full(now=True)
