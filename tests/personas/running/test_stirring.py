"""Which workspaces something happened in, as the kernel tells it."""

import os
import sys

import pytest
from team_mail.personas.running.stirring import Stirring

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")


@pytest.fixture
def stirring():
    watch = Stirring()
    yield watch
    watch.close()


@pytest.fixture
def work(tmp_path, stirring):
    for run in ("a", "b"):
        (tmp_path / run / "src").mkdir(parents=True)
        (tmp_path / run / "src/x.py").write_text("x\n")
        stirring.add(run, tmp_path / run)
        stirring.set(run, ["", "src"])
    return tmp_path


def test_a_change_is_told_of_its_own_run_until_it_is_set_again(stirring, work):
    """However often it is asked meanwhile."""
    assert stirring.stirred() == set()
    (work / "a/src/x.py").write_text("y\n")

    assert stirring.stirred() == {"a"}
    assert stirring.stirred() == {"a"}
    stirring.set("a", ["", "src"])
    assert stirring.stirred() == set()
    (work / "a/src/x.py").write_text("z\n")
    assert stirring.stirred() == {"a"}


@pytest.mark.parametrize("change", [
    lambda top: (top / "new").write_text(""),
    lambda top: (top / "src/x.py").unlink(),
    lambda top: (top / "src/x.py").chmod(0o755),
    lambda top: (top / "src/x.py").rename(top / "src/y.py"),
    lambda top: (top / "src/link").symlink_to("/"),
    lambda top: (top / "more").mkdir(),
])  # fmt: skip
def test_every_kind_of_change_is_told(stirring, work, change):
    """Made, removed, renamed, touched."""
    change(work / "b")
    assert stirring.stirred() == {"b"}


def test_a_folder_that_was_replaced_is_watched_anew(stirring, work):
    """The new one, and not the old one that lies elsewhere now."""
    (work / "a/src").rename(work / "old")
    (work / "a/src").mkdir()
    assert stirring.stirred() == {"a"}
    stirring.set("a", ["", "src"])
    (work / "old/x.py").write_text("old\n")
    assert stirring.stirred() == set()
    (work / "a/src/new").write_text("new\n")
    assert stirring.stirred() == {"a"}


def test_no_link_is_followed(stirring, work):
    """What an agent links to is none of its work."""
    (work / "outside").mkdir()
    (work / "a/link").symlink_to(work / "outside")
    assert stirring.stirred() == {"a"}
    stirring.set("a", ["", "src", "link"])
    (work / "outside/x").write_text("")
    assert stirring.stirred() == set()


def test_an_agent_that_never_rests_is_told_of_once(stirring, work):
    """The queue of 16,384 changes does not overflow: all of them are one."""
    (work / "a/src/y.py").write_text("")
    for number in range(17_000):
        os.utime(work / "a/src" / ("x.py" if number % 2 else "y.py"))
    (work / "b/src/x.py").write_text("y\n")

    assert stirring.stirred() == {"a", "b"}


def test_more_folders_than_a_run_may_have_watched(stirring, work, monkeypatch):
    """Then one has to look, and the others are told of as before."""
    monkeypatch.setattr("team_mail.personas.running.stirring._MOST_FOLDERS", 3)
    for name in "pqr":
        (work / "a" / name).mkdir()
    assert stirring.set("a", ["", "src", "p", "q", "r"])

    assert not stirring.is_watched("a")
    assert stirring.is_watched("b")


def test_a_run_that_is_over_is_forgotten(stirring, work):
    """Nobody asks for it any more."""
    stirring.remove("a")
    (work / "a/src/x.py").write_text("y\n")
    assert stirring.stirred() == set()
