"""What is known of the hooks of each agent: their file, their events, and what they are to print."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PLUGIN = """\
// Shows the mail of a team to the sessions of OpenCode. `team hook uninstall opencode` removes this file. #{made}
import {{ spawnSync }} from "node:child_process"

const show = (event, sessionID, directory) => {{
  const input = JSON.stringify({{ session_id: sessionID, cwd: directory }})
  const ended = spawnSync({program}, [...{words}, event], {{ cwd: directory, input, encoding: "utf8", timeout: 10000 }})
  return ended.status === 0 ? ended.stdout.trim() : ""
}}

export const TeamMail = async ({{ client, directory }}) => {{
  const told = new Set(), continued = new Set(), ours = new Set(), owns = new Map()
  const isOfPerson = async (id) => {{
    if (!owns.has(id)) owns.set(id, !(await client.session.get({{ path: {{ id }} }})).data?.parentID)
    return owns.get(id)
  }}
  const send = async (id, text, more) => {{
    ours.add(id)
    const body = {{ ...more, parts: [{{ type: "text", text }}] }}
    await client.session.prompt({{ path: {{ id }}, body }}).finally(() => ours.delete(id))
  }}
  return {{
    "chat.message": async ({{ sessionID: id }}, output) => {{
      if (ours.has(id) || !(await isOfPerson(id))) return
      told.delete(id)
      continued.delete(id)
      const first = output.parts.find((part) => part.type === "text" && !part.synthetic)
      const text = first ? show("prompt", id, directory) : ""
      if (text) first.text += `\\n\\n${{text}}`
    }},
    // Before a turn can end: with a message that nothing has answered it goes on, in print mode, too.
    "experimental.text.complete": async ({{ sessionID: id }}) => {{
      if (told.has(id) || ours.has(id) || !(await isOfPerson(id))) return
      const text = show("stop", id, directory)
      if (!text) return
      told.add(id)
      await send(id, text, {{ noReply: true }})
    }},
    event: async ({{ event }}) => {{
      if (event.type !== "session.idle") return
      const id = event.properties.sessionID
      if (continued.has(id) || !(await isOfPerson(id))) return
      const text = show("stop", id, directory)
      if (!text) return
      continued.add(id)
      await send(id, text)
    }},
  }}
}}
"""


class Hooked(NamedTuple):
    """An agent's hooks. `events` are its words for "start", "prompt" and "stop".

    Its file is `project` below the top of a checkout, or `user` below `user_folder`: the folder that `variable` names,
    else one in the home. `own` says that the file is nobody else's. `seconds` is its time limit, in its own unit.
    """

    project: str
    user: str
    variable: str
    user_folder: str
    events: Mapping[str, str]
    limit: tuple[str, int] = ("timeout", 10)
    own: bool = False
    command: str = "command"  # the key of the shell's words
    grouped: bool = True  # whether commands stand in groups with matchers
    note: str = ""

    def file(self, top: Path, home: Path, *, for_user: bool, environ: Mapping[str, str] = os.environ) -> Path:
        """Return the file of a checkout, or of a user."""
        if not for_user:
            return top / self.project
        named = environ.get(self.variable, "") if self.variable else ""
        return (Path(named) if named else home / self.user_folder) / self.user


_CLAUDE = {"start": "SessionStart", "prompt": "UserPromptSubmit", "stop": "Stop"}
AGENTS: dict[str, Hooked] = {
    "claude": Hooked(".claude/settings.local.json", "settings.json", "CLAUDE_CONFIG_DIR", ".claude", _CLAUDE),
    "codex": Hooked(
        ".codex/hooks.json", "hooks.json", "CODEX_HOME", ".codex", _CLAUDE,
        note="Codex runs a hook once you have trusted it: it asks at its next start",
    ),
    "gemini": Hooked(
        ".gemini/settings.json", "settings.json", "", ".gemini",
        {"start": "SessionStart", "prompt": "BeforeAgent", "stop": "AfterAgent"}, ("timeout", 10_000),
        note="Gemini loads them once you have trusted the folder, and does not mind --skip-trust",
    ),
    "copilot": Hooked(
        ".github/hooks/team-mail.json", "team-mail.json", "", ".copilot/hooks",
        {"start": "sessionStart", "prompt": "userPromptSubmitted", "stop": "agentStop"}, ("timeoutSec", 10),
        own=True, command="bash", grouped=False,
        note="the file names a program of this machine: keep it out of commits",
    ),
    "opencode": Hooked(
        ".opencode/plugin/team-mail.js", "plugin/team-mail.js", "OPENCODE_CONFIG_DIR", ".config/opencode",
        {"prompt": "prompt", "stop": "stop"}, own=True,
        note="the file names a program of this machine: keep it out of commits",
    ),
}  # fmt: skip
