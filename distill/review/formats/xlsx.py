"""XLSX: text cells only, lists to choose from, instructions; long texts on a sheet of their own.

Formulas in a returned file are refused, never taken by their value.
"""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from distill.errors import PrerequisiteError, Problem
from distill.review.cells import unescape
from distill.review.formats.columns import IDS, IN, LONGEST, NEW, Layout, incoming
from distill.review.incoming import FileRead, Incoming
from distill.review.instructions import instructions
from distill.review.pack import Pack
from distill.review.schema import DECISIONS
from distill.rows.atomic import atomic_file
from distill.rows.readers import data_error

REVIEW, HOW, LONG = "review", "instructions", "long_texts"
ABOVE = 20
"""Rows in which the header is looked for: people put titles above it."""
PIECE = 16_000
"""Characters of a long text in one cell: Excel counts in UTF-16, so half of what it holds."""
MARK = "\u241b"
"""Stands before four hex digits for a character that XLSX cannot hold, and for itself."""
_ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff\u241b]"
    "|_(?=x[0-9A-Fa-f]{4}_)"  # Excel's own escape
    "|\\A\\s(?=\\s*\\Z)"  # white space alone, which programs that save the file may drop
    "|\\A<(?=r>)"  # XlsxWriter would take it for rich text
)
_MARKED = re.compile(f"{MARK}([0-9A-F]{{4}})")


def write(pack: Pack, path: Path) -> list[str]:
    """Writes the workbook.

    Raises: PrerequisiteError without the extra.
    """
    xlsxwriter = _package("xlsxwriter")
    made = io.BytesIO()
    # Row by row to the disk: a workbook of 100,000 rows takes no memory to speak of.
    with xlsxwriter.Workbook(made, {"constant_memory": True}) as book:
        sheet, how, long = (book.add_worksheet(name) for name in (REVIEW, HOW, LONG))
        styles = _Styles(book)
        layout = Layout(pack)
        _set_up(sheet, layout, styles)
        for line, text in enumerate(instructions(pack).splitlines()):
            _put(how, line, [to_xlsx(text)], styles.plain)
        _put(long, 0, ["row_id", "column", "part", "text"], styles.head)
        pieces = 0
        header = [to_xlsx(name) for name in layout.header]
        _put(sheet, 0, header, styles.head)
        for line, row in enumerate(pack.rows, 1):
            texts = [to_xlsx(text) for text in layout.cells(row)]
            for at, text in enumerate(texts):
                if len(text) > PIECE:
                    for part, start in enumerate(range(0, len(text), PIECE)):
                        pieces += 1
                        piece = [texts[0], header[at], str(part), text[start : start + PIECE]]
                        _put(long, pieces, piece, styles.plain)
                    texts[at] = _preview(text)
            _put(sheet, line, texts)
    with atomic_file(path, "wb") as file:
        file.write(made.getbuffer())
    return []


def _put(sheet: Any, line: int, texts: Sequence[str], style: Any = None) -> None:
    """Writes cells as text, never as formulas, whatever they look like; empty ones not at all."""
    for at, text in enumerate(texts):
        if text:
            sheet.write_string(line, at, text, style)


class _Styles:
    """How cells look. All are text, also where nothing stands yet: what is typed stays."""

    def __init__(self, book: Any) -> None:
        self.plain = book.add_format({"num_format": "@", "text_wrap": True, "valign": "top"})
        self.locked = book.add_format({"num_format": "@", "bg_color": "#DDDDDD"})
        self.head = book.add_format({"num_format": "@", "bold": True})


def _set_up(sheet: Any, layout: Layout, styles: _Styles) -> None:
    sheet.freeze_panes(1, 1)
    last = max(1, len(layout.pack.rows))
    lists = {"decision": list(DECISIONS)}
    for field in layout.pack.schema.fields:
        if field.values:
            lists[f"new_{field.name}"] = [str(value) for value in field.values]
    for at, name in enumerate(layout.header):
        width = 40 if name.startswith((IN, NEW)) else 14
        sheet.set_column(at, at, width, styles.locked if at < len(IDS) else styles.plain)
        options = lists.get(name, [])
        joined = ",".join(options)
        if options and len(joined) < 250 and not any(c in joined for c in '"\n') and all(
            "," not in option for option in options
        ):  # fmt: skip
            choice = {"validate": "list", "source": options, "show_error": name == "decision"}
            sheet.data_validation(1, at, last, at, choice)


