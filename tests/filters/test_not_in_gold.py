"""not_in_gold."""

GOLD = [
    {"text": "How do I get my money back when the parcel never came and the shop is closed?"},
    {"text": "Where is my new card?"},
    {"text": "refund"},
]


def test_planted_leaks_are_found(reasons):
    """Exact copies, shared runs of words and short gold texts inside longer ones are dropped."""
    rows = [
        "how do i get my money back when the parcel never came and the shop is closed",
        "Hello! I get my money back when the parcel never came and the shop said no",
        "Hi there, where is my new card? Thanks",
        "Refund!",
        "I want a refund for the parcel",
        "Where is my old card?",
        "I get my money back when the parcel never came and the store is open",
    ]
    assert reasons("not_in_gold", *({"text": text} for text in rows), gold=GOLD) == [
        "not_in_gold:exact",
        "not_in_gold:ngram",
        "not_in_gold:ngram",
        "not_in_gold:exact",
        None,
        None,
        None,
    ]


def test_ngram_sets_the_length_of_the_run(reasons):
    """A shorter run finds more."""
    text = {"text": "the parcel never came, sadly"}
    assert reasons({"not_in_gold": {"ngram": 4}}, text, gold=GOLD) == ["not_in_gold:ngram"]
