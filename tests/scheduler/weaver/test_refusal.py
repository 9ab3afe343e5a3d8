"""Hostile or mistaken patches: each is refused or held for its own reason, and the others land (A3, A4)."""

import random
import re
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.mail.text.globs import matches
from team_mail.scheduler.landing.mails import about_held
from team_mail.scheduler.weaver.patch import WeaveLimits
from team_mail.scheduler.weaver.refusal import SENSITIVE, refused_unread, why_sensitive
from team_mail.scheduler.weaver.weave import weave

from ..project import Project, lines, new_file


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(
        tmp_path_factory.mktemp("refusal") / "project",
        {"a.txt": lines(), "b.txt": lines(), "link": ("120000", "a.txt")},
    )


def verdict(project, patch, limits=WeaveLimits(), **fields) -> str:  # noqa: B008
    """Weave a patch beside a good one, which has to land whatever becomes of the other."""
    submission = project.submission("mallory", patch, **fields)
    good = project.submission("good", {"b.txt": lines((9, "good"))})

    woven = weave(project.git, project.base, [submission, good], limits)

    assert good in [landed.submission for landed in woven.landed]
    if woven.refused:
        return f"refused: {woven.refused[0].reason}"
    if woven.held:
        return f"held: {', '.join(woven.held[0].files)}"
    return "landed" if len(woven.landed) == 2 else "conflicted"


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/tmp/x",
        ".git/hooks/post-merge",
        ".GIT/config",
        "sub/.git/config",
        "git~1/config",
        ".git /config",
        ".g\u200cit/config",
    ],
)
def test_paths_out_of_the_repository_are_refused(project, path):
    """Above it, at the root, or in git's own folder under any of its names: git or the weaver refuses."""
    assert verdict(project, new_file(path, "x")).startswith("refused: ")


@pytest.mark.parametrize(
    "path",
    [
        ".team/team.toml",
        ".TEAM/personas/x.md",
        "sub/.team/x",
        ".team./x",
        "TEAM~1/x",
        ".te\u200dam/x",
        ".team::$DATA/x",
    ],
)
def test_the_teams_own_folder_is_refused(project, path):
    """No patch gives a persona another prompt, or the team another agent."""
    assert "the team's own folder" in verdict(project, new_file(path, "x"))


def test_symbolic_links_are_refused_and_may_be_deleted(project):
    """A link could point anywhere."""
    assert "link2 is a symbolic link" in verdict(project, {"link2": ("120000", "/etc/passwd")})
    assert "a.txt is a symbolic link; commit a file" in verdict(project, {"a.txt": ("120000", "b.txt")})
    assert verdict(project, {"link": None}) == "landed"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("b.txt", "held: sub/link"),
        ("../b.txt", "held: sub/link"),
        ("../sub/./new/x", "held: sub/link"),
        ("../../b.txt", "leads out of the repository"),
        ("/etc/passwd", "leads out of the repository"),
        ("..", "leads out of the repository"),
        ("new/../../../x", "leads out of the repository"),
        ("../.git/config", "leads out of the repository"),
        ("../.TEAM/team.toml", "leads out of the repository"),
        ("", "refused: "),
    ],
)
def test_a_link_that_is_there_may_lead_elsewhere_within_the_repository(project, target, said):
    """A person approves it; what leads out, or into git's folder or the team's, is refused."""
    base = project.commit({"sub/link": ("120000", "a.txt")}, project.base)
    patch = project.patch({"sub/link": ("120000", target)}, base)
    assert said in verdict(project, patch, base=base)
    if said.startswith("held"):
        done = weave(project.git, base, [project.submission("ann", patch, base=base, approved=True)])
        assert project.read(done.tip, "sub/link") == target
        moved = project.patch({"sub/link": None, "other/link": ("120000", "a.txt")}, base)
        assert verdict(project, moved, base=base) == "held: other/link"


def test_a_write_through_a_link_is_refused(project):
    """Git does not follow links, neither those that are there nor those of the same patch."""
    assert verdict(project, new_file("link/x", "x")).startswith("refused: ")
    both = new_file("out", "/tmp", mode="120000") + new_file("out/x", "x")
    assert verdict(project, both).startswith("refused: ")


MODULES = '[submodule "lib"]\n\tpath = %s\n\turl = ../lib\n'


