"""The recipe: one pydantic tree, the same for YAML and for Python. No torch here."""

from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from distill.recipe.filtering import FilterSpec
from distill.recipe.forgetting import Forgetting
from distill.recipe.generation import Data, Generate
from distill.recipe.model import Model
from distill.recipe.student import Student
from distill.recipe.task import Task
from distill.recipe.training import Train
from teachers.config import TeacherConfig

Baseline = Literal["zero_shot", "few_shot", "chain_of_thought", "react", "retrieval", "majority"]
Comparison = Literal["hard_labels", "hard_labels_confident", "text"]


class Budget(Model):
    """A hard cap over all teachers of the run and all its resumes."""

    usd: float | None = Field(default=None, ge=0)
    requests: int | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    on_limit: Literal["pause", "fail"] = "pause"


class Review(Model):
    """How many rows people look at."""

    rows: int = Field(default=100, ge=1)
    choose: Literal["random", "doubtful", "mixed"] = "mixed"
    stop: bool = False
    kind: Literal["correct", "gold"] = "correct"
    overlap: int = Field(default=1, ge=1)


class Split(Model):
    """Shares of train and val; rows that belong together never straddle them."""

    train: float = Field(default=0.9, gt=0, le=1)
    val: float = Field(default=0.1, ge=0, lt=1)
    keep_together: list[str] | None = None
    """`seed` (rows grown from one seed), `duplicates` (near-duplicate clusters), or a field.

    Absent: duplicates, of judges the instruction too."""
    hold_out: list[str] | None = None
    """Fields of which whole values, val's share of them, lie in val alone, beside its own share.

    Absent: of judges the rubric, where there are enough. At least three values, else none is."""

    @model_validator(mode="after")
    def _whole(self) -> "Split":
        if abs(self.train + self.val - 1) > 1e-9:
            raise ValueError(f"train + val must be 1, not {self.train + self.val:g}")
        return self


class Retrieval(Model):
    """How the baseline `retrieval` finds its passages."""

    model: str | None = None
    """Folder or hub id of static embeddings (model2vec, extra `semantic`); absent: BM25."""
    passages: int = Field(default=4, ge=1)
    """Shown with each row."""


class Evaluate(Model):
    """What the student is measured on and against."""

    on: list[Literal["gold", "val"]] = Field(default=["gold", "val"])
    baselines: list[Baseline] = Field(default=[])
    few_shot: list[Annotated[int, Field(ge=1)]] = Field(default=[4], min_length=1)
    """Examples in the prompt: rows that people approved, else seeds, else train; never gold."""
    retrieval: Retrieval = Retrieval()
    compare: list[Comparison] = Field(default=[])
    """Extra students trained on the same rows and steps."""
    confident: float = Field(default=0.9, ge=0, le=1)
    """hard_labels_confident trains on rows whose teacher probability is at least this."""
    seeds: int = Field(default=1, ge=1)
    learning_curve: list[float] = Field(default=[])
    """Shares of the training rows, such as [0.25, 0.5, 1]: a student of as many steps on each."""
    forgetting: bool | list[str] | Forgetting = False
    """Measure general abilities before and after training; a list names tasks of lm-eval."""
    against: str | list[str] | None = None
    """Other models on the same rows: teachers by name, asked as the student is, and runs, whose
    students are asked as they were trained."""
    ask: str | None = None
    """Teacher that answers the baselines; absent: the student's base model, else the teacher."""
    judge: str | None = None
    """Teacher that judges whether answers are faithful to the passages that they had, and whether a
    free text is better than the teacher's (gold's where no teacher is measured): win_rate."""
    limit: int | None = Field(default=None, ge=1)
    """Measure on the first so many rows of each set only."""
    suggested_gold: bool = False
    """Measure also on gold whose reviewers saw a model's answer (`saw_suggestion`)."""
    require: dict[str, float] = Field(default={})
    """Metric -> least value of the student; a lower one fails the run."""


class Export(Model):
    """How the student leaves the run."""

    merge: bool = True
    formats: list[Literal["safetensors", "gguf"]] = Field(default=["safetensors"])
    card: bool = True
    license: str | None = None


class Engine(Model):
    """Where the run's data work happens."""

    engine: Literal["local", "ray"] = "local"
    """`ray`: rows are made and judged on all nodes of a Ray cluster, the same rows; extra `ray`."""
    address: str | None = None
    """HOST:PORT of the cluster, or auto; absent: RAY_ADDRESS, else one of this machine's own. The
    command runs on a node of it; nodes have distill installed and see the recipe's folder."""


_FIELDS = {
    "clm": {"input": "text", "output": "text"},
    "dpo": {"input": "prompt", "output": "chosen"},
}


def _plain(value: Any) -> bool:
    return isinstance(value, dict)


class Recipe(Model):
    """One run, from teachers to a student. Every stage is optional."""

    version: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    seed: int = 0
    teachers: dict[str, TeacherConfig] = Field(default={})
    budget: Budget = Budget()
    task: Task
    data: Data = Data()
    generate: Generate | None = None
    filter: list[FilterSpec] = Field(default=[])
    review: Review | None = None
    split: Split | None = None
    student: Student | None = None
    train: Train | None = None
    evaluate: Evaluate | None = None
    export: Export | None = None
    run: Engine = Engine()

    @model_validator(mode="before")
    @classmethod
    def _fields_of_the_objective(cls, given: Any) -> Any:
        """Raw text and preferences that are given have fields of their own names."""
        if not _plain(given) or given.get("generate"):
            return given
        train, task = given.get("train"), given.get("task")
        if not (_plain(train) and _plain(task)):
            return given
        names = _FIELDS.get(str(train.get("objective")), {})
        return {**given, "task": {**names, **task}}

    _source: str = PrivateAttr(default="")
    """Path of the file this came from; relative paths of the recipe start at its folder."""
    _lines: dict[str, int] = PrivateAttr(default_factory=dict)
    """Key path -> line, for error messages."""

    def as_dict(self) -> dict[str, Any]:
        """The resolved recipe as plain data, with the YAML's own key names."""
        return self.model_dump(mode="json", by_alias=True)
