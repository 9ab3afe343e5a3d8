"""One scheduler leads: the lock, and the name by which a process is known for sure."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from team_mail.mail.process import is_here
from team_mail.scheduler.errors import NotLeader
from team_mail.scheduler.leader import Leader, alive, leading, myself

from ..read_only import MOUNTS, UNSHARED

HOLD = """
import sys
from pathlib import Path
from team_mail.scheduler.leader import Leader
with Leader(Path(sys.argv[1])):
    print("leading", flush=True)
    sys.stdin.read()
"""


def test_a_second_scheduler_is_told_who_leads(tmp_path):
    """T16: one leader; the other gets one line with the leader's pid, and leads once that one is gone, kill or not."""
    rival = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert rival.stdout
    assert rival.stdout.readline() == "leading\n"
    leader = leading(tmp_path)
    assert leader
    assert leader["pid"] == rival.pid
    with pytest.raises(NotLeader, match=f"process {rival.pid}"), Leader(tmp_path):
        pass
    rival.kill()
    rival.communicate()
    assert leading(tmp_path) is None
    with Leader(tmp_path):
        assert leading(tmp_path) == myself()
    assert leading(tmp_path) is None


def test_a_process_is_known_by_boot_pid_and_start():
    """A9: a pid that another process has got since is not taken for the one that was meant."""
    me = myself()
    assert alive(me)
    assert not alive(me | {"start": "1"})
    assert not alive(me | {"boot": "another"})
    assert not alive({})
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert not alive(me | {"pid": ended.pid})


@MOUNTS
def test_a_process_of_a_container_is_none_of_the_machine_around_it():
    """Both have the same boot id, and numbers of their own: the one's pid 1 says nothing of the other's."""
    text = "import json; from team_mail.mail.process import myself; print(json.dumps(myself()))"
    words = [*UNSHARED, "--pid", "--fork", "--mount-proc", sys.executable, "-c", text]
    inside = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    assert inside["pid"] == 1
    assert inside["boot"].startswith(f"{myself()['boot']}/")
    assert not is_here(inside)
    assert is_here(myself())


def test_a_leader_file_that_is_garbage_stops_nobody(tmp_path):
    """The lock counts, not what is written there."""
    (tmp_path / "leader").write_text("{[")
    assert leading(tmp_path) is None
    with Leader(tmp_path) as leader:
        assert leader.path.read_bytes()
