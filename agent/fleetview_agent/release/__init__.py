"""Releases over the air: from an offer to modules that run, or back to those that ran before.

    model, machine    what is done next, and what is reported: decisions only
    updater, work     does it; what blocks, in threads
    offer             from `desired` to what can be taken
    fetch             the way over the network
    signing           who vouches for it (`verify` asks, in a process of its own)
    unpack, inventory from an archive to a folder, and proof that all of it is still there
    manifest          what is in a release, as modules
    shelf             the releases on the disk, which of them runs, and what is remembered of an update
    host, module      the updater as a part of the agent, and as a module of it
    settings          `[ota]`
    tool              `fleetview-agent release`: build, keygen, sign, verify

On the disk, below the agent's state:

    releases/1.0/  1.1/           what was unpacked, each with its `release.toml`
    releases/current -> 1.1       what runs
    releases/.update.json         how far an update has got: this decides what runs after a cut of power
    releases/.download/           what has arrived of an archive

Nothing is imported here: `verify` starts quickly.
"""
