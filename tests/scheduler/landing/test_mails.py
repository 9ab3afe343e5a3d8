"""The weaver's mails: a reader can act on one at once, with its commands and nothing else."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from team_mail.mail.directory import Directory
from team_mail.mail.letter import Letter
from team_mail.mail.open import open_mailbox
from team_mail.scheduler.landing.gate import GateResult
from team_mail.scheduler.landing.mails import about_conflict, about_held, about_refused, about_rejected
from team_mail.scheduler.weaver.result import Conflicted, ConflictHunk, NeedsApproval, Refused
from team_mail.scheduler.weaver.weave import weave

from ..project import Project, lines

PATH = f"{Path(sys.executable).parent}:/usr/bin:/bin"  # has the real team-mail
MARKED = re.compile(r"<<<<<<< .*?\n(.*?)=======\n(.*?)>>>>>>> .*?\n", re.DOTALL)


@pytest.fixture
def project(tmp_path):
    files = {
        "a.txt": lines(),
        "b.txt": lines(),
        "odd [name] *.txt": lines(),
        "new\nline": lines(),
        "gone.txt": lines(),
        "i.bin": b"\0one" * 99,
    }
    return Project(tmp_path / "project", files)


def conflict(project, first: dict, second: dict) -> Conflicted:
    """Weave two patches that cannot both land; return the conflict of the second one."""
    submissions = [project.submission("ann", first, priority=1), project.submission("bob", second)]
    woven = weave(project.git, project.base, submissions)
    assert [landed.submission.persona for landed in woven.landed] == ["ann"]
    (landed,) = woven.conflicted
    return landed


def follow(project, tmp_path, conflicted: Conflicted):
    """Act as an agent that has only the mail: clone the new base, run the commands, resolve what is marked."""
    subject, body, payload = about_conflict(conflicted)
    home = tmp_path / ".team"
    mailbox = open_mailbox(home, create=True, directory=Directory(frozenset({"bob"}), {}, "you"))
    attached = [("bob.patch", conflicted.submission.patch)]
    mailbox.send(Letter("weaver", ["bob"], subject, body, type="conflict", payload=payload, attachments=attached))
    base = re.search(r"^The new base is (\w{40});", body, re.MULTILINE)[1]
    commands = re.findall(r"^    (.+)$", body, re.MULTILINE)
    assert commands == payload["commands"]
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-qns", str(project.folder), str(clone)], check=True)
    subprocess.run(["git", "-C", str(clone), "checkout", "-q", base], check=True)

    def run(command):
        return subprocess.run(
            ["sh", "-c", command], cwd=clone, capture_output=True, text=True, check=False,
            env={"TEAM_HOME": str(home), "TEAM_PERSONA": "bob", "PATH": PATH},
        )  # fmt: skip

    applied = run(commands[0])
    for command in commands[1:]:
        assert run(command).stdout, "the check finds marks before they are settled"
    for path in clone.rglob("*.txt"):
        path.write_text(MARKED.sub(r"\1\2", path.read_text()))
    for command in commands[1:]:
        assert run(command).stdout == ""
    return subject, body, clone, applied


def land(project, conflicted: Conflicted, clone):
    """Capture the clone as the next patch, and weave it onto the new base."""
    subprocess.run(["git", "-C", str(clone), "add", "-A"], check=True)
    argv = ["git", "-C", str(clone), "diff", "--cached", "--binary", "--full-index", "--no-renames", conflicted.tip]
    patch = subprocess.run(argv, check=True, capture_output=True).stdout
    woven = weave(project.git, conflicted.tip, [replace(conflicted.submission, base=conflicted.tip, patch=patch)])
    assert len(woven.landed) == 1
    return woven.tip


def test_the_commands_of_a_conflict_mail_resolve_the_conflict(project, tmp_path):
    """In a fresh clone of the new base; the branch then has the work of both sides."""
    conflicted = conflict(
        project,
        {"a.txt": lines((3, "ann 3"), (12, "ann 12")), "odd [name] *.txt": lines((5, "ann 5")), "new\nline": None},
        {
            "a.txt": lines((3, "bob 3"), (19, "bob 19")),
            "odd [name] *.txt": lines((5, "bob 5")),
            "new.txt": "bob's\n",
            "new\nline": lines((7, "bob")),
        },
    )

    subject, _, clone, applied = follow(project, tmp_path, conflicted)
    tip = land(project, conflicted, clone)

    assert "with conflicts" in applied.stderr
    assert subject == r"Conflict with ann in a.txt, new\nline, odd [name] *.txt"
    assert project.read(tip, "a.txt") == lines((3, "ann 3\nbob 3"), (12, "ann 12"), (19, "bob 19"))
    assert project.read(tip, "odd [name] *.txt") == lines((5, "ann 5\nbob 5"))
    assert project.read(tip, "new.txt") == "bob's\n"


def test_a_conflict_mail_has_everything(project):
    """Files and lines, all three versions, the other author and commit, both bases, and the run."""
    conflicted = conflict(project, {"a.txt": lines((3, "ann's words"))}, {"a.txt": lines((3, "bob's words"))})

    _, body, payload = about_conflict(conflicted)

    place = (
        f"1. a.txt, line 3, changed by ann in {conflicted.tip[:12]} (run run-ann)\n   both started from:\n   | line 3\n"
    )
    assert place + "   on the branch now:\n   | ann's words\n   your patch wanted:\n   | bob's words\n" in body
    assert all(word in body for word in (conflicted.tip, project.base, "run-bob"))
    assert payload["landed_by"] == [["ann", conflicted.tip, "run-ann"]]
    assert (payload["tip"], payload["base"], payload["files"]) == (conflicted.tip, project.base, ["a.txt"])


def test_a_deleted_file_is_named_and_the_rest_applies(project, tmp_path):
    """What cannot be merged by lines is excluded from the command and shown in the mail."""
    conflicted = conflict(
        project,
        {"gone.txt": None, "a.txt": lines((3, "ann"))},
        {"gone.txt": lines((4, "bob's line")), "a.txt": lines((3, "bob")), "b.txt": lines((7, "bob"))},
    )

    _, body, clone, _ = follow(project, tmp_path, conflicted)
    tip = land(project, conflicted, clone)

    assert "No merge by lines can settle gone.txt" in body
    assert "| (no such file: deleted or moved)" in body
    assert "| +bob's line" in body
    assert project.read(tip, "b.txt") == lines((7, "bob"))
    assert project.read(tip, "gone.txt") is None


def test_a_deletion_of_a_file_that_another_patch_changed_is_left_to_the_author(project, tmp_path):
    """The mail shows the change that the deletion would lose."""
    conflicted = conflict(
        project, {"gone.txt": lines((4, "ann's line"))}, {"gone.txt": None, "b.txt": lines((7, "bob"))}
    )

    _, body, clone, _ = follow(project, tmp_path, conflicted)
    tip = land(project, conflicted, clone)

    assert "| +ann's line" in body
    assert project.read(tip, "gone.txt") == lines((4, "ann's line"))
    assert project.read(tip, "b.txt") == lines((7, "bob"))


def test_a_moved_file_is_named_and_the_rest_applies(project, tmp_path):
    """Wherever the conflict is, the command applies what it can, and the mail shows the rest."""
    conflicted = conflict(
        project,
        {
            "gone.txt": None,
            "kept.txt": lines((4, "ann")),
            "b.txt": None,
            "moved.txt": lines(),
            "a.txt": lines((3, "ann")),
        },
        {"gone.txt": lines((4, "bob")), "b.txt": lines((9, "bob 9")), "a.txt": lines((3, "bob"), (18, "bob 18"))},
    )

    _, body, clone, _ = follow(project, tmp_path, conflicted)
    tip = land(project, conflicted, clone)

    assert all(word in body for word in ("gone.txt", "kept.txt, line 4", "| +bob 9"))
    assert project.read(tip, "a.txt") == lines((3, "ann\nbob"), (18, "bob 18"))


def test_a_file_whose_name_became_a_folder_is_left_out(project, tmp_path):
    """So is a file that took the place of a folder."""
    conflicted = conflict(
        project,
        {"new": "ann's\n", "top/inner.txt": "ann's\n", "a.txt": lines((3, "ann"))},
        {"new/x.txt": "bob's\n", "top": "bob's\n", "a.txt": lines((3, "bob")), "b.txt": lines((5, "bob"))},
    )

    _, _, clone, _ = follow(project, tmp_path, conflicted)

    assert project.read(land(project, conflicted, clone), "b.txt") == lines((5, "bob"))


def test_two_new_files_of_the_same_name_are_merged_by_hand(project, tmp_path):
    """Neither is lost."""
    conflicted = conflict(project, {"new.txt": "ann's\n"}, {"new.txt": "bob's\n"})

    _, _, clone, _ = follow(project, tmp_path, conflicted)

    assert project.read(land(project, conflicted, clone), "new.txt") == "ann's\nbob's\n"


def test_a_conflicting_binary_file_is_kept_or_replaced(project, tmp_path):
    """The mail says how to take the author's version."""
    conflicted = conflict(project, {"i.bin": b"\0ann" * 99}, {"i.bin": b"\0bob" * 99, "b.txt": lines((7, "bob"))})

    _, body, clone, _ = follow(project, tmp_path, conflicted)
    assert "git checkout --theirs -- FILE" in body
    subprocess.run(["git", "-C", str(clone), "checkout", "-q", "--theirs", "--", "i.bin"], check=True)

    assert project.git("cat-file", "blob", f"{land(project, conflicted, clone)}:i.bin") == b"\0bob" * 99


