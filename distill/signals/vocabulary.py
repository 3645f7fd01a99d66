"""Whether two tokenizers are one: the same pieces under the same ids, and the same way to cut text.

Equal sizes prove nothing: two families with 32,000 pieces each share hardly one id. No torch here.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from distill.errors import Problem, RecipeError

PROBES = (
    "The quick brown fox, 1234.5",
    "  naïve café — ünïcödé 漢字",
    'def f(x):\n\treturn {"a": x}',
)
"""Texts that tell pre-tokenizers and normalizers apart when their pieces are equal."""


def fingerprint(tokenizer: Any) -> str:
    """A digest of the pieces, their ids and the probes' encodings; equal for equal vocabularies."""
    content = json.dumps([sorted(_pieces(tokenizer).items()), _probed(tokenizer)])
    return hashlib.sha256(content.encode()).hexdigest()


def shared_width(student: Any, teacher: Any) -> int:
    """How many columns of both models' logits stand for real tokens, the padding left out.

    Raises: RecipeError saying how the vocabularies differ.
    """
    ours, theirs = _pieces(student), _pieces(teacher)
    if ours != theirs:
        raise _differ(_difference(ours, theirs))
    for probe, mine, other in zip(PROBES, _probed(student), _probed(teacher), strict=True):
        if mine != other:
            raise _differ(f"equal pieces, but {probe!r} is cut in different ways")
    return max(ours.values()) + 1


def _pieces(tokenizer: Any) -> Mapping[str, int]:
    pieces: Mapping[str, int] = tokenizer.get_vocab()
    return pieces


def _probed(tokenizer: Any) -> list[list[int]]:
    return [list(tokenizer(probe, add_special_tokens=False)["input_ids"]) for probe in PROBES]


def _difference(ours: Mapping[str, int], theirs: Mapping[str, int]) -> str:
    same = sum(theirs.get(piece) == at for piece, at in ours.items())
    text = f"student {len(ours)} pieces, teacher {len(theirs)}, {same} of them under the same id"
    odd = next((piece for piece in sorted(ours) if theirs.get(piece) != ours[piece]), None)
    return text if odd is None else f"{text}; first difference {odd!r}"


def _differ(what: str) -> RecipeError:
    problem = Problem(
        key="train.signal",
        found=f"the teacher's vocabulary is not the student's ({what})",
        allowed="a teacher and a student with one tokenizer",
        fix="Take a student of the teacher's family, give the student the teacher's tokenizer "
        "(`student.tokenizer`), or train on the teacher's texts with `signal: text`.",
    )
    return RecipeError("teacher and student do not share a vocabulary", [problem])
