"""A dataset as rows with ids and splits: one file of any kind, or a folder with a file per split.

An object of arrays holds columns or splits; a file with a column `split` does too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.rows.identity import row_ids
from distill.rows.json_values import BadValue, parse_json
from distill.rows.readers import ENDINGS, Numbered, data_error, read_numbered, read_utf8

SPLITS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "eval": "test", "gold": "gold",
}  # fmt: skip
"""File names (and values of a split column) -> the split they hold."""

OURS = "dataset_info.json"
"""Stands in every dataset of ours, beside other forms of the same rows."""
SHOWN_FILES = 5
WORDS_OF_A_SENTENCE = 8

ONLY = "train"
"""The split of a dataset that has none."""


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a dataset."""

    id: str
    """Unique in its file; of several files, `split/id` where two files share an id."""
    split: str
    fields: Mapping[str, Any]


def read_dataset(path: Path | str, columns: Sequence[str] | None = None) -> list[Item]:
    """The rows of a file, or of a folder of train, val and test files.

    Args:
        path: The file or folder.
        columns: Names for files without a header.

    Raises: DataError for a file that cannot be read or a folder that holds no split.
    """
    path = Path(path)
    if not path.is_dir():
        return _one_file(path, columns)
    items: list[Item] = []
    for split, files in split_files(path).items():
        for file in files:
            items += [Item(item.id, split, item.fields) for item in _one_file(file, columns)]
    ids = [item.id for item in items]
    if len(set(ids)) == len(ids):
        return items
    return [Item(f"{item.split}/{item.id}", item.split, item.fields) for item in items]


def split_files(folder: Path) -> dict[str, list[Path]]:
    """Split -> its files, one kind of file per split (shards of a split are all taken).

    Raises: DataError when no file is named after a split.
    """
    found: dict[str, dict[str, list[Path]]] = {}
    for path in sorted(folder.iterdir()):
        stem = path.stem.lower()
        name = SPLITS.get(stem) or SPLITS.get(stem.split("-")[0].split("_")[0].split(".")[0])
        if name and path.is_file() and path.suffix.lower() in ENDINGS and path.stat().st_size:
            found.setdefault(name, {}).setdefault(path.suffix.lower(), []).append(path)
    if not found:
        raise data_error(
            folder, None, "the folder holds no file that is named after a split",
            "train, val (valid, validation, dev), test, gold with one of " + ", ".join(ENDINGS),
            "Rename the files, or name one file.",
        )  # fmt: skip
    ordered = sorted(found, key=list(dict.fromkeys(SPLITS.values())).index)
    return {
        name: next(found[name][end] for end in ENDINGS if end in found[name]) for name in ordered
    }


def reading_notes(
    path: Path | str, items: Sequence[Item], columns: Sequence[str] | None
) -> list[str]:
    """What a reader should know of how files were read: files left out, data taken for a header."""
    path = Path(path)
    notes = []
    if path.is_dir() and not (path / OURS).is_file():
        used = {file for files in split_files(path).values() for file in files}
        stems = {file.stem for file in used}
        others = [
            file.name
            for file in sorted(path.iterdir())
            if file.suffix.lower() in ENDINGS and file.stem not in stems
        ]
        if others:
            shown = ", ".join(others[:SHOWN_FILES]) + (", ..." if len(others) > SHOWN_FILES else "")
            notes.append(f"Not read, as no split is named so: {shown}.")
    separated = path.is_dir() or path.suffix.lower() in (".csv", ".tsv", ".txt")
    if columns is None and separated and (name := _data_as_header(items)):
        notes.append(
            f"The first line seems to be data, not a header ({name[:60]!r}): if so, name the "
            "columns with --columns A,B,C."
        )
    return notes


def _data_as_header(items: Sequence[Item]) -> str | None:
    """A column name that is a value: a number, a sentence, or one that stands below it too."""
    for name in dict.fromkeys(name for item in items for name in item.fields):
        number = name.replace(".", "", 1).lstrip("-").isdigit()
        sentence = name.count(" ") >= WORDS_OF_A_SENTENCE - 1
        if number or sentence or any(item.fields.get(name) == name for item in items):
            return name
    return None


def _one_file(path: Path, columns: Sequence[str] | None) -> list[Item]:
    records = [numbered.fields for numbered in _records(path, columns)]
    ids = row_ids(records)
    return [
        Item(id, _split_of(record), _flat(record)) for id, record in zip(ids, records, strict=True)
    ]


def _records(path: Path, columns: Sequence[str] | None) -> list[Numbered]:
    if columns is None and path.suffix.lower() == ".json" and path.is_file():
        columns = _unnamed_columns(path)
    return read_numbered(path, columns=columns)


def _unnamed_columns(path: Path) -> list[str] | None:
    """Names for a JSON file whose rows are arrays of one length; None for any other."""
    try:
        value = parse_json(read_utf8(path))
    except BadValue:
        return None  # the reader says what is wrong
    parts = list(value.values()) if isinstance(value, dict) else [value]
    rows = [row for part in parts if isinstance(part, list) for row in part]
    widths = {len(row) if isinstance(row, list) else 0 for row in rows}
    if len(widths) != 1 or widths == {0}:
        return None
    return [f"column{place}" for place in range(1, widths.pop() + 1)]


def _split_of(record: Mapping[str, Any]) -> str:
    split = record.get("split")
    if not isinstance(split, str) or not split.strip():
        return ONLY
    return SPLITS.get(split.strip().lower(), split.strip())


def _flat(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with the fields of a dataset of ours beside its messages."""
    inner = record.get("fields")
    if "id" not in record or not isinstance(inner, dict):
        return record
    outer = {name: value for name, value in record.items() if name != "fields"}
    return {**{name: value for name, value in inner.items() if name not in outer}, **outer}
