"""CSV: UTF-8 with a byte order mark, CRLF, all cells quoted; reads what spreadsheets make of it."""

import csv
import io
from pathlib import Path

from distill.review.cells import unescape
from distill.review.formats.columns import LONGEST, Layout, incoming
from distill.review.incoming import FileRead, Incoming
from distill.review.instructions import instructions
from distill.review.pack import Pack
from distill.rows.atomic import atomic_file
from distill.rows.readers import data_error
from distill.rows.tables import FIELD_LIMIT

MARKS = (",", ";", "\t", "|")


def write(pack: Pack, path: Path) -> list[str]:
    """Writes the table, and beside it what to do with it; returns warnings."""
    layout = Layout(pack)
    too_long = []
    with atomic_file(path, "wb") as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="", write_through=True)
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        writer.writerow(layout.header)
        for row in pack.rows:
            cells = layout.cells(row)
            if max(map(len, cells)) > LONGEST:
                too_long.append(row.row_id)
            writer.writerow(cells)
        text.detach()
    with atomic_file(path.with_name(f"{path.stem}.instructions.md")) as file:
        file.write(instructions(pack))
    if not too_long:
        return []
    return [
        f"{len(too_long)} rows hold a cell of over {LONGEST:,} characters: Excel cuts it "
        f"(decisions still count): {', '.join(too_long[:5])}"
    ]


def read(path: Path) -> FileRead:
    """The decisions of a CSV, whatever separator, quoting, encoding and order of columns it has.

    Raises: DataError where no header names row_id.
    """
    text = _decode(path.read_bytes())
    if text.startswith("sep=") and "\n" in text:
        text = text.split("\n", 1)[1]
    before = csv.field_size_limit(FIELD_LIMIT)
    try:
        return FileRead("csv", _rows(path, text), {})
    finally:
        csv.field_size_limit(before)


def _rows(path: Path, text: str) -> list[Incoming]:
    mark, header = _header(path, text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    while not next(reader):
        pass  # empty lines above the header
    found: list[Incoming] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return found
        except csv.Error as exc:
            found.append(Incoming("", line=line, fault=f"broken row: {exc}"))
            continue
        record = {name: cell for name, cell in zip(header, cells, strict=False) if name}
        if (row := incoming(record, line)) is not None:
            found.append(row)


def _header(path: Path, text: str) -> tuple[str, list[str]]:
    for mark in MARKS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
        first = next((cells for cells in reader if cells), [])
        names = [unescape(name.strip().lstrip("\ufeff")) for name in first]
        if "row_id" in names:
            return mark, names
    fix = "Import the file that `distill review export` wrote, with its first row."
    raise data_error(path, 1, "no column is called row_id", fix=fix)


def _decode(raw: bytes) -> str:
    """Text in the encodings that spreadsheets write."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")
