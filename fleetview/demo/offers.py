"""Configurations and releases of the simulated fleet: what `desired` offers and `reported` confirms."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from fleetview_agent.wire import document_sha256

RELEASE_BYTES = 18_874_368


def sha256_of(text: str) -> str:
    """Hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def config_document(version: int) -> dict[str, Any]:
    """The configuration with this number."""
    return {
        "sampling_s": 5 if version % 2 else 10,
        "rules": {"overheat": {"limit": 70 + version, "for_s": 30}},
        "uplink": {"batch": 250, "compress": True},
    }


@cache
def config_sha256(version: int) -> str:
    """Of the document, as the contract has it."""
    return document_sha256(config_document(version))


def release_url(version: str) -> str:
    """Where an agent would fetch it; nothing answers there."""
    return f"https://releases.acme.example/gateway-{version}.tar.zst"
