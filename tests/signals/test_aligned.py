"""A teacher's distributions in the tokens of another tokenizer: places, sums, the chain rule."""

import numpy as np
import pytest

from distill.signals.aligned import (
    GONE,
    TAIL,
    Place,
    Projection,
    Written,
    entries,
    places,
    with_written,
)

STUDENT = [None, None, b"t", b"h", b"e", b" ", b"n", b"then", "é".encode(), b"\xaf"]
TEACHER = [None, b"the", b"then", b"th", b"e", b" n", b"\xc3", b"\xa9", None]
END, OURS_END = 8, 1


@pytest.fixture
def projection():
    return Projection(STUDENT, TEACHER, {END: OURS_END})


def test_where_the_teacher_was_at_each_byte():
    """Tokens of the student begin inside tokens of the teacher, after some of their bytes."""
    found = places([b"t", b"h", b"e", b" ", b"n", None], [b"the", b" n", None])
    assert found == [
        Place(0, b""), Place(0, b"t"), Place(0, b"th"), Place(1, b""), Place(1, b" "),
        Place(2, b""),
    ]  # fmt: skip


def test_a_piece_that_ends_inside_a_character():
    """The bytes of one character are spread over tokens of either side."""
    accent = "é".encode()
    assert places([accent, b"e"], [b"\xc3", b"\xa9", b"e"]) == [Place(0, b""), Place(2, b"")]
    assert places([b"\xc3", b"\xa9"], [accent]) == [Place(0, b""), Place(0, b"\xc3")]


def test_texts_that_part_are_aligned_up_to_there():
    """Cut at different lengths, unknown tokens, other texts, an end that only one has."""
    assert places([b"a", b"b"], [b"a", None]) == [Place(0, b""), None]
    assert places([b"a", None, b"b", None], [b"a", b"x", b"b"]) == [Place(0, b""), None, None, None]
    assert places([b"x"], [b"y"]) == [None]
    assert places([b"a", None], [b"a"]) == [Place(0, b""), None]
    assert places([], []) == []


def test_mass_is_summed_by_the_students_first_token(projection):
    """From a common byte every token of the teacher counts for the token that comes first."""
    p = np.array([0, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05])
    found, tail = projection.distribution(p, b"")
    # `then` is one token of the student's; `the` and `th` start with t.
    assert found[7] == pytest.approx(0.2)
    assert found[2] == pytest.approx(0.4)
    assert found[5] == pytest.approx(0.1)
    assert found[OURS_END] == pytest.approx(0.05)
    # The halves of é are no token of the student's: which one comes is not known yet.
    assert tail == pytest.approx(0.15)
    assert found.sum() + tail == pytest.approx(1)


def test_inside_a_token_only_what_goes_on_counts(projection):
    """After `th` the teacher's `the` and `then` go on with e; `th` itself is left to the tail."""
    p = np.array([0, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05])
    found, tail = projection.distribution(p, b"th")
    assert found[4] == pytest.approx(0.5 / 0.6)
    assert tail == pytest.approx(0.1 / 0.6)
    assert projection.target(b"th").tolist() == [GONE, 4, 4, TAIL, GONE, GONE, GONE, GONE, GONE]
    _, nothing = projection.distribution(p, b"zz")
    assert nothing == 1


def test_a_longer_token_takes_the_chains_share(projection):
    """The written é spans two tokens of the teacher: p(first) x p(second), the rest is open."""
    p = np.array([0, 0, 0, 0, 0.2, 0, 0.8, 0, 0.0])
    found, tail = projection.distribution(p, b"")
    told = Written(goes=int(projection.target(b"")[6]), mass=0.8, rest=1, chain=0.75)
    found, tail = with_written(found, tail, 8, STUDENT[8], told)
    assert found[8] == pytest.approx(0.6)
    assert tail == pytest.approx(0.2)
    assert found.sum() + tail == pytest.approx(1)


def test_the_same_tokenizer_is_the_identity():
    """With equal pieces every probability stays where it is."""
    pieces = [None, b"a", b"b", b"ab"]
    projection = Projection(pieces, pieces, {0: 0})
    p = np.array([0.1, 0.2, 0.3, 0.4])
    found, tail = projection.distribution(p, b"")
    assert found.tolist() == pytest.approx(p.tolist())
    assert tail == 0


def test_supports_are_the_likeliest_tokens():
    """At most k, or as many as hold the mass, at least min_k; nothing that cannot be."""
    p = np.array([0.5, 0.0, 0.3, 0.2])
    assert [at for at, _ in entries(p, 2, None, 1)] == [0, 2]
    assert [at for at, _ in entries(p, 4, 0.5, 1)] == [0]
    assert [at for at, _ in entries(p, 4, 0.5, 2)] == [0, 2]
    assert len(entries(p, 9, None, 1)) == 3
