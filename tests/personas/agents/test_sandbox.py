"""The sandbox of an agent: which mounts in which order, what it may not be told to show, and that all works within."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.errors import UsageError
from team_mail.personas.agent import Job
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.agents.programs import is_within
from team_mail.personas.agents.sandbox import SYSTEM, Mount, Sandbox, arranged, check
from team_mail.personas.errors import RunCut, RunLeft
from team_mail.personas.running.folder import LAUNCHER
from team_mail.personas.running.process import RunLimits
from team_mail.personas.setup.caches import link_caches
from team_mail.personas.workspace import Mirror

from ...samples import examples
from ...sandboxes import SANDBOXED

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=4)
STEPS = NAMES.filter(lambda name: name not in {".", ".."})
PATHS = st.lists(STEPS, min_size=1, max_size=4).map(lambda steps: "/" + "/".join(steps))
ORDER = ("link", "read", "hide", "empty", "write")
MOUNTS = st.lists(
    st.builds(lambda kind, path: Mount(kind, path, path), st.sampled_from(ORDER), PATHS),
    max_size=12,
)  # fmt: skip


def nearest(mounts: list[Mount], path: str) -> Mount | None:
    """The mount that decides what is at a path."""
    return max((mount for mount in mounts if is_within(path, mount.path)), key=lambda m: len(m.path), default=None)


@given(MOUNTS)
def test_parents_are_mounted_before_children_and_each_path_once(mounts):
    """Whatever the paths: a later mount never covers an earlier one below it."""
    paths = [mount.path for mount in arranged(mounts)]
    assert len(paths) == len({*paths})
    for at, path in enumerate(paths):
        assert not any(is_within(earlier, path) for earlier in paths[:at])


@given(MOUNTS)
def test_what_is_asked_for_is_what_there_is(mounts):
    """To write beats everything else; nothing is hidden, or read, that was to be otherwise."""
    made = arranged(mounts)
    for mount in mounts:
        same = [each.kind for each in mounts if each.path == mount.path]
        now = nearest(made, mount.path)
        if mount.kind != max(same, key=ORDER.index):
            continue
        if mount.kind in {"empty", "write"}:
            assert now == mount
        elif mount.kind == "hide":
            assert now is None or now.kind in {"hide", "empty", "link"}
        elif mount.kind == "read":
            assert now
            assert now.kind in {"read", "write"}


def mounts_of(argv: list[str]) -> list[Mount]:
    """Read the mounts of a command line of bwrap, in their order."""
    kinds = {"--symlink": "link", "--ro-bind": "read", "--bind": "write", "--tmpfs": "empty"}
    rest, found = iter(argv[: argv.index("--chdir")]), []
    for word in rest:
        if kind := kinds.get(word):
            source = next(rest) if kind != "empty" else ""
            found.append(Mount(kind, next(rest), source))
    return found


@SANDBOXED
@settings(max_examples=examples(12), deadline=None)
@given(
    st.lists(
        STEPS.filter(lambda name: name[0] != "~" and "\n" not in name), min_size=6, max_size=6, unique_by=str.casefold
    )
)
def test_whatever_paths_are_called_they_are_bound_in_order(names):
    """The workspace, caches and parts of the home folder to write, the stores to read, and the rest not at all.

    No name of a store can have a line break: git keeps one on each line.
    """
    with tempfile.TemporaryDirectory() as folder:
        top = Path(os.path.realpath(folder))
        home, checkout, state = top / names[0], top / names[0] / names[1], top / names[0] / names[2]
        workspace, part, store = state / names[3], home / names[4], checkout / ".git" / "objects"
        for place in (workspace / ".git" / "objects" / "info", part, store / "info", checkout / ".team"):
            place.mkdir(parents=True)
        (workspace / ".git" / "objects" / "info" / "alternates").write_bytes(os.fsencode(store) + b"\n")
        (top / names[5]).symlink_to(names[0])
        link_caches(state / "caches" / "runs", (names[5],), workspace)
        cache = next((state / "caches" / "runs").iterdir())
        job = Job("r", "bob", 1, 1, "", workspace, top / "run", checkout / ".team", 9)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(top / names[5]))
            box = Sandbox((names[4],), caches=(names[5],), hidden=(checkout, state))
            argv = box.wrap(["sh", "-c", "true"], {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}, job)
        made = mounts_of(argv)
        paths = [mount.path for mount in made]
        assert all(not is_within(earlier, path) for at, path in enumerate(paths) for earlier in paths[:at])
        for place in (workspace, cache, part):
            assert nearest(made, f"{place}/x") == Mount("write", str(place), str(place))
        assert nearest(made, f"{store}/pack") == Mount("read", str(store), str(store))
        for place in (
            checkout / "file",
            checkout / ".git" / "config",
            checkout / ".team",
            state / "other run",
            home / "other file",
        ):
            assert nearest(made, str(place)) == Mount("empty", str(home)), place
        assert Mount("link", str(top / names[5]), names[0]) in made
        assert subprocess.run(argv, check=False).returncode == 0


# -- the home folder, and what is hidden


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home folder beside a checkout, with a key that nobody is to see."""
    home = tmp_path / "ho me\N{SNOWMAN}"
    for folder in (".ssh", ".claude", "dotfiles/codex", "checkout/.team", "teams"):
        (home / folder).mkdir(parents=True)
    (home / ".ssh" / "id_x").write_text("secret\n")
    (home / ".claude.json").write_text("{}")
    (home / ".codex").symlink_to("dotfiles/codex")
    (home / "out").symlink_to("/etc")
    (home / "round").symlink_to("round")
    (home / "self").symlink_to(".")
    monkeypatch.setenv("HOME", str(home))
    return home


