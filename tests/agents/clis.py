"""The real agents: how each is told where the model is. Their commands are those of the presets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from team_mail.personas.agents.presets.preset import Preset, preset
from team_mail.team.blocks import agent_block

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / ".agents"
INSTALLED = (FOLDER / "node_modules" / ".bin", FOLDER / "aider" / "bin")
KEY = "sk-of-the-tests"


@dataclass(frozen=True)
class Cli:
    """An agent. `{url}` in the environment and the files stands for the model's address; `files` lie in its home.

    `more` are settings in its table besides the lines that `team init` writes.
    """

    name: str
    environ: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def preset(self) -> Preset:
        return preset(self.name)

    def section(self, **more: Any) -> str:
        """Return the agent's section of team.toml: the lines that `team init` writes, and more settings."""
        return agent_block(self.preset) + "".join(
            f"{key} = {json.dumps(value)}\n" for key, value in (self.more | more).items()
        )

    def environment(self, home: Path, url: str) -> dict[str, str]:
        """Write the agent's files into its home; return its variables."""
        for name, text in self.files.items():
            file = home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("{url}", url))
        return {name: value.replace("{url}", url) for name, value in self.environ.items()}


CODEX = """\
model = "gpt-5"
model_provider = "fake"

[model_providers.fake]
name = "fake"
base_url = "{url}/v1"
wire_api = "responses"
requires_openai_auth = true
supports_websockets = false
"""
OPENCODE = {
    "model": "fake/fake",
    "provider": {
        "fake": {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": "{url}/v1", "apiKey": KEY},
            "models": {"fake": {"limit": {"context": 100000, "output": 8000}}},
        }
    },
}
GEMINI = {"security": {"auth": {"selectedType": "gemini-api-key"}}}
CLIS = {
    cli.name: cli
    for cli in (
        Cli("claude", {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": "{url}"}),
        Cli("codex", {"CODEX_API_KEY": KEY}, {".codex/config.toml": CODEX}),
        Cli(
            "gemini",
            {"GEMINI_API_KEY": KEY, "GOOGLE_GEMINI_BASE_URL": "{url}"},
            {".gemini/settings.json": json.dumps(GEMINI)},
            {"model": "gemini-2.5-flash"},
        ),
        Cli("opencode", {}, {".config/opencode/opencode.json": json.dumps(OPENCODE)}),
        Cli(
            "copilot",
            {
                "COPILOT_PROVIDER_BASE_URL": "{url}/v1",
                "COPILOT_PROVIDER_API_KEY": KEY,
                "COPILOT_MODEL": "gpt-4.1",
                "COPILOT_OFFLINE": "true",
            },
        ),
        Cli(
            "aider",
            {"OPENAI_API_KEY": KEY, "OPENAI_API_BASE": "{url}/v1"},
            more={"model": "openai/fake", "args": ["--edit-format", "diff", "--no-show-model-warnings"]},
        ),
        Cli("qwen", {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "{url}/v1", "OPENAI_MODEL": "fake"}),
    )
}
