"""The user's git settings count when a workspace is filled and captured, and nothing that an agent set up."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from team_mail.personas.capture.trust import attributes_below
from team_mail.personas.capture.user_settings import users_settings
from team_mail.personas.errors import FilterFailed
from team_mail.personas.workspace import Mirror, Workspace

from ...waiting import until_old

WHO = {f"GIT_{who}_{what}": "bob@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
CRYPT = '[filter "crypt"]\n\tclean = sed s/key/CIPHER/\n\tsmudge = sed s/CIPHER/key/\n\trequired = true\n'


class User:
    """A user with a repository and settings of their own."""

    def __init__(self, folder) -> None:
        self.folder, self.settings = folder, folder.parent / "gitconfig"
        folder.mkdir()
        self.settings.write_text("")
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        env = os.environ | WHO
        return subprocess.run(
            ["git", *words], cwd=self.folder, env=env, check=True, capture_output=True, text=True
        ).stdout

    def workspace(self, files: dict[str, str | bytes]) -> Workspace:
        for name, content in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        self.git("add", "-A")
        self.git("commit", "-qm", "begin")
        head = self.git("rev-parse", "HEAD").strip()
        return Mirror(self.folder / ".git", self.folder.parent / "work").workspace("run-1", head)


@pytest.fixture
def user(tmp_path, monkeypatch) -> User:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)  # a machine's own may have filters, such as those of git-lfs
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    return User(tmp_path / "project")


@pytest.mark.parametrize("where", ["global", "repository"])
def test_filters_of_the_user_count_at_checkout_and_at_capture(user, where):
    """The agent sees a file as the user does, and a new one under its pattern is taken as the user would add it."""
    place = user.settings if where == "global" else user.folder / ".git/config"
    with place.open("a") as settings:
        settings.write(CRYPT)
    made = user.workspace({".gitattributes": "secret/* filter=crypt\n", "secret/old": "old key\n", "a": "key\n"})
    assert "CIPHER" in user.git("show", "main:secret/old")

    assert (made.path / "secret/old").read_text() == "old key\n"
    assert user_status(made) == ""
    (made.path / "secret/new").write_text("new key\n")
    (made.path / "a").write_text("key two\n")

    captured = made.capture()

    assert captured.files == ("a", "secret/new")
    assert b"+new CIPHER\n" in captured.patch
    assert b"+key two\n" in captured.patch


def user_status(made: Workspace) -> str:
    """What the agent's own git says in the clone."""
    return subprocess.run(
        ["git", "status", "--porcelain"], cwd=made.path, check=True, capture_output=True, text=True
    ).stdout


def test_filters_run_in_the_users_checkout_without_secrets(user, monkeypatch, tmp_path):
    """A filter that is a script of the repository is the user's own, not the agent's."""
    monkeypatch.setenv("MY_SECRET", "hunter3")
    user.settings.write_text('[filter "own"]\n\tclean = ./clean.sh\n\trequired = true\n')
    script = f"#!/bin/sh\nenv > {tmp_path}/seen\npwd >> {tmp_path}/seen\ntr a-z A-Z\n"
    (user.folder / "clean.sh").write_text(script)
    (user.folder / "clean.sh").chmod(0o755)
    made = user.workspace({".gitattributes": "*.up filter=own\n"})
    (made.path / "clean.sh").write_text("#!/bin/sh\necho evil\n")
    (made.path / "new.up").write_text("text\n")

    captured = made.capture()

    assert b"+TEXT\n" in captured.patch
    seen = (tmp_path / "seen").read_text()
    assert "hunter3" not in seen
    assert "GIT_DIR=" not in seen
    assert f"\n{user.folder}\n" in seen


def test_a_required_filter_that_fails_fails_the_capture(user):
    """Nothing is taken as plain text, and the sentence names filter and file."""
    user.settings.write_text('[filter "crypt"]\n\tclean = false\n\trequired = true\n')
    made = user.workspace({".gitattributes": "secret/* filter=crypt\n"})
    (made.path / "secret").mkdir()
    (made.path / "secret/k").write_text("key\n")
    with pytest.raises(
        FilterFailed, match=r"^the filter 'crypt', which your git settings require, failed on secret/k;"
    ):
        made.capture()


def test_a_required_filter_that_fails_at_checkout_is_told(user):
    """A run that would see cipher text is not started."""
    made = user.workspace({".gitattributes": "s filter=crypt\n", "s": "text\n"})
    user.settings.write_text('[filter "crypt"]\n\tsmudge = false\n\trequired = true\n')
    with pytest.raises(FilterFailed, match="'crypt', which your git settings require, failed on s"):
        Mirror(user.folder / ".git", user.folder.parent / "work").workspace("run-2", made.base)