@SANDBOXED
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc", "no path in the home folder"),
        ("~/.claude", "no path in the home folder"),
        ("../x", "no path in the home folder"),
        (".claude/../.ssh", "no path in the home folder"),
        (".", "no path in the home folder"),
        ("", "no path in the home folder"),
        ("out", "a link that leads out of"),
        ("out/passwd", "a link that leads out of"),
        ("self", "a link that leads out of"),
        ("round", "which is not in"),
        (".gemini", "which is not in"),
        ("checkout", "which would show"),
        ("checkout/.team", "which would show"),
        ("teams", "which would show"),
        (".claude/", None),
        (".codex", None),
        ("dotfiles/codex", "lies in another"),
    ],
)
def test_what_may_not_be_shown_of_the_home_folder_is_refused_in_one_line(home, name, why):
    """By dots or by a link, missing, or with the checkout in it: the line names it, before anything starts."""
    names = (".codex", name) if name == "dotfiles/codex" else (name,)
    hidden = (home / "checkout", home / "checkout" / ".team", home / "teams")
    trouble = CommandAgent("x", ("sh",), sandbox=Sandbox(names, hidden=hidden)).trouble()
    if why is None:
        assert trouble is None
        return
    assert trouble
    assert trouble.startswith(f"agent x: home names {name!r}, ")
    assert why in trouble
    assert "\n" not in trouble


@SANDBOXED
def test_team_mail_itself_is_never_given_to_an_agent(monkeypatch):
    """Nor is a folder above the Python that runs it: the next keeper would be the agent's."""
    prefix = Path(sys.prefix).resolve()
    monkeypatch.setenv("HOME", str(prefix.parent.parent))
    for name in (prefix.parent.name, f"{prefix.parent.name}/{prefix.name}"):
        trouble = CommandAgent("x", ("sh",), sandbox=Sandbox((name,))).trouble()
        assert trouble == (
            f"agent x: home names {name!r}, so that an agent could change team-mail itself; name less of it"
        )


