"""Static embeddings of texts, on a CPU without torch (model2vec, extra `semantic`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.errors import PrerequisiteError, Problem

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

BLOCK = 1024
"""Rows compared at once: bounds memory, not results."""


class Embedder:
    """Turns texts into unit vectors.

    Args:
        source: Folder or hub id of a model2vec model.

    Raises: PrerequisiteError without the extra `semantic`, or where there is no such model.
    """

    def __init__(self, source: str) -> None:
        try:
            from model2vec import StaticModel
        except ImportError as missing:
            raise _extra(missing) from missing
        if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
            raise _no_model(source, "the folder holds no config.json")
        try:
            self._model: Any = StaticModel.from_pretrained(source)
        except Exception as error:  # the hub's client and the reader have dozens of their own
            raise _no_model(source, f"{type(error).__name__}: {error}") from error

    def __call__(self, texts: Sequence[str]) -> "Vectors":
        """Returns unit vectors, float32 (texts, dimensions); 0 for a text without known words."""
        import numpy as np

        if not texts:
            return np.zeros((0, self._model.dim), dtype=np.float32)
        raw = np.asarray(
            self._model.encode(list(texts), use_multiprocessing=False), dtype=np.float32
        )
        raw = np.nan_to_num(raw)
        sizes = np.linalg.norm(raw, axis=1, keepdims=True)
        unit: Vectors = np.divide(raw, sizes, out=np.zeros_like(raw), where=sizes > 0)
        return unit


class VectorIndex:
    """Unit vectors kept so far, asked for the nearest one (exact, by blocks)."""

    def __init__(self) -> None:
        self._blocks: list[Vectors] = []
        self._open: list[Any] = []

    def __len__(self) -> int:
        return sum(len(block) for block in self._blocks) + len(self._open)

    def nearest(self, vector: Any) -> float:
        """Returns the largest cosine with a kept vector, -1.0 where there is none."""
        import numpy as np

        best = -1.0
        for block in self._blocks:
            best = max(best, float((block @ vector).max()))
        if self._open:
            best = max(best, float((np.stack(self._open) @ vector).max()))
        return best

    def add(self, vector: Any) -> None:
        """Keeps a vector."""
        import numpy as np

        self._open.append(vector)
        if len(self._open) == BLOCK:
            self._blocks.append(np.stack(self._open))
            self._open.clear()


def nearest_of(vectors: "Vectors", others: "Vectors") -> Any:
    """Returns for each vector its largest cosine with one of the others, (vectors,)."""
    import numpy as np

    if not len(others):
        return np.full(len(vectors), -1.0)
    found = [
        np.max(vectors[at : at + BLOCK] @ others.T, axis=1) for at in range(0, len(vectors), BLOCK)
    ]
    return np.concatenate(found) if found else np.zeros(0)


def mean_of_nearest(vectors: "Vectors", others: "Vectors", count: int) -> Any:
    """Returns for each vector the mean cosine to its `count` nearest of the others, (vectors,).

    A vector that is itself among the others is not its own neighbour: one cosine of 1 is left out.
    """
    import numpy as np

    found = []
    take = min(count, max(1, len(others) - 1))
    for at in range(0, len(vectors), BLOCK):
        cosines = vectors[at : at + BLOCK] @ others.T
        if cosines.shape[1] <= take:
            found.append(cosines.mean(axis=1))
            continue
        top = np.sort(np.partition(cosines, -(take + 1), axis=1)[:, -(take + 1) :], axis=1)
        found.append(top[:, :-1].mean(axis=1))
    return np.concatenate(found) if found else np.zeros(0)


def _extra(missing: ImportError) -> PrerequisiteError:
    line = "pip install 'distill-kit[semantic]'"
    return PrerequisiteError(
        f"{missing.name} is not installed; embeddings need it: {line}",
        [Problem(found=f"package {missing.name} is missing", fix=line)],
    )


def _no_model(source: str, why: str) -> PrerequisiteError:
    problem = Problem(
        found=f"no static embedding model at {source!r} ({why[:300]})",
        allowed="a folder with config.json, tokenizer.json and model.safetensors, or a hub id",
        fix="Download it, for example: hf download minishlab/potion-base-8M --local-dir DIR",
    )
    return PrerequisiteError(str(problem), [problem])
