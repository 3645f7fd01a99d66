"""standardise: rewrites fields without irrelevant formatting; drops rows with nothing left."""

import html
import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, ClassVar

from distill.filters.filter import Context, Edited, both_sides
from distill.recipe.filtering import StandardiseFilter
from distill.rows.row import Row, Verdict, canonical_json

_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Zero-width and control characters. Joiners and marks of direction stay: scripts need them."""
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_FENCED = re.compile(r"^\s*(`{3,}|~{3,})[\w+-]*[ \t]*\n(.*?)\n?[ \t]*\1[ \t]*\s*$", re.DOTALL)
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb"}
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9-]*(?:\s[^<>]*)?/?>|<!--.*?-->", re.DOTALL)
_MARKS = (
    (re.compile(r"^ {0,3}#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$", re.M), r"\1"),
    (re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]+?)(?<=[^\s*])\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<!\w)_(?=[^\s_])([^_\n]+?)(?<=[^\s_])_(?!\w)"), r"\1"),
    (re.compile(r"(?<!`)`([^`\n]+)`(?!`)"), r"\1"),
    (re.compile(r"!?\[([^\]\n]*)\]\([^()\s]*(?:\s+\"[^\"\n]*\")?\)"), r"\1"),
    (re.compile(r"^ {0,3}>[ \t]?", re.M), ""),
)


class Standardise:
    """Text gets one form of white space and, where it is a JSON object or list, of JSON."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: StandardiseFilter, context: Context) -> None:
        self._fields: Sequence[str] = tuple(spec.fields or both_sides(context.task))
        self.needs: Sequence[str] = self._fields if spec.fields else ()
        self._strip = frozenset(spec.strip)
        self._unchanged = Edited(Verdict("standardise", True, score=0.0), {})

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Edited]:
        """Drops with empty; the score is how many fields were changed."""
        return [self._verdict(row) for row in rows]

    def _verdict(self, row: Row) -> Edited:
        texts = {name: row.fields[name] for name in self._fields if _is_text(row.fields.get(name))}
        plain = {name: standardised(text, self._strip) for name, text in texts.items()}
        changed = {name: text for name, text in plain.items() if text != texts[name]}
        if not all(plain.values()):
            return Edited(Verdict("standardise", False, "empty", float(len(changed))), {})
        if not changed:
            return self._unchanged
        return Edited(Verdict("standardise", True, score=float(len(changed))), changed)


def standardised(text: str, strip: frozenset[str]) -> str:
    """Returns the text in its one form; what was given twice comes out the same."""
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
        text = _SPACES.sub(" ", _INVISIBLE.sub("", text))
    if "html" in strip:
        text = html.unescape(_TAG.sub("", text))
    if "fence" in strip and "\n" in text and (fenced := _FENCED.match(text)):
        text = fenced[2]
    if "markdown" in strip:
        for pattern, plain in _MARKS:
            text = pattern.sub(plain, text)
    text = _white_space(text)
    if "quotes" in strip:
        text = _unquoted(text)
    return _canonical(text)


def _white_space(text: str) -> str:
    """No blanks at line ends, none in a row inside a line, at most one empty line in a row."""
    if "\n" not in text:
        if "  " not in text and "\t" not in text:
            return text.strip()
        return re.sub(r"[ \t]+", " ", text).strip()
    lines = []
    for line in text.strip("\n").rstrip().split("\n"):
        body = line.lstrip(" \t")
        # What stands before a line may be code or a nested list.
        lines.append(line[: len(line) - len(body)] + " ".join(body.split(" ")).rstrip())
    joined = "\n".join(re.sub(r"(?<=\S)[ \t]+(?=\S)", " ", line) for line in lines)
    return re.sub(r"\n{3,}", "\n\n", joined).strip()


def _unquoted(text: str) -> str:
    """The text without quotes around the whole of it, where no others stand inside."""
    if len(text) < 2 or _QUOTES.get(text[0]) != text[-1]:
        return text
    inside = text[1:-1]
    return text if text[0] in inside or text[-1] in inside else inside.strip()


def _canonical(text: str) -> str:
    """A JSON object or list with sorted keys and no spaces; any other text as it is."""
    if not text.startswith(("{", "[")):
        return text
    try:
        return canonical_json(json.loads(text))
    except (ValueError, RecursionError):
        return text


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
