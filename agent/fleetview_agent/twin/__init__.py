"""The twin of a device: from the configuration that is desired to the one that it reports.

`decide` says what happens next and `watch` whether the device is well with it: decisions only, made of what stands in
`model`. `keep` keeps it on the disk, `twin` does what was decided.

What is offered is written as pending, validated as a whole, applied, and watched. Only then does it become the last good
one, which is in a file of its own that nothing else writes; the agent always starts with that. `local` does the same for the
file on the device when it is read anew, and `flaws` says what cannot even be tried.
"""
