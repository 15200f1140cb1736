"""The modules of a device.

What they are stands in `spec`, in which order they start in `order`, how their lives go in `lifecycle` and `restarts`, which
only decide. What that takes of the system: `process`, `output`, `probes`, `guard`.
"""

BUILT_IN = ("telemetry_collector", "rule_engine", "ota_updater")
"""Modules that need no `command`. This version knows their names, and runs none of them."""
