"""The folder of a team of two."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path) -> Path:
    home = tmp_path / "project" / ".team"
    (home / "personas").mkdir(parents=True)
    for name in ("ann", "bob"):
        (home / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nWork.\n")
    return home
