"""language: drops rows that are not written in one of the named languages (extra `lang`)."""

from collections.abc import Sequence
from typing import Any, ClassVar

from distill.errors import PrerequisiteError, Problem
from distill.filters.filter import Context, text_of_value
from distill.recipe.filtering import LanguageFilter
from distill.rows.row import Row, Verdict


class Language:
    """Asks py3langid, whose model of 97 languages lies in the package."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: LanguageFilter, context: Context) -> None:
        self.needs: Sequence[str] = (spec.field or context.task.input,)
        self._wanted = frozenset(spec.languages)
        self._min = spec.min
        self._identifier = identifier()
        known = {str(name) for name in self._identifier.nb_classes}
        if unknown := sorted(self._wanted - known):
            raise context.refuse(
                f"unknown languages: {', '.join(unknown)}", allowed=", ".join(sorted(known))
            )

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with the language found, or uncertain; the score is that of the likeliest named."""
        return [self._verdict(text_of_value(row.fields[self.needs[0]])) for row in rows]

    def _verdict(self, text: str) -> Verdict:
        if not any(character.isalpha() for character in text):
            return Verdict("language", False, "no_words", 0.0)
        name, chance = self._identifier.classify(text)
        if name in self._wanted and chance >= self._min:
            return Verdict("language", True, score=float(chance))
        score = max(float(p) for code, p in self._identifier.rank(text) if code in self._wanted)
        if score >= self._min:
            return Verdict("language", True, score=score)
        reason = str(name) if chance >= self._min and name not in self._wanted else "uncertain"
        return Verdict("language", False, reason, score)


def identifier() -> Any:
    """Returns the language identifier, with probabilities.

    Raises: PrerequisiteError without the extra `lang`.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as missing:
        line = "pip install 'distill-kit[lang]'"
        raise PrerequisiteError(
            f"{missing.name} is not installed; the language filter needs it: {line}",
            [Problem(found=f"package {missing.name} is missing", fix=line)],
        ) from missing
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