def test_authors_of_earlier_commits_are_named_too(project):
    """They come from the history between the patch's base and the branch: personas by run, people by name."""
    first = weave(project.git, project.base, [project.submission("ann", {"a.txt": lines((3, "ann"))})])
    tip = project.commit({"b.txt": lines((5, "by hand"))}, first.tip, "Mend", "Ada Lovelace")
    submission = project.submission("bob", {"a.txt": lines((3, "bob")), "b.txt": lines((5, "bob"))})

    (conflicted,) = weave(project.git, tip, [submission]).conflicted

    assert [hunk.landed_by for hunk in conflicted.hunks] == [
        (("ann", first.tip, "run-ann"),),
        (("Ada Lovelace", tip, ""),),
    ]
    assert about_conflict(conflicted)[0] == "Conflict with ann, Ada Lovelace in a.txt, b.txt"


def test_the_same_conflict_has_the_same_signature(project):
    """It depends on neither place nor base; another conflict has another signature."""
    first = conflict(project, {"a.txt": lines((3, "ann"))}, {"a.txt": lines((3, "bob"))})
    later = project.commit({"a.txt": "# more\n" * 9 + lines((3, "ann")), "b.txt": "other\n"}, first.tip)

    (again,) = weave(project.git, later, [first.submission]).conflicted
    (second,) = weave(project.git, later, [project.submission("bob", {"a.txt": lines((3, "bob tried"))})]).conflicted

    assert again.signature == first.signature != second.signature


