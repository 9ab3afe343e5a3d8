"""The registry and the clean-up on real processes: what was killed is seen and freed, and what lives is left alone."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from team_mail.mail.ancestors import KEEPER, WARDEN, part_of
from team_mail.mail.log.event import Draft
from team_mail.scheduler.kinds import AgentStatus, Kind
from team_mail.team.api import agents as agents_api
from team_mail.team.api import team as team_api
from team_mail.team.open import open_for_dispatch

from ..conftest import Team
from .test_outliving import Place
from .test_run_storm import Storm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
SEEN, FREED = 6.0, 1.0  # seconds that are promised
CLEANED = 5.0  # seconds for ten thousand folders
KILLS = int(os.environ.get("KILLS", "1000"))
TASKS = '{"tasks": [{"task_id": "mend", "agent": "ann", "description": "Mend it", "input_data": {}}]}'


def tree_of(home: Path) -> list[psutil.Process]:
    """Find the keepers, wardens and agents of a team's runs."""
    found = list[psutil.Process]()
    for process in psutil.process_iter():
        try:
            environ, above = process.environ(), process.parents()
            if environ.get("TEAM_HOME") == str(home) and environ.get("TEAM_RUN"):
                found += [process, *(each for each in above if {"warden", "keeper"} & {*each.cmdline()})]
        except psutil.Error:
            continue
    return [*dict.fromkeys(found)]


@pytest.fixture
def place(tmp_path):
    """A project whose agent waits for files; what is left of it is ended after the test."""
    place = Place(tmp_path / "project")
    yield place
    for name in ("GO", "END"):
        place.flag(name).touch()
    for process in tree_of(place.team):
        process.kill()


def test_a_dispatch_that_is_killed_with_its_run_is_stale_at_once_and_freed_within_a_second(place):
    """`team agents` says so, `team clean` puts its end on record and removes its clones, and `--resume` goes on."""
    (place.folder / "tasks.json").write_text(TASKS)
    first = place.start("team", "dispatch", "tasks.json")
    place.wait("BEGAN", first)
    context = open_for_dispatch(place.team, environ={})[0]
    (busy,) = agents_api.registry(context).agents
    assert (busy.status, len(busy.runs), busy.stale, busy.max_concurrent) == (AgentStatus.BUSY, 1, (), 8)
    assert json.loads(place.ok("team", "status", "--json"))["dispatches"][0]["at_work"][0]["task"] == "mend"

    first.kill()
    for process in tree_of(place.team):
        with suppress(psutil.NoSuchProcess):  # its keeper may end it first
            process.kill()
    killed = time.monotonic()
    while (ann := agents_api.registry(context).agents[0]).status != AgentStatus.STALE:
        assert time.monotonic() - killed < SEEN
    seen = time.monotonic()
    first.communicate(timeout=30)
    assert ann.stale == busy.runs

    found = json.loads(place.ok("team", "clean", "--dry-run", "--json"))
    assert [each["run"] for each in found["freed"]] == [*ann.stale]
    assert place.ends() == []
    began, busy = time.monotonic(), sum(os.times()[:4])
    cleaned = team_api.clean(place.team)
    freed, worked = time.monotonic() - began, sum(os.times()[:4]) - busy
    print(f"stale seen after {seen - killed:.2f} s, freed in {freed:.2f} s, of which {worked:.2f} s of processor time")
    assert worked < FREED  # others may have the processors meanwhile
    assert place.ends() == [("run.lost", "its scheduler is gone")]
    assert cleaned.troubles == ()
    assert [*(place.team / "work").glob("dispatch-*")] == []
    assert [*context.mirror.folder.glob("dispatch-*")] == []

    (ann,) = agents_api.registry(context).agents
    assert (ann.status, ann.stale, ann.last.status) == (AgentStatus.OFFLINE, (), "lost")
    (need,) = [each for each in json.loads(place.ok("team", "status", "--json"))["needs"] if each["kind"] != "mail"]
    for name in ("GO", "END"):
        place.flag(name).touch()
    place.ok(*need["command"].split())
    assert [event["data"]["status"] for event in place.events("task.finished")] == ["success"]


