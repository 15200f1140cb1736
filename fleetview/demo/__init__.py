"""A whole fleet on one machine: broker, simulated devices and real agents, for `fleetview demo` and `fleetview simulate`.

choices.py                  what a person can choose
stage.py                    puts all of it on, and takes it down again
children.py, leash.py       processes that end with the demo, however it ends
broker.py, amqtt_broker.py  mosquitto, or amqtt where there is none
agents.py, applogs.py       three real agents, and the application logs that they follow
player.py                   plays the simulation onto a broker in real time
simulation.py               the fleet on a virtual clock: messages with the second at which they are due; no I/O
  inventory.py character.py offers.py   which devices there are, what each is like, what it shall run
  devices.py health.py spool.py         one device, as its agent would speak for it
  scenarios.py faults.py chatter.py     what goes wrong when, each fault told as a story, and what is logged
  outbox.py ids.py                      its clock and messages; ids by the seed
"""
