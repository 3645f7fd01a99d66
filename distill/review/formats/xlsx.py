"""XLSX: text cells only, lists to choose from, instructions; long texts on a sheet of their own.

Formulas in a returned file are refused, never taken by their value.
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill.errors import PrerequisiteError, Problem
from distill.review.cells import unescape
from distill.review.formats.columns import IDS, LONGEST, Layout, incoming
from distill.review.incoming import FileRead, Incoming
from distill.review.instructions import instructions
from distill.review.pack import Pack
from distill.review.schema import DECISIONS
from distill.rows.atomic import atomic_file
from distill.rows.readers import data_error

REVIEW, HOW, LONG = "review", "instructions", "long_texts"
PIECE = 16_000
"""Characters of a long text in one cell: Excel counts in UTF-16, so half of what it holds."""
MARK = "\u241b"
"""Stands before four hex digits for a character that XLSX cannot hold, and for itself."""
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff\u241b]|_(?=x[0-9A-Fa-f]{4}_)")
_MARKED = re.compile(f"{MARK}([0-9A-F]{{4}})")


def write(pack: Pack, path: Path) -> list[str]:
    """Writes the workbook.

    Raises: PrerequisiteError without openpyxl.
    """
    openpyxl = _openpyxl()
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Alignment, Font, PatternFill

    book = openpyxl.Workbook(write_only=True)
    sheet, how, long = (book.create_sheet(name) for name in (REVIEW, HOW, LONG))
    layout = Layout(pack)
    wrap, grey = Alignment(wrap_text=True, vertical="top"), PatternFill("solid", fgColor="DDDDDD")
    bold = Font(bold=True)

    def cell(where: Any, text: str, *, head: bool = False, locked: bool = False) -> Any:
        if text == "":
            return None
        made = WriteOnlyCell(where, value=text)
        made.data_type = "s"  # never a formula, whatever the text looks like
        made.number_format = "@"
        if head:
            made.font = bold
        elif locked:
            made.fill = grey
        else:
            made.alignment = wrap
        return made

    _set_up(sheet, layout)
    for line in instructions(pack).splitlines():
        how.append([cell(how, to_xlsx(line))])
    long.append([cell(long, name, head=True) for name in ("row_id", "column", "part", "text")])
    header = [to_xlsx(name) for name in layout.header]
    sheet.append([cell(sheet, name, head=True) for name in header])
    for row in pack.rows:
        texts = [to_xlsx(text) for text in layout.cells(row)]
        for at, text in enumerate(texts):
            if len(text) > PIECE:
                for part, start in enumerate(range(0, len(text), PIECE)):
                    piece = (texts[0], header[at], str(part), text[start : start + PIECE])
                    long.append([cell(long, each) for each in piece])
                texts[at] = _preview(text)
        sheet.append([cell(sheet, text, locked=at < len(IDS)) for at, text in enumerate(texts)])
    with atomic_file(path, "wb") as file:
        book.save(file)
    return []


def _set_up(sheet: Any, layout: Layout) -> None:
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    header = layout.header
    sheet.freeze_panes = "B2"
    last = len(layout.pack.rows) + 1
    lists = {"decision": list(DECISIONS)}
    for field in layout.pack.schema.fields:
        if field.values:
            lists[f"new_{field.name}"] = [str(value) for value in field.values]
    for at, name in enumerate(header, 1):
        letter = get_column_letter(at)
        sheet.column_dimensions[letter].width = 40 if name.startswith(("in_", "new_")) else 14
        # Text also where nothing stands yet: what is typed there stays what was typed.
        sheet.column_dimensions[letter].number_format = "@"
        options = lists.get(name, [])
        joined = ",".join(options)
        if options and len(joined) < 250 and not any(c in joined for c in '"\n') and all(
            "," not in option for option in options
        ):  # fmt: skip
            choice = DataValidation(type="list", formula1=f'"{joined}"', allow_blank=True)
            choice.showErrorMessage = name == "decision"
            sheet.data_validations.append(choice)
            choice.add(f"{letter}2:{letter}{max(2, last)}")


def read(path: Path) -> FileRead:
    """The decisions of a workbook.

    Raises: DataError when it is none, or no sheet has a column row_id; PrerequisiteError.
    """
    openpyxl = _openpyxl()
    try:
        # From memory: by a path, only certain endings are taken.
        whole = io.BytesIO(path.read_bytes())
        book = openpyxl.load_workbook(whole, read_only=True, data_only=False)
    except Exception as exc:  # openpyxl raises whatever zip, XML and its own classes raise
        raise data_error(path, None, f"not a readable workbook: {exc}") from exc
    try:
        for sheet in book.worksheets:
            rows = sheet.iter_rows()
            names = [unescape(_text(cell).strip()) for cell in next(rows, ())]
            if "row_id" in names and "decision" in names:
                return FileRead("xlsx", list(_rows(rows, names, _long(book))), {})
    finally:
        book.close()
    raise data_error(path, None, "no sheet has columns row_id and decision")


def _rows(rows: Any, names: list[str], long: dict[tuple[str, str], str]) -> Iterator[Incoming]:
    for line, cells in enumerate(rows, 2):
        record, formula = {}, None
        for name, cell in zip(names, cells, strict=False):
            if not name:
                continue
            if getattr(cell, "data_type", None) == "f" and not name.startswith("in_"):
                formula = name
            record[name] = _text(cell)
        id = unescape(record.get("row_id", ""))
        for name, text in record.items():
            whole = long.get((id, name))
            if whole is not None and text == from_xlsx(_preview(whole)):
                record[name] = from_xlsx(whole)
        row = incoming(record, line)
        if row is not None and formula:
            row = Incoming(row.row_id, row.pack_id, line=line, fault=f"{formula} holds a formula")
        if row is not None:
            yield row


def _long(book: Any) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], list[tuple[int, str]]] = {}
    if LONG in book.sheetnames:
        for cells in book[LONG].iter_rows(min_row=2, max_col=4):
            texts = [_text(cell) for cell in cells[:3]]
            piece = cells[3].value if len(cells) > 3 else None
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


def _text(cell: Any) -> str:
    value = getattr(cell, "value", None)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return from_xlsx(value) if isinstance(value, str) else str(value)


def _openpyxl() -> Any:
    try:
        import openpyxl
    except ImportError as missing:
        line = "pip install 'distill-kit[review]'"
        raise PrerequisiteError(
            f"openpyxl is not installed; XLSX needs it: {line}",
            [Problem(found="package openpyxl is missing", fix=line)],
        ) from missing
    return openpyxl
