"""Finds passages of `data.documents` for a question."""

from collections.abc import Sequence
from dataclasses import dataclass

from distill.generate.act import Index
from distill.generate.sources import Sources
from distill.recipe.schema import Recipe

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
    """The search over a recipe's documents.

    Raises: DataError where they cannot be read.
    """
    texts = []
    for passage in Sources(recipe).passages(None):
        texts.append(f"{passage.title}: {passage.text}" if passage.title else passage.text)
    return Search(Index(texts), len(texts))
