"""What programs need: folders of npm, nvm, pipx, uv, pyenv and cargo as their installers lay them out."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from team_mail.personas.agents.programs import SYSTEM, Programs, is_within, programs_in, trail


class Home:
    """A home folder with programs, in which `checkout` is closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path: list[str] = []

    def program(self, name: str, first: str = "#!/bin/sh") -> Path:
        return self.file(name, f"{first}\n", 0o755)

    def file(self, name: str, text: str = "", mode: int = 0o644) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def link(self, name: str, target: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).symlink_to(target)

    def closes(self, real: str) -> bool:
        checkout = str(self.folder / "checkout")
        return is_within(real, checkout) or any(is_within(place, real) for place in (checkout, str(self.folder)))

    def shown(self, *path: str, program: str = "") -> set[str]:
        """Return what is shown of the home folder for a PATH, by its paths there."""
        programs = Programs(self.closes)
        programs.add_path(os.pathsep.join(str(self.folder / name) for name in path))
        if program:
            programs.add_program(str(self.folder / program))
        self.links = {os.path.relpath(place, self.folder): target for place, target in programs.links.items()}
        return {os.path.relpath(each, self.folder) for each in programs.shown}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_the_trail_of_a_path_names_every_link_on_it(tmp_path):
    """Of folders and of files, relative and absolute, with dots: what is real in the end is what the system says."""
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "real" / "deep" / "file").touch()
    (tmp_path / "a").symlink_to("./real/../b")
    (tmp_path / "b").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "f").symlink_to("deep/file")
    path = f"{tmp_path}//a/./f"
    real, links = trail(path)
    assert real == os.path.realpath(path) == str(tmp_path / "real" / "deep" / "file")
    assert links == {
        f"{tmp_path}/a": "./real/../b", f"{tmp_path}/b": str(tmp_path / "real"), f"{tmp_path}/real/f": "deep/file",
    }  # fmt: skip
    (tmp_path / "x").symlink_to("y")
    (tmp_path / "y").symlink_to("x")
    with pytest.raises(OSError, match="round in a circle"):
        trail(f"{tmp_path}/x")
    assert trail("/") == ("/", {})


def test_a_native_program_is_shown_with_the_folder_that_has_its_versions(home):
    """As the installers of Claude Code and Cursor do: a link to a file, elsewhere in ~/.local/share."""
    home.program(".local/share/claude/versions/2.1.3")
    home.file(".local/share/secrets")
    home.link(".local/bin/claude", str(home.folder / ".local/share/claude/versions/2.1.3"))
    assert home.shown(".local/bin") == {".local/bin", ".local/share/claude/versions"}


@pytest.mark.parametrize("prefix", [".nvm/versions/node/v22", ".npm-global", ".local"])
def test_a_global_package_of_npm_is_shown_with_node_and_its_neighbours(home, prefix):
    """Node finds what the package needs, npm itself too, and nothing that lies beside in the home folder."""
    home.program(f"{prefix}/bin/node")
    home.program(f"{prefix}/lib/node_modules/@openai/codex/bin/codex.js", "#!/usr/bin/env node")
    home.link(f"{prefix}/bin/codex", "../lib/node_modules/@openai/codex/bin/codex.js")
    home.file(".npmrc", "token")
    home.file(".local/share/opencode/auth.json")
    shown = home.shown(f"{prefix}/bin")
    assert (
        {f"{prefix}/bin", f"{prefix}/lib"} <= shown <= {f"{prefix}/bin", f"{prefix}/lib", f"{prefix}/lib/node_modules"}
    )


def test_packages_of_pnpm_and_bun_are_shown_with_their_stores(home):
    """Their links lead from package to package in one folder."""
    home.program(".local/share/pnpm/global/5/.pnpm/amp@1/node_modules/amp/cli.js")
    home.link(".local/share/pnpm/amp", "global/5/.pnpm/amp@1/node_modules/amp/cli.js")
    home.program(".bun/install/global/node_modules/opencode/bin/opencode")
    home.link(".bun/bin/opencode", "../install/global/node_modules/opencode/bin/opencode")
    shown = home.shown(".local/share/pnpm", ".bun/bin")
    assert {".local/share/pnpm/global/5", ".bun/bin", ".bun/install/global/node_modules"} <= shown


@pytest.mark.parametrize("venv", [".local/share/pipx/venvs/aider", ".local/share/uv/tools/aider"])
@pytest.mark.parametrize("copied", [False, True])
def test_a_tool_of_pipx_and_uv_is_shown_with_its_environment_and_its_python(home, venv, copied):
    """Whether the script in ~/.local/bin is a link or a copy, its packages and the standard library are there."""
    python = ".local/share/uv/python/cpython-3.12"
    home.program(f"{python}/bin/python3.12")
    home.file(f"{python}/lib/python3.12/os.py")
    home.link(f"{venv}/bin/python", str(home.folder / python / "bin" / "python3.12"))
    home.file(f"{venv}/pyvenv.cfg")
    home.file(f"{venv}/lib/python3.12/site-packages/aider.py")
    home.program(f"{venv}/bin/aider", f"#!{home.folder / venv}/bin/python")
    if copied:
        home.program(".local/bin/aider", f"#!{home.folder / venv}/bin/python")
    else:
        home.link(".local/bin/aider", str(home.folder / venv / "bin" / "aider"))
    shown = home.shown(".local/bin")
    assert {f"{venv}/bin", f"{venv}/lib", f"{venv}/pyvenv.cfg", f"{python}/bin", f"{python}/lib"} <= shown
    assert f"{venv}/bin/python" in home.links
    assert not {".", ".local", ".local/share"} & shown