@pytest.mark.parametrize(
    ("modules", "held", "unnamed"),
    [("", "vendor", ("vendor",)), ("lib", ".gitmodules, vendor", ("vendor",)), ("vendor", ".gitmodules, vendor", ())],
)
def test_a_new_submodule_waits_for_approval_whether_gitmodules_names_it_or_not(project, modules, held, unnamed):
    """Only a person knows whether it is meant, or a repository that an agent made; what .gitmodules lacks is told."""
    files = {"vendor": ("160000", "1" * 40)} | ({".gitmodules": MODULES % modules} if modules else {})
    assert verdict(project, files) == f"held: {held}"
    asked = weave(project.git, project.base, [project.submission("ann", files)]).held[0]
    assert asked.unnamed == unnamed
    assert ("none of its files" in about_held(asked)[1]) == bool(unnamed)
    approved = weave(project.git, project.base, [project.submission("ann", files, approved=True)])
    assert project.git.line("rev-parse", f"{approved.tip}:vendor") == "1" * 40


def test_a_persona_without_paths_changes_nothing(project):
    """A reviewer's change is refused by the file's name."""
    why = verdict(project, {"a.txt": lines((3, "x"))}, paths=())
    assert why == "refused: a.txt is not mallory's to change; it may change no file (paths: [])"


def test_a_submodule_at_another_commit_waits_for_approval(project):
    """Whoever checks it out needs that commit, so a person has to see to it first."""
    base = project.commit({"vendor": ("160000", "1" * 40)}, project.base)
    moved = {"vendor": ("160000", "2" * 40), "picture.png": bytes(range(256))}
    assert verdict(project, project.patch(moved, base), base=base) == "held: vendor"
    approved = weave(project.git, base, [project.submission("ann", moved, base=base, approved=True)])
    assert project.git.line("rev-parse", f"{approved.tip}:vendor") == "2" * 40


def test_an_empty_or_invalid_patch_is_refused(project):
    """So is a patch to a missing file, with git's own message."""
    assert verdict(project, b"") == "refused: it is empty"
    assert "No valid patches in input" in verdict(project, b"hello\n")
    broken = project.patch({"a.txt": lines((3, "x"))}).replace(b"line 2", b"line II")
    assert "patch does not apply" in verdict(project, broken)
    assert "corrupt patch" in verdict(project, project.patch({"a.txt": lines((3, "x"))})[:-30])


def test_a_new_file_that_exists_already_is_refused(tmp_path):
    """So is a file in the place of a folder, or below a file: git sees the whole base."""
    project = Project(tmp_path / "project", {"a.txt": lines(), "b.txt": lines(), "d/x": "x\n"})
    assert "a.txt: already exists" in verdict(project, new_file("a.txt", "x"))
    assert verdict(project, new_file("d", "x")).startswith("refused: ")
    assert verdict(project, new_file("a.txt/x", "x")).startswith("refused: ")


def test_a_change_of_nothing_is_refused(project):
    """A mode set to what it is changes nothing."""
    same = b"diff --git a/a.txt b/a.txt\nold mode 100755\nnew mode 100644\n"
    assert verdict(project, same) == "refused: it changes nothing"


def test_an_unknown_base_is_refused(project):
    """The weaver does not guess what a patch was made against."""
    assert "its base 111111111111 is not in this repository" in verdict(project, new_file("x", "x"), base="1" * 40)
    assert "is not in this repository" in verdict(project, new_file("x", "x"), base="--index-output=/tmp/x")
    assert "is not in this repository" in verdict(project, new_file("x", "x"), base="../../1")


def test_a_patch_above_the_cap_is_refused_unread(project):
    """Five megabytes and one byte; the check of such a patch was seen to take gigabytes (A4)."""
    big = new_file("x", "x" * (5 << 20))
    assert "the cap is 5,242,880; send it in parts" in verdict(project, big)
    picture = project.patch({"picture.png": random.Random(1).randbytes(30_000), "a.txt": lines((3, "x"))})
    said = verdict(project, picture, WeaveLimits(patch=20_000))
    assert re.search(r"20,000; picture\.png, a binary file, has [\d,]+ of them: keep it in Git LFS", said), said


def test_a_patch_that_unpacks_to_gigabytes_is_refused(project):
    """A binary patch of some kilobytes can stand for any size: what it unpacks to has a cap, and git a memory (A4)."""
    small = {"zeros.bin": bytes(3 << 20)}
    assert len(project.patch(small)) < 20_000
    assert "the cap is 1,000,000; " in verdict(project, small, WeaveLimits(unpacked=1_000_000))
    assert verdict(project, small) == "landed"
    claimed = project.patch({"zeros.bin": bytes(1 << 20)}).replace(b"literal 1048576", b"literal 99999999999")
    before = time.monotonic()
    assert verdict(project, claimed, WeaveLimits(memory=1 << 28)).startswith(
        "refused: it does not apply to its own base"
    )
    print(f"a claim of 100 GB was refused in {time.monotonic() - before:.2f} s")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a shell cannot limit memory")
def test_gits_memory_and_time_are_limited(project):
    """A patch that takes more ends git, and only that patch fails (A4)."""
    literal = project.patch({"zeros.bin": bytes(40 << 20)})
    assert len(literal) < 1 << 20
    assert "emory" in verdict(project, literal, WeaveLimits(memory=48 << 20))


