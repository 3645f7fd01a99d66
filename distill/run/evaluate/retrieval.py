"""Finds passages of `data.documents` for a question: by words (BM25) or by static embeddings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from distill.generate.act import Index
from distill.measure.embeddings import Embedder
from distill.recipe.files import locate
from distill.recipe.generation import Chunk
from distill.recipe.schema import Recipe, Retrieval
from distill.rows.documents import cut, read_documents
from distill.run.keys import file_digest
from distill.run.packages import local_or_hub


@dataclass(frozen=True, slots=True)
class Search:
    """A search over the documents' passages."""

    method: str
    """bm25, or embeddings."""
    best: Callable[[str, int], Sequence[str]]
    """Question and number -> so many passages, the best first."""
    passages: int
    """Found for each row."""
    size: int
    """Passages to find in."""

    def find(self, question: str) -> Sequence[str]:
        """The passages that fit best, the best first."""
        return self.best(question, self.passages)


def search_of(recipe: Recipe) -> Search:
    """The search over a recipe's documents; read once for all sets and models.

    Raises: DataError where they cannot be read, PrerequisiteError without the embeddings.
    """
    documents = recipe.data.documents
    assert documents is not None  # `check` refuses retrieval without them
    path = locate(recipe, documents)
    given = recipe.evaluate.retrieval if recipe.evaluate else Retrieval()
    model = local_or_hub(recipe, given.model) if given.model else None
    best, size = _search(path, file_digest(path), model)
    return Search("embeddings" if model else "bm25", best, given.passages, size)


@lru_cache(maxsize=1)
def _search(
    path: Path, known: str, model: str | None
) -> tuple[Callable[[str, int], Sequence[str]], int]:
    """The documents of a path, `known` being the hash of what they hold, and how many passages."""
    chunk, texts = Chunk(), []
    found = (part for one in read_documents(path) for part in cut(one, chunk.words, chunk.overlap))
    for passage in found:
        texts.append(f"{passage.title}: {passage.text}" if passage.title else passage.text)
    best = Index(texts).find if model is None else _nearest(Embedder(model), texts)
    return best, len(texts)


def _nearest(embed: Embedder, texts: Sequence[str]) -> Callable[[str, int], Sequence[str]]:
    """By cosine, the first of equals first; none for a question without known words."""
    vectors = embed(texts)

    def best(question: str, count: int) -> Sequence[str]:
        asked = embed([question])[0]
        if not asked.any():
            return []
        return [texts[at] for at in (-(vectors @ asked)).argsort(kind="stable")[:count]]

    return best
