"""Modules of kind `function`: loaded when their trigger fires, unloaded when they idle.

`lives` decides when they run and `schedule` when it is time, with time as an argument. `process` is a loaded function,
`runner` brings all that together, and `check` tells what is wrong with what the configuration says of them.
"""
