"""Git directories that many have in common: laid whole by whoever comes first, and believed only as they were laid."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from team_mail.personas.capture.laid import is_laid, lay_once
from team_mail.personas.capture.trust import Trust, lay_directory

FOLDERS = ("a", "a/b")
FILES = {"one": b"1\n", "a/two": b"", "a/b/three": b"3" * 5_000}


def test_many_lay_one_at_once(tmp_path):
    """Nobody sees half of it, and nothing is left beside it."""
    for number in range(20):
        place = tmp_path / str(number)
        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(lambda _, place=place: lay_once(place, FOLDERS, FILES), range(8)))
        assert is_laid(place, FOLDERS, FILES)
    assert len([*tmp_path.iterdir()]) == 20


def test_what_cannot_be_finished_is_not_there(tmp_path):
    """As on a full disk: the next one who comes finds nothing in its way."""
    with pytest.raises(OSError, match="too long"):
        lay_once(tmp_path / "place", FOLDERS, FILES | {"x" * 300: b""})
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("what", ["link", "dangling", "file", "more", "less", "other", "linked"])
def test_what_is_not_as_it_was_laid_is_neither_believed_nor_changed(tmp_path, what):
    """Whatever somebody has put there, or made of it."""
    place, good = tmp_path / "place", tmp_path / "good"
    assert lay_once(good, FOLDERS, FILES)
    if what in {"link", "dangling"}:
        place.symlink_to(good if what == "link" else tmp_path / "nowhere")
    elif what == "file":
        place.write_text("x")
    else:
        good.rename(place)
        if what == "more":
            (place / "a/hooks").mkdir()
        elif what == "less":
            (place / "one").unlink()
        elif what == "other":
            (place / "a/b/three").write_bytes(b"3" * 4_999 + b"4")
        else:
            (place / "a/two").unlink()
            (place / "a/two").symlink_to(os.devnull)
    before = sorted(os.fspath(path) for path in tmp_path.rglob("*"))
    assert not lay_once(place, FOLDERS, FILES)
    assert sorted(os.fspath(path) for path in tmp_path.rglob("*")) == before


def test_a_git_directory_that_is_changed_again_and_again_is_laid_anew_each_time(tmp_path):
    """A name that grew with each would be too long some day."""
    laid = {"core": "[core]\n\tbare = true\n", "stores": [tmp_path], "shallow": None}
    for _ in range(60):
        git = lay_directory(tmp_path / "git", Trust(), **laid)
        (git.directory / "config").write_text("[core]\n\tfsmonitor = false\n")
    assert lay_directory(tmp_path / "git", Trust(), **laid).line("config", "core.bare") == "true"