def read(path: Path) -> FileRead:
    """The decisions of a workbook.

    Raises: DataError when it is none, or no sheet has a column row_id; PrerequisiteError.
    """
    raw = path.read_bytes()
    fast, whole = _package("python_calamine"), _package("openpyxl")
    try:
        sheets = _whole(whole, raw) if _needs_care(raw) else _fast(fast, raw)
    except Exception as exc:  # each of them raises whatever zip, XML and its own classes raise
        raise data_error(path, None, f"not a readable workbook: {exc}") from exc
    for rows in sheets.values():
        for at, cells in enumerate(rows[:ABOVE]):
            names = [unescape(_text(cell).strip()) for cell in cells]
            if "row_id" in names and "decision" in names:
                long = _long(sheets.get(LONG, []))
                return FileRead("xlsx", list(_rows(rows[at + 1 :], names, long, at + 2)), {})
    raise data_error(path, None, "no sheet has columns row_id and decision")


Sheets = dict[str, list[Sequence[Any]]]
"""Name -> rows of values, from the first row and column on."""


class _Formula(str):
    """A cell's formula, whatever its value is."""

    __slots__ = ()


def _needs_care(raw: bytes) -> bool:
    """Whether a sheet holds a formula, or a cell so far to the right that a table would burst."""
    with zipfile.ZipFile(io.BytesIO(raw)) as parts:
        for name in parts.namelist():
            if name.endswith(".xml"):
                part = parts.read(name)
                if any(mark in part for mark in _FORMULAS) or _FAR.search(part):
                    return True
    return False


_FORMULAS = (b"<f>", b"<f ", b"<f/", b":f>", b":f ", b":f/", b"<\0f\0", b"\0<\0f")
"""How the element begins, with and without a prefix, in UTF-8 and UTF-16."""
_FAR = re.compile(rb"r=[\"'][A-Z]{3}")


def _fast(calamine: Any, raw: bytes) -> Sheets:
    """Ten times as fast as `_whole`, but it gives a formula's value in place of the formula."""
    book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(raw))
    return {
        name: book.get_sheet_by_name(name).to_python(skip_empty_area=False)
        for name in book.sheet_names
    }


def _whole(openpyxl: Any, raw: bytes) -> Sheets:
    book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=False)
    try:
        return {sheet.title: [_values(cells) for cells in sheet.iter_rows()]
                for sheet in book.worksheets}  # fmt: skip
    finally:
        book.close()


def _values(cells: Sequence[Any]) -> list[Any]:
    return [
        _Formula(cell.value) if getattr(cell, "data_type", None) == "f" else cell.value
        for cell in cells
    ]


def _rows(
    rows: Iterable[Sequence[Any]],
    names: list[str],
    long: dict[tuple[str, str], str],
    first: int,
) -> Iterator[Incoming]:
    for line, cells in enumerate(rows, first):
        record = {name: _text(cell) for name, cell in zip(names, cells, strict=False) if name}
        if long:
            id = unescape(record.get("row_id", ""))
            for name, text in record.items():
                whole = long.get((id, name))
                if whole is not None and text == from_xlsx(_preview(whole)):
                    record[name] = from_xlsx(whole)
        row = incoming(record, line)
        formulas = [
            name
            for name, cell in zip(names, cells, strict=False)
            if name and isinstance(cell, _Formula) and not name.startswith(IN)
        ]
        if row is not None and formulas:
            fault = f"{formulas[-1]} holds a formula"
            row = Incoming(row.row_id, row.pack_id, line=line, fault=fault)
        if row is not None:
            yield row


def _long(rows: Sequence[Sequence[Any]]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for cells in rows[1:]:
        texts = [_text(cell) for cell in cells[:3]]
        piece = cells[3] if len(cells) > 3 else None
        if len(texts) == 3 and texts[2].isdigit() and isinstance(piece, str):
            key = (unescape(texts[0]), texts[1])
            found.setdefault(key, []).append((int(texts[2]), piece))
    return {key: "".join(text for _, text in sorted(parts)) for key, parts in found.items()}


def _preview(text: str) -> str:
    return f"{text[:PIECE]} [... {len(text):,} characters; whole on the sheet {LONG}]"[:LONGEST]


def to_xlsx(text: str) -> str:
    """Text without what XML or Excel cannot hold; `from_xlsx` gives it back."""
    return _ODD.sub(lambda match: f"{MARK}{ord(match[0]):04X}", text)


def from_xlsx(text: str) -> str:
    """What `to_xlsx` was given."""
    return _MARKED.sub(lambda match: chr(int(match[1], 16)), text)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return from_xlsx(value) if MARK in value else value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as missing:
        line = "pip install 'distill-kit[review]'"
        raise PrerequisiteError(
            f"{name} is not installed; XLSX needs it: {line}",
            [Problem(found=f"package {name} is missing", fix=line)],
        ) from missing
