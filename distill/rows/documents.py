"""Documents as passages: a folder of .txt and .md files, or rows {id?, title?, text}."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.rows.readers import data_error, read_numbered, read_utf8

ENDINGS = (".txt", ".md")
_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r".+?(?:[.!?][\"')\]\u201d]*(?=\s)|[\u3002\uff01\uff1f]|$)\s*", re.DOTALL)
_HEADING = re.compile(r"#{1,6}\s+(.+)")
_LONG = 40
"""A run of more characters without a space is text of a script that writes none."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document that can be read by itself."""

    document: str
    """Id of its document."""
    title: str
    text: str
    number: int
    """Of the passage in its document, from 0."""

    def as_dict(self) -> dict[str, Any]:
        """The passage as a row holds it."""
        return {"id": f"{self.document}#{self.number}", "title": self.title, "text": self.text}


def read_documents(path: Path) -> list[Document]:
    """The documents of a folder (by relative name, hidden files left out) or of a data file.

    Raises: DataError when there is none, a row has no text, or an id comes twice.
    """
    found = list(_folder(path) if path.is_dir() else _rows(path))
    if not found:
        allowed = "files ending in " + ", ".join(ENDINGS)
        raise data_error(path, None, "the folder holds no document", allowed)
    seen: set[str] = set()
    for document in found:
        if document.id in seen:
            raise data_error(path, None, f"two documents have the id {document.id!r}")
        seen.add(document.id)
    return found


def _folder(path: Path) -> Iterator[Document]:
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if hidden or not file.is_file() or file.suffix.lower() not in ENDINGS:
            continue
        text = read_utf8(file).strip()
        if not text:
            continue
        heading = _HEADING.match(text) if file.suffix.lower() == ".md" else None
        title = heading[1].strip() if heading else file.stem.replace("_", " ")
        yield Document(str(file.relative_to(path)), title, text)


def _rows(path: Path) -> Iterator[Document]:
    for at, (line, fields) in enumerate(read_numbered(path)):
        text = fields.get("text")
        if not isinstance(text, str) or not text.strip():
            raise data_error(path, line, "no `text`", "{id?, title?, text}", "Give every row text.")
        title = str(fields.get("title") or "")
        yield Document(str(fields.get("id") or f"{path.stem}:{at + 1}"), title, text.strip())


def cut(document: Document, words: int, overlap: int = 0) -> list[Passage]:
    """The passages of a document, each of at most `words` words.

    Paragraphs are put together as long as they fit; one that is too long is cut between sentences,
    and a sentence that is too long between words. A piece that goes on from such a cut begins with
    the last `overlap` words before it. Where a script writes no spaces two characters are a word.
    """
    texts: list[str] = []
    now = ""
    for paragraph in filter(None, (part.strip() for part in _PARAGRAPH.split(document.text))):
        if _size(now) + _size(paragraph) <= words:
            now = f"{now}\n\n{paragraph}" if now else paragraph
            continue
        if now:
            texts.append(now)
        *whole, now = _pieces(paragraph, words, overlap)
        texts += whole
    texts.append(now)
    made = [text for text in texts if text.strip()]
    return [Passage(document.id, document.title, text, at) for at, text in enumerate(made)]


def _pieces(paragraph: str, words: int, overlap: int) -> list[str]:
    pieces, now = [], ""
    for sentence in _sentences(paragraph, words - overlap):
        if now and _size(now) + _size(sentence) > words:
            pieces.append(now.strip())
            tail = " ".join(now.split()[-overlap:]) if overlap else ""
            now = f"{tail} {sentence}" if tail and _size(tail) <= overlap else sentence
        else:
            now += sentence
    return [*pieces, now.strip()]


def _sentences(paragraph: str, words: int) -> Iterator[str]:
    """Sentences with the space after them, those cut that are longer than `words`."""
    for sentence in _SENTENCE.findall(paragraph):
        parts = sentence.split()
        if _size(sentence) <= words:
            yield sentence
        elif max(map(len, parts)) <= _LONG:
            for at in range(0, len(parts), words):
                yield " ".join(parts[at : at + words]) + " "
        else:
            for at in range(0, len(sentence), 2 * words):
                yield sentence[at : at + 2 * words]


def _size(text: str) -> int:
    """Words; two characters each where there are no spaces between them."""
    return sum(1 if len(word) <= _LONG else -(-len(word) // 2) for word in text.split())
