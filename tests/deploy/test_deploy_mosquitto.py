"""The access rules of `deploy/mosquitto`, on a real broker: each user may do its work, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.broker import mosquitto
from support.deployed import DEPLOY
from support.tls import Authority

from fleetview_agent.mqtt import BrokerUrl, LinkError, TlsFiles, open_session

if TYPE_CHECKING:
    from pathlib import Path

DEVICE = "edge-agent-001"
AGENTS = {
    f"fleet/v1/acme/plant-7/{DEVICE}/{channel}"
    for channel in ("birth", "state", "heartbeat", "log", "reported", "command/1/result")
}
OPERATORS = {f"fleet/v1/acme/plant-7/{DEVICE}/command/1", "fleet/v1/acme/_fleet/rollout/r-1/command"}
CONTROLLERS = {
    f"fleet/v1/acme/plant-7/{DEVICE}/desired",
    "fleet/v1/acme/_fleet/controller",
    "fleet/v1/acme/_fleet/rollout/r-1",
}
EVERYTHING = AGENTS | OPERATORS | CONTROLLERS | {"fleet/v1/acme/plant-7/edge-agent-002/state", "elsewhere"}


@pytest.mark.parametrize(
    ("user", "may"),
    [(DEVICE, AGENTS), ("viewer", set()), ("operator", OPERATORS), ("controller", CONTROLLERS), ("somebody", set())],
)
async def test_each_user_may_write_what_is_its_work_and_nothing_else(tmp_path: Path, user: str, may: set[str]) -> None:
    authority = Authority(tmp_path / "ca")
    rules = [f"acl_file {DEPLOY / 'mosquitto' / 'acl'}", "use_identity_as_username true"]
    with mosquitto(tmp_path, config_lines=rules, tls=authority, anonymous=False) as broker:
        own = authority.issue(user)
        files = TlsFiles(cafile=authority.cafile, cert=own.cert, key=own.key)
        refused: dict[str, str] = {}
        url = BrokerUrl.parse(broker.url)
        async with open_session(url, tls=files, client_id=user, on_message=lambda *_: None) as session:
            for topic in sorted(EVERYTHING):
                try:
                    await session.publish(topic, b"{}")
                except LinkError as err:
                    refused[topic] = str(err)
    assert set(refused) == EVERYTHING - may
    assert all("not authorized" in why for why in refused.values())
