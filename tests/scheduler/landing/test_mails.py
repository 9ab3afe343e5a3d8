"""The weaver's mails: a reader can act on one at once, with its commands and nothing else."""

import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from team_mail.mail.directory import Directory
from team_mail.mail.home import RUN_FOLDER
from team_mail.mail.letter import Letter
from team_mail.mail.open import open_mailbox
from team_mail.personas.persona import Persona
from team_mail.personas.roster import Roster
from team_mail.personas.running.folder import RunFolder
from team_mail.personas.workspace import Captured, Mirror, Workspace
from team_mail.scheduler.context import Context
from team_mail.scheduler.landing.gate import GateResult
from team_mail.scheduler.landing.mails import about_conflict, about_held, about_refused, about_rejected
from team_mail.scheduler.landing.sift import Rejected
from team_mail.scheduler.runs.conflict import ConflictFiles
from team_mail.scheduler.settings.settings import Settings
from team_mail.scheduler.weaver.result import Conflicted, ConflictHunk, NeedsApproval, Refused
from team_mail.scheduler.weaver.weave import weave

from ...read_only import GUARD, MOUNTS, UNSHARED
from ...samples import examples
from ..project import Project, lines

PATH = f"{Path(sys.executable).parent}:/usr/bin:/bin"  # has the real team-mail
MARKED = re.compile(r"<<<<<<< [^\n]*\n(.*?)\|{7} [^\n]*\n.*?=======\n(.*?)>>>>>>> [^\n]*\n", re.DOTALL)


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


@dataclass
class Rerun:
    """The next run of the author of a patch that conflicted, with nothing but its mail and its workspace."""

    subject: str
    body: str
    workspace: Workspace
    conflict: ConflictFiles
    environment: dict[str, str]

    def run(self, command: str, *, read_only: bool = False) -> subprocess.CompletedProcess:
        """Run a command of the mail; read-only is for `.git` alone, by a mount, which stops root too."""
        words = [*UNSHARED, "sh", "-c", GUARD + command] if read_only else ["sh", "-c", command]
        return subprocess.run(
            words, cwd=self.workspace.path, env=self.environment, capture_output=True, text=True, check=False
        )

    def captured(self) -> Captured:
        return self.workspace.capture()

    def file(self, name: str) -> Path:
        return self.workspace.path / name

    def version(self, side: str, name: str) -> Path:
        return self.workspace.path / RUN_FOLDER / "conflict" / side / name


def rerun(project, tmp_path, conflicted: Conflicted, **persona) -> Rerun:
    """Prepare the run that a conflict mail wakes, on the new base."""
    subject, body, payload = about_conflict(conflicted)
    home = tmp_path / ".team"
    mailbox = open_mailbox(home, create=True, directory=Directory(frozenset({"bob"}), {}, "you"))
    attached = [("bob.patch", conflicted.submission.patch)]
    sent = mailbox.send(
        Letter("weaver", ["bob"], subject, body, type="conflict", payload=payload, attachments=attached)
    )
    base = re.search(r"^The new base is (\w{40});", body, re.MULTILINE)[1]
    assert re.findall(r"^    (.+)$", body, re.MULTILINE) == payload["commands"]
    mirror = Mirror(project.folder, tmp_path / "workspaces")
    context = Context(home, project.git, project.folder, mailbox, Roster(), Settings(), {}, mirror)
    workspace = mirror.workspace("again", base, "bob")
    RunFolder(workspace.path).make()
    conflict = ConflictFiles(context, workspace)
    conflict.lay(Persona("bob", "bob", "", **persona), [mailbox.read("bob", sent.id, peek=True)])
    environment = {"TEAM_HOME": str(home), "TEAM_PERSONA": "bob", "PATH": PATH}
    return Rerun(subject, body, workspace, conflict, environment)


def settled(again: Rerun, *, read_only: bool = False) -> Captured:
    """Settle what is marked, for both sides, and capture the run; the command of the mail shows marks, then none."""
    commands = re.findall(r"^    (.+)$", again.body, re.MULTILINE)
    for command in commands:
        assert again.run(command, read_only=read_only).stdout, "the check finds marks before they are settled"
    assert bool(again.conflict.unsettled(again.captured())) == bool(commands)
    for path in again.workspace.path.rglob("*"):
        if path.is_file() and ".git" not in path.parts and ".team" not in path.parts and b"\0" not in path.read_bytes():
            path.write_text(MARKED.sub(r"\1\2", path.read_text()))
    for command in commands:
        assert again.run(command, read_only=read_only).stdout == ""
    captured = again.captured()
    assert again.conflict.unsettled(captured) == ()
    return captured