@SANDBOXED
def test_a_program_that_would_not_be_there_is_told(home, monkeypatch):
    """One in the checkout, by PATH or in full, or a script that it is given."""
    program = home / "checkout" / ".venv" / "bin" / "my-agent"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    sandbox = Sandbox(hidden=(home / "checkout",))
    for command in (("my-agent",), (str(program), "-p"), ("sh", str(program))):
        trouble = CommandAgent("x", command, sandbox=sandbox).trouble()
        assert trouble == (
            f"agent x: {program} lies in {home}/checkout, which a sandbox does not show; put it elsewhere, or commit it"
        )
    assert CommandAgent("x", ("./my-agent",), sandbox=sandbox).trouble() is None


@SANDBOXED
@pytest.mark.parametrize("folder", ["/", "/usr"])
def test_a_home_folder_that_cannot_be_replaced_is_told(monkeypatch, folder):
    """Whoever has none of his own gets a line, not a sandbox without programs."""
    monkeypatch.setenv("HOME", folder)
    trouble = CommandAgent("x", ("sh",), sandbox=Sandbox()).trouble()
    assert trouble == f"agent x: the home folder is {folder}, which no sandbox can replace; set HOME to another folder"


def test_a_machine_without_bubblewrap_is_told_what_to_install(tmp_path, monkeypatch):
    """The line says what is missing and what to do, and one that was installed since is found."""
    check.cache_clear()
    (tmp_path / "env").symlink_to(shutil.which("env") or "")
    monkeypatch.setenv("PATH", str(tmp_path))
    agent = CommandAgent("x", ("env",), sandbox=Sandbox())
    assert agent.trouble() == (
        'agent x: bwrap is not in PATH; install bubblewrap (apt install bubblewrap), or set sandbox = "none"'
    )
    for text, said in (
        ("echo bwrap: No permissions to create new namespace >&2; exit 1", "No permissions to create new namespace"),
        ("exit 3", "exit 3"),
    ):
        (tmp_path / "bwrap").write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bwrap").chmod(0o755)
        trouble = agent.trouble()
        assert trouble
        assert trouble.startswith(f"agent x: bwrap cannot run here: {said}; allow user namespaces to this user")
        assert trouble.endswith('or set sandbox = "none"')
    with pytest.raises(UsageError):
        check(network=False)
    (tmp_path / "bwrap").write_text("#!/bin/sh\n")
    assert agent.trouble() is None
    check.cache_clear()


# -- within


@pytest.fixture
def boxed(shell, home):
    """Make an agent that runs a line of shell in a sandbox."""

    def make(script: str, sandbox: Sandbox | None = None, **settings) -> CommandAgent:
        return shell(script, **settings, sandbox=sandbox or Sandbox())

    return make


def nested(job, tmp_path):
    """Return a job as teams have them, with its workspace apart from the team's folder."""
    this = job()
    place = tmp_path / "state" / "w \N{SNOWMAN}"
    place.mkdir(parents=True)
    return replace(this, workspace=place, home=tmp_path / "repo" / ".team")


@SANDBOXED
@pytest.mark.parametrize("way", ["stdin", "argument", "file"])
def test_the_prompt_reaches_an_agent_in_its_sandbox(job, tmp_path, home, way, output):
    """In all three ways, and with its placeholders."""
    command = {"stdin": ("cat",), "argument": ("printf", "%s"), "file": ("cat", "{prompt_file}")}[way]
    this = nested(job, tmp_path)
    assert CommandAgent("a", command, prompt=way, sandbox=Sandbox()).play(this).detail == "exit 0"
    assert output(this) == "do it"


@SANDBOXED
def test_the_environment_within_is_that_outside(job, tmp_path, boxed, shell, output, monkeypatch):
    """All variables, with all values, and no more; signals are as they are outside, too."""
    monkeypatch.setenv("MY_KEY", "a b\n=c")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    script = f"{sys.executable} -c 'import os, signal; print({{**os.environ}}, signal.getsignal(15), os.getcwd())'"
    python = f"exec env -u PWD -u OLDPWD -u _ -u SHLVL {script}"
    this = nested(job, tmp_path)
    assert shell(python, env=("MY_KEY",)).play(this).detail == "exit 0"
    outside = output(this)
    assert boxed(python, env=("MY_KEY",)).play(this).detail == "exit 0"
    assert output(this) == outside
    assert "'a b\\n=c'" in outside