def test_programs_that_choose_a_version_are_shown_with_all_versions(home):
    """The shims of pyenv, asdf and mise, volta's, and rustup's."""
    home.program(".pyenv/shims/python", "#!/usr/bin/env bash")
    home.program(".volta/bin/node")
    home.program(".cargo/bin/rustup")
    home.file(".cargo/credentials.toml")
    home.file(".rustup/settings.toml")
    assert home.shown(".pyenv/shims", ".volta/bin", ".cargo/bin") == {
        ".pyenv/shims", ".pyenv", ".volta/bin", ".volta", ".cargo/bin", ".rustup",
    }  # fmt: skip


def test_of_a_folder_that_may_not_be_shown_only_the_program_is(home):
    """A script at the top of the home folder shows nothing else of it."""
    home.program("agent.sh")
    home.program("bin/tool")
    assert home.shown(program="agent.sh") == {"agent.sh"}
    assert home.shown("bin") == {"bin"}, "what is beside ~/bin is the user's own"


def test_nothing_of_a_closed_place_is_shown(home):
    """Neither a folder of PATH, nor what a link leads to, nor a folder above."""
    home.program("checkout/.venv/bin/pytest")
    home.file("checkout/.venv/pyvenv.cfg")
    home.link("tools/pytest", "../checkout/.venv/bin/pytest")
    assert home.shown("checkout/.venv/bin", "checkout", ".", "tools", program="checkout/.venv/bin/pytest") == {"tools"}


def test_what_an_agent_could_have_written_leads_nowhere(home):
    """Neither a link in a folder that it may write, nor one on the way through it, nor what a script there names."""
    home.program("private/bin/tool")
    home.program("private/python")
    home.link("own/bin/planted", "../../private/bin/tool")
    home.program("own/bin/script", f"#!{home.folder}/private/python")
    home.link("own/current", "../private")
    programs = Programs(home.closes, [str(home.folder / "own")])
    programs.add_path(f"{home.folder}/own/bin:{home.folder}/own/current/bin")
    programs.add_program(f"{home.folder}/own/bin/script")
    programs.add_program(f"{home.folder}/own/current/bin/tool")
    programs.add_file(f"{home.folder}/own/current/python")
    assert (programs.shown, programs.links) == (set(), {})
    assert home.shown("own/bin") > {"own/bin", "private/bin"}, "in one that it may not write they are followed"


def test_the_python_that_runs_this_can_run_our_files_wherever_it_lies(tmp_path):
    """Its executable, its links, its configuration and its library are there, even in a closed place."""
    programs = Programs(lambda _: True)
    programs.add_python()
    needed = (sys.executable, f"{sys.base_prefix}/lib/python3.{sys.version_info.minor}/os.py")
    for path in needed:
        real, links = trail(path)
        assert any(is_within(real, shown) for shown in (*programs.shown, *SYSTEM)), path
        assert links.items() <= programs.links.items()
    programs.add_anyway(str(tmp_path), str(tmp_path / "missing"))
    assert str(tmp_path) in programs.shown
    assert str(tmp_path / "missing") not in programs.shown


def test_what_resolves_names_is_shown_alone_where_a_link_leads_to_it(home):
    """As /etc/resolv.conf does on most machines: into a folder of sockets, of which nothing else is there."""
    home.file("run/systemd/resolve/stub.conf")
    home.file("run/systemd/resolve/socket")
    home.link("etc/resolv.conf", "../run/systemd/resolve/stub.conf")
    programs = Programs(lambda _: True)
    programs.add_anyway(str(home.folder / "etc" / "resolv.conf"))
    assert programs.shown == {str(home.folder / "run/systemd/resolve/stub.conf")}
    assert programs.links == {str(home.folder / "etc/resolv.conf"): "../run/systemd/resolve/stub.conf"}


def test_the_files_that_a_command_names_are_found(home):
    """Its program, by PATH or in full, and other words that are paths of files; none in the workspace."""
    agent, script = home.program("bin/agent"), home.file("script.py")
    path = f"relative:{home.folder}:{home.folder / 'bin'}"
    assert [*programs_in(("agent", "-x", str(script), "/missing", "agent"), path)] == [str(agent), str(script)]
    assert [*programs_in(("./agent", "{prompt_file}"), path)] == []
    assert [*programs_in(("script.py",), path)] == [], "it is not executable"
