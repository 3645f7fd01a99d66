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


STORY = (
    "A train leaves the old station at nine in the morning and travels to the coast at sixty miles "
    "an hour. Two hours later a second train follows it on the same line at ninety miles an hour. "
    "After how many hours does the second train catch up with the first one?"
)


def test_a_reworded_long_input_is_near(sift):
    """With every seventh word changed no long run is left, but much of the gold input is."""
    words = STORY.split()
    for at in range(3, len(words), 7):
        words[at] = "quite"
    other = "A farmer sells ninety eggs an hour at the old station in the morning, how many in two?"
    rows = sift(
        "not_in_gold", {"text": " ".join(words)}, {"text": other}, {}, gold=[{"text": STORY}]
    )
    assert [row.reason for row in rows] == ["not_in_gold:near", None, "not_in_gold:missing_field"]
    assert 0.4 <= rows[0].score < 0.7
    off = {"not_in_gold": {"near": None, "similarity": None}}
    assert sift(off, {"text": " ".join(words)}, gold=[{"text": STORY}])[0].reason is None


def test_a_short_input_is_near_when_nearly_whole(reasons):
    """A short text needs nearly all of its runs of words."""
    gold = [{"text": "how long does the bank transfer to my savings account usually take"}]
    close = {"text": "how long does the bank transfer to my savings account usually need"}
    other = {"text": "how long does a bank transfer to my current account usually take"}
    assert reasons("not_in_gold", close, other, gold=gold) == ["not_in_gold:near", None]


def test_the_same_meaning_with_the_extra(reasons, embeddings):
    """Other words of the same topic mean a gold input where a model says so."""
    filter = {"not_in_gold": {"semantic": embeddings, "cosine": 0.97}}
    rows = ({"text": "sheep horse"}, {"text": "refund money"})
    assert reasons(filter, *rows, gold=[{"text": "cat dog"}]) == ["not_in_gold:semantic", None]
