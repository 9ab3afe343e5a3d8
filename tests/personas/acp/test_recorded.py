"""What real agents told over ACP, as it was printed: read again with each change."""

from __future__ import annotations

from pathlib import Path

import pytest
from team_mail.personas.agents.presets.preset import names, preset
from team_mail.personas.keeping.events import Events
from team_mail.personas.streams.stream import read_stream

PRINTED = Path(__file__).parent.parent / "streams" / "printed"
SPOKEN = [name for name in names() if preset(name).acp]


@pytest.mark.parametrize("name", SPOKEN)
def test_a_recorded_session_is_read_whole(name):
    """Both commands with what they printed, the last words, the figures and the session; the keeper sees its end."""
    log = (PRINTED / f"{name}.acp.txt").read_bytes()
    said, tells = read_stream(log), preset(name).acp.tells
    assert (said.text, said.failed, said.finished) == ("Done.", None, True)
    assert len(said.calls) == 2
    assert "echo A > a.txt" in str(said.calls[0].input)
    assert said.usage.session
    assert (said.usage.input is not None) == ("tokens" in tells)
    assert (said.usage.usd is not None) == (name == "claude")  # OpenCode knew no price of that model
    events = Events()
    events.feed(log)
    assert events.final
    assert events.meter.figures()["session"] == said.usage.session
