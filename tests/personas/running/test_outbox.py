"""The outbox of a run: which of its files are finished, by what the system tells of them and by the time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from team_mail.mail.clock import ManualClock
from team_mail.personas.keeping.inotify import Inotify
from team_mail.personas.running.folder import RunFolder
from team_mail.personas.running.outbox import PAUSE, STILL, Outbox

WHOLE = "---\nto: bob\n---\nHello\n"


class Box:
    """An outbox, and the events of its files as the system tells them."""

    def __init__(self, workspace: Path) -> None:
        self.clock = ManualClock()
        folder = RunFolder(workspace)
        folder.make()
        self.path = folder.path / "outbox"
        self.inotify = Inotify()
        assert folder.watch("outbox", self.inotify) >= 0
        self.outbox = Outbox(folder, self.clock)

    def finished(self, *, told: bool = True) -> list[str]:
        for _, kind, name in self.inotify.events() if told else ():
            self.outbox.note(name, kind)
        return self.outbox.finished(sorted(path.name for path in self.path.iterdir() if path.suffix == ".md"))


@pytest.fixture
def box(tmp_path) -> Box:
    return Box(tmp_path)


def test_a_file_that_is_moved_into_place_is_finished_at_once(box):
    """Nobody writes on in it."""
    (box.path / "mail.tmp").write_text("anything")
    assert box.finished() == []
    (box.path / "mail.tmp").rename(box.path / "mail.md")
    assert box.finished() == ["mail.md"]


def test_a_file_that_is_closed_is_finished_a_moment_later(box):
    """A shell that appends closes it after each command."""
    (box.path / "mail.md").write_text(WHOLE)
    assert box.finished() == []
    assert box.outbox.wait() == pytest.approx(PAUSE)
    box.clock.sleep(PAUSE / 2)
    with (box.path / "mail.md").open("a") as file:
        file.write("And more.\n")
    assert box.finished() == []
    box.clock.sleep(PAUSE)
    assert box.finished() == ["mail.md"]


@pytest.mark.parametrize(
    "text", ["", "---\n", "---\nto: bob\n", "---\nto: bob\n---\n", "---\nto: bob\n---\n \n", "x\n"]
)
def test_a_closed_file_that_is_not_whole_waits_as_any_other(box, text):
    """The text after the front matter comes from another command."""
    (box.path / "mail.md").write_text(text)
    assert box.finished() == []
    box.clock.sleep(PAUSE)
    assert box.finished() == []
    assert box.outbox.wait() == pytest.approx(STILL - PAUSE)
    box.clock.sleep(STILL - PAUSE)
    assert box.finished() == ["mail.md"]


def test_a_file_that_stays_open_is_finished_when_it_does_not_change(box):
    """It was closed once, and is written again."""
    (box.path / "mail.md").write_text(WHOLE)
    assert box.finished() == []
    with (box.path / "mail.md").open("a") as file:
        for _ in range(3):
            file.write("More.\n")
            file.flush()
            assert box.finished() == []
            box.clock.sleep(PAUSE)
            assert box.finished() == []
        box.clock.sleep(STILL)
        assert box.finished() == ["mail.md"]


def test_a_file_of_which_nothing_is_told_is_finished_when_it_does_not_change(box):
    """So it is on some file systems, and for what was there before."""
    (box.path / "mail.md").write_text(WHOLE)
    assert box.finished(told=False) == []
    box.clock.sleep(PAUSE)
    assert box.finished(told=False) == []
    box.clock.sleep(STILL - PAUSE)
    assert box.finished(told=False) == ["mail.md"]


def test_events_name_the_files_that_programs_write(box):
    """Names of any length and form, as many as there are."""
    names = sorted(["a", "ä" * 100, "b c", *(f"{number:0200}" for number in range(400))])
    for name in names:
        subprocess.run(["touch", "--", name], cwd=box.path, check=True) if name == "b c" else None
        (box.path / name).write_text("x")
    assert sorted({name for _, _, name in box.inotify.events()}) == names
    assert box.inotify.events() == []
