"""The filters: one class per kind. A list item is `name` or `name: {options}`."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from distill.recipe.model import Model


class LengthFilter(Model):
    """Keeps rows whose field is neither too short nor too long."""

    kind: Literal["length"] = "length"
    field: str | None = None
    """Absent: the task's input."""
    words: tuple[int, int] | None = None
    characters: tuple[int, int] | None = None
    tokens: tuple[int, int] | None = None
    """Tokens of the student's tokenizer."""


class RegexFilter(Model):
    """Keeps rows whose field matches, or does not match, a pattern."""

    kind: Literal["regex"] = "regex"
    field: str | None = None
    match: str | None = None
    """Pattern that must be found."""
    forbid: str | None = None
    """Pattern that must not be found."""


class FormatFilter(Model):
    """Keeps rows whose field fits a JSON Schema."""

    kind: Literal["format"] = "format"
    field: str | None = None
    """Absent: the task's output."""
    json_schema: dict[str, Any] | None = None
    """Absent: the schema of an extract task, else any valid JSON."""


class RefusalFilter(Model):
    """Drops rows in which the teacher refused or wrote boilerplate about itself."""

    kind: Literal["refusal"] = "refusal"
    field: str | None = None
    """Absent: every field that a teacher wrote."""


class DuplicateFilter(Model):
    """Drops rows whose normalised text was seen before."""

    kind: Literal["duplicate"] = "duplicate"
    field: str | None = None


class NearDuplicateFilter(Model):
    """Drops rows whose text is nearly that of an earlier row (MinHash, Jaccard of word 3-grams)."""

    kind: Literal["near_duplicate"] = "near_duplicate"
    field: str | None = None
    similarity: float = Field(default=0.8, gt=0, le=1)


class NotInGoldFilter(Model):
    """Drops rows that hold a gold input, exactly or by a shared n-gram of words."""

    kind: Literal["not_in_gold"] = "not_in_gold"
    field: str | None = None
    ngram: int = Field(default=13, ge=1)
    """Brown et al. 2020 (arXiv:2005.14165, appendix C) use 13."""


class AgreeFilter(Model):
    """Keeps rows in which two fields agree, and a vote is clear enough."""

    kind: Literal["agree"] = "agree"
    field: str | None = None
    """Absent: the task's output."""
    with_: str | None = Field(default=None, alias="with")
    """Another field whose value (or whose votes) must agree; absent: the field's own votes."""
    min: float = Field(default=0.5, ge=0, le=1)
    """Smallest share of votes for the field's value."""


class LaterFilter(Model):
    """A filter whose name is reserved; `check` refuses it until it is built."""

    model_config = ConfigDict(extra="allow")
    kind: Literal[
        "standardise", "language", "novelty", "semantic_duplicate", "outlier", "judge", "verify",
        "pii", "classifier", "balance", "complete", "quality", "label_noise", "consistent",
        "custom",
    ]  # fmt: skip


def _one_key(value: Any) -> Any:
    """`refusal` and `{length: {...}}` both become `{kind: ..., ...}`."""
    if isinstance(value, str):
        return {"kind": value}
    if isinstance(value, dict) and "kind" not in value:
        if len(value) != 1:
            raise ValueError("a filter is one name, or one name with its options under it")
        [(name, options)] = value.items()
        if not isinstance(options, dict | None):
            raise ValueError(f"the options of {name} must be a mapping")
        return {"kind": name, **(options or {})}
    return value


AnyFilter = (
    LengthFilter
    | RegexFilter
    | FormatFilter
    | RefusalFilter
    | DuplicateFilter
    | NearDuplicateFilter
    | NotInGoldFilter
    | AgreeFilter
)

FilterSpec = Annotated[
    Annotated[AnyFilter | LaterFilter, Field(discriminator="kind")], BeforeValidator(_one_key)
]
