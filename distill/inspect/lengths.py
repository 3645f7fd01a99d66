"""How long the texts are: per field and split, with a histogram."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.inspect.view import View
from distill.measure.words import Words, numpy

BINS = 40
POINTS = {"p5": 5.0, "p50": 50.0, "p95": 95.0}


def measure_lengths(view: View) -> dict[str, Any]:
    """{"input" | "output": {characters, words, histogram, by_split}}; an empty text counts 0.

    A preference has "chosen" and "rejected" beside its "output", which is both together.
    """
    texts: dict[str, tuple[Sequence[str], Words]] = {}
    if any(view.inputs):
        texts["input"] = (view.inputs, view.words)
    if view.outputs is not None and any(view.outputs):
        texts["output"] = (view.outputs, Words(view.outputs))
    if len(view.answers) > 1:
        sides = zip(("chosen", "rejected"), view.answers, strict=True)
        texts |= {name: (side, Words(side)) for name, side in sides}
    return {name: _field(view, given, words) for name, (given, words) in texts.items()}


def summary(values: Any) -> dict[str, float]:
    """Mean, extremes and percentiles of numbers (N,)."""
    np = numpy()
    points = np.percentile(values, list(POINTS.values()))
    return {
        "mean": float(values.mean()),
        "min": int(values.min()),
        **{name: float(point) for name, point in zip(POINTS, points, strict=True)},
        "max": int(values.max()),
    }


def histogram(values: Any) -> dict[str, list[float]]:
    """Counts of numbers in equal bins up to their 99.5th percentile; the last takes the rest."""
    np = numpy()
    top = max(1.0, float(np.percentile(values, 99.5)))
    width = max(1, round(top / BINS))
    edges = np.arange(0, top + 2 * width, width)
    counts, _ = np.histogram(np.minimum(values, edges[-1] - 0.5), edges)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def _field(view: View, texts: Sequence[str], words: Words) -> Mapping[str, Any]:
    np = numpy()
    characters = np.fromiter((len(text) for text in texts), np.int64, len(texts))
    by_split = {
        split: {"rows": len(places), "words": summary(words.counts[places])}
        for split, places in view.splits.items()
    }
    return {
        "characters": summary(characters),
        "words": summary(words.counts),
        "histogram": histogram(words.counts),
        "by_split": by_split,
    }
