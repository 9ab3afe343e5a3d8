"""The agent that is a command: its prompt, its arguments, its environment, and its secrets."""

import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.environment import PASSED
from team_mail.personas.running.folder import RunFolder
from team_mail.personas.running.mail_process import MailProcess

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.parametrize("way", ["stdin", "argument", "file"])
def test_the_prompt_is_passed_in_three_ways(job, way):
    """Standard input, argument or file: the agent reads the same text, and prompt.md keeps it for people."""
    prompt = "Weave \N{SNOWMAN} chapter three;\n$(touch no) \"quoted\" 'too'\r\n"
    command = {"stdin": ("cat",), "argument": ("printf", "%s"), "file": ("cat", "{prompt_file}")}[way]
    this = job(prompt)
    assert CommandAgent("a", command, prompt=way).play(this).status == "ok"
    assert (this.folder / "output.log").read_bytes() == prompt.encode() == (this.folder / "prompt.md").read_bytes()


def test_a_prompt_that_is_too_long_for_an_argument_fails_the_run(job):
    """Linux accepts 128 KiB as one argument; a longer prompt fails with advice, not with an exec error."""
    agent = CommandAgent("claude", ("true",), prompt="argument")
    assert agent.play(job("x" * ((128 << 10) - 1))).status == "ok"
    outcome = agent.play(job("x" * (128 << 10)))
    assert outcome.hopeless, "the next try would end the same way"
    assert (outcome.status, outcome.exit) == ("failed", None)
    assert 'prompt = "stdin" or "file" in [agents.claude]' in outcome.detail


def test_placeholders_are_replaced_and_other_braces_are_not(job, output):
    """Only the exact names are replaced, in one pass: braces in a value are not replaced again."""
    this = job(persona="{run}", attempt=2)
    words = '{persona}|{attempt}|{sprint}|{workspace}|${HOME}|${run}|{}|{ run }|{"run": {}}|{print}|{{sprint}}|%s'
    CommandAgent("a", ("printf", "%s|{run}\n", words)).play(this)
    filled = f'{{run}}|2|7|{this.workspace}|${{HOME}}|${{run}}|{{}}|{{ run }}|{{"run": {{}}}}|{{print}}|{{7}}|%s'
    assert output(this) == f"{filled}|{this.run}\n"


def test_a_setting_that_would_fail_every_run_is_reported_before_the_first(tmp_path):
    """A missing command, a wrong placeholder, a bad env_file: each is named, with what to do."""
    secrets = tmp_path / "secrets.env"
    secrets.write_text("# ours\n\nexport KEY='a b'\nnonsense here\n")
    plain = tmp_path / "plain.sh"
    plain.touch(0o644)
    problems = {
        CommandAgent("x", ("no-such-program", "-v")): "agent x: no-such-program is not in PATH; install it",
        CommandAgent("x", (str(plain),)): f"agent x: {plain} does not exist or is not executable",
        CommandAgent("x", ()): r"agent x has no command; add one to \[agents.x\] in team.toml",
        CommandAgent("x", ("sh", "-c", "x {personna}")): r"{personna} is not a placeholder; use one of persona, run",
        CommandAgent(
            "x", ("sh",), prompt="file"
        ): 'agent x has prompt = "file", but its command does not use {prompt_file}; add it',
        CommandAgent("x", ("sh",), env_file=tmp_path / "none"): "cannot read env_file .*/none: No such file",
        CommandAgent("x", ("sh",), env_file=secrets): r"secrets.env:4 is not of the form KEY=VALUE",
    }
    for agent, message in problems.items():
        assert re.search(message, agent.trouble() or "")
        assert "nonsense" not in (agent.trouble() or "")
    for command in (("sh", "-c", "echo ${HOME} {} {print}"), ("./agent.sh",), ("{workspace}/agent.sh",)):
        assert CommandAgent("x", command).trouble() is None


def test_a_command_that_cannot_be_started_fails_the_run(job):
    """A program that should be in the workspace is only missed when the run starts; the system's message says so."""
    this = job()
    (this.workspace / "data").write_text("no program")
    assert CommandAgent("a", ("./none.sh",)).play(this).detail == "cannot start ./none.sh: No such file or directory"
    outcome = CommandAgent("a", ("./data",)).play(this)
    assert (outcome.status, outcome.exit) == ("failed", None)
    assert outcome.detail == "cannot start ./data: Permission denied"


