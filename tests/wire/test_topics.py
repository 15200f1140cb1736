"""Topics: built and parsed to the same, and nothing but WireError for what is none."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fleetview_agent.wire import Address, Channel, DeviceTopic, FleetTopic, Topics, WireError
from wire.strategies import names

OF_DEVICES = [channel for channel in Channel if channel.value.partition("/")[0] not in {"controller", "rollout"}]
roots = st.lists(st.text(st.characters(exclude_characters="/+#", min_codepoint=32, codec="utf-8"), min_size=1), min_size=1)
addresses = st.builds(Address.of, names, names, names)


@given(roots.map("/".join), addresses, st.sampled_from(OF_DEVICES), names)
def test_a_device_topic_is_parsed_to_what_it_was_built_from(
    root: str, address: Address, channel: Channel, command_id: str
) -> None:
    topics = Topics(root)
    needs_id = channel in {Channel.COMMAND, Channel.COMMAND_RESULT}
    built = topics.device(address, channel, command_id if needs_id else None)
    assert built.startswith(f"{root}/{address}/")
    assert topics.parse(built) == DeviceTopic(address, channel, command_id if needs_id else None)


@given(names, names)
def test_a_control_plane_topic_is_parsed_to_what_it_was_built_from(tenant: str, rollout: str) -> None:
    topics = Topics()
    assert topics.parse(topics.controller(tenant)) == FleetTopic(tenant, Channel.CONTROLLER)
    assert topics.parse(topics.rollout(tenant, rollout)) == FleetTopic(tenant, Channel.ROLLOUT, rollout)
    assert topics.parse(topics.rollout_command(tenant, rollout)) == FleetTopic(tenant, Channel.ROLLOUT_COMMAND, rollout)


@pytest.mark.parametrize(
    ("topic", "channel"),
    [
        ("fleet/v1/acme/plant-7/gw-1/birth", Channel.BIRTH),
        ("fleet/v1/acme/plant-7/gw-1/state", Channel.STATE),
        ("fleet/v1/acme/plant-7/gw-1/heartbeat", Channel.HEARTBEAT),
        ("fleet/v1/acme/plant-7/gw-1/log", Channel.LOG),
        ("fleet/v1/acme/plant-7/gw-1/log/ack", Channel.LOG_ACK),
        ("fleet/v1/acme/plant-7/gw-1/desired", Channel.DESIRED),
        ("fleet/v1/acme/plant-7/gw-1/reported", Channel.REPORTED),
        ("fleet/v1/acme/plant-7/gw-1/command/c-1", Channel.COMMAND),
        ("fleet/v1/acme/plant-7/gw-1/command/c-1/result", Channel.COMMAND_RESULT),
        ("fleet/v1/acme/_fleet/controller", Channel.CONTROLLER),
        ("fleet/v1/acme/_fleet/rollout/r-1", Channel.ROLLOUT),
        ("fleet/v1/acme/_fleet/rollout/r-1/command", Channel.ROLLOUT_COMMAND),
    ],
)
def test_the_topics_of_the_contract(topic: str, channel: Channel) -> None:
    assert Topics().parse(topic).channel is channel


@given(st.text() | st.lists(names | st.sampled_from(["", "_fleet", "command", "log", "#", "+"]) | st.text()).map("/".join))
@example("")
@example("fleet/v1/")
@example("fleet/v1/a/b/c/birth/")
@example("fleet/v1/a/b/c/command")
@example("fleet/v1/a/b/c/command/x/result/y")
@example("fleet/v1/a/_fleet/birth/x/y/z")
@example("fleet/v1/a/_fleet/c/heartbeat")
@example("fleet/v1/a/b/c\n/birth")
@example("fleet/v1/a/b/c/birth\n")
@example("fleet/v1/a/b/" + "c" * 65 + "/birth")
@example("fleet/v1/\u00e4/b/c/birth")
@example("fleet/v1/a/b/\u0661/birth")
@example("fleet/v2/a/b/c/birth")
def test_a_topic_that_the_contract_does_not_name_only_raises_wire_error(tail: str) -> None:
    for topic in (tail, f"fleet/v1/{tail}"):
        try:
            parsed = Topics().parse(topic)
        except WireError:
            continue
        topics = Topics()
        match parsed:  # then it must be one that we would have built
            case DeviceTopic(address, channel, command_id):
                assert topics.device(Address.of(*address), channel, command_id) == topic
            case FleetTopic(tenant, Channel.CONTROLLER):
                assert topics.controller(tenant) == topic
            case FleetTopic(tenant, Channel.ROLLOUT, str(rollout)):
                assert topics.rollout(tenant, rollout) == topic
            case FleetTopic(tenant, Channel.ROLLOUT_COMMAND, str(rollout)):
                assert topics.rollout_command(tenant, rollout) == topic
            case other:
                pytest.fail(f"{other} for {topic!r}")


@pytest.mark.parametrize("name", ["a", "0", "a" * 64, "A.b_c-d", "0..", "edge-agent-001"])
def test_names_at_the_edge_that_are_allowed(name: str) -> None:
    assert Address.parse(f"{name}/{name}/{name}") == Address.of(name, name, name)


@pytest.mark.parametrize("name", ["", "a" * 65, "_a", "-a", ".a", "a/b", "a b", "a\n", "\u00e9", "a+", "#", "$SYS", "a\x00"])
def test_names_at_the_edge_that_are_not(name: str) -> None:
    for parts in ((name, "s", "d"), ("t", name, "d"), ("t", "s", name)):
        with pytest.raises(WireError):
            Address.of(*parts)
    for build in (Topics().controller, lambda bad: Topics().rollout("t", bad), lambda bad: Topics().rollout(bad, "r")):
        with pytest.raises(WireError):
            build(name)
    with pytest.raises(WireError):
        Topics().device(Address.of("t", "s", "d"), Channel.COMMAND, name)


@given(names)
def test_an_error_names_what_is_wrong(name: str) -> None:
    assume(name != "heartbeat")
    with pytest.raises(WireError, match="site '_x'"):
        Address.of("t", "_x", "d")
    with pytest.raises(WireError, match="not an address"):
        Address.parse(name)


@pytest.mark.parametrize("channel", [Channel.COMMAND, Channel.COMMAND_RESULT])
def test_a_command_needs_its_id(channel: Channel) -> None:
    with pytest.raises(WireError, match="id"):
        Topics().device(Address.of("t", "s", "d"), channel)


@pytest.mark.parametrize("channel", [Channel.CONTROLLER, Channel.ROLLOUT, Channel.ROLLOUT_COMMAND])
def test_the_control_plane_is_no_device(channel: Channel) -> None:
    with pytest.raises(WireError):
        Topics().device(Address.of("t", "s", "d"), channel, "x")


@pytest.mark.parametrize("root", ["", "/", "a/", "/a", "a//b", "a/+", "#", "a\x00", "a\nb"])
def test_a_root_that_cannot_be_one(root: str) -> None:
    with pytest.raises(WireError):
        Topics(root)


def _covers(subscription: str, topic: str) -> bool:
    """MQTT's matching, without `#`."""
    ours, theirs = subscription.split("/"), topic.split("/")
    return len(ours) == len(theirs) and all(level in {"+", other} for level, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("channel", OF_DEVICES)
@given(address=addresses, command_id=names)
def test_a_filter_covers_its_channel_and_no_other(channel: Channel, address: Address, command_id: str) -> None:
    topics = Topics()
    needs_id = {Channel.COMMAND, Channel.COMMAND_RESULT}
    for other in OF_DEVICES:
        topic = topics.device(address, other, command_id if other in needs_id else None)
        wide = topics.filter(channel)
        narrow = topics.filter(channel, tenant=address.tenant, site=address.site)
        # `command/ack` could not be told from `log/ack` by depth alone, so all are looked at
        assert _covers(wide, topic) is (other is channel)
        assert _covers(narrow, topic) is (other is channel)
    assert topics.filter(Channel.HEARTBEAT) == "fleet/v1/+/+/+/heartbeat"


@given(names, names)
def test_a_filter_covers_the_control_plane(tenant: str, rollout: str) -> None:
    topics = Topics()
    assert _covers(topics.filter(Channel.CONTROLLER), topics.controller(tenant))
    assert _covers(topics.filter(Channel.ROLLOUT), topics.rollout(tenant, rollout))
    assert _covers(topics.filter(Channel.ROLLOUT_COMMAND), topics.rollout_command(tenant, rollout))
