"""Where fleetview keeps its files: the one place that says so. The folders are those of the platform (XDG on Linux)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

APP = "fleetview"
CONFIG_VARIABLE = "FLEETVIEW_CONFIG"


def config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """The file of contexts: what FLEETVIEW_CONFIG names, or `config.toml` in the user's configuration folder."""
    named = environ.get(CONFIG_VARIABLE)
    return Path(named).expanduser() if named else platformdirs.user_config_path(APP) / "config.toml"


def config_file_is_named(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether somebody asked for this file, so that it is an error when it is not there."""
    return bool(environ.get(CONFIG_VARIABLE))


def state_dir() -> Path:
    """What must survive a restart: histories, captures, journals."""
    return platformdirs.user_state_path(APP)


def cache_dir() -> Path:
    """What can be made again."""
    return platformdirs.user_cache_path(APP)
