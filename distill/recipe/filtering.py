"""The filters: one class per kind. A list item is `name` or `name: {options}`."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from distill.recipe.model import Model

EMBEDDINGS = "minishlab/potion-base-8M"
"""Static embeddings of English; minishlab/potion-multilingual-128M knows 101 languages."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


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
    """Keeps rows whose field is JSON, YAML or Markdown of the right form."""

    kind: Literal["format"] = "format"
    field: str | None = None
    """Absent: the task's output."""
    as_: Literal["json", "yaml", "markdown"] = Field(default="json", alias="as")
    json_schema: dict[str, Any] | None = None
    """For JSON and YAML. Absent: the schema of an extract task, else any valid value."""
    sections: list[str] = Field(default=[])
    """Headings that Markdown must have."""


class StandardiseFilter(Model):
    """Rewrites fields without irrelevant formatting; drops rows in which nothing is left."""

    kind: Literal["standardise"] = "standardise"
    fields: list[str] | None = None
    """Absent: the task's input and output."""
    strip: list[Literal["fence", "quotes", "markdown", "html"]] = Field(default=["fence", "quotes"])
    """Beside white space and JSON, which always take one form."""


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


class NoveltyFilter(Model):
    """Drops rows too like one kept before, by ROUGE-L."""

    kind: Literal["novelty"] = "novelty"
    field: str | None = None
    max: float = Field(default=0.7, gt=0, le=1)
    """Wang et al. 2023 (arXiv:2212.10560, section 2.2) drop from 0.7 on."""


class SemanticDuplicateFilter(Model):
    """Drops rows that mean nearly what a row kept before means (static embeddings)."""

    kind: Literal["semantic_duplicate"] = "semantic_duplicate"
    field: str | None = None
    model: str = EMBEDDINGS
    """Folder or hub id of a model2vec model."""
    similarity: float = Field(default=0.9, gt=0, le=1)
    """Cosine."""


class OutlierFilter(Model):
    """Drops the rows that are far from all others (static embeddings)."""

    kind: Literal["outlier"] = "outlier"
    field: str | None = None
    model: str = EMBEDDINGS
    """Folder or hub id of a model2vec model."""
    share: float | None = Field(default=None, gt=0, lt=1)
    """This share of the rows goes, the farthest first."""
    min: float | None = Field(default=None, ge=-1, le=1)
    """Least mean cosine to the ten nearest other rows. Absent, and share too: share 0.02."""


class NotInGoldFilter(Model):
    """Drops rows that hold a gold input: exactly, by a shared run of words, nearly, in meaning."""

    kind: Literal["not_in_gold"] = "not_in_gold"
    field: str | None = None
    ngram: int = Field(default=13, ge=1)
    """Brown et al. 2020 (arXiv:2005.14165, appendix C) use 13."""
    near: float | None = Field(default=0.4, gt=0, le=1)
    """Share of a long gold input's runs of three words that a row may not hold; null: not looked
    at. With every sixth word changed 0.4 are left (gsm8k)."""
    similarity: float | None = Field(default=0.8, gt=0, le=1)
    """Jaccard of word 3-grams from which a row is nearly a gold input; null: not looked at."""
    semantic: str | None = None
    """Folder or hub id of a model2vec model; absent: meaning is not compared."""
    cosine: float = Field(default=0.95, gt=0, le=1)
    """From which a row means what a gold input means."""


class AgreeFilter(Model):
    """Keeps rows in which two fields agree, and a vote is clear enough."""

    kind: Literal["agree"] = "agree"
    field: str | None = None
    """Absent: the task's output."""
    with_: str | None = Field(default=None, alias="with")
    """Another field whose value (or whose votes) must agree; absent: the field's own votes."""
    min: float = Field(default=0.5, ge=0, le=1)
    """Smallest share of votes for the field's value."""


class LanguageFilter(Model):
    """Keeps rows written in one of some languages."""

    kind: Literal["language"] = "language"
    field: str | None = None
    languages: Annotated[list[str], BeforeValidator(_listed)] = Field(default=["en"], min_length=1)
    """ISO 639-1 codes; one may stand without a list."""
    min: float = Field(default=0.3, ge=0, le=1)
    """Least probability of the likeliest of them (0.8 % of banking77's short texts have less)."""


class JudgeFilter(Model):
    """Keeps rows that a teacher scores high enough on a rubric."""

    kind: Literal["judge"] = "judge"
    ask: str
    rubric: str
    """A bundled name, a file, or the text itself: Markdown with front matter
    `scale: {min: 1, max: 5}` or `scale: [poor, fair, good]`."""
    min: float | str
    """Least score, or least word of a scale of words."""
    fields: list[str] | None = None
    """What the judge is shown. Absent: the task's input and output."""
    votes: int = Field(default=1, ge=1)
    """Independent answers; their mean is the score."""


class CompleteFilter(Model):
    """Keeps rows that hold everything needed to arrive at their answer, as a teacher sees it."""

    kind: Literal["complete"] = "complete"
    ask: str
    fields: list[str] | None = None
    """What the judge is shown. Absent: the task's input and output."""
    rubric: str | None = None
    """As for `judge`; absent: one of ours on completeness."""
    min: float | str | None = None
    """Least score. Absent: the middle of the scale."""
    votes: int = Field(default=1, ge=1)


