import pytest

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
