"""length."""


class Bytes:
    """A tokenizer of one token per byte."""

    def encode(self, text, *, add_special_tokens):
        return list(text.encode())


def test_words_characters_and_tokens_are_counted(reasons):
    """Both ends are allowed; each unit says too_short or too_long."""
    texts = [{"text": text} for text in ("a", "a b", "a b c", "a b c d")]
    assert reasons({"length": {"words": [2, 3]}}, *texts) == [
        "length:too_short",
        None,
        None,
        "length:too_long",
    ]
    assert reasons({"length": {"characters": [3, 5]}}, *texts)[0] == "length:too_short"
    tokens = reasons(
        {"length": {"tokens": [1, 2]}}, {"text": "é"}, {"text": "éa"}, tokenizer=Bytes()
    )
    assert tokens == [None, "length:too_long"]


def test_the_score_is_the_count_that_was_compared(sift):
    """With several units the score is the one that failed."""
    [row] = sift({"length": {"words": [1, 3], "characters": [1, 4]}}, {"text": "abcdef"})
    assert (row.reason, row.score) == ("length:too_long", 6)
