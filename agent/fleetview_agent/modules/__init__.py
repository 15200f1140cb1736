"""The modules of a device.

What they are stands in `spec`, in which order they start in `order`, how their lives go in `lifecycle` and `restarts`, which
only decide. What that takes of the system: `process`, `output`, `probes`, `guard`. Those that are part of the agent are
named in `registry`, and run in `builtin`, which lends them what they need.
"""
