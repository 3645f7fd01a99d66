"""Every kind of file and folder that inspect reads."""

import json

import pytest

from distill.errors import DataError
from distill.inspect.sources import read_dataset


def test_json_of_splits_with_unnamed_columns(tmp_path):
    """An object of arrays holds splits; rows that are arrays get names of their places."""
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"train": [["hi", "a"], ["ho", "b"]], "oos_test": [["x", "c"]]}))
    items = read_dataset(path)
    assert [(item.split, dict(item.fields)["column2"]) for item in items] == [
        ("train", "a"), ("train", "b"), ("oos_test", "c"),
    ]  # fmt: skip


COLUMNS = {"text": ["hi", "ho"], "label": ["a", "b"]}


@pytest.mark.parametrize(
    ("value", "splits"),
    [
        (COLUMNS, ["train", "train"]),
        ({name: dict(enumerate(cells)) for name, cells in COLUMNS.items()}, ["train", "train"]),
        ({"train": COLUMNS, "dev": COLUMNS}, ["train", "train", "val", "val"]),
    ],
)
def test_json_of_columns(tmp_path, value, splits):
    """Columns of one length are rows, as `to_dict` and pandas write them, in splits too."""
    path = tmp_path / "d.json"
    path.write_text(json.dumps(value))
    items = read_dataset(path)
    assert [item.split for item in items] == splits
    assert [item.fields["text"] for item in items] == ["hi", "ho"] * (len(splits) // 2)
    assert [item.fields["label"] for item in items] == ["a", "b"] * (len(splits) // 2)


def test_splits_of_plain_texts_are_no_columns(tmp_path):
    """Arrays of one length that are named after splits stay splits."""
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"train": ["a", "b"], "oos_test": ["c", "d"]}))
    assert [item.split for item in read_dataset(path)] == ["train", "train", "oos_test", "oos_test"]


def test_a_folder_of_splits(tmp_path):
    """Files are named after splits, under several names; one kind of file per split is read."""
    (tmp_path / "train.csv").write_text("text,label\na,x\nb,y\n")
    (tmp_path / "validation.jsonl").write_text('{"text": "c", "label": "x"}\n')
    (tmp_path / "test-00000-of-00002.jsonl").write_text('{"text": "d", "label": "x"}\n')
    (tmp_path / "test-00001-of-00002.jsonl").write_text('{"text": "d", "label": "y"}\n')
    (tmp_path / "train.jsonl").write_text('{"text": "z", "label": "x"}\n')
    (tmp_path / "notes.txt").write_text("not a split\n")
    items = read_dataset(tmp_path)
    assert [(item.split, item.fields["text"]) for item in items] == [
        ("train", "z"), ("val", "c"), ("test", "d"), ("test", "d"),
    ]  # fmt: skip
    assert len({item.id for item in items}) == 4


def test_a_folder_without_splits(tmp_path):
    """Another folder is refused, with the names that it could have."""
    (tmp_path / "data.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match="named after a split"):
        read_dataset(tmp_path)


def test_rows_of_a_dataset_of_ours(tmp_path):
    """`fields` are seen beside the messages; the id stays."""
    path = tmp_path / "train.jsonl"
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "a"}]
    path.write_text(
        json.dumps({"id": "k", "messages": turns, "fields": {"text": "hi", "label": "a"}})
    )
    [item] = read_dataset(path)
    assert item.id == "k"
    assert item.fields["label"] == "a"


def test_a_column_named_split(tmp_path):
    """Its values are the splits; dev is val."""
    path = tmp_path / "d.csv"
    path.write_text("text,split\na,train\nb,dev\n")
    assert [item.split for item in read_dataset(path)] == ["train", "val"]