@SANDBOXED
def test_exit_codes_are_those_of_the_agent(job, tmp_path, boxed):
    """One that a signal ended has 128 and the signal's number, as a shell tells it; a missing one has 127."""
    this = nested(job, tmp_path)
    for script, code in (
        ("exit 0", 0),
        ("exit 7", 7),
        ("kill -KILL $$", 137),
        ("kill $$", 143),
        ("exec nonesuch", 127),
    ):
        outcome = boxed(script).play(this)
        assert (outcome.exit, outcome.status) == (code, "failed" if code else "ok")
        assert outcome.detail == f"exit {code}"


@SANDBOXED
def test_a_program_with_an_equals_sign_in_its_name_is_run(job, tmp_path, home, output):
    """It is no variable."""
    program = home / "tools=1" / "my=agent"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$0" "$@"\n')
    program.chmod(0o755)
    this = nested(job, tmp_path)
    assert CommandAgent("a", (str(program), "a b", "c=d"), sandbox=Sandbox()).play(this).detail == "exit 0"
    assert output(this) == f"{program} a b c=d\n"


def stopped_at(file: Path, job) -> threading.Thread:
    """Stop a run once its agent has made a file."""

    def wait() -> None:
        while not file.exists() and not job.stop.is_set():
            continue
        job.stop.set()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@SANDBOXED
def test_an_agent_gets_its_grace_period(job, tmp_path, boxed, survivors, output):
    """SIGTERM reaches it, and what it then does is done before it is killed; one that is deaf to it is."""
    this = nested(job, tmp_path)
    script = "trap 'touch ended; echo bye; exit 0' TERM; touch began; while :; do sleep 0.05; done"
    waiting = stopped_at(this.workspace / "began", this)
    assert boxed(script, limits=RunLimits(grace=20)).play(this).status == "stopped"
    assert (this.workspace / "ended").exists()
    assert output(this).endswith("bye\n")
    waiting.join()
    that = replace(this, stop=threading.Event())
    waiting = stopped_at(this.workspace / "deaf", that)
    assert boxed("trap '' TERM; touch deaf; while :; do sleep 0.05; done").play(that).status == "stopped"
    waiting.join()
    late = replace(this, stop=threading.Event(), timeout=0.2)
    assert boxed("exec sleep 60").play(late).status == "timeout"
    assert survivors(this.run) == []


@SANDBOXED
def test_silence_and_size_are_limited_as_outside(job, tmp_path, boxed):
    """The keeper looks at the workspace from outside."""
    this = nested(job, tmp_path)
    assert boxed("sleep 60", limits=RunLimits(grace=0.2, idle=0.3)).play(this).status == "timeout"
    busy = "for i in $(seq 30); do touch $i; sleep 0.1; done"
    assert boxed(busy, limits=RunLimits(grace=0.2, idle=2)).play(this).status == "ok"
    large = boxed("head -c 9000000 /dev/zero > large", limits=RunLimits(workspace=1_000_000)).play(this)
    assert large.status == "quota"


def _named(name: str, run: str) -> list[psutil.Process]:
    """Return the processes of a run that have a name, as the host sees them, the oldest first."""
    found = []
    for process in psutil.process_iter(["name", "create_time"]):
        try:
            if process.name() == name and process.environ().get("TEAM_RUN") == run:
                found.append(process)
        except psutil.Error:
            continue
    return sorted(found, key=lambda process: (process.create_time(), process.pid))


DAEMON = "setsid sh -c 'touch daemon; exec env -i sleep 4321' & while ! test -e daemon; do sleep 0.02; done; "


