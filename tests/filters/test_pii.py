"""pii."""

import pytest

from distill.measure.pii import find_pii, luhn


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("write to jane.doe+x@mail.example.co.uk, please", ["email"]),
        ("card 4111 1111 1111 1111 was charged", ["card"]),
        ("card 4111-1111-1111-1112 was charged", []),
        ("5500005555555559", ["card"]),
        ("order 1234567890123456", []),
        ("call +44 20 7946 0958 now", ["phone"]),
        ("call (415) 555-2671", ["phone"]),
        ("call 415-555-2671 or 020 7946 0958", ["phone", "phone"]),
        ("from 192.168.0.17 and 2001:db8::8a2e:370:7334", ["ip", "ip"]),
        ("version 1.2.3.4.5, build 999.1.1.1", []),
        ("on 2024-05-17 at 10:30:15", []),
        ("on 17/05/2024 for 1,234,567.89 dollars", []),
        ("12 apples, 300 pears and 4000 plums", []),
        ("<<20000-12000-2000=6000>> and <<2000000-400000=1600000>>", []),
        ("0900-0130 = 0730 hours", []),
        ("415-555-2671 = the office", ["phone"]),
        ("me@home and @handle", []),
        ("", []),
    ],
)
def test_patterns_with_their_checks(text, kinds):
    """Checksums, ranges and forms tell data from numbers that only look like it."""
    assert [hit.kind for hit in find_pii(text)] == kinds


def test_luhn():
    """The example of ISO/IEC 7812-1 and one digit off."""
    assert luhn("79927398713")
    assert not luhn("79927398710")


def test_drop_names_the_kind(sift):
    """The reason is the commonest kind, the score how many pieces; both sides are looked at."""
    rows = sift(
        "pii",
        {"text": "mail a@b.example and c@d.example, card 4111111111111111", "label": "a"},
        {"text": "nothing here", "label": "a"},
        {"text": "fine", "label": "a@b.example"},
        {"other": 1},
    )
    assert [row.reason for row in rows] == ["pii:email", None, "pii:email", None]
    assert rows[0].score == 3


def test_mask_rewrites_and_keeps(sift):
    """Each piece becomes its kind; kinds that are not named stay."""
    filter = {"pii": {"fields": ["text"], "kinds": ["email"], "action": "mask"}}
    row, missing = sift(filter, {"text": "a@b.example, +44 20 7946 0958"}, {"label": "a"})
    assert row.fields["text"] == "[EMAIL], +44 20 7946 0958"
    assert (row.status, row.verdicts[0].score) == ("accepted", 1)
    assert missing.reason == "pii:missing_field"


def test_masked_card_and_phone(sift):
    """A card number is masked as a card, not in parts as a phone number."""
    text = "4111 1111 1111 1111 / (415) 555-2671 / 10.0.0.1"
    [row] = sift({"pii": {"action": "mask"}}, {"text": text})
    assert row.fields["text"] == "[CARD] / [PHONE] / [IP]"
