"""What is known of a fleet, and what follows from it.

No I/O, no clock, no event loop, no user interface: time is an argument.
"""
