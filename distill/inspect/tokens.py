"""How a student's tokenizer sees the texts: length, and what it does not know."""

from pathlib import Path
from typing import Any

from distill.errors import PrerequisiteError, Problem, UsageError
from distill.inspect.lengths import histogram, summary
from distill.inspect.view import View
from distill.measure.words import numpy

BATCH = 1000
SHOWN = 20


def measure_tokens(view: View, folder: str) -> dict[str, Any]:
    """Tokens per row, unknown ones, and rows that hold them.

    Args:
        view: The rows.
        folder: With tokenizer.json, or any folder or hub id that transformers can load.

    Raises: UsageError where there is no tokenizer, PrerequisiteError without the packages.
    """
    np = numpy()
    tokenizer, unknown = _load(folder)
    lengths: list[int] = []
    rows: list[str] = []
    pieces: dict[str, int] = {}
    total = 0
    for start in range(0, len(view), BATCH):
        texts = view.contents[start : start + BATCH]
        for at, (ids, offsets) in enumerate(_encode(tokenizer, texts), start):
            lengths.append(len(ids))
            odd = [place for place, id in enumerate(ids) if id == unknown]
            total += len(odd)
            if odd and unknown is not None:
                rows.append(view.ids[at])
                for place in odd:
                    piece = view.contents[at][slice(*offsets[place])]
                    pieces[piece] = pieces.get(piece, 0) + 1
    counts = np.asarray(lengths, np.int64)
    return {
        "tokenizer": folder,
        "tokens": int(counts.sum()),
        "per_row": summary(counts),
        "histogram": histogram(counts),
        "per_word": float(counts.sum() / max(1, view.content_words.counts.sum())),
        "unknown": total if unknown is not None else 0,
        "unknown_share": total / max(1, int(counts.sum())),
        "unknown_pieces": dict(sorted(pieces.items(), key=lambda item: -item[1])[:SHOWN]),
        "has_unknown_token": unknown is not None,
        "rows": rows,
    }


def _load(folder: str) -> tuple[Any, int | None]:
    path = Path(folder)
    if path.is_file() and path.name == "tokenizer.json":
        path = path.parent
    if (path / "tokenizer.json").is_file():
        try:
            from tokenizers import Tokenizer
        except ImportError as missing:
            raise _extra("tokenizers") from missing
        try:
            loaded = Tokenizer.from_file(str(path / "tokenizer.json"))
        except Exception as error:  # the native loader raises plain Exception
            problem = Problem(f"not a tokenizer: {error}", file=str(path / "tokenizer.json"))
            raise UsageError(str(problem), [problem]) from error
        loaded.no_truncation()
        loaded.no_padding()
        return loaded, _unknown(loaded)
    try:
        from transformers import AutoTokenizer
    except ImportError as missing:
        raise _extra("transformers") from missing
    try:
        slow = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        problem = Problem(
            f"no tokenizer at {folder!r}: {str(error).splitlines()[0][:200]}",
            key="--tokenizer",
            fix="Give a folder with tokenizer.json.",
        )
        raise UsageError(str(problem), [problem]) from error
    if (fast := getattr(slow, "backend_tokenizer", None)) is None:
        problem = Problem(f"{folder}: a tokenizer without a fast version", key="--tokenizer")
        raise UsageError(str(problem), [problem])
    return fast, _unknown(fast)


def _unknown(tokenizer: Any) -> int | None:
    """The id of the unknown token; None where every text can be written."""
    name = getattr(tokenizer.model, "unk_token", None)
    for candidate in (name, "<unk>", "[UNK]"):
        if candidate and (id := tokenizer.token_to_id(candidate)) is not None:
            return int(id)
    return None


def _encode(tokenizer: Any, texts: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
    found = tokenizer.encode_batch(texts, add_special_tokens=False)
    return [(one.ids, one.offsets) for one in found]


def _extra(package: str) -> PrerequisiteError:
    line = "pip install 'distill-kit[train]'"
    return PrerequisiteError(
        f"{package} is not installed; --tokenizer needs it: {line}",
        [Problem(found=f"package {package} is missing", fix=f"Type: {line}")],
    )
