"""distill inspect on the real datasets: agreement, label errors and leaks beside known figures."""

import csv
import json
import random

import pytest

from distill.inspect.inspect import Options, inspect_rows
from distill.inspect.ratings import Layout
from distill.inspect.sources import read_dataset
from distill.rows.identity import row_ids
from distill.rows.readers import read_records


@pytest.fixture(scope="module")
def data(real):
    """The folder of datasets."""
    return real / "data"


@pytest.fixture
def say(capsys):
    """A function that runs `distill inspect ... --json`; returns its exit code and object."""
    from distill.cli.main import main

    def run(*args):
        with pytest.raises(SystemExit) as stop:
            main(["inspect", *map(str, args), "--json", "--quiet"])
        return stop.value.code or 0, json.loads(capsys.readouterr().out)

    return run


def test_pandalm(say, data):
    """Annotator columns are guessed; the published agreement is met to six digits."""
    code, found = say(data / "pandalm/testset-v1.json", "--fail-under", "agreement=0.6")
    assert code == 0
    [rated] = found["agreement"].values()
    assert {pair: round(f["value"], 6) for pair, f in rated["cohen"].items()} == {
        "annotator1|annotator2": 0.852023,
        "annotator1|annotator3": 0.878944,
        "annotator2|annotator3": 0.861661,
    }
    assert round(rated["fleiss"]["value"], 6) == 0.864175
    assert round(rated["alpha"]["value"], 6) == 0.864221
    assert len(rated["disputed"]) == 120


def test_xsum(say, data):
    """Missing ratings count for alpha; Fleiss says that it left incomplete units out."""
    path = data / "xsum_hallucination/factuality_annotations_xsum_summaries.csv"
    flags = ["--unit", "bbcid,system", "--rater", "worker_id", "--label", "is_factual"]
    _, found = say(path, *flags, "--missing", "NULL")
    rated = found["agreement"]["is_factual"]
    assert (found["rows"], rated["units"], rated["missing"]) == (5597, 1869, 33)
    assert round(rated["alpha"]["value"], 6) == 0.773606
    assert (round(rated["fleiss"]["value"], 6), rated["fleiss"]["n"]) == (0.774363, 1848)
    assert "leaves out 21" in rated["fleiss"]["note"]
    assert [entry["value"] for entry in found["slices"]["system"]]


def test_hitspam(say, data):
    """Raters agree no better than chance: a gate fails. The gold joins nothing: no figure."""
    folder = data / "hitspam_mturk"
    flags = ["--columns", "worker,item,label", "--unit", "item", "--rater", "worker"]
    code, found = say(folder / "labels.txt", *flags, "--label", "label", "--gold",
                      folder / "gold.txt", "--fail-under", "agreement=0.2")  # fmt: skip
    assert code == 1
    rated = found["agreement"]["label"]
    assert abs(rated["alpha"]["value"]) < 0.01
    assert rated["alpha"]["low"] < 0 < rated["alpha"]["high"]
    assert rated["gold"]["joined"] == 0
    assert rated["gold"]["majority"]["value"] is None
    assert rated["dawid_skene"]["poor_raters"]


def test_imdb_votes(data):
    """Five votes a row; percent agreement by hand."""
    items = read_dataset(data / "cleanlab_label_errors/imdb_mturk.json")
    found = inspect_rows(items, Options(layout=Layout(votes="mturk")))["agreement"]["mturk"]
    assert (found["raters"], found["units_used"]) == (5, 1310)
    pairs = [sum(n * (n - 1) for n in item.fields["mturk"].values()) / 20 for item in items]
    assert found["percent"] == pytest.approx(sum(pairs) / 1310)


