"""The hand-written quickstart texts: enough of them, apart from each other, one label each."""

import importlib.util
import itertools
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "recipes" / "quickstart"
LABELS = ["billing", "bug", "access", "delivery", "feature", "cancel"]
SMALLEST = {"train": 72, "dev": 20, "gold": 24}
SLOT = re.compile(r"\{(.*?)\}")
# Words without a topic of their own: what is left over says what a clause is about.
GLUE_WORDS = """
a an the i my me you your we our us it its is are was were be been am to of in on at for and or but
by with from that this there so as if not do does did has have had no can could will would please
when than then now
"""


def read(name: str):
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def content_words(clause: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z{}'-]+", clause.lower())) - set(GLUE_WORDS.split())


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "quickstart_gold", ROOT / "scripts" / "quickstart_gold.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def clauses() -> list[tuple[str, str, str]]:
    return [
        (split, label, clause)
        for split in SMALLEST
        for label, texts in read(f"clauses_{split}").items()
        for clause in texts
    ]


@pytest.mark.parametrize("split", SMALLEST)
def test_every_label_has_enough_clauses(split: str) -> None:
    """Each split has all six labels in the same order and enough clauses for each."""
    by_label = read(f"clauses_{split}")
    assert list(by_label) == LABELS
    assert all(len(texts) >= SMALLEST[split] for texts in by_label.values())


def test_openers_and_closers_are_thirty_and_short() -> None:
    """Openers and closers are thirty different texts, too short to share 13 words with gold."""
    for name in ("openers", "closers"):
        texts = read(name)
        assert len(texts) == len(set(texts)) == 30
        assert max(len(text.split()) for text in texts) <= 5


def test_clauses_are_sentences_of_six_to_sixteen_words(clauses) -> None:
    """A clause is one string of 6 to 16 words that ends like a sentence."""
    for _, _, clause in clauses:
        assert isinstance(clause, str)
        assert 6 <= len(clause.split()) <= 16, clause
        assert clause[-1] in ".?", clause


def test_no_clause_stands_twice(clauses) -> None:
    """A clause belongs to one split and one label only, whatever its capitals."""
    lowered = [clause.lower() for _, _, clause in clauses]
    assert len(lowered) == len(set(lowered))


def test_no_clause_is_a_rewording_of_one_elsewhere(clauses) -> None:
    """Two clauses of different splits or labels share under two thirds of their content words."""
    about = [(split, label, content_words(clause)) for split, label, clause in clauses]
    for (split, label, words), (other_split, other_label, others) in itertools.combinations(
        about, 2
    ):
        if (split, label) != (other_split, other_label):
            assert len(words & others) < 2 / 3 * len(words | others), (words, others)


def test_slots_are_known_and_at_most_two_a_clause(clauses) -> None:
    """Every slot has values, a clause has at most two, and about a third of the clauses has one."""
    slots = read("slots")
    assert set(slots) == {"amount", "day", "item", "month", "device", "city"}
    assert all(len(values) == len(set(values)) == 12 for values in slots.values())
    found = [SLOT.findall(clause) for _, _, clause in clauses]
    assert all(len(names) <= 2 and set(names) <= set(slots) for names in found)
    assert 0.3 <= sum(map(bool, found)) / len(found) <= 0.5


@pytest.mark.parametrize(("split", "per_label"), [("gold", 110), ("dev", 60)])
def test_files_are_what_the_script_makes(script: ModuleType, split: str, per_label: int) -> None:
    """gold.jsonl and dev.jsonl equal a fresh composition, with equal rows for each label."""
    rows = script.compose(FOLDER, split)
    written = (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8")
    assert script.as_jsonl(rows) == written
    assert len({row["text"] for row in rows}) == len(rows) == per_label * len(LABELS)
    labels = [row["label"] for row in rows]
    assert all(labels.count(label) == per_label for label in LABELS)
    assert not any("{" in row["text"] for row in rows)


def test_script_refuses_a_gold_clause_in_train(script: ModuleType) -> None:
    """A clause that stands in gold and in train stops the script, capitals or not."""
    gold, train = {"bug": ["The app closes."]}, {"billing": ["the app closes."]}
    with pytest.raises(AssertionError, match="gold and train"):
        script.assert_disjoint({"gold": gold, "train": train})
