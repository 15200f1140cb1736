"""What is written is read back the same, on every channel."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview_agent.wire import MODELS, Channel, decode, encode
from wire.strategies import messages


def test_every_channel_has_a_model_and_a_strategy() -> None:
    assert set(MODELS) == set(Channel) == set(messages)


@pytest.mark.parametrize("channel", list(Channel))
@given(data=st.data(), compress=st.booleans())
def test_what_encode_writes_decode_reads_back(channel: Channel, data: st.DataObject, compress: bool) -> None:
    message = data.draw(messages[channel])
    payload = encode(message, compress=compress)
    assert payload.startswith(b"\x1f\x8b") is compress
    assert decode(channel, payload) == message


@pytest.mark.parametrize("channel", list(Channel))
@given(data=st.data())
def test_what_is_written_is_json_with_its_version_and_only_what_was_given(channel: Channel, data: st.DataObject) -> None:
    message = data.draw(messages[channel])
    written: dict[str, Any] = json.loads(encode(message), parse_constant=pytest.fail)
    assert written.pop("v") == 1
    given_fields = message.model_fields_set - {"v"}
    assert set(written) == given_fields


@pytest.mark.parametrize("channel", sorted(set(Channel) - {Channel.ROLLOUT, Channel.ROLLOUT_COMMAND}))
@given(data=st.data(), unknown=st.dictionaries(st.text().map("x-{}".format), st.none() | st.integers() | st.text()))
def test_fields_that_a_reader_does_not_know_are_ignored(
    channel: Channel, data: st.DataObject, unknown: dict[str, Any]
) -> None:
    message = data.draw(messages[channel])
    payload = json.dumps({**unknown, **json.loads(encode(message)), **unknown}).encode()
    assert decode(channel, payload) == message
