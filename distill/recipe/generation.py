"""How rows come to be: data files, fields and strategies."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from distill.recipe.model import Model

StrategyName = Literal[
    "label_pool", "self_instruct", "evolve", "paraphrase", "from_documents", "rationale", "react",
    "preference", "judge_data", "context_distillation", "best_of_n", "edit_hard",
]  # fmt: skip


class Data(Model):
    """Files that the recipe reads; relative to the recipe. Columns are field names."""

    seeds: str | None = None
    """A few good examples."""
    pool: str | None = None
    """Unlabelled inputs."""
    documents: str | None = None
    """A folder of .txt or .md files, or JSONL {id?, title?, text}."""
    gold: str | None = None
    """Human-labelled rows: never trained on, never in a prompt."""


class SampleField(Model):
    """A value drawn for each row, from its own random stream."""

    sample: str | list[Any]
    """A list, a file (.txt line by line, .yaml, .json, .jsonl, .csv), or one of: labels, seeds,
    accepted (seeds plus the accepted rows of earlier rounds)."""
    by: str | None = None
    """The file is a mapping; draw from the entry named by this field's value."""
    each: bool = False
    """The file is a mapping; draw one value from every entry, as a mapping."""
    count: int | None = Field(default=None, ge=1)
    """Draw a list of this many different values; absent: one value."""

    @model_validator(mode="after")
    def _one_way(self) -> "SampleField":
        if self.each and (self.by is not None or self.count is not None):
            raise ValueError("`each` goes with neither `by` nor `count`")
        return self


class RenderField(Model):
    """A value composed from other fields, without asking anybody."""

    render: str
    """Template, inline or a file."""


class AskField(Model):
    """A value that a teacher writes."""

    ask: str
    """Name of the teacher."""
    prompt: str
    """Template, inline or a file; may name any earlier field."""
    votes: int = Field(default=1, ge=1)
    """Ask this often; the value is the modal answer, FIELD_votes the counts, FIELD_p its share."""
    choices: str | list[str] | None = None
    """The only answers allowed: `label` or `labels` for the task's labels, or a list."""
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    """JSON Schema of the answer; the value is then the parsed object."""
    max_tokens: int | None = Field(default=None, ge=1)
    truncated: Literal["reject", "accept"] = "reject"
    """`accept` takes answers that stop at the token limit; FIELD_finish says how each ended."""
    strip: bool = True
    """Remove white space around the answer; false keeps it (raw continuations)."""


class PythonField(Model):
    """A value made by the user's own function: a row and one async `ask`."""

    python: str
    """`package.module:function`"""
    ask: str | None = None


def _field_kind(value: Any) -> str:
    keys = value if isinstance(value, dict) else getattr(type(value), "model_fields", ())
    for key in ("python", "ask", "sample", "render"):
        if key in keys:
            return key
    return "ask"


FieldSpec = Annotated[
    Annotated[SampleField, Tag("sample")]
    | Annotated[RenderField, Tag("render")]
    | Annotated[AskField, Tag("ask")]
    | Annotated[PythonField, Tag("python")],
    Discriminator(_field_kind),
]


class Generate(Model):
    """Candidates are proposed in rounds; `accept` counts the rows that survive every filter."""

    strategy: StrategyName | None = None
    """Expands to fields; `check --expanded` prints them."""
    ask: str | None = None
    """The teacher that a strategy asks."""
    accept: int | None = Field(default=None, ge=1)
    """Rows that survive the filters; absent: the whole pool."""
    candidates: int | None = Field(default=None, ge=1)
    """Ceiling; absent: 4 x accept."""
    balance: str | None = None
    """Field whose values are kept level."""
    probe: int | None = Field(default=None, ge=1)
    """Ask the teacher this many gold rows first and report how good it is."""
    max_failed: float = Field(default=0.10, ge=0, le=1)
    """Largest share of rows that may fail before the run stops."""
    fields: dict[str, FieldSpec] = Field(default={})