def test_a_mail_about_many_conflicts_is_cut(project):
    """It fits into one event, and says that something was cut."""
    many = {
        f"f{n}.txt": "".join(f"{who} tells a long story {row}\n" for row in range(300))
        for n in range(60)
        for who in ["ann"]
    }
    theirs = {name: text.replace("ann", "bob") for name, text in many.items()}

    subject, body, payload = about_conflict(conflict(project, many, theirs))

    assert len(body) < 64 << 10
    assert subject == "Conflict with ann in f0.txt, f1.txt, f10.txt and 57 more"
    assert "more lines)" in body
    assert "there is no room for the other places" in body
    assert len(str(payload)) < 64 << 10


def test_names_and_lines_in_a_mail_are_escaped(project):
    """They come from others and cannot control a terminal or start a new line."""
    hunk = ConflictHunk("a\nThe new base is evil", "\x1b[2J\n", "\u202ebob\n", (("ann\x1b", "1" * 40, "r\n"),), 3)
    conflicted = Conflicted(project.submission("bob", {"a.txt": "x\n"}), (hunk,), "2" * 40, "s")

    subject, body, _ = about_conflict(conflicted)

    assert "\x1b" not in subject + body
    assert "\u202e" not in body
    assert len(re.findall(r"^The new base is", body, re.MULTILINE)) == 1


def test_a_refusal_says_why_and_what_to_do(project):
    """The reason is also in its subject."""
    subject, body, payload = about_refused(
        Refused(project.submission("bob", {"a.txt": "x\n"}), "link is a symbolic link")
    )

    assert subject == "Refused: link is a symbolic link"
    assert "Make your change again without that" in body
    assert payload == {"run": "run-bob", "reason": "link is a symbolic link"}


def test_the_human_is_told_what_to_approve_and_how(project):
    """The mail has the files, the reason for each, and the command."""
    held = NeedsApproval(project.submission("bob", {"a.txt": "x\n"}), (".github/workflows/ci.yml", "AGENTS.md"))

    subject, body, _ = about_held(held)

    assert subject == "Approve bob's change to .github/workflows/ci.yml, AGENTS.md?"
    assert "- AGENTS.md: tells agents what to do" in body
    assert "\n    scheduler approve run-bob\n" in body


def test_the_author_of_a_rejected_patch_gets_the_end_of_the_gates_log(project):
    """The mail also names the gate, the tested commit, and the commit to start from."""
    log = b"x" * 100_000 + b"\n\x1b[31mAssertionError: 1 != 2\n"
    verdict = GateResult("tests", "1" * 40, "2" * 40, passed=False, exit=1, log=log, tries=2, detail="exit 1")

    subject, body, payload = about_rejected(project.submission("bob", {"a.txt": "x\n"}), verdict, "3" * 40)

    assert subject == "The gate tests fails with your patch"
    assert all(word in body for word in ("1" * 40, "3" * 40, "run 2 times", "AssertionError: 1 != 2"))
    assert len(body) < 64 << 10
    assert "\x1b" not in body
    assert payload["gate"] == "tests"
