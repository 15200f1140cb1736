"""Rollouts: which devices get a change in which wave, how each of them fares, and whether it goes on. Decisions only.

`machine.step` takes a rollout, one event and the time, and gives back what is to be done: offers, withdrawals, measurements,
records of who did what. Whoever runs rollouts feeds it what devices and metrics say, stores what changed, and does it. There
is no clock here, no connection and no file: so a rollout runs in a test as it runs in the field.

    plan, planfile    what an operator writes, and what is wrong with it
    membership        which device is in which wave, and why
    state, codec      all that is known of a running rollout, and the same as JSON
    events            what happens, and what is to be done about it
    table, machine    states, phases and verbs
    devices           stages of a device, and how each ends
    gates, figures    whether a wave may pass, with the statistics
    commands          what an operator asks on `_fleet/rollout/<id>/command`
    snapshot          what everybody may see on `_fleet/rollout/<id>`
    preview           the consequences, before anything is done

Times are seconds since 1970, durations seconds, fractions 0..1.
"""