def test_attributes_of_an_agent_select_no_filter(user):
    """Neither lines, nor macros, nor folders of the work tree decide which file is filtered, or that one is not."""
    user.settings.write_text(CRYPT)
    made = user.workspace({".gitattributes": "secret/* filter=crypt\n*.x own\n*.png binary\n"})
    (made.path / "secret").mkdir()
    (made.path / ".gitattributes").write_text("[attr]own filter=crypt\n[attr]binary filter=crypt\n* filter=crypt\n")
    (made.path / "secret/.gitattributes").write_text("* -filter\n")
    (made.path / ".git/info/attributes").write_text("* filter=crypt\n")
    for name in ("plain", "a.x", "a.png", "secret/k"):
        (made.path / name).write_text(f"{name} key\n")

    patch = made.capture().patch

    for plain in (b"+plain key\n", b"+a.x key\n", b"+a.png key\n", b"+secret/k CIPHER\n"):
        assert plain in patch


def test_a_configuration_in_the_mirror_is_not_read(user, tmp_path):
    """An agent that writes there configures neither its own capture nor the clones of others."""
    made = user.workspace({".gitattributes": "* filter=evil\n", "a": "one\n"})
    with (tmp_path / "work/mirror.git/config").open("a") as config:
        config.write(f'[filter "evil"]\n\tclean = sh -c "touch {tmp_path}/pwned; cat"\n[core]\n\tsymlinks = false\n')
    (made.path / "a").write_text("two\n")

    assert made.capture().files == ("a",)
    second = Mirror(user.folder / ".git", tmp_path / "work").workspace("run-2", made.base)
    assert "evil" not in (second.path / ".git/config").read_text()
    assert not (tmp_path / "pwned").exists()


def test_ignore_files_of_the_user_count(user, tmp_path):
    """Those of core.excludesFile, of its usual place and of the repository, but none that the agent wrote."""
    (tmp_path / "xdg/git").mkdir(parents=True)
    (tmp_path / "xdg/git/ignore").write_text("*.usual")
    made = user.workspace({"a": "a\n"})
    (user.folder / ".git/info/exclude").write_text("*.private\n")
    for name in ("x.usual", "x.private", "x.mine"):
        (made.path / name).touch()
    (made.path / ".git/info/exclude").write_text("*.mine\n")
    assert made.capture().files == ("x.mine",)

    (tmp_path / "ignored").write_text("*.mine\n")
    user.settings.write_text(f"[core]\n\texcludesFile = {tmp_path}/ignored\n")
    assert made.capture().files == ("x.usual",)


def test_line_endings_are_those_of_the_user(user):
    """With core.autocrlf the files of a workspace end their lines as the user's do, and the patch does not."""
    user.settings.write_text("[core]\n\tautocrlf = true\n")
    made = user.workspace({"a": "one\n"})
    assert (made.path / "a").read_bytes() == b"one\r\n"
    (made.path / "a").write_bytes(b"one\r\ntwo\r\n")

    captured = made.capture()

    assert (captured.insertions, captured.deletions) == (1, 0)
    assert b"\r" not in captured.patch


def test_files_of_git_lfs_stay_pointers(user):
    """Its filters are told to fetch nothing; new content becomes a pointer as the user's own command makes it."""
    lfs = 'clean = "sed s/^/pointer-/"\n\tsmudge = "test -n \\"$GIT_LFS_SKIP_SMUDGE\\" && cat"\n\trequired = true\n'
    user.settings.write_text(f'[filter "lfs"]\n\t{lfs}')
    made = user.workspace({".gitattributes": "*.bin filter=lfs -text\n", "a.bin": "data\n"})
    assert (made.path / "a.bin").read_text() == "pointer-data\n"
    (made.path / "b.bin").write_text("more\n")
    assert b"+pointer-more\n" in made.capture().patch


def test_a_filtered_change_on_another_branch_is_kept_and_not_taken(user):
    """Whether the agent's git had applied the filter is not known."""
    user.settings.write_text(CRYPT)
    made = user.workspace({".gitattributes": "secret/* filter=crypt\n", "a": "a\n"})
    (made.path / "secret").mkdir()
    (made.path / "secret/k").write_text("key\n")
    for words in (("switch", "-qc", "fix"), ("add", "-A"), ("commit", "-qm", "k"), ("switch", "-q", "work")):
        subprocess.run(["git", *words], cwd=made.path, env=os.environ | WHO, check=True)

    captured = made.capture()

    assert (captured.patch, captured.asks) == (b"", True)


