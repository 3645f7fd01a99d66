"""How rows come to be: data files, fields and strategies."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from distill.recipe.model import Model
from distill.recipe.strategy_options import StrategyOptions

StrategyName = Literal[
    "label_pool", "self_instruct", "evolve", "paraphrase", "from_documents", "rationale", "react",
    "preference", "judge_data", "context_distillation", "best_of_n", "edit_hard",
]  # fmt: skip

OWN_SOURCES = ("labels", "seeds", "accepted", "pool", "documents", "failures")
"""What `sample` may name beside a list or a file."""
TOOLS = ("documents", "passages", "calculator")
"""The tools that we bring; another name is a function of the user's."""
LINEAGE = ("seeds", "accepted", "pool", "documents", "failures")
"""Sources whose draws are recorded as FIELD_id: rows that share one are kept together."""


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


class Chunk(Model):
    """How documents are cut: at paragraphs, then sentences, then words."""

    words: int = Field(default=180, ge=10)
    """Most words of a chunk."""
    overlap: int = Field(default=0, ge=0)
    """Words that a chunk repeats of the one before, where a paragraph had to be cut."""

    @model_validator(mode="after")
    def _moves_on(self) -> "Chunk":
        if self.overlap >= self.words:
            raise ValueError("`overlap` must be smaller than `words`")
        return self


class SampleField(Model):
    """A value drawn for each row, from its own random stream."""

    sample: str | list[Any]
    """A list, a file (.txt line by line, .yaml, .json, .jsonl, .csv), or one of: labels, seeds,
    accepted (seeds plus the accepted rows of earlier rounds), pool (its rows), documents (chunks
    of data.documents), failures (what an earlier run's student got wrong)."""
    by: str | None = None
    """The file is a mapping; draw from the entry named by this field's value."""
    each: bool = False
    """The file is a mapping; draw one value from every entry, as a mapping."""
    count: int | None = Field(default=None, ge=1)
    """Draw a list of this many different values; absent: one value."""
    in_turn: bool = False
    """Every value once, in an order fixed by the seed, before any comes again."""
    other_than: str | None = None
    """An earlier field drawn from `documents`: its document is not drawn from."""
    chunk: Chunk | None = None
    """How `documents` are cut."""
    run: str | None = None
    """`failures` only: the earlier run, a folder or a name under ./runs."""

    @model_validator(mode="after")
    def _one_way(self) -> "SampleField":
        if self.each and (self.by is not None or self.count is not None):
            raise ValueError("`each` goes with neither `by` nor `count`")
        if self.in_turn and (self.each or self.by is not None or self.count is not None):
            raise ValueError("`in_turn` goes with neither `each`, `by` nor `count`")
        if (self.chunk or self.other_than) and self.sample != "documents":
            raise ValueError("`chunk` and `other_than` go with `sample: documents`")
        if (self.run is not None) != (self.sample == "failures"):
            raise ValueError("`run` goes with `sample: failures`, which needs it")
        return self


class RenderField(Model):
    """A value composed from other fields, without asking anybody."""

    render: str
    """Template, inline or a file."""
    parse: Literal["text", "json"] = "text"
    """`json` reads the rendered text as a JSON value."""
    keep: list[str] | None = None
    """Only rows whose value is one of these go on; the others are rejected."""


class AskField(Model):
    """A value that a teacher writes."""

    ask: str
    """Name of the teacher."""
    prompt: str
    """Template, inline or a file; may name any earlier field."""
    votes: int = Field(default=1, ge=1)
    """Ask this often; the value is the modal answer, FIELD_votes the counts, FIELD_p its share."""
    choices: str | list[str] | None = None
    """The only answers allowed: `label` or `labels` for the task's labels, or a list. A teacher
    with probabilities also gives FIELD_p, of the answer, and FIELD_logp, the log of each."""
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    """JSON Schema of the answer; the value is then the parsed object."""
    max_tokens: int | None = Field(default=None, ge=1)
    truncated: Literal["reject", "accept"] = "reject"
    """`accept` takes answers that stop at the token limit; FIELD_finish says how each ended."""
    strip: bool = True
    """Remove white space around the answer; false keeps it (raw continuations)."""
    count: int | None = Field(default=None, ge=1)
    """The value is a list of this many separate answers."""
    when: str | None = None
    """Template: asked only where it renders to something other than nothing, no, false or 0."""
    otherwise: str = ""
    """Template of the value where nobody is asked."""
    keep: list[str] | None = None
    """Only rows whose value is one of these go on; the others are rejected."""

    @model_validator(mode="after")
    def _one_value(self) -> "AskField":
        if self.count is not None and self.votes > 1:
            raise ValueError("`count` keeps every answer, `votes` the most frequent: give one")
        return self