def test_files_outside_of_a_personas_paths_are_refused(project):
    """Deleting and creating count as well."""
    inside = project.submission("writer", {"docs/a/b.md": "x\n", "README.md": "x\n"}, paths=("docs/**", "*.md"))
    woven = weave(project.git, project.base, [inside])
    assert len(woven.landed) == 1
    reason = verdict(project, {"docs/a.md": "x\n", "a.txt": None}, paths=("docs/**",))
    assert reason == "refused: a.txt is not mallory's to change; its paths are docs/**"


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/ci.yml",
        ".GitHub/Workflows/ci.yml",
        ".gitlab-ci.yml",
        "src/.gitattributes",
        ".gitmodules",
        ".claude/settings.json",
        "CLAUDE.md",
        "sub/claude.md",
        "AGENTS.md",
        ".cursor/rules/x.mdc",
        ".codex/config.toml",
        "GEMINI.md",
        ".mcp.json",
        ".envrc",
        ".vscode/tasks.json",
        ".gitattributes.",
    ],
)
def test_sensitive_files_wait_for_a_human(project, path):
    """They are held by name, whatever the case, and land once approved; deleting one counts as well."""
    assert verdict(project, new_file(path, "x")) == f"held: {path}"
    assert verdict(project, new_file(path, "x"), approved=True) == "landed"


def test_every_sensitive_file_has_its_reason():
    """The human who approves is told why; common files are free."""
    assert all(SENSITIVE.values())
    assert why_sensitive("sub/AGENTS.md") == "tells agents what to do"
    assert not any(map(why_sensitive, ["README.md", "src/main.py", ".gitignore", "docs/workflows/x.yml", "Makefile"]))


def test_approval_applies_only_to_sensitive_files(project):
    """What is refused stays refused."""
    assert verdict(project, new_file(".team/x", "x"), approved=True).startswith("refused: ")


def test_a_rename_cannot_lead_a_patch_to_a_sensitive_file(project):
    """A patch that follows a file to a place where it may not go, or another's place, is a conflict."""
    move = project.submission("mover", {"a.txt": None, ".github/workflows/a.yml": lines()}, approved=True, priority=1)
    second = project.submission("other", {"b.txt": None, "private/b.txt": lines()}, priority=1)
    submissions = [
        project.submission("p", {"a.txt": lines((4, "x"))}),
        project.submission("q", {"b.txt": lines((4, "x"))}, paths=("*.txt",)),
    ]

    woven = weave(project.git, project.base, [move, second, *submissions])

    assert [conflicted.submission.persona for conflicted in woven.conflicted] == ["p", "q"]


@pytest.mark.parametrize(("ours", "theirs"), [("ours", "theirs"), ("HEAD", "branch"), ("Updated upstream", "Stashed")])
def test_leftover_markers_of_a_merge_are_refused(project, ours, theirs):
    """A patch that ends an unfinished merge is no patch yet, whoever left it: apply, merge, rebase, stash."""
    text = lines((5, f"<<<<<<< {ours}\nx\n=======\ny\n>>>>>>> {theirs}"))
    assert "conflict markers" in verdict(project, {"a.txt": text})


@pytest.mark.parametrize("width", [7, 8, 9, 40])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_leftover_markers_of_any_width_are_refused(project, width, end):
    """Git writes longer ones for renames, and where an attribute asks for them."""
    rows = ["<" * width + " ours", "x", "=" * width, "y", ">" * width + " theirs", ""]
    assert "conflict markers" in verdict(project, {"a.txt": end.join(rows)})


@pytest.mark.parametrize("lines", [b"+<<<<<<< a\n", b"+<<<<<<< a\n+=======\n", b"+<<<<<<< a\n+x\n"])
def test_a_patch_full_of_markers_is_read_in_linear_time(project, lines):
    """A4: five million bytes that would take a backtracking pattern hours."""
    assert refused_unread(project.submission("one", {"a.txt": "x\n"}), WeaveLimits()) is None
    hostile = replace(project.submission("one", {"a.txt": "x\n"}), patch=lines * ((5 << 20) // len(lines)))
    assert refused_unread(hostile, WeaveLimits()) is None


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12))
def test_any_file_name_can_be_judged(name):
    """It is sensitive or not, and matches or not."""
    why_sensitive(name)
    assert matches(name.encode(), ["**"])


@pytest.mark.parametrize("path", ["\u200b/CLAUDE.md", ".claude/\u200b", "a/\u200b/.ENV"])
def test_an_invisible_name_hides_no_sensitive_file(path):
    """A folder or a file whose whole name is invisible counts like any other name."""
    assert why_sensitive(path)