def land(project, conflicted: Conflicted, captured: Captured) -> str:
    """Weave what the run left onto the new base."""
    again = replace(conflicted.submission, base=conflicted.tip, patch=captured.patch)
    woven = weave(project.git, conflicted.tip, [again])
    assert len(woven.landed) == 1, woven
    return woven.tip


@pytest.mark.parametrize("read_only", [False, pytest.param(True, marks=MOUNTS)])
def test_the_commands_of_a_conflict_mail_resolve_the_conflict(project, tmp_path, read_only):
    """In the workspace of the next run, whether its `.git` can be written or not; the branch has both sides' work."""
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

    again = rerun(project, tmp_path, conflicted)
    tip = land(project, conflicted, settled(again, read_only=read_only))

    assert again.subject == r"Conflict with ann in a.txt, new\nline, odd [name] *.txt"
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
    """What cannot be merged by lines is as on the branch, and shown in the mail, and its versions are there."""
    conflicted = conflict(
        project,
        {"gone.txt": None, "a.txt": lines((3, "ann"))},
        {"gone.txt": lines((4, "bob's line")), "a.txt": lines((3, "bob")), "b.txt": lines((7, "bob"))},
    )

    again = rerun(project, tmp_path, conflicted)
    tip = land(project, conflicted, settled(again))

    assert "No merge by lines can settle gone.txt" in again.body
    assert "| (no such file: deleted or moved)" in again.body
    assert "| +bob's line" in again.body
    assert again.version("theirs", "gone.txt").read_text() == lines((4, "bob's line"))
    assert not again.version("ours", "gone.txt").exists()
    assert project.read(tip, "b.txt") == lines((7, "bob"))
    assert project.read(tip, "gone.txt") is None


def test_a_deletion_of_a_file_that_another_patch_changed_is_left_to_the_author(project, tmp_path):
    """The mail shows the change that the deletion would lose."""
    conflicted = conflict(
        project, {"gone.txt": lines((4, "ann's line"))}, {"gone.txt": None, "b.txt": lines((7, "bob"))}
    )

    again = rerun(project, tmp_path, conflicted)
    tip = land(project, conflicted, settled(again))

    assert "| +ann's line" in again.body
    assert project.read(tip, "gone.txt") == lines((4, "ann's line"))
    assert project.read(tip, "b.txt") == lines((7, "bob"))


def test_a_change_follows_a_moved_file(project, tmp_path):
    """It is merged where the branch has moved the file, with marks there if it conflicts."""
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

    again = rerun(project, tmp_path, conflicted)
    tip = land(project, conflicted, settled(again))

    assert "kept.txt, line 4" in again.body
    assert project.read(tip, "a.txt") == lines((3, "ann\nbob"), (18, "bob 18"))
    assert project.read(tip, "kept.txt") == lines((4, "ann\nbob"))
    assert project.read(tip, "moved.txt") == lines((9, "bob 9"))
    assert [project.read(tip, name) for name in ("gone.txt", "b.txt")] == [None, None]


def test_a_change_does_not_follow_to_where_the_persona_may_not_write(project, tmp_path):
    """A merge that would be refused later is not offered: the file is as on the branch, and the mail names it."""
    theirs = {"b.txt": lines((9, "bob")), "a.txt": lines((3, "bob"))}
    submission = project.submission("bob", theirs, paths=("a.txt", "b.txt"))
    tip = project.commit({"b.txt": None, "moved.txt": lines(), "a.txt": lines((3, "ann"))}, project.base)
    (conflicted,) = weave(project.git, tip, [submission]).conflicted

    again = rerun(project, tmp_path, conflicted, paths=submission.paths)

    assert "No merge by lines can settle moved.txt" in again.body
    assert again.file("moved.txt").read_text() == lines()
    assert project.read(land(project, conflicted, settled(again)), "a.txt") == lines((3, "ann\nbob"))


def test_a_file_whose_name_became_a_folder_is_left_out(project, tmp_path):
    """So is a file that took the place of a folder."""
    conflicted = conflict(
        project,
        {"new": "ann's\n", "top/inner.txt": "ann's\n", "a.txt": lines((3, "ann"))},
        {"new/x.txt": "bob's\n", "top": "bob's\n", "a.txt": lines((3, "bob")), "b.txt": lines((5, "bob"))},
    )

    again = rerun(project, tmp_path, conflicted)

    assert project.read(land(project, conflicted, settled(again)), "b.txt") == lines((5, "bob"))


def test_two_new_files_of_the_same_name_are_merged_by_hand(project, tmp_path):
    """Neither is lost."""
    conflicted = conflict(project, {"new.txt": "ann's\n"}, {"new.txt": "bob's\n"})

    again = rerun(project, tmp_path, conflicted)

    assert project.read(land(project, conflicted, settled(again)), "new.txt") == "ann's\nbob's\n"