def sleepers(place: Path) -> list[psutil.Process]:
    """Return the daemons that work in a workspace."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cmdline() == ["sleep", "4321"] and process.cwd() == str(place):
                found.append(process)
        except psutil.Error:
            continue
    return found


@SANDBOXED
@pytest.mark.parametrize("victim", ["bwrap", "init", "keeper", "keeper and warden"])
def test_nothing_survives_when_bwrap_or_the_keeper_is_killed(job, tmp_path, boxed, survivors, victim):
    """Neither the agent nor a daemon that has detached itself and cleared its environment."""
    this = nested(job, tmp_path)
    place, ended = this.workspace, []

    def play() -> None:
        with suppress(RunCut):
            ended.append(boxed(f"{DAEMON} touch ready; sleep 60").play(this).status)

    thread = threading.Thread(target=play)
    thread.start()
    while not ((place / "ready").exists() and sleepers(place)):
        assert thread.is_alive()
    if victim.startswith("keeper"):
        keeper = psutil.Process(int((this.folder / "heartbeat").read_text().split()[0]))
        for process in [keeper.parent(), keeper][victim == "keeper" :]:
            process.suspend()
        for process in [keeper.parent(), keeper][victim == "keeper" :]:
            process.kill()
    else:
        bwrap = _named("bwrap", this.run)[0]
        (bwrap.children()[0] if victim == "init" else bwrap).send_signal(signal.SIGKILL)
    thread.join(30)
    assert not thread.is_alive()
    psutil.wait_procs(sleepers(place), timeout=20)  # the kernel ends them, in its own time
    assert (sleepers(place), survivors(this.run)) == ([], [])
    assert {*ended} <= {"failed"}


@SANDBOXED
def test_a_run_outlives_its_scheduler_and_is_taken_over(job, tmp_path, boxed, survivors):
    """Its sandbox hangs on the keeper, not on who asked for it."""
    this = replace(nested(job, tmp_path), leave=threading.Event())
    agent, left = boxed("touch ready; until test -e go; do sleep 0.02; done; exit 3"), []

    def play() -> None:
        with pytest.raises(RunLeft):
            agent.play(this)
        left.append(True)

    thread = threading.Thread(target=play)
    thread.start()
    while not (this.workspace / "ready").exists():
        assert thread.is_alive()
    assert this.leave
    this.leave.set()
    thread.join(30)
    assert left
    assert survivors(this.run) != []
    (this.workspace / "go").touch()
    outcome = agent.rejoin(replace(this, leave=None))
    assert outcome
    assert (outcome.exit, survivors(this.run)) == (3, [])


@SANDBOXED
def test_a_daemon_ends_with_its_run(job, tmp_path, boxed):
    """However it was started; the run has ended well."""
    this = nested(job, tmp_path)
    script = f"{DAEMON} (setsid setsid sh -c 'exec env -i sleep 4321' &) & wait $!; exit 0"
    assert boxed(script).play(this).status == "ok"
    assert sleepers(this.workspace) == []


@SANDBOXED
def test_programs_of_the_home_folder_are_run(job, tmp_path, home, boxed, output, monkeypatch):
    """An environment of Python, a package of node's kind, and a script that names its interpreter."""
    home = home.rename(tmp_path / "plain")  # no shebang can have a space
    monkeypatch.setenv("HOME", str(home))
    venv = home / ".local" / "share" / "pipx" / "venvs" / "tool"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    site = next(venv.glob("lib/python*/site-packages"))
    (site / "tool.py").write_text("print('tool runs')\n")
    (home / ".local" / "bin").mkdir()
    (venv / "bin" / "tool").write_text(f"#!{venv}/bin/python\nimport tool\n")
    (venv / "bin" / "tool").chmod(0o755)
    (home / ".local" / "bin" / "tool").symlink_to(venv / "bin" / "tool")
    package = home / ".nvm" / "versions" / "node" / "v1" / "lib" / "node_modules" / "pack"
    package.mkdir(parents=True)
    (package / "cli").write_text('#!/bin/sh\n. "$(dirname "$(readlink -f "$0")")/more"\n')
    (package / "cli").chmod(0o755)
    (package / "more").write_text("echo pack runs\n")
    (home / ".nvm/versions/node/v1/bin").mkdir()
    (home / ".nvm/versions/node/v1/bin/pack").symlink_to("../lib/node_modules/pack/cli")
    (home / "current").symlink_to(".nvm/versions/node/v1")
    odd = home / os.fsdecode(b"\xff no UTF-8")
    odd.mkdir()
    (odd / "odd").write_text("#!/bin/sh\necho odd runs\n")
    (odd / "odd").chmod(0o755)
    (home / ".local" / "bin" / "odd").symlink_to(odd / "odd")
    (home / ".local" / "bin" / "broken").symlink_to("nothing")
    monkeypatch.setenv("PATH", f"{home}/.local/bin:{home}/current/bin:{os.environ['PATH']}")
    this = nested(job, tmp_path)
    outcome = boxed("tool && pack && odd; cat ~/.ssh/id_x; ls -d ~/.[a-z]* ~/current").play(this)
    assert output(this) == (
        f"tool runs\npack runs\nodd runs\ncat: {home}/.ssh/id_x: No such file or directory\n"
        f"{home}/.local\n{home}/.nvm\n{home}/current\n"
    ), outcome


