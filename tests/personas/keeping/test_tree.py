"""The process tree on Linux, read from /proc."""

import os
import signal
import subprocess
import sys

import pytest
from team_mail.personas.keeping.tree import boot, descendants, dying, send, stat

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@LINUX
def test_descendants_are_listed_with_parents_before_their_children():
    """Ended in that order, no shell continues with its next command because the one before was ended."""
    nested = ["sh", "-c", "sh -c 'sh -c \"echo ready; sleep 60; :\"; :'; :"]
    with subprocess.Popen(nested, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        pids = descendants(os.getpid())
        parents = [int(stat(str(pid))[1]) for pid in pids]
        os.killpg(process.pid, signal.SIGKILL)
    assert len(pids) >= 3
    for at, parent in enumerate(parents):
        assert parent in {os.getpid(), *pids[:at]}


@LINUX
def test_a_signal_to_a_process_that_is_gone_is_ignored():
    """A process may end at any time before the signal is sent."""
    with subprocess.Popen(["sleep", "60"]) as process:
        send(process.pid, signal.SIGTERM)
    send(process.pid, signal.SIGTERM)

    assert process.returncode == -signal.SIGTERM
    assert stat(str(process.pid)) == []
    assert len(boot()) == 36


@LINUX
def test_a_process_that_was_killed_counts_as_dying_and_one_that_is_stopped_does_not():
    """What ends already is nothing that a run left behind."""
    with subprocess.Popen(["sleep", "60"]) as process:
        assert not dying(process.pid)
        process.send_signal(signal.SIGSTOP)
        assert not dying(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert dying(process.pid)
    assert dying(process.pid)