def test_a_conflicting_binary_file_is_kept_or_replaced(project, tmp_path):
    """The mail says how to take the author's version."""
    conflicted = conflict(project, {"i.bin": b"\0ann" * 99}, {"i.bin": b"\0bob" * 99, "b.txt": lines((7, "bob"))})

    again = rerun(project, tmp_path, conflicted)
    assert again.file("i.bin").read_bytes() == b"\0ann" * 99
    take(again, "i.bin")

    assert project.git("cat-file", "blob", f"{land(project, conflicted, again.captured())}:i.bin") == b"\0bob" * 99


def take(again: Rerun, name: str) -> None:
    """Take the author's version of a file by the command of the mail."""
    (command,) = re.findall(r"`(tar .*)`", again.body)
    ended = again.run(command.replace("FILE", name))
    assert ended.returncode == 0, ended.stderr


def test_an_executable_file_that_was_deleted_is_taken_whole(project, tmp_path):
    """Its folder is made again, and its mode is kept."""
    project.base = project.commit({"bin/run": ("100755", b"#!/bin/sh\n")}, project.base)
    conflicted = conflict(project, {"bin/run": None}, {"bin/run": ("100755", b"#!/bin/bash\n")})

    again = rerun(project, tmp_path, conflicted)
    assert not again.file("bin").exists()
    take(again, "bin/run")

    tip = land(project, conflicted, again.captured())
    assert project.git.line("ls-tree", "-r", tip, "bin/run").startswith("100755 ")


def test_a_link_of_the_branch_stays_one(project, tmp_path):
    """A link in the place of a file that the patch changed is not written through, and each version is there."""
    submission = project.submission("bob", {"a.txt": lines((3, "bob")), "b.txt": lines((7, "bob"))})
    tip = project.commit({"a.txt": ("120000", b"b.txt")}, project.base)
    (conflicted,) = weave(project.git, tip, [submission]).conflicted

    again = rerun(project, tmp_path, conflicted)

    assert again.file("a.txt").readlink() == Path("b.txt")
    assert again.file("b.txt").read_text() == lines((7, "bob"))
    assert again.version("ours", "a.txt").is_symlink()
    assert again.version("theirs", "a.txt").read_text() == lines((3, "bob"))
    take(again, "a.txt")
    assert project.read(land(project, conflicted, again.captured()), "a.txt") == lines((3, "bob"))


@pytest.mark.parametrize("read_only", [False, pytest.param(True, marks=MOUNTS)])
def test_the_author_can_start_over_from_the_branch(project, tmp_path, read_only):
    """One command of the mail takes the merge back, new and deleted files included."""
    theirs = {"a.txt": lines((3, "bob")), "b.txt": None, "new.txt": "new\n", "i.bin": b"\0two"}
    conflicted = conflict(project, {"a.txt": lines((3, "ann"))}, theirs)
    again = rerun(project, tmp_path, conflicted)
    assert again.conflict.untouched(again.captured())
    (command,) = re.findall(r"`(git apply .*)`", again.body)

    ended = again.run(command, read_only=read_only)

    assert ended.returncode == 0, ended.stderr
    assert again.captured().patch == b""


def test_marks_name_who_landed_what(project, tmp_path):
    """They also tell the base, and the author's own run; all three versions of the file are beside."""
    theirs = {"a.txt": lines((3, "bob"), (4, "more"))}
    conflicted = conflict(project, {"a.txt": lines((3, "ann"), (4, "more"))}, theirs)

    again = rerun(project, tmp_path, conflicted)

    tip, base = conflicted.tip[:12], project.base[:12]
    marked = (
        f"line 2\n<<<<<<< ours: ann in {tip} (run run-ann)\nann\n||||||| base: {base}\nline 3\nline 4\n"
        "=======\nbob\n>>>>>>> theirs: your patch (run run-bob)\nmore\nline 5\n"
    )
    assert marked in again.file("a.txt").read_text()
    versions = [again.version(side, "a.txt").read_text() for side in ("base", "ours", "theirs")]
    assert versions == [lines(), lines((3, "ann"), (4, "more")), theirs["a.txt"]]