class VerifyFilter(Model):
    """Keeps rows whose answer is right: by number, by pattern, or by the user's own function."""

    kind: Literal["verify"] = "verify"
    field: str | None = None
    """Absent: the task's output."""
    with_: str | None = Field(default=None, alias="with")
    """Field that holds the right answer."""
    number: bool = False
    """Compares the last number of each; without `with` there must be one."""
    tolerance: float = Field(default=1e-6, ge=0)
    """Relative difference of numbers that counts as equal."""
    regex: str | None = None
    """Pattern that must be found; its first group, where it has one, is the answer."""
    python: str | None = None
    """`package.module:function` or `file.py:function`; is given the row's fields."""


class CustomFilter(Model):
    """The user's own filter."""

    kind: Literal["custom"] = "custom"
    python: str
    """`package.module:function` or `file.py:function`; is given the row's fields."""
    ask: str | None = None
    """A teacher; the function is then `async` and is given an `ask` beside the fields."""
    min: float | None = None
    """Least score, where the function returns a number."""


class PiiFilter(Model):
    """Drops rows with personal data, or masks it."""

    kind: Literal["pii"] = "pii"
    fields: list[str] | None = None
    """Absent: the task's input and output."""
    kinds: list[Literal["email", "phone", "card", "ip"]] = Field(
        default=["email", "phone", "card", "ip"], min_length=1
    )
    action: Literal["drop", "mask"] = "drop"


class ClassifierFilter(Model):
    """Keeps rows that a transformers sequence classifier gives the right label."""

    kind: Literal["classifier"] = "classifier"
    model: str
    """Folder or hub id."""
    field: str | None = None
    label: str
    """Of the classifier."""
    min: float | None = Field(default=None, ge=0, le=1)
    """Least probability of the label."""
    max: float | None = Field(default=None, ge=0, le=1)
    """Largest probability of the label."""
    batch: int = Field(default=32, ge=1)


class BalanceFilter(Model):
    """Keeps at most so many rows per label or cell of attributes, the best first."""

    kind: Literal["balance"] = "balance"
    by: Annotated[list[str], BeforeValidator(_listed)] | None = None
    """Fields; absent: the task's output."""
    max: int | None = Field(default=None, ge=1)
    """Rows per cell."""
    ratio: float | None = Field(default=None, ge=1)
    """A cell may have so many times the rows of the smallest one."""


class QualityFilter(Model):
    """Keeps rows that a small model, trained on rows that people approved, finds good."""

    kind: Literal["quality"] = "quality"
    file: str | None = None
    """Rows that people looked at, with a column `decision` (accept, edit, reject) or `approved`
    (true, false); without either, all are approved. Absent: the decisions of the run's review."""
    fields: list[str] | None = None
    """What the model reads. Absent: the task's input and output."""
    min: float = Field(default=0.5, ge=0, le=1)
    """Least probability of approval."""
    model: str | None = None
    """Folder or hub id of a model2vec model; absent: TF-IDF."""


class LabelNoiseFilter(Model):
    """Drops rows whose label is probably wrong (confident learning)."""

    kind: Literal["label_noise"] = "label_noise"
    field: str | None = None
    """What the label is about. Absent: the task's input."""
    label: str | None = None
    """Absent: the task's output."""
    min: float = Field(default=0.5, ge=0, le=1)
    """A suspected label with at least this probability stays."""
    model: str | None = None
    """Folder or hub id of a model2vec model; absent: TF-IDF."""


class ConsistentFilter(Model):
    """Drops rows whose label contradicts that of the same or nearly the same input."""

    kind: Literal["consistent"] = "consistent"
    field: str | None = None
    """Absent: the task's input."""
    label: str | None = None
    """Absent: the task's output."""
    similarity: float = Field(default=0.9, gt=0, le=1)
    """Jaccard of word 3-grams from which inputs count as the same."""
    min: float = Field(default=0.5, ge=0, lt=1)
    """A label stays if more than this share of the like inputs have it."""


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
    | StandardiseFilter
    | RefusalFilter
    | LanguageFilter
    | DuplicateFilter
    | NearDuplicateFilter
    | NoveltyFilter
    | SemanticDuplicateFilter
    | OutlierFilter
    | NotInGoldFilter
    | AgreeFilter
    | JudgeFilter
    | VerifyFilter
    | PiiFilter
    | ClassifierFilter
    | BalanceFilter
    | CompleteFilter
    | QualityFilter
    | LabelNoiseFilter
    | ConsistentFilter
    | CustomFilter
)

FilterSpec = Annotated[Annotated[AnyFilter, Field(discriminator="kind")], BeforeValidator(_one_key)]


def in_order(specs: Sequence[FilterSpec]) -> list[tuple[int, FilterSpec]]:
    """Returns the filters with their places in the recipe, in the order they run.

    Free ones first, those that ask a teacher last, each in the order of the recipe: no row is paid
    for that a free filter would drop. A cap (`balance`) that stands behind an ask stays there,
    because it keeps the best and counts what survives.
    """
    first_paid = next((at for at, spec in enumerate(specs) if asks(spec)), len(specs))
    free: list[tuple[int, FilterSpec]] = []
    paid: list[tuple[int, FilterSpec]] = []
    for at, spec in enumerate(specs):
        late = asks(spec) or (spec.kind == "balance" and at > first_paid)
        (paid if late else free).append((at, spec))
    return [*free, *paid]


def asks(spec: FilterSpec) -> str | None:
    """Returns the teacher that a filter asks, or None for a free one."""
    asked: str | None = getattr(spec, "ask", None)
    return asked
