"""k9s for fleets of edge devices: what is broken, since when, why, and what can safely be done about it."""

__version__ = "0.1.0"
