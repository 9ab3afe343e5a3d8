"""What a model names is in its workspace, or it is refused: whatever the path, and whatever links there are."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from team_mail.personas.chat.place import MOST, Place, Refused
from team_mail.personas.running.rules import Rules

from ...samples import examples

SECRET = "the secret outside"


@pytest.fixture
def place(tmp_path):
    work = tmp_path / "work"
    for folder in (".git", ".team/run/outbox", ".team/run/inbox", "src/deep"):
        (work / folder).mkdir(parents=True)
    (work / "src" / "a.py").write_text("one\n")
    (work / ".git" / "config").write_text(SECRET)
    (work / ".team" / "team.toml").write_text(SECRET)
    (work / ".team" / "run" / "inbox" / "1.md").write_text("mail\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text(SECRET)
    (work / "file-link").symlink_to(tmp_path / "outside" / "secret")
    (work / "folder-link").symlink_to(tmp_path / "outside")
    (work / "src" / "up").symlink_to("..")
    os.mkfifo(work / "pipe")
    return Place(work)


PARTS = st.sampled_from(
    ["..", ".", "", "src", "a.py", "deep", ".git", ".GIT", "config", ".team", ".Team", "run", "team.toml", "outbox",
     "file-link", "folder-link", "secret", "up", "pipe", "outside", "work", "\0", "x" * 300, "~", "\udcff", "new"]
)  # fmt: skip


@given(st.lists(PARTS, max_size=6), st.sampled_from(["", "/", "//", "./"]))
@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_leads_outside(place, parts, start):
    """Reading gives no secret, and writing changes none and makes nothing outside."""
    path = start + "/".join(parts)
    outside = place.workspace.parent / "outside"
    for act in (place.read, lambda path: place.write(path, "mine"), lambda path: [*place.walk(path)], place.exists):
        try:
            got = act(path)
        except Refused:
            continue
        assert SECRET not in str(got)
        assert not [name for name in got or [] if ".git" in name] if isinstance(got, list) else True
    assert [(file.name, file.read_text()) for file in outside.iterdir()] == [("secret", SECRET)]
    assert sorted(file.name for file in place.workspace.parent.iterdir()) == ["outside", "work"]
    assert (place.workspace / ".git" / "config").read_text() == SECRET
    assert (place.workspace / ".team" / "team.toml").read_text() == SECRET
    assert [file.name for file in (place.workspace / ".git").iterdir()] == ["config"]


def test_a_link_that_is_made_while_a_file_is_written_leads_nowhere(place, tmp_path):
    """A folder is changed for a link and back, again and again; what is written never comes out there."""
    folder, aside, outside = place.workspace / "src", place.workspace / "aside", tmp_path / "outside"
    over = threading.Event()

    def swap():
        while not over.is_set():
            with suppress(OSError):
                folder.rename(aside)
            with suppress(OSError):  # a writer may have made the folder anew
                folder.symlink_to(outside)
            with suppress(OSError):
                folder.unlink() if folder.is_symlink() else shutil.rmtree(folder)
            with suppress(OSError):
                aside.rename(folder)

    thread = threading.Thread(target=swap)
    thread.start()
    refused = 0
    for number in range(300):
        try:
            place.write(f"src/{number}.txt", "mine")
            assert place.read("src/a.py") == "one\n"
        except Refused:
            refused += 1
    over.set()
    thread.join()
    assert [file.name for file in outside.iterdir()] == ["secret"]
    print(f"{refused} of 300 were refused")


def test_a_path_from_the_root_is_one_of_the_workspace_if_it_lies_there(place):
    assert place.read(str(place.workspace / "src" / "a.py")) == "one\n"
    with pytest.raises(Refused, match="leads out of the workspace"):
        place.read("/etc/passwd")


def test_of_the_runs_folder_results_and_mail_are_to_be_written(place):
    place.write(".team/run/output.json", "{}")
    place.write(".team/run/outbox/a.md", "mail")
    assert place.read(".team/run/inbox/1.md") == "mail\n"
    assert [*place.walk(".team/run")] == [".team/run/inbox/1.md", ".team/run/outbox/a.md", ".team/run/output.json"]
    for path in (".team/run/team-mail", ".team/run/inbox/2.md", ".team/run/requests/x.json", ".team/run/chat.json"):
        with pytest.raises(Refused, match="yours to write"):
            place.write(path, "x")


def test_what_the_persona_may_not_change_is_not_written(place):
    own = Place(place.workspace, Rules(("docs/**",)).why_not_write)
    own.write("docs/new/a.md", "x")
    with pytest.raises(Refused, match=r"src/a\.py is not this persona's to change; it may change docs/") as caught:
        own.write("src/a.py", "x")
    assert caught.value.denied
    assert place.read("src/a.py") == "one\n"


def test_a_file_keeps_its_mode_and_a_hard_link_its_other_file(place):
    script, other = place.workspace / "src" / "run.sh", place.workspace.parent / "outside" / "secret"
    os.link(other, script)
    script.chmod(0o755)
    place.write("src/run.sh", "mine")
    assert (script.stat().st_mode & 0o777, other.read_text()) == (0o755, SECRET)


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.bin", b"a\0b", "is no text: 3 bytes"), ("latin", b"caf\xe9", "no text in UTF-8"),
        ("big", b"x" * (MOST + 1), "has over 1 M"),
    ],
)  # fmt: skip
def test_what_is_no_text_or_too_large_is_told(place, name, data, why):
    (place.workspace / name).write_bytes(data)
    with pytest.raises(Refused, match=why):
        place.read(name)


def test_pipes_folders_and_links_are_told_and_not_waited_for(place):
    for path, why in (("pipe", "no regular file"), ("src", "is a folder"), ("file-link", "symbolic link"),
                      ("folder-link/secret", "not followed"), ("none", "no such file")):  # fmt: skip
        with pytest.raises(Refused, match=why):
            place.read(path)
    for path in ("pipe", "file-link"):
        with pytest.raises(Refused, match="is not replaced"):
            place.write(path, "x")
