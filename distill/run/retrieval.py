"""Finds passages of `data.documents` for a question."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from distill.generate.act import Index
from distill.recipe.files import locate
from distill.recipe.generation import Chunk
from distill.recipe.schema import Recipe
from distill.rows.documents import cut, read_documents
from distill.run.keys import file_digest

PASSAGES = 4
"""Found for each row."""


@dataclass(frozen=True, slots=True)
class Search:
    """BM25 over the documents' passages."""

    index: Index
    size: int
    """Passages to find in."""

    def find(self, question: str) -> Sequence[str]:
        """The passages that fit best, the best first."""
        return self.index.find(question, PASSAGES)


def search_of(recipe: Recipe) -> Search:
    """The search over a recipe's documents; read once for all sets and models.

    Raises: DataError where they cannot be read.
    """
    documents = recipe.data.documents
    assert documents is not None  # `check` refuses retrieval without them
    path = locate(recipe, documents)
    return _search(path, file_digest(path))


@lru_cache(maxsize=1)
def _search(path: Path, known: str) -> Search:
    """The documents of a path, `known` being the hash of what they hold."""
    chunk, texts = Chunk(), []
    found = (part for one in read_documents(path) for part in cut(one, chunk.words, chunk.overlap))
    for passage in found:
        texts.append(f"{passage.title}: {passage.text}" if passage.title else passage.text)
    return Search(Index(texts), len(texts))