def test_attributes_of_folders_mean_the_same_at_the_top(tmp_path):
    """Git answers alike for the files of a folder and for the one file that they are joined to."""
    files = {
        b".gitattributes": b"*.bin one\n# note\n[attr]mine two\n",
        b"d/.gitattributes": b"*.bin -one\n/top two\nin/side three\n[attr]ignored x\n!not four\n",
        b"d/e [x]/.gitattributes": b'*.bin one=again\n"a b" two\n',
    }
    paths = ["a.bin", "d/a.bin", "d/f/a.bin", "d/top", "d/f/top", "d/in/side", "in/side", "d/e [x]/a.bin",
             "d/e [x]/g/a b", "d/e x/a.bin"]  # fmt: skip
    answers: list[str] = []
    for name in ("apart", "joined"):
        folder = tmp_path / name
        folder.mkdir()
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        for path, text in files.items() if name == "apart" else [(b".git/info/attributes", attributes_below(files))]:
            (folder / os.fsdecode(path)).parent.mkdir(parents=True, exist_ok=True)
            (folder / os.fsdecode(path)).write_bytes(text)
        words = ["git", "check-attr", "one", "two", "three", "--", *paths]
        answers.append(subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True).stdout)
    assert answers[0] == answers[1]
    assert "d/e [x]/a.bin: one: again" in answers[1]


class Asked:
    """Counts how often git itself is asked for the settings: a `git` first in PATH that adds to a file."""

    def __init__(self, folder, monkeypatch) -> None:
        self.file = folder / "asked"
        (folder / "bin").mkdir()
        script = folder / "bin" / "git"
        script.write_text(f'#!/bin/sh\n[ "$1" != config ] || echo >> "{self.file}"\nexec {shutil.which("git")} "$@"\n')
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")

    def __len__(self) -> int:
        return len(self.file.read_text()) if self.file.exists() else 0


def test_settings_are_read_again_once_any_file_of_them_has_changed(user, tmp_path, monkeypatch):
    """The user's, the repository's, one that is included, and one that only would be; and at no other time."""
    asked, source = Asked(tmp_path, monkeypatch), user.folder / ".git"
    included, missing = tmp_path / "included", tmp_path / "missing"
    included.write_text("[core]\n\teol = crlf\n")
    user.settings.write_text(f"[include]\n\tpath = {included}\n\tpath = missing\n")
    until_old(included, user.settings, source / "config")

    assert dict(users_settings(source))["core.eol"] == "crlf"
    assert users_settings(source) is users_settings(source)
    assert len(asked) == 1

    missing.write_text("[user]\n\tname = Ben\n")
    assert dict(users_settings(source))["user.name"] == "Ben"
    included.write_text("[core]\n\teol = lf\n\n")
    assert dict(users_settings(source))["core.eol"] == "lf"
    with (source / "config").open("a") as config:
        config.write("[core]\n\tautocrlf = input\n")
    assert dict(users_settings(source))["core.autocrlf"] == "input"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    assert "core.eol" not in dict(users_settings(source))
    assert len(asked) == 5


def test_settings_of_files_that_have_just_changed_are_not_remembered(user, tmp_path, monkeypatch):
    """A second change of the same length may have the same time."""
    asked = Asked(tmp_path, monkeypatch)
    for name in ("Ann", "Ben", "Cat"):
        user.settings.write_text(f"[user]\n\tname = {name}\n")
        assert dict(users_settings(user.folder / ".git"))["user.name"] == name
    assert len(asked) == 3


def test_settings_that_depend_on_the_branch_are_read_each_time(user, tmp_path, monkeypatch):
    """What is checked out changes no file of the settings."""
    (tmp_path / "on-main").write_text("[user]\n\tname = Ann\n")
    user.settings.write_text(f'[includeIf "onbranch:main"]\n\tpath = {tmp_path / "on-main"}\n')
    until_old(user.settings, tmp_path / "on-main", user.folder / ".git/config")

    assert dict(users_settings(user.folder / ".git"))["user.name"] == "Ann"
    user.git("symbolic-ref", "HEAD", "refs/heads/other")
    assert dict(users_settings(user.folder / ".git")).get("user.name") != "Ann"
