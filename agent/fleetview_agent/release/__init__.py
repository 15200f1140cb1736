"""Releases over the air: from an offer to modules that run, or back to those that ran before.

    machine    what is done next, and what is reported: decisions only
    updater    does it
    fetch      the way over the network          signing   who vouches for it (`verify` asks, in a process of its own)
    unpack     from an archive to a folder       manifest  what is in it, as modules
    shelf      the releases on the disk, which of them runs, and what is remembered of an update
    tool       `fleetview-agent release`: build, keygen, sign

On the disk, below the agent's state:

    releases/1.0/  1.1/           what was unpacked, each with its `release.toml`
    releases/current -> 1.1       what runs
    releases/.update.json         how far an update has got: this decides what runs after a cut of power
    releases/.download/           what has arrived of an archive

Nothing is imported here: `verify` starts quickly.
"""
