"""Tells whether an agent asks a model on this machine, which answers one run after the other unless told otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

_ADDRESS = re.compile(r"_(URL|BASE|HOST|ENDPOINT)$")  # names of variables such as OPENAI_BASE_URL, OLLAMA_HOST
_OF_MODELS = re.compile(
    r"(^|_)(AI|AMP|ANTHROPIC|CLAUDE|CODEX|COPILOT|DASHSCOPE|DEEPSEEK|GEMINI|GROQ|INFERENCE|LITELLM|LLAMA|LLAMACPP|LLM|LM"
    r"|LMSTUDIO|MISTRAL|MODEL|OLLAMA|OPENAI|OPENROUTER|QWEN|VLLM)_"
)  # in such a name; DATABASE_URL and DB_HOST are addresses of something else
_LOOPBACK = re.compile(r"(.*\.)?localhost|127(\.\d+){3}|::1|0\.0\.0\.0")
_WORDS = frozenset({"--oss"})  # of Codex
_PROVIDERS = ("ollama/", "ollama_chat/", "lmstudio/", "lm_studio/", "llamacpp/")


def local_model(command: Sequence[str], variables: Mapping[str, str]) -> str:
    """Return what shows that a command asks a model on this machine, a variable or a word; "" if nothing does.

    `variables` are those that reach it besides the harmless ones.
    """
    for name, value in variables.items():
        if _ADDRESS.search(name) and _OF_MODELS.search(name) and is_here(value):
            return name
    return next((word for word in command if word in _WORDS or word.startswith(_PROVIDERS)), "")


def is_here(address: str) -> bool:
    """Tell whether an address, with or without a scheme, is of this machine."""
    try:
        host = urlsplit(address if "://" in address else f"//{address}").hostname
    except ValueError:
        return False
    return bool(host and _LOOPBACK.fullmatch(host))
