"""Raw text to be learnt whole: documents as records {id, title, text}."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from distill.rows.documents import ENDINGS, read_documents
from distill.rows.readers import data_error, read_utf8


def read_corpus(path: Path) -> list[dict[str, Any]]:
    """The documents of a folder or of a file of rows; a lone .txt or .md file is one document.

    Raises: DataError when there is none, or one holds no text.
    """
    if not path.is_file() or path.suffix.lower() not in ENDINGS:
        return [asdict(document) for document in read_documents(path)]
    text = read_utf8(path)
    if not text.strip():
        raise data_error(path, None, "the file holds no text")
    return [{"id": path.name, "title": path.stem, "text": text}]
