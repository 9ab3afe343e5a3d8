"""Opening a team's mail: which folders, and what an opened log does by itself."""

from __future__ import annotations

import pytest
from team_mail.mail.errors import NoTeam
from team_mail.mail.log.event import Draft
from team_mail.mail.open import open_blobs, open_log, open_mailbox, team_home


def test_log_blobs_and_mailbox_of_one_home_belong_together(tmp_path):
    """What is opened alone is what the mailbox uses."""
    home = tmp_path / ".team"
    mailbox = open_mailbox(home)
    blob = mailbox.blobs.put(b"body")
    (event,) = mailbox.log.append([Draft("mail.sent", "boss", ("ada",), "Work")])
    assert open_blobs(home).read(blob.sha256) == b"body"
    assert open_log(home).head().seq == event.seq
    assert [message.subject for message in open_mailbox(home).inbox("ada")] == ["Work"]


def test_an_opened_log_writes_the_parquet_copies_of_a_new_segment(tmp_path):
    """The next query need not write them first."""
    log = open_log(tmp_path / ".team")
    log._segment_bytes = 1
    for number in range(2):
        log.append([Draft("mail.sent", "boss", ("ada",), str(number))])
    assert [segment.parquet.is_file() for segment in log.segments] == [True, True]
    assert [segment.mailbox_parquet.is_file() for segment in log.segments] == [True, True]


def test_without_a_team_there_is_no_home(tmp_path, monkeypatch):
    """`create` returns where the first mail would create it; nothing is created yet."""
    monkeypatch.delenv("TEAM_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoTeam):
        team_home()
    assert team_home(create=True) == tmp_path / ".team"
    assert list(tmp_path.iterdir()) == []
