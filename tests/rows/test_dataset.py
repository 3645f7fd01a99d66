import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from distill.errors import DataError, RunError
from distill.rows.dataset import DatasetRow, read_dataset, write_dataset
from distill.rows.row import Row
from distill.rows.stages import read_rows
from teachers.protocol import Message

REJECTED = [Row("z", {"text": "t"}, "rejected", "refusal"), Row("y", {}, "failed", "timeout")]


def row(id: str, answer: str = "bug") -> DatasetRow:
    turns = (
        Message("system", "Be brief."),
        Message("user", f"é {id}"),
        Message("assistant", answer),
    )
    return DatasetRow(id, turns, fields={"text": id, "label": answer, "votes": {"b": 1, "a": 2}})


def write(folder: Path, *ids: str, answer: str = "bug", val: bool = True) -> None:
    splits = {"train": [row(id, answer) for id in ids]} | ({"val": [row("v")]} if val else {})
    write_dataset(folder, splits, REJECTED, "# Card\n")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_files_and_shapes(tmp_path: Path) -> None:
    """The folder holds every file of the contract, sorted by id, in shapes that others load."""
    write(tmp_path, "b", "a")
    assert sorted(contents(tmp_path)) == [
        "README.md", "dataset_info.json", "openai.jsonl", "rejected.parquet",
        "train.jsonl", "train.parquet", "val.jsonl", "val.parquet",
    ]  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert [list(line) for line in lines] == [["id", "messages", "fields"]] * 2
    assert [line["id"] for line in lines] == ["a", "b"]
    assert lines[0]["messages"][2] == {"role": "assistant", "content": "bug"}
    (first, _) = pq.read_table(tmp_path / "train.parquet").to_pylist()
    assert first["messages"] == lines[0]["messages"]
    assert json.loads(first["fields"]) == lines[0]["fields"]
    openai = (tmp_path / "openai.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in openai] == [{"messages": r["messages"]} for r in lines]
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    assert info["train"]["file_name"] == "train.jsonl"
    assert info["val"]["tags"]["role_tag"] == "role"
    assert [r.id for r in read_rows(tmp_path / "rejected.parquet")] == ["y", "z"]


def test_card_says_which_file_is_which_split(tmp_path: Path) -> None:
    """Front matter is added where there is none, without a licence, and kept where it is."""
    write(tmp_path, "a")
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("---\nconfigs:")
    assert "license" not in card
    assert card.endswith("---\n\n# Card\n")
    write_dataset(tmp_path, {"train": [row("a")]}, [], "---\nlicense: mit\n---\nx\n")
    assert (tmp_path / "README.md").read_text() == "---\nlicense: mit\n---\nx\n"


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    """The order in which rows and fields come does not matter, and no version is made."""
    write(tmp_path / "one", "a", "b")
    write(tmp_path / "two", "b", "a")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    write(tmp_path / "one", "a", "b")
    assert not (tmp_path / "one" / "versions").exists()


def test_earlier_versions_are_kept(tmp_path: Path) -> None:
    """What differs goes to versions/N whole; files that are no more are removed."""
    write(tmp_path, "a")
    before = contents(tmp_path)
    write(tmp_path, "a", answer="billing", val=False)
    assert contents(tmp_path / "versions" / "1") == before
    assert not (tmp_path / "val.jsonl").exists()
    write(tmp_path, "a")
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == ["1", "2"]
    assert contents(tmp_path) == before


def test_stopped_write_makes_no_second_copy(tmp_path: Path) -> None:
    """A copy that a stopped write has already made is not made again."""
    write(tmp_path, "a")
    write(tmp_path, "b")
    kept = tmp_path / "versions" / "1"
    for path in kept.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    write(tmp_path, "b")
    assert [path.name for path in (tmp_path / "versions").iterdir()] == ["1"]


@pytest.mark.parametrize(
    "given",
    [
        row("a"),
        DatasetRow(
            "a",
            prompt=(Message("user", "q"),),
            chosen=(Message("assistant", "y"),),
            rejected=(Message("assistant", "n"),),
            fields={"x": 1},
        ),
        DatasetRow("a", text="long text"),
    ],
)
def test_round_trip_of_every_shape(tmp_path: Path, given: DatasetRow) -> None:
    """Messages, preferences and plain text are read back as they were."""
    write_dataset(tmp_path, {"train": [given], "val": []}, [], "x")
    assert read_dataset(tmp_path, "train") == [given]
    assert read_dataset(tmp_path, "val") == []
    assert pq.read_table(tmp_path / "train.parquet").num_rows == 1
    assert (tmp_path / "openai.jsonl").exists() == (given.messages is not None)


def test_refused(tmp_path: Path) -> None:
    """Repeated ids, mixed shapes, missing splits and foreign rows are refused."""
    with pytest.raises(RunError, match="two rows"):
        write_dataset(tmp_path, {"train": [row("a")], "val": [row("a")]}, [], "x")
    with pytest.raises(RunError, match="different shapes"):
        write_dataset(tmp_path, {"train": [row("a"), DatasetRow("b", text="t")]}, [], "x")
    with pytest.raises(DataError, match="no such file"):
        read_dataset(tmp_path, "train")
    (tmp_path / "train.jsonl").write_text('{"id": "a", "messages": [1]}\n')
    with pytest.raises(DataError, match="not a row"):
        read_dataset(tmp_path, "train")