def test_planted_leaks_of_gsm8k(data):
    """Exact, reworded and n-gram leaks of test rows in train are all found; little else is."""
    train, test = (read_dataset(data / f"gsm8k/{name}.jsonl") for name in ("train", "test"))
    rng = random.Random(4)
    chosen = [item.fields["question"] for item in rng.sample(test, 60)]
    planted = []
    for at, question in enumerate(chosen):
        words = question.split()
        if at < 20:
            text = question.upper().replace(".", " !")
        elif at < 40:
            text = " ".join("something" if n % 10 == 6 else w for n, w in enumerate(words))
        else:
            text = f"It was long ago. {' '.join(words[2:18])} and so it went on, to the end."
        planted.append(type(test[0])(f"planted{at}", "train", {"question": text, "answer": "1"}))
    sample = rng.sample(train, 1500)
    found = inspect_rows([*sample, *planted], Options(), gold=test)["leakage"]["train|gold"]
    names = {row for row in found["rows"] if row.startswith("planted")}
    assert names == {f"planted{at}" for at in range(60)}
    assert len(found["rows"]) - 60 <= 10
    assert found["exact"] >= 20


def test_overlap_of_banking77(say, data):
    """26 test questions stand in train after normalising; ids are those of the file."""
    folder = data / "banking77"
    code, found = say(folder / "train.csv", "--gold", folder / "test.csv", "--fail-over",
                      "leakage=0")  # fmt: skip
    assert code == 1
    leak = found["leakage"]["train|gold"]
    assert leak["exact"] == 26
    assert leak["near"] >= 80
    assert set(leak["rows"]) <= set(row_ids(read_records(folder / "train.csv")))
    assert 50 < len(found["label_errors"]) < 400
    assert found["labels"]["counts"]["card_payment_fee_charged"] == 187


def test_planted_label_errors(data, tmp_path):
    """Of 25 labels that were changed, many are suspected, and next to no other is."""
    rows = read_records(data / "banking77/train.csv")
    keep = {"card_arrival", "exchange_rate", "passcode_forgotten", "age_limit", "top_up_failed"}
    rows = [row for row in rows if row["category"] in keep]
    rng = random.Random(2)
    changed = set(rng.sample(range(len(rows)), 25))
    for at in changed:
        rows[at] |= {"category": rng.choice(sorted(keep - {rows[at]["category"]}))}
    path = tmp_path / "noisy.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "category"])
        writer.writeheader()
        writer.writerows(rows)
    items = read_dataset(path)
    found = inspect_rows(items, Options())["label_errors"]
    wrong = {items[at].id for at in changed}
    named = [error["id"] for error in found]
    assert len(wrong & set(named)) >= 10
    assert len(wrong & set(named)) >= 0.9 * len(named)


def test_near_duplicates_of_the_demo(data):
    """The exact copy, the two long near-copies and the Chinese one are four repeats."""
    items = read_dataset(data / "dedup_demo/demo-dataset-deduplication.jsonl")
    found = inspect_rows(items, Options())["duplicates"]
    at = {item.id: place for place, item in enumerate(items)}
    groups = sorted(sorted(at[id] for id in c["rows"]) for c in found["clusters"])
    assert (found["exact"], found["near"]) == (1, 3)
    assert groups == [[6, 11], [7, 8], [9, 10], [12, 13]]


@pytest.mark.parametrize(
    "name",
    [
        "dolly_fixture/dolly.json", "llmbar/Natural.json", "mt_bench/question.jsonl",
        "mt_bench/reference_gpt-4.jsonl", "self_instruct/seed_tasks.jsonl",
        "stack_exchange_paired_tiny/stack_exchange_paired_tiny.json", "ifeval/input_data.jsonl",
        "banking77/categories.json",
    ],
)  # fmt: skip
def test_every_kind_is_read(say, data, name):
    """Chat, preference, instruction and bare text all give a whole report."""
    code, found = say(data / name)
    assert code == 0
    assert found["rows"] == len(read_records(data / name))


def test_static_embeddings(say, data, real, tmp_path):
    """With a model, banking77's test rows look like its training rows, and stories do not."""
    model = real / "tokenizers" / "model2vec-static-embedding"
    rows = list(csv.DictReader((data / "banking77/train.csv").open(encoding="utf-8")))[:1500:5]
    path = tmp_path / "some.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    near, far = (
        say(path, "--embeddings", model, "--reference", data / name)[1]["reference"]["embeddings"]
        for name in ("banking77/test.csv", "tinystories/tinystories_1000.json")
    )
    assert near["of"] == far["of"] == "static embeddings"
    assert near["high"] < far["low"]
