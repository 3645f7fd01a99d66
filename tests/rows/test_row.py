import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.rows.row import canonical_json, digest, row_id


def test_equal_data_equal_bytes() -> None:
    """Key order does not matter; what JSON cannot hold is refused."""
    assert canonical_json({"b": "é", "a": [1, None]}) == '{"a":[1,null],"b":"é"}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(float("nan"))


def test_row_ids_depend_on_origin_only() -> None:
    """The same origin gives the same 16 characters; any part of it changes them."""
    first = row_id(1, "fields", ("p",), 0)
    assert len(first) == 16
    assert first == row_id(1, "fields", ("p",), 0)
    others = [row_id(2, "fields", ("p",), 0), row_id(1, "x", ("p",), 0), row_id(1, "fields", (), 0)]
    assert len({first, *others, row_id(1, "fields", ("p",), 1)}) == 5


plain = (
    st.none() | st.booleans() | st.integers() | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip


@given(st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_canonical_json_is_json_with_sorted_keys(value: object) -> None:
    """The bytes are those of json.dumps, whatever makes them quick."""
    wanted = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical_json(value) == wanted