@pytest.mark.parametrize("number", [30, pytest.param(10_000, marks=pytest.mark.storm)])
def test_the_folders_of_old_runs_are_removed_in_half_a_millisecond_each(team: Team, number: int):
    """Those whose output is in a blob, or that were lost; one that is nowhere else stays, as does what is new."""
    context, runs, old = team.context(), team.home / "runs", time.time() - timedelta(days=31).total_seconds()
    drafts = list[Draft]()
    for at in range(number):
        folder = runs / f"run-{at}"
        folder.mkdir(parents=True)
        (folder / "output.log").write_text("x" * 100)
        (folder / "prompt.md").write_text("y" * 900)
        for path in (folder / "output.log", folder):
            os.utime(path, (old, old))
        output = {} if at == 7 else {"output": {"sha256": "0" * 64, "size": 100}}
        kind, data = (Kind.RUN_LOST, {"why": "gone"}) if at == 9 else (Kind.RUN_FINISHED, output)
        drafts.append(Draft(kind, "scheduler", run=folder.name, data={"persona": "ann"} | data))
    (runs / "new" / "x").mkdir(parents=True)
    context.append(drafts)

    found = team_api.clean(team.home, keep=True, older=timedelta(days=30))
    began, busy = time.monotonic(), os.times()
    cleaned = team_api.clean(team.home, older=timedelta(days=30))
    took, worked = time.monotonic() - began, sum(os.times()[:4]) - sum(busy[:4])

    print(f"{number} folders cleaned in {took:.2f} s, of which {worked:.2f} s of processor time")
    assert len(found.leftovers) == len(cleaned.leftovers) == number - 1
    assert (found.size, cleaned.staying) == (1000 * (number - 1), 1)
    assert sorted(path.name for path in runs.iterdir()) == ["new", "run-7"]
    assert worked < CLEANED  # others may have the disk meanwhile


def keepers_of(home: Path) -> dict[str, psutil.Process]:
    """Find the keepers of a team's runs, by the words of their command: nobody may read their environment."""
    found: dict[str, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            words = part_of(process.cmdline())
        except psutil.Error:
            continue
        if words[:1] == [KEEPER] and os.path.realpath(words[2]) == str(home):
            found[words[1]] = process
    return found


@pytest.mark.storm
def test_no_run_that_lives_is_ended_by_a_clean_up_whoever_is_killed(tmp_path, monkeypatch):
    """While schedulers, wardens, keepers, mail processes and agents are killed, `team clean` looks again and again.

    It frees no run whose scheduler lives, and of one that was hurt in nothing it records its own end.
    """
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    storm, chance, kills, freed, hurt = Storm(tmp_path), random.Random(11), Counter[str](), set[str](), set[str]()
    while kills.total() < KILLS:
        command = chance.choice(["sprint", "tick"])
        leader = storm.start(command)
        while leader.poll() is None and not storm.processes()["agent"]:
            time.sleep(0.05)
        end = time.monotonic() + chance.uniform(0, 6)
        while leader.poll() is None and time.monotonic() < end:
            alive = {*keepers_of(storm.home)}
            now = {each.run for each in team_api.clean(storm.home).freed}
            freed |= now
            if now:
                started = {each["run"]: each["data"]["supervisor"]["pid"] for each in storm.events("run.started")}
                assert leader.poll() is not None or leader.pid not in {started[run] for run in now}
                lost = {event["run"] for event in storm.events("run.lost")}
                assert not now & alive & lost - hurt
            hurt |= kill_some(storm, chance, kills)
        if leader.poll() is None:
            hurt |= {*keepers_of(storm.home)} if command == "sprint" else set()
            leader.kill()
            kills["leader"] += 1
        leader.wait()
        if chance.random() < 0.3:  # so that what nobody leads is there to be freed
            freed |= {each.run for each in team_api.clean(storm.home).freed}
    print(f"{kills.total()} kills ({dict(kills)}), {len(freed)} runs freed, {len(storm.events('run.started'))} started")
    assert freed


def kill_some(storm: Storm, chance: random.Random, kills: Counter[str]) -> set[str]:
    """Kill a process, of a kind that is chosen too; return the runs that this may hurt."""
    keepers, kinds = keepers_of(storm.home), storm.processes()
    above = [keeper.parents()[:1] for keeper in keepers.values() if keeper.is_running()]
    kinds |= {"keeper": [*keepers.values()], "warden": [parent for one in above for parent in one if is_warden(parent)]}
    kind = chance.choice([each for each in kinds if kinds[each]] or [""])
    if not kind:
        return set()
    try:
        chance.choice(kinds[kind]).send_signal(signal.SIGKILL)
        kills[kind] += 1
    except psutil.Error:
        pass
    return {*keepers}


def is_warden(process: psutil.Process) -> bool:
    """Tell whether a process is a warden."""
    try:
        return part_of(process.cmdline())[:1] == [WARDEN]
    except psutil.Error:
        return False
