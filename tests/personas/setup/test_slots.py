"""Slots: no two runs of a team have the same number or port while they live, whoever started them and is killed."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest
from team_mail.personas.errors import NotPrepared
from team_mail.personas.setup.slots import Slots, kept_slots

HOLDER = """
import sys
from pathlib import Path
from team_mail.personas.setup.slots import Slots, kept_slots
with Slots(Path(sys.argv[1]), int(sys.argv[3]), 5).taken(Path(sys.argv[2])) as slot:
    print(slot.number, slot.port, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def first():
    """The first of fifty ports that nobody listens on."""
    for port in range(41_000, 60_000, 50):
        with ExitStack() as stack:
            try:
                for each in range(port, port + 50):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", each))
            except OSError:
                continue
        return port
    raise AssertionError("no free ports")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state" / "team" / "slots"


@pytest.fixture
def hold(folder, tmp_path, first):
    """Start a process that takes a slot and keeps it until its input ends; return it with what it got."""
    processes = []

    def start(where=folder):
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(where), str(tmp_path / "run"), str(first)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        processes.append(holder)
        return holder

    yield start
    for holder in processes:
        holder.kill()
        holder.communicate()


def got(holder):
    return tuple(map(int, holder.stdout.readline().split()))


def test_processes_that_take_slots_at_once_get_different_ones(hold, first):
    """Each has the next number, and its own ports."""
    holders = [hold() for _ in range(5)]

    assert sorted(map(got, holders)) == [(number, first + 5 * number) for number in range(5)]


def test_a_slot_that_is_given_back_is_taken_again(folder, first, tmp_path):
    """The lowest free one is the next."""
    slots = Slots(folder, first, 5)
    with slots.taken(tmp_path) as zero:
        with slots.taken(tmp_path) as one:
            assert (zero.number, one.number) == (0, 1)
        with slots.taken(tmp_path) as again:
            assert again == one


def test_a_slot_is_free_once_its_process_was_killed(hold, folder, first, tmp_path):
    """Nobody has to give anything back."""
    holder = hold()
    assert got(holder) == (0, first)
    holder.send_signal(signal.SIGKILL)
    holder.wait()

    with Slots(folder, first, 5).taken(tmp_path) as slot:
        assert slot == (0, first)


def test_a_slot_is_not_free_while_a_keeper_of_its_run_lives(hold, folder, first, tmp_path):
    """The process that took it is killed, and its keeper still ends the agent: its ports may be in use."""
    holder = hold()
    got(holder)
    program = "import sys\nfrom team_mail.personas.agents.command import CommandAgent\n"
    program += "from team_mail.personas.agent import Job\nfrom pathlib import Path\n"
    program += f"job = Job('run-{os.getpid()}-slot', 'bob', 1, 1, '', Path({str(tmp_path)!r}), "
    program += f"Path({str(tmp_path / 'run')!r}), Path({str(tmp_path)!r}), 60.0)\n"
    program += "CommandAgent('a', ('sh', '-c', 'sleep 60')).play(job)\n"
    keeping = subprocess.Popen([sys.executable, "-c", program])
    try:
        while not (tmp_path / "run" / "heartbeat").exists():
            assert keeping.poll() is None
            os.sched_yield()
        holder.kill()
        holder.wait()
        with Slots(folder, first, 5).taken(tmp_path / "other") as slot:
            assert slot == (1, first + 5)
    finally:
        keeping.kill()
        keeping.wait()


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "127.0.0.5", "::", "::1"])
def test_ports_in_use_are_passed_over(folder, first, tmp_path, address):
    """A server of the user's own, on any address of this machine, keeps its port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket.create_server((address, first + 3), family=family),
        Slots(folder, first, 5).taken(tmp_path) as slot,
    ):
        assert slot == (0, first + 5)


def test_a_port_is_free_again_as_soon_as_its_server_has_ended(folder, first, tmp_path):
    """Connections of it that are not forgotten yet (TIME_WAIT) keep nobody from listening."""
    with socket.create_server(("127.0.0.1", first)) as server, socket.create_connection(server.getsockname()) as client:
        server.accept()[0].close()
        client.recv(1)

    with Slots(folder, first, 5).taken(tmp_path) as slot:
        assert slot == (0, first)


def test_teams_beside_each_other_have_different_ports(hold, folder, first, tmp_path):
    """Each team counts its slots for itself; ports belong to the machine."""
    assert got(hold()) == (0, first)

    with Slots(tmp_path / "state" / "second" / "slots", first, 5).taken(tmp_path) as slot:
        assert slot == (0, first + 5)


def test_without_free_ports_one_line_says_so(folder, tmp_path):
    """The message names the setting."""
    with (
        socket.create_server(("127.0.0.1", 65_530)),
        pytest.raises(NotPrepared, match=r"no 10 free ports from 65526 on; set port in \[workspace\]"),
        Slots(folder, 65_526, 10).taken(tmp_path),
    ):
        pass


def test_a_file_that_is_no_claim_is_no_slot(folder, first, tmp_path):
    """What a crash left half-written, or somebody else put there, is overwritten."""
    folder.mkdir(parents=True)
    (folder / "0.json").write_text("{")
    (folder / "1.json").write_text("[]")

    with Slots(folder, first, 5).taken(tmp_path) as slot:
        assert slot.number == 0
        assert json.loads((folder / "0.json").read_text())["port"] == slot.port


def test_a_slot_that_a_process_keeps_is_its_next_one_and_nobody_elses(hold, folder, first, tmp_path):
    """Its file stays, with the keepers of the run that has it now; it goes with the last who keeps slots."""
    slots, file = Slots(folder, first, 5), folder / "0.json"
    with kept_slots():
        with slots.taken(tmp_path / "run-1"):
            inode = file.stat().st_ino
        assert got(hold())[0] == 1
        with slots.taken(tmp_path / "run-2") as slot:
            assert (slot, file.stat().st_ino) == ((0, first), inode)
            assert json.loads(file.read_text())["keepers"] == str(tmp_path / "run-2")
        with slots.taken(tmp_path / "a run with a longer name") as slot:
            assert slot.number == 0
            assert json.loads(file.read_text())["keepers"] == str(tmp_path / "a run with a longer name")
    assert not file.exists()


@pytest.mark.parametrize("taken", ["port", "file"])
def test_a_kept_slot_is_looked_at_before_it_is_used_again(folder, first, tmp_path, taken):
    """A port of it may be in use by now, or somebody may have removed its file."""
    slots = Slots(folder, first, 5, believed=0)
    with kept_slots(), ExitStack() as stack:
        with slots.taken(tmp_path / "run-1"):
            pass
        if taken == "port":
            stack.enter_context(socket.socket()).bind(("127.0.0.1", first + 4))
        else:
            (folder / "0.json").unlink()
        with slots.taken(tmp_path / "run-2") as slot:
            assert slot == (0, first + 5 if taken == "port" else first)
            assert (folder / "0.json").exists()
    assert [*folder.glob("*.json")] == []


@pytest.mark.parametrize("when", ["kept", "taken", "over"])
def test_a_slot_that_another_process_has_by_now_is_left_to_it(hold, folder, first, tmp_path, when):
    """Somebody removed the file while this process had the slot, or kept it, and so another one took the same."""
    with ExitStack() as kept, ExitStack() as taken:
        kept.enter_context(kept_slots())
        taken.enter_context(Slots(folder, first, 5).taken(tmp_path / "run-1"))
        if when == "kept":
            taken.close()
        (folder / "0.json").unlink()
        assert got(hold())[0] == 0
        claim = (folder / "0.json").read_text()
        if when == "kept":
            with Slots(folder, first, 5).taken(tmp_path / "run-2") as slot:
                assert slot == (1, first + 5)
        elif when == "over":
            kept.close()
    assert (folder / "0.json").read_text() == claim


def test_other_teams_see_the_keepers_of_the_run_that_has_a_kept_slot_now(folder, first, tmp_path):
    """A process that is killed leaves its slot to the keeper of its last run, whatever others knew of it before."""
    code = f"""
import os
from pathlib import Path
from team_mail.personas.setup.slots import Slots, kept_slots
slots = Slots(Path({str(folder)!r}), {first}, 5)
with kept_slots():
    with slots.taken(Path({str(tmp_path / "run-1")!r})):
        pass
    print(flush=True)
    input()
    with slots.taken(Path({str(tmp_path / "run-2")!r})):
        print(flush=True)
        input()
        os._exit(0)
"""
    other = Slots(folder.parents[1] / "another" / "slots", first, 5)
    for name in ("run-1", "run-2"):
        (tmp_path / name).mkdir()
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as team:
        team.stdout.readline()
        os.utime(folder, (0, 0))  # so that others take what they read for known
        with other.taken(tmp_path / "theirs") as slot:
            assert slot.port == first + 5
        print(file=team.stdin, flush=True)
        team.stdout.readline()
        with (tmp_path / "run-2" / "alive").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            team.communicate("\n")
            with other.taken(tmp_path / "theirs") as slot:
                assert slot.port == first + 5
    with other.taken(tmp_path / "theirs") as slot:
        assert slot.port == first