@pytest.mark.parametrize("read_only", [False, pytest.param(True, marks=MOUNTS)])
def test_the_line_endings_and_filters_of_the_user_apply_to_the_merge(project, tmp_path, read_only):
    """The files and their versions are as the user's git writes them, and can be taken back."""
    for name, value in (("core.autocrlf", "true"), ("filter.shout.smudge", "tr a-z A-Z"),
                        ("filter.shout.clean", "tr A-Z a-z")):  # fmt: skip
        project.git("config", name, value)
    project.base = project.commit({".gitattributes": "b.txt filter=shout\n"}, project.base)
    theirs = {"a.txt": lines((3, "bob")), "b.txt": lines((3, "bob"), (9, "nine"))}
    conflicted = conflict(project, {"a.txt": lines((3, "ann")), "b.txt": lines((5, "ann"))}, theirs)

    again = rerun(project, tmp_path, conflicted)

    assert again.conflict.untouched(again.captured())
    assert b"\r\nann\r\n|||||||" in again.file("a.txt").read_bytes()
    assert again.version("theirs", "a.txt").read_bytes() == lines((3, "bob")).replace("\n", "\r\n").encode()
    assert "BOB\nLINE 4\nANN\n" in again.file("b.txt").read_text()
    assert again.conflict.unsettled(again.captured()) == ("a.txt",)
    (command,) = re.findall(r"`(git apply .*)`", again.body)
    ended = again.run(command, read_only=read_only)
    assert (ended.returncode, again.captured().patch) == (0, b""), ended.stderr


def test_a_mark_that_is_left_is_found(project, tmp_path):
    """Also a single one, and a separator alone; a line that looks like one and was there before is none."""
    ruled = lines() + "=======\n"
    project.base = project.commit({"b.txt": ruled}, project.base)
    conflicted = conflict(
        project,
        {"a.txt": lines((3, "ann")), "b.txt": ruled.replace("line 3", "ann")},
        {"a.txt": lines((3, "bob")), "b.txt": ruled.replace("line 3", "bob")},
    )
    again = rerun(project, tmp_path, conflicted)
    marked = {name: again.file(name).read_text() for name in ("a.txt", "b.txt")}

    def left(**texts: str) -> tuple[str, ...]:
        for name, text in texts.items():
            again.file(f"{name}.txt").write_text(text)
        return again.conflict.unsettled(again.captured())

    assert left() == ("a.txt", "b.txt")
    done = {name[0]: MARKED.sub(r"\1\2", text) for name, text in marked.items()}
    assert left(**done) == ()
    assert left(b=done["b"] + "=======\n") == ()
    assert left(a=done["a"] + "=======\n") == ("a.txt",)
    (end,) = re.findall(r">>>>>>> .*\n", marked["a.txt"])
    assert left(a=done["a"], c=end) == ("c.txt",), "whichever file it was moved to"


@settings(max_examples=examples(5), deadline=None)
@given(*[st.lists(st.tuples(st.integers(1, 12), st.sampled_from("xyz")), max_size=4)] * 2)
def test_a_marked_file_is_what_git_makes_of_the_three_versions(tmp_path_factory, ours, theirs):
    """`git merge-file` is the oracle, with the same words behind its marks."""
    project = Project(tmp_path_factory.mktemp("oracle") / "project", {"a.txt": lines(count=12)})
    first, second = ({"a.txt": lines(*changes, count=12)} for changes in (ours, theirs))
    woven = weave(project.git, project.base, [project.submission("ann", first, priority=1),
                                              project.submission("bob", second)])  # fmt: skip
    assume(woven.conflicted)

    again = rerun(project, tmp_path_factory.mktemp("rerun"), woven.conflicted[0])

    labels = [
        word
        for mark in "<|>"
        for word in ("-L", re.search(rf"(?m)^\{mark}{{7}} (.*)$", again.file("a.txt").read_text())[1])
    ]
    files = [again.version(side, "a.txt") for side in ("ours", "base", "theirs")]
    oracle = subprocess.run(["git", "merge-file", "-p", "--zdiff3", *labels, *files], capture_output=True, check=False)
    assert again.file("a.txt").read_bytes() == oracle.stdout


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

    subject, body, payload = about_rejected(Rejected(project.submission("bob", {"a.txt": "x\n"}), verdict), "3" * 40)

    assert subject == "The gate tests fails with your patch"
    assert all(word in body for word in ("1" * 40, "3" * 40, "failed 2 times", "AssertionError: 1 != 2"))
    assert len(body) < 64 << 10
    assert "\x1b" not in body
    assert payload["gate"] == "tests"


def test_a_gate_that_fails_with_two_patches_together_names_both(project):
    """The author reads whose patch passes alone as well, and can look it up."""
    verdict = GateResult("tests", "1" * 40, "2" * 40, passed=False, exit=1, detail="exit 1")
    bob, ann = (project.submission(name, {"a.txt": f"{name}\n"}) for name in ("bob", "ann"))

    subject, body, payload = about_rejected(Rejected(bob, verdict, ann), "3" * 40)

    assert subject == "The gate tests fails with your patch and ann's"
    assert "Alone it passes: it takes this patch as well, which has landed:\n  ann: ann's work (run run-ann)\n" in body
    assert (payload["run"], payload["rival"]) == ("run-bob", "run-ann")
