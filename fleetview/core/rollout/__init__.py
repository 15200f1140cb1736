"""Rollouts: which devices get a change in which wave, how each of them fares, and whether it goes on. Decisions only.

`machine.step` takes a rollout, one event and the time, and gives back what is to be done: offers, withdrawals, measurements,
records of who did what. Whoever runs rollouts feeds it what devices and metrics say, stores what changed, and does it. There
is no clock here, no connection and no file: so a rollout runs in a test as it runs in the field.

    plan, planfile      what an operator writes, and what is wrong with it (quantities, target: its values)
    membership          which device is in which wave, and which rollouts share devices
    preview, words      the consequences, before anything is done, and what it waits for
    state, codec        all that is known of a running rollout, and the same as JSON
    events              what happens, and what is to be done about it
    table, machine      states, phases and verbs; one event at a time
    flow, dispatch      the course of waves; who is offered something now
    devices             stages of a device, and how each ends
    gates, metrics      whether a wave may pass (figures: the statistics)
    commands, orders    what an operator asks on `_fleet/rollout/<id>/command`, and what it does
    snapshot            what everybody may see on `_fleet/rollout/<id>`

Times are seconds since 1970, durations seconds, fractions 0..1.
"""
