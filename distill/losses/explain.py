"""A recipe's loss put into plain data and plain words. No torch."""

from typing import Any

from distill.errors import Problem, RecipeError
from distill.losses.spec import SIGNALS, SPECS, gradient_note, refuse, warnings
from distill.recipe.problems import line_of
from distill.recipe.schema import Recipe
from distill.recipe.training import Loss, Train

OPTIONS_OF_ALL = ("kind", "weight", "ce", "temperature", "tail")
WEIGHTS = (
    "sum(weight * KD over rows with a signal + ce * CE) / normaliser, as written; a row without a "
    "signal gets CE with weight + ce"
)
TEXT = "no probabilities: rows get cross-entropy with weight + ce"
VOTES = "the vote shares are the target"
VERDICT_WEIGHTS = (
    "each term is divided by its own count: weight * verdict term / verdicts + ce * CE / "
    "supervised tokens; a row whose verdict was cut off gets CE with weight + ce"
)
VERDICT_TARGETS = {
    "text": "the target are the row's votes or label log-probabilities, unless they speak against "
    "the verdict that stands; without any, that verdict alone",
    "dense": "the teacher scores each answer as a whole text, once before the first step, and is "
    "then released",
    "topk": "an answer's target is the mass of its first token at the verdict's position, among "
    "the answers; two answers that begin alike are refused",
}
"""Signal -> where a verdict's target comes from."""


def explain(recipe: Recipe) -> dict[str, Any]:
    """What the recipe trains on: formula, rules, weights and the signals it cannot use.

    Raises: RecipeError where there is no training, or its loss cannot use its signal.
    """
    train = recipe.train
    if train is None:
        raise _wrong(recipe, "train", "nothing is trained, so there is no loss", None, None)
    loss, spec = train.loss, SPECS[train.loss.kind]
    if reason := refuse(loss, train.signal.kind):
        raise _refused(recipe, train, reason)
    pairs = [{"signal": signal, "refused": refuse(loss, signal)} for signal in SIGNALS]
    return {
        "recipe": recipe.name,
        "kind": loss.kind,
        "options": _options(loss),
        "signal": train.signal.kind,
        "formula": spec.formula,
        "direction": spec.direction,
        "range": spec.range,
        "at_equal": spec.at_equal,
        "gradient": spec.gradient,
        "gradient_note": gradient_note(loss),
        "normaliser": spec.normaliser,
        "temperature": {"value": loss.temperature, "rule": spec.temperature},
        "tail": {"value": loss.tail, "rule": spec.tail},
        "weights": {"weight": loss.weight, "ce": loss.ce, "rule": WEIGHTS},
        "pairs": pairs,
        "notes": _notes(train),
        "source": spec.source,
    }


def as_text(found: dict[str, Any]) -> str:
    """The same for people, a line or two for each part."""
    options = ", ".join(f"{name} {value}" for name, value in found["options"].items())
    temperature, weights = found["temperature"], found["weights"]
    lines = {
        "loss": f"{found['kind']}{f' ({options})' if options else ''}",
        "signal": found["signal"],
        "formula": found["formula"],
        "direction": found["direction"],
        "range": found["range"],
        "at p = q": f"{found['at_equal']:g}",
        "gradient": found["gradient"],
        "but": found["gradient_note"],
        "normaliser": found["normaliser"],
        "temperature": f"{temperature['value']:g}; rule: {temperature['rule']}",
        "tail": found["tail"]["rule"],
        "weights": f"weight {weights['weight']:g}, ce {weights['ce']:g}; {weights['rule']}",
        "source": found["source"],
    }
    text = [f"{name:<12} {value}" for name, value in lines.items() if value is not None]
    text += [f"{pair['signal']:<12} {_accepted(pair, found['kind'])}" for pair in found["pairs"]]
    return "\n".join(text + [f"note: {note}" for note in found["notes"]])


def _accepted(pair: dict[str, Any], kind: str) -> str:
    if pair["refused"]:
        return f"refused: {pair['refused']}"
    if pair["signal"] != "text":
        return "accepted"
    return f"accepted; {VOTES if kind == 'verdict' else TEXT}"


def _options(loss: Loss) -> dict[str, Any]:
    """Those of this kind only."""
    return {name: value for name, value in loss.model_dump().items() if name not in OPTIONS_OF_ALL}


def _notes(train: Train) -> list[str]:
    notes = warnings(train.loss)
    if train.loss.kind == "verdict":
        notes += [VERDICT_WEIGHTS, VERDICT_TARGETS[train.signal.kind]]
    if train.signal.kind == "text" and train.loss.kind != "verdict":
        total = train.loss.weight + train.loss.ce
        notes.append(f"the signal is text: this loss is not computed, CE has weight {total:g}")
    return notes


def _refused(recipe: Recipe, train: Train, reason: str) -> RecipeError:
    allowed = [kind for kind in SIGNALS if not refuse(train.loss, kind)]
    found = f"{train.loss.kind} cannot be computed from the signal {train.signal.kind}: {reason}"
    fix = "Take another signal or another loss."
    return _wrong(recipe, "train.loss", found, ", ".join(allowed) or None, fix)


def _wrong(
    recipe: Recipe, key: str, found: str, allowed: str | None, fix: str | None
) -> RecipeError:
    line = line_of(recipe._lines, key)
    problem = Problem(found, recipe._source or None, line, key, allowed, fix)
    return RecipeError(str(problem), [problem])
