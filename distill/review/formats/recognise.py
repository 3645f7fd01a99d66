"""Which format a returned file has: told by what it holds, not by its name."""

from collections.abc import Mapping
from pathlib import Path

from distill.review.formats import argilla, csv_file, jsonl, label_studio, xlsx
from distill.review.formats.jsonl import incoming
from distill.review.incoming import FileRead
from distill.review.pack import Pack
from distill.rows.json_values import BadValue, parse_json
from distill.rows.readers import data_error, read_utf8


def read_file(path: Path, packs: Mapping[str, Pack]) -> FileRead:
    """The decisions of a file in any of the formats that a pack can be sent in.

    Raises: DataError when it is none of them.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as exc:
        what = "there is no such file" if isinstance(exc, FileNotFoundError) else exc.strerror
        raise data_error(path, None, f"{what}", fix="Mend the path.") from exc
    if head.startswith(b"PK\x03\x04"):
        return xlsx.read(path)
    start = head.decode("utf-8-sig", errors="replace").lstrip()
    if start.startswith("["):
        return _array(path, packs)
    if start.startswith("{"):
        return _lines(path, packs)
    if start[:15].lower().startswith(("<!doctype", "<html")):
        fix = "Open it in a browser, press Download, and import the .jsonl that it saves."
        raise data_error(path, None, "this is the page, not what was decided on it", fix=fix)
    if not start:
        raise data_error(path, None, "the file holds nothing", fix="Import the returned file.")
    return csv_file.read(path)


def _lines(path: Path, packs: Mapping[str, Pack]) -> FileRead:
    """One JSON value a line: our own rows, or what the `datasets` library saves of other tools."""
    lines = jsonl.read_lines(path)
    first = [next((value for _, value, _ in lines if isinstance(value, dict)), None)]
    values = [value for _, value, _ in lines]
    if label_studio.recognises(first):
        return label_studio.read(values, packs)
    if argilla.recognises(first):
        return argilla.read(values)
    return jsonl.read(lines)


def _array(path: Path, packs: Mapping[str, Pack]) -> FileRead:
    try:
        value = parse_json(read_utf8(path))
    except BadValue as exc:
        raise data_error(path, exc.line, str(exc)) from None
    if value == []:
        raise data_error(path, None, "the file holds no rows", fix="Import the returned file.")
    if label_studio.recognises(value):
        return label_studio.read(value, packs)
    if argilla.recognises(value):
        return argilla.read(value)
    if isinstance(value[0], dict) and "row_id" in value[0]:
        return FileRead("jsonl", [incoming(row, at) for at, row in enumerate(value, 1)], {})
    allowed = "tasks of Label Studio, records of Argilla, rows with row_id"
    raise data_error(path, None, "not a file of reviews", allowed)
