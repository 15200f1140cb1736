"""What a person can choose of the demo; apart from the rest, because the command line reads it on every start."""

from __future__ import annotations

from enum import StrEnum

DEFAULT_DEVICES = 60
DEFAULT_SEED = 1


class Scenario(StrEnum):
    """What the simulated fleet goes through."""

    CALM = "calm"
    BAD_NIGHT = "bad-night"
    SITE_OUTAGE = "site-outage"
    CANARY_GOOD = "canary-good"
    CANARY_REGRESSION = "canary-regression"
    STRAGGLERS = "stragglers"
    CONTROLLER_CRASH = "controller-crash"

    @property
    def rolls_out(self) -> bool:
        """Whether a rollout is what happens in it."""
        return self in {Scenario.CANARY_GOOD, Scenario.CANARY_REGRESSION, Scenario.STRAGGLERS, Scenario.CONTROLLER_CRASH}


class BrokerKind(StrEnum):
    """The programs that can be the demo's broker."""

    MOSQUITTO = "mosquitto"
    AMQTT = "amqtt"
