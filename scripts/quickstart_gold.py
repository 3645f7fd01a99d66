"""Composes the gold and dev tickets of the offline quickstart from their hand-written clauses.

A ticket is an opener, two different clauses of one label and a closer, with the slots filled.
The same seed always gives the same two files; no gold clause may stand in train or dev.
Usage: python scripts/quickstart_gold.py [--folder recipes/quickstart] [--seed 11]
"""

import argparse
import itertools
import json
import random
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parents[1] / "recipes" / "quickstart"
ROWS_PER_LABEL = {"gold": 110, "dev": 60}
SEED = 11

Row = dict[str, str]


def load(folder: Path, name: str):
    """Returns the parsed YAML file `name` of the quickstart folder."""
    return yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))


def assert_disjoint(clauses_by_split: dict[str, dict[str, list[str]]]) -> None:
    """Fails when a clause, compared in lower case with its slots left in, stands in two splits."""
    lowered = {
        split: {clause.lower() for clauses in by_label.values() for clause in clauses}
        for split, by_label in clauses_by_split.items()
    }
    for one, other in itertools.combinations(lowered, 2):
        shared = sorted(lowered[one] & lowered[other])
        assert not shared, f"clauses in both {one} and {other}: {shared}"


def compose(folder: Path, split: str, seed: int = SEED) -> list[Row]:
    """Returns the tickets of one split, labels mixed, the same number for each label."""
    rng = random.Random(f"{seed}-{split}")
    openers, closers, slots = (load(folder, name) for name in ("openers", "closers", "slots"))
    rows: list[Row] = []
    for label, clauses in load(folder, f"clauses_{split}").items():
        pairs = list(itertools.combinations(clauses, 2))
        for pair in rng.sample(pairs, ROWS_PER_LABEL[split]):
            first, second = rng.sample(pair, 2)
            # One value per slot and ticket: a customer writes about one device, one item, one day.
            values = {slot: rng.choice(choices) for slot, choices in slots.items()}
            parts = [rng.choice(openers), first, second, rng.choice(closers)]
            rows.append({"text": " ".join(parts).format_map(values), "label": label})
    rng.shuffle(rows)
    assert len({row["text"] for row in rows}) == len(rows), f"{split}: two equal texts"
    return rows


def as_jsonl(rows: list[Row]) -> str:
    """Returns the rows as JSON lines, one row a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main() -> None:
    """Checks the clauses, then writes gold.jsonl and dev.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    splits = ("gold", "dev", "train")
    assert_disjoint({split: load(args.folder, f"clauses_{split}") for split in splits})
    for split in ROWS_PER_LABEL:
        path = args.folder / f"{split}.jsonl"
        rows = compose(args.folder, split, args.seed)
        path.write_text(as_jsonl(rows), encoding="utf-8")
        print(f"{len(rows)} rows -> {path}")


if __name__ == "__main__":
    main()