def test_an_agent_gets_only_the_allowed_environment(job, output, monkeypatch, tmp_path):
    """It gets the allow-list, the variables named in `env`, those of `env_file`, and its own identity."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for agents")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("EDITOR", "ed")
    (tmp_path / "env").write_text('A=one\nexport B = "two words"\n')
    this = job()
    agent = CommandAgent("a", ("env", "-0"), env=("EDITOR", "NOT_SET"), env_file=tmp_path / "env")
    agent.play(this)
    seen = dict(line.split("=", 1) for line in output(this).split("\0") if line)

    ours = {"TEAM_HOME": str(tmp_path), "TEAM_PERSONA": "bob", "TEAM_RUN": this.run, "TERM": "dumb", "EDITOR": "ed"}
    folder = this.workspace / ".team" / "run"
    ours |= {
        "TEAM_RUN_OF": str(tmp_path),
        "GIT_CEILING_DIRECTORIES": str(tmp_path),
        "TEAM_OUTPUT": str(folder / "output.json"),
    }
    ours |= {"TEAM_MAIL": str(folder / "team-mail"), "TEAM_SLOT": "0", "TEAM_PORT": "0"}
    ours |= {"BASH_ENV": str(folder / "bash.env")}
    assert ours.items() <= seen.items()
    assert seen["A"] == "one"
    assert seen["http_proxy"]
    assert seen["LC_TIME"] == "C"
    assert not [name for name in seen if name not in {*ours, "A", "B"} and not PASSED.fullmatch(name)]


@pytest.mark.parametrize("path", ["/usr/bin:/bin", f"{Path(sys.executable).parent}:/usr/bin:/bin"])
def test_an_agent_finds_our_team_mail_but_not_our_python(job, shell, output, monkeypatch, path):
    """Its PATH has the run's `team-mail`, but the Python that it is installed with only if it was in PATH before."""
    monkeypatch.setenv("PATH", path)
    this = job()
    RunFolder(this.workspace).make()
    with MailProcess(this.workspace, "bob", this.run, this.home):
        shell("team-mail --version; command -v python3 || echo none").play(this)
    version, python = output(this).splitlines()
    assert version == "team-mail 0.1.0"
    assert python.startswith(f"{Path(sys.executable).parent}") == path.startswith(f"{Path(sys.executable).parent}")


@pytest.mark.parametrize("words", [("bash", "-lc"), ("bash", "-c"), ("bash", "-l", "-c")])
def test_a_login_shell_that_sets_path_anew_finds_our_team_mail(job, output, monkeypatch, tmp_path, words):
    """Codex starts one for each command, and the profile of many systems names a few folders only."""
    (tmp_path / ".profile").write_text("PATH=/usr/bin:/bin\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (tmp_path / "a 'quoted' place").mkdir()
    this = replace(job(), workspace=tmp_path / "a 'quoted' place")
    RunFolder(this.workspace).make()
    with MailProcess(this.workspace, "bob", this.run, this.home):
        CommandAgent("a", (*words, "cd / && team-mail --version && echo $PATH")).play(this)
    folder = this.workspace / ".team" / "run"
    assert output(this).splitlines() == ["team-mail 0.1.0", f"{folder}:/usr/bin:/bin"]


def test_git_does_not_search_above_a_workspace_without_a_git_folder(job, shell, output, tmp_path):
    """The workspace may lie in the user's checkout: an agent that deleted `.git` must not commit there instead."""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    this = job()
    assert shell("git add --all").play(this).exit == 128
    assert "not a git repository" in output(this)


def test_a_run_without_a_folder_for_its_files_fails(job, shell, tmp_path):
    """If the run's folder cannot be created, the run has failed with the system's message."""
    (tmp_path / "runs").touch()
    outcome = shell("true").play(job())
    assert (outcome.status, outcome.exit) == ("failed", None)
    assert outcome.detail.startswith("cannot start: [Errno 20] Not a directory")


@LINUX
def test_secrets_are_neither_in_the_log_nor_visible_in_the_keeper(job, shell, output, monkeypatch, tmp_path):
    """Values of `env_file`, and keys passed on by name, are masked in the output, however it is split."""
    monkeypatch.setenv("SOME_API_KEY", "sk-passed-on-by-name")
    (tmp_path / "env").write_text("TOKEN=sk-0123456789\nLONGER=sk-0123456789-and-more\nDEBUG=1\n")
    script = """
        head -c 65530 /dev/zero | tr '\\0' x; printf %s "$TOKEN"
        for letter in s k - 0 1 2 3 4 5 6 7 8 9; do printf %s $letter; done; echo " $LONGER $SOME_API_KEY 1 sk-01"
        tr '\\0' '\\n' < /proc/$PPID/environ | grep -c sk-; grep -c sk- /proc/$PPID/cmdline
        printf sk-01
    """
    this = job()
    assert shell(script, env=("SOME_API_KEY",), env_file=tmp_path / "env").play(this).status == "ok"
    assert output(this).lstrip("x") == "****** *** *** 1 sk-01\n0\n0\nsk-01"


def test_a_launch_costs_less_than_ten_python_starts(job):
    """The cost of a run beyond the agent's own time is the start and end of its keeper."""
    this, took, bare = job(), [], []
    for _ in range(7):
        began = time.perf_counter()
        assert CommandAgent("a", ("true",)).play(this).status == "ok"
        took.append(time.perf_counter() - began)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True)
        bare.append(time.perf_counter() - began)
    print(f"a launch takes {median(took) * 1e3:.0f} ms, a bare Python {median(bare) * 1e3:.0f} ms")
    assert median(took) < 10 * median(bare)
