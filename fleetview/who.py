"""Who sits here, as the contract and records of what was done name a person: `ana@laptop`."""

from __future__ import annotations

import getpass
import socket


def user() -> str:
    """The name of whoever is logged in; empty where nobody is, as in a container."""
    try:
        return getpass.getuser().strip()
    except (OSError, KeyError):
        return ""


def operator() -> str:
    """The person and the machine."""
    return f"{user() or 'somebody'}@{socket.gethostname() or 'somewhere'}"