class PythonField(Model):
    """A value made by the user's own function: a row and one async `ask`."""

    python: str
    """`package.module:function`, called as `await function(row, ask)`; returns a JSON value."""
    ask: str | None = None
    """The teacher behind `ask`."""
    args: dict[str, str] = Field(default={})
    """More arguments: name -> template."""
    keep: list[str] | None = None
    """Only rows whose value is one of these go on; the others are rejected."""


class ActField(Model):
    """What a tool gives back for the last `Action: name[input]` of a text; `` where there is none.

    ReAct (Yao et al. 2022, arXiv:2210.03629) calls it the observation.
    """

    act: str
    """Template of the text that names the action."""
    tools: dict[str, str]
    """Tool -> `documents` (search them), `passages` (search the row's), `calculator`, or the user's
    own `package.module:function`, called as `await function(input)`."""


def _field_kind(value: Any) -> str:
    keys = value if isinstance(value, dict) else getattr(type(value), "model_fields", ())
    for key in ("python", "act", "ask", "sample", "render"):
        if key in keys:
            return key
    return "ask"


FieldSpec = Annotated[
    Annotated[SampleField, Tag("sample")]
    | Annotated[RenderField, Tag("render")]
    | Annotated[AskField, Tag("ask")]
    | Annotated[PythonField, Tag("python")]
    | Annotated[ActField, Tag("act")],
    Discriminator(_field_kind),
]


class Generate(Model):
    """Candidates are proposed in rounds; `accept` counts the rows that survive every filter."""

    strategy: StrategyName | None = None
    """Expands to fields; `check --expanded` prints them."""
    ask: str | None = None
    """The teacher that a strategy asks."""
    options: StrategyOptions | None = None
    """What the strategy can be told; each has its own keys."""
    accept: int | None = Field(default=None, ge=1)
    """Rows that survive the filters; absent: the whole pool."""
    candidates: int | None = Field(default=None, ge=1)
    """Ceiling; absent: 4 x accept."""
    balance: str | list[str] | None = None
    """Field (or fields: every combination) whose values are kept level among the accepted rows."""
    probe: int | None = Field(default=None, ge=1)
    """Ask the teacher this many gold rows first and report how good it is."""
    max_failed: float = Field(default=0.10, ge=0, le=1)
    """Largest share of rows that may fail before the run stops."""
    fields: dict[str, FieldSpec] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _options_of_strategy(cls, value: Any) -> Any:
        # Options need not repeat which strategy they are of.
        if not isinstance(value, dict) or not isinstance(value.get("options"), dict):
            return value
        options = {"kind": value.get("strategy"), **value["options"]}
        return {**value, "options": options}

    @model_validator(mode="after")
    def _own_options(self) -> "Generate":
        if self.options is not None and self.options.kind != self.strategy:
            raise ValueError(f"these are options of {self.options.kind}, not of {self.strategy}")
        return self

    @property
    def cells(self) -> tuple[str, ...]:
        """The fields of `balance`."""
        if self.balance is None:
            return ()
        return (self.balance,) if isinstance(self.balance, str) else tuple(self.balance)


def draws_rows(generate: Generate) -> bool:
    """Whether every candidate is drawn, so that the pool does not say which ones there are."""
    own = ("accepted", "pool", "failures")
    return any(
        isinstance(spec, SampleField)
        and (spec.sample in own or (spec.sample in ("documents", "seeds") and spec.in_turn))
        for spec in generate.fields.values()
    )
