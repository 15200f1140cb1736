"""The built-in module `telemetry_collector`.

What it is told stands in `spec`. `scrape` reads what applications show and `counters` keeps what only counts up, both
without I/O; `machine` asks the system, `exposition` writes what a local Prometheus reads, and `collector` runs all that.
"""
