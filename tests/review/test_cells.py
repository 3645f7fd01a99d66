"""Values as cells: back bit for bit, and nothing that a spreadsheet would run."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.review.cells import decode, encode, escape, unescape
from distill.review.formats.xlsx import from_xlsx, to_xlsx

HOSTILE = [
    "=1+1", "+1", "-1", "@SUM(A1)", "'quoted", "''", "\t=1", "\n=1", "\r", "  =1", "\uff1d1", "",
    " ", "\u200b=1", "true", "TRUE", "null", "1", "1.0", '"a"', "[1]", '{"a":1}', "x\r\ny", "\x00",
    "=HYPERLINK(\"http://x\",\"y\")", "\u202eright to left", "\U0001f600", "x" * 40_000, "00123",
    "\u2028", "<script>alert(1)</script>", "\x1b[31m", "_x0041_", "\u241b0041", "1e5", "-", "'",
]  # fmt: skip
VALUES = [True, False, 0, 1, -1, 1.5, 1e22, [1, "a"], {"a": None}, [], {}]
LEADS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
json_values = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_comes_back(text):
    """Every text returns bit for bit, in a column of text and in a mixed one."""
    assert decode(encode(text, text_only=True), text_only=True) == text
    assert decode(encode(text, text_only=False), text_only=False) == text


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_other_values_come_back(value):
    """Booleans stay booleans and numbers stay numbers."""
    back = decode(encode(value, text_only=False), text_only=False)
    assert back == value
    assert type(back) is type(value)


def test_missing_is_not_empty():
    """A missing value is an empty cell; an empty text is not."""
    assert encode(None, text_only=True) == ""
    assert decode("", text_only=True) is None
    assert decode(encode("", text_only=True), text_only=True) == ""


@given(st.text())
def test_no_text_is_a_formula(text):
    """Whatever the text, its cell begins as text, survives CSV and XLSX, and comes back."""
    cell = escape(text)
    assert not cell.lstrip().startswith(LEADS)
    assert unescape(cell) == text
    assert from_xlsx(to_xlsx(cell)) == cell
    written = io.StringIO(newline="")
    csv.writer(written, quoting=csv.QUOTE_ALL).writerow([cell])
    assert next(csv.reader(io.StringIO(written.getvalue(), newline=""))) == [cell]


@given(json_values)
def test_any_json_value_comes_back(value):
    """What a mixed column holds is told apart again."""
    back = decode(encode(value, text_only=False), text_only=False)
    assert back == value
    assert type(back) is type(value)


def test_a_typed_apostrophe_stays():
    """A person who types 'tis means the apostrophe."""
    assert decode("'tis", text_only=True) == "'tis"
    assert decode(encode("'tis", text_only=True), text_only=True) == "'tis"