@SANDBOXED
def test_what_home_names_is_written_and_the_rest_is_not_there(job, tmp_path, home, boxed, output):
    """A folder, a file, and a link that stays in the home folder; other files are the sandbox's own."""
    sandbox = Sandbox((".claude", ".claude.json", ".codex"))
    this = nested(job, tmp_path)
    script = "ls -A ~; echo 1 > ~/.claude/a; echo 2 > ~/.claude.json; echo 3 > ~/.codex/b; echo 4 > ~/.other"
    assert boxed(script, sandbox).play(this).status == "ok"
    assert output(this) == ".claude\n.claude.json\n.codex\n"
    files = [home / ".claude" / "a", home / ".claude.json", home / "dotfiles" / "codex" / "b"]
    assert [file.read_text() for file in files] == ["1\n", "2\n", "3\n"]
    assert not (home / ".other").exists()


@SANDBOXED
def test_caches_are_written_and_shared(job, tmp_path, boxed):
    """What the settings name, and what is one; a link that the commit has leads nowhere."""
    this = nested(job, tmp_path)
    caches, elsewhere = tmp_path / "state" / "caches" / "runs", tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert link_caches(caches, [".npm cache"], this.workspace).caches == (".npm cache",)
    (this.workspace / "stray").symlink_to(elsewhere)
    sandbox = Sandbox(caches=(".npm cache", "stray"))
    outcome = boxed("echo x > '.npm cache/x'; ! echo y > stray/y", sandbox).play(this)
    assert outcome.status == "ok"
    assert next(caches.iterdir()).joinpath("x").read_text() == "x\n"
    assert [*elsewhere.iterdir()] == []


@SANDBOXED
def test_git_works_in_a_clone_that_borrows_through_a_chain(job, tmp_path, boxed, output):
    """From the mirror, from the user's repository, and from the one that this borrows from; nothing else of .git."""
    repos = tmp_path / "repos"

    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *who, *words], check=True, env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull})

    git("init", "--quiet", f"{repos}/first repo")
    git("-C", f"{repos}/first repo", "commit", "--quiet", "--allow-empty", "-m", "One")
    git("clone", "--quiet", "--shared", f"{repos}/first repo", f"{repos}/second")
    git("-C", f"{repos}/second", "commit", "--quiet", "--allow-empty", "-m", "Two")
    words = ["git", "-C", f"{repos}/second", "rev-parse", "HEAD"]
    head = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    workspace = Mirror(repos / "second", tmp_path / "state").workspace("run-1", head)
    this = replace(job(), workspace=workspace.path, home=repos / "second" / ".team")
    script = f"git log --format=%s && git commit -q --allow-empty -m Three && ls '{repos}/second/.git' && git fsck"
    assert boxed(script).play(this).status == "ok", output(this)
    assert output(this).startswith("Two\nOne\nobjects\n")


