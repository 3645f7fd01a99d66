"""Which languages the texts are in (extra `lang`)."""

from collections import Counter
from typing import Any

from distill.inspect.view import View

MOST = 3_000
"""Texts that are looked at, spread evenly."""
SHORTEST = 40
"""Characters below which a guess is worth nothing."""
LONGEST = 400
"""Characters of a text that are looked at."""
SURE = 0.95
"""Probability below which a guess is not counted."""
RARE = 0.02
"""Languages of fewer texts than this share are named as odd ones."""
UNSURE = "unsure"
SHOWN = 200


def measure_languages(view: View) -> dict[str, Any]:
    """Language -> count over texts of at least SHORTEST characters, and rows of rare languages."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        return {"counts": None, "why": "py3langid is missing: pip install 'distill-kit[lang]'"}
    long = [at for at, text in enumerate(view.contents) if len(text.strip()) >= SHORTEST]
    looked = long[:: max(1, -(-len(long) // MOST))]
    if not looked:
        return {"counts": None, "why": f"no text has {SHORTEST} characters"}
    known = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    pairs = [known.classify(view.contents[at][:LONGEST]) for at in looked]
    guesses = [str(name) if chance >= SURE else UNSURE for name, chance in pairs]
    counts = Counter(guesses)
    rare = {name for name, count in counts.items() if count < RARE * len(looked)} - {UNSURE}
    odd = [view.ids[at] for at, guess in zip(looked, guesses, strict=True) if guess in rare]
    return {
        "counts": dict(counts.most_common()),
        "looked_at": len(looked),
        "short": len(view) - len(long),
        "odd_rows": odd[:SHOWN],
    }
