"""The agent that runs on a device: registers it, reports how it is, and ships its logs."""

__version__ = "0.1.0"
