"""Shared runs of words."""

from distill.measure.ngrams import NgramIndex

LONG = "the quick brown fox jumps over the lazy dog while nobody at all is watching it"


def test_finds_a_shared_run_of_n_words_and_no_shorter_one():
    """Thirteen words in a row hit, twelve do not, whatever case and punctuation."""
    index = NgramIndex(13)
    index.add(LONG)
    words = LONG.upper().split()
    assert index.hit("so: " + ", ".join(words[2:15]) + "!") == " ".join(LONG.split()[2:15])
    assert index.hit("so: " + " ".join(words[2:14]) + " then") is None


def test_a_short_text_is_found_whole():
    """A text of 5 to 12 words hits where it stands whole; one of 4 words does not."""
    index = NgramIndex(13)
    index.add("How do I close my account?")
    index.add("close my account now")
    assert index.hit("Hello, how do I close my account please") == "how do i close my account"
    assert index.hit("how do I close her account") is None
    assert index.hit("please close my account now") is None


def test_a_small_n_takes_texts_of_that_length():
    """With n below 5 every run of n words counts, and texts shorter than that are left out."""
    index = NgramIndex(3)
    index.add("red green blue")
    index.add("one two")
    assert index.hit("a red green blue b") == "red green blue"
    assert index.hit("one two three") is None
