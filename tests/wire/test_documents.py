from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview_agent.wire import canonical_json, document_sha256
from wire.strategies import json_objects


def test_a_document_has_one_spelling() -> None:
    document = {"b": [1.0, 2.5, True, None], "a": {"é": "\n", "z": -0.0}}
    assert canonical_json(document) == '{"a":{"z":0,"é":"\\n"},"b":[1,2.5,true,null]}'.encode()
    assert document_sha256(document) == hashlib.sha256(canonical_json(document)).hexdigest()


@given(document=json_objects)
def test_the_hash_survives_any_way_of_writing_json(document: dict[str, Any]) -> None:
    backwards = dict(reversed(document.items()))
    for indent, escaped in ((None, True), (2, False)):
        again = json.loads(json.dumps(backwards, indent=indent, ensure_ascii=escaped))
        assert document_sha256(again) == document_sha256(document)


@given(one=json_objects, other=json_objects)
def test_other_documents_have_other_hashes(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (document_sha256(one) == document_sha256(other)) is (
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    ) or one == other


@given(st.sampled_from([float("nan"), float("inf")]))
def test_what_json_has_not_has_no_hash(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        document_sha256({"a": [number]})