@SANDBOXED
@pytest.mark.parametrize("network", [True, False])
def test_without_a_network_no_server_is_reached(job, tmp_path, boxed, network):
    """Neither at an address of this machine, nor at an abstract socket; with it, both are."""
    name = f"\0team-mail-{os.getpid()}-{network}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(name)
        abstract.listen()
        code = (
            "import json, socket\n"
            "def tried(family, place):\n"
            "    try:\n"
            "        socket.socket(family).connect(place)\n"
            "    except OSError: return False\n"
            "    return True\n"
            f"print(json.dumps([tried(socket.AF_INET, {server.getsockname()!r}), tried(socket.AF_UNIX, {name!r})]))\n"
        )
        this = nested(job, tmp_path)
        (this.workspace / "try.py").write_text(code)
        assert boxed(f"{sys.executable} try.py > tried", Sandbox(network=network)).play(this).status == "ok"
    assert json.loads((this.workspace / "tried").read_text()) == [network, network]


@SANDBOXED
@pytest.mark.skipif(not os.access("/opt", os.W_OK), reason="only root may write in /opt")
def test_a_team_in_a_folder_of_programs_is_hidden(job, boxed, output):
    """What lies in a folder that is shown, as a checkout in /opt does, is covered; the workspace below is not."""
    with tempfile.TemporaryDirectory(dir="/opt") as folder:
        place = Path(folder)
        (place / "teams" / "run").mkdir(parents=True)
        (place / "teams" / "other").mkdir()
        this = replace(job(), workspace=place / "teams" / "run", home=place / "repo" / ".team")
        script = f"ls {place} {place}/teams; touch x; ! touch {place}/y"
        assert boxed(script, Sandbox(hidden=(place,))).play(this).status == "ok"
        assert output(this).startswith(f"{place}:\nteams\n\n{place}/teams:\nrun\n"), output(this)
        assert (place / "teams" / "run" / "x").exists()


@SANDBOXED
def test_team_mail_runs_from_an_environment_in_the_checkout(job, tmp_path, boxed, output):
    """Of the checkout, its Python and its launcher are there, and nothing else."""
    checkout, prefix = LAUNCHER.parents[2], Path(sys.prefix)
    this = nested(job, tmp_path)
    script = f"{sys.executable} -I -S {LAUNCHER} . --help; ls -A {checkout} {prefix}; cat {checkout}/README.md"
    outcome = boxed(script, Sandbox(hidden=(checkout, prefix))).play(this)
    assert outcome.exit == 1
    said = output(this)
    assert "team-mail: cannot write in ./requests" in said
    assert "README.md: No such file" in said
    assert f"{prefix}:\nbin\npyvenv.cfg\n" in said


@SANDBOXED
def test_a_tool_of_ours_runs_from_an_environment_in_the_checkout(job, tmp_path, boxed, output):
    """Its packages are there to read, those of others beside them as well, and nothing else of the checkout."""
    checkout, prefix = LAUNCHER.parents[2], Path(sys.prefix)
    tool, this = Path(sys.executable).with_name("team"), nested(job, tmp_path)
    script = f"{tool} mcp --help > x; cat x; ls -A {checkout}; cat {checkout}/README.md; touch {checkout}/mail/x"
    outcome = boxed(script, Sandbox(hidden=(checkout, prefix), tools=(str(tool),))).play(this)
    assert outcome.exit == 1
    said = output(this)
    assert "Usage: team mcp" in said
    assert "README.md: No such file" in said
    assert "Read-only file system" in said
    assert not {"tests", ".git"} & {*said.split()}


def test_what_every_program_reads_is_there():
    """The list is of folders, as they are on this machine or on another."""
    assert all(top.startswith("/") for top in SYSTEM)
    assert os.path.isdir("/usr")  # noqa: PTH112
