"""Rows of one split that stand in another."""

from distill.inspect.leakage import measure_leakage, pairs_of
from distill.measure.words import Words

LONG = (
    "Ann has twelve apples and gives three of them to each of her two brothers before she buys"
    " another five apples at the market how many apples does Ann have in the end"
)


def leak(train, gold, contents=None):
    """The entry of train|gold for texts."""
    words = Words([*train, *gold])
    sides = {"train": range(len(train)), "gold": range(len(train), len(train) + len(gold))}
    ids = [f"t{n}" for n in range(len(train))] + [f"g{n}" for n in range(len(gold))]
    whole = Words([*contents, *gold]) if contents else words
    return measure_leakage(sides, ids, words, whole)["train|gold"]


def test_exact_after_normalising():
    """Case, punctuation and white space do not hide a leak; each hit names its other row."""
    found = leak(["Where is my card?", "Something else"], ["where is  my CARD"])
    assert (found["exact"], found["rows"], found["other_rows"]) == (1, ["t0"], ["g0"])
    assert found["pairs"][0]["similarity"] == 1.0


def test_reworded_and_reordered():
    """Some words replaced, or sentences in another order, are still near."""
    words = LONG.split()
    replaced = " ".join("thing" if n % 9 == 4 else word for n, word in enumerate(words))
    turned = " ".join([*words[15:], *words[:15]])
    found = leak([replaced, turned, "Bob sells pears " * 9], [LONG])
    assert found["rows"] == ["t0", "t1"]
    assert found["near"] == 2


def test_a_run_of_words_in_an_answer():
    """Thirteen words of a gold input in what a train row answers are a leak; twelve are not."""
    thirteen, twelve = (" ".join(LONG.split()[4 : 4 + n]) for n in (13, 12))
    contents = [f"tell me. it begins {thirteen} so", f"tell me. it begins {twelve} so"]
    found = leak(["tell me", "tell me"], [LONG], contents)
    assert (found["ngram"], found["rows"]) == (1, ["t0"])


def test_a_template_is_no_leak():
    """A run that many gold rows share is the wording of the task."""
    ask = "please read the following text with care and then answer what is asked below it"
    gold = [f"{ask} number{n} apples{n} pears{n}" for n in range(40)]
    assert leak([f"{ask} nothing of them at all"], gold)["ngram"] == 0


def test_empty_texts_are_no_copies():
    """Rows without text leak nothing."""
    assert leak(["", "..."], ["", " "])["rows"] == []


def test_which_pairs_are_compared():
    """All, train first; of many splits those with train."""
    assert pairs_of(["test", "train", "val"]) == [
        ("train", "val"), ("train", "test"), ("val", "test"),
    ]  # fmt: skip
    many = [*(f"part{n}" for n in range(9)), "train"]
    assert len(pairs_of(many)) == 9
