"""What each strategy can be told: one class per strategy, a closed union on its name."""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field

from distill.recipe.model import Model

WAYS = (
    "Add one more constraint or requirement.",
    "Ask for more depth in the matter that it raises.",
    "Replace general notions with more specific ones.",
    "Make it need several steps of reasoning, and say so.",
    "Work a piece of data into it: a table, a message, code or figures.",
    "Leave it behind: write a new one of the same domain that is rarer.",
)
"""Evol-Instruct's five ways into depth and one into breadth (Xu et al. 2023, arXiv:2304.12244)."""
STYLES = (
    "short and plain", "formal", "chatty", "in a hurry, with a typing mistake or two",
    "roundabout, with details that do not matter", "as a second-language speaker would write",
)  # fmt: skip


class LabelPoolOptions(Model):
    """Nothing can be told."""

    kind: Literal["label_pool"] = "label_pool"


class SelfInstructOptions(Model):
    """Self-Instruct (Wang et al. 2022, arXiv:2212.10560)."""

    kind: Literal["self_instruct"] = "self_instruct"
    examples: int = Field(default=4, ge=1)
    """Seeds and accepted rows shown; fewer where there are fewer."""


class EvolveOptions(Model):
    """Evol-Instruct: rewritten inputs, those eliminated that did not evolve."""

    kind: Literal["evolve"] = "evolve"
    rounds: int = Field(default=1, ge=1, le=8)
    """How often an input is rewritten."""
    ways: list[str] = Field(default=list(WAYS), min_length=1)
    """Into depth and breadth; one is drawn for each round."""


class ParaphraseOptions(Model):
    """The same content in other words."""

    kind: Literal["paraphrase"] = "paraphrase"
    styles: list[str] = Field(default=list(STYLES), min_length=1)
    answer: Literal["keep", "ask"] | None = None
    """`keep` takes the source's output, `ask` the teacher's; absent: keep for seeds, ask for a
    pool."""


class FromDocumentsOptions(Model):
    """Questions and cited answers from documents (RAFT, Zhang et al. 2024, arXiv:2403.10131)."""

    kind: Literal["from_documents"] = "from_documents"
    words: int = Field(default=180, ge=10)
    """Most words of a passage."""
    overlap: int = Field(default=0, ge=0)
    distractors: int = Field(default=3, ge=0)
    """Passages of other documents that stand beside the right one."""
    unanswerable: float = Field(default=0.2, ge=0, lt=1)
    """Share of rows whose passages do not hold the answer."""


class RationaleOptions(Model):
    """Reasoning before the answer (Hsieh et al. 2023, arXiv:2305.02301)."""

    kind: Literal["rationale"] = "rationale"
    student: Literal["keep", "drop"] = "keep"
    """Whether the student learns to write the reasoning."""
    reference: str | None = None
    """Column of the right answer: rows whose reasoning ends elsewhere are rejected."""


class ReactOptions(Model):
    """Thought, action, observation (Yao et al. 2022, arXiv:2210.03629)."""

    kind: Literal["react"] = "react"
    steps: int = Field(default=4, ge=1, le=12)
    """Most thoughts; rows that have not finished by then are rejected."""
    tools: dict[str, str] | None = None
    """Tool -> what it does (see the act field); absent: search in the documents (where there are
    any), calculate."""
    reference: str | None = None
    """Column of the right answer: rows that finish with another are rejected."""


class PreferenceOptions(Model):
    """Two answers, ranked by a judge who sees them in both orders."""

    kind: Literal["preference"] = "preference"
    other: str | None = None
    """Teacher of the second answer; absent: the same teacher answers twice."""
    judge: str | None = None
    """Teacher that ranks; absent: the one that answers."""
    criteria: str = "helpful, correct, complete and to the point"
    """What makes an answer better."""


class JudgeDataOptions(Model):
    """Rows that a judge learns from (Kim et al. 2023, arXiv:2310.08491)."""

    kind: Literal["judge_data"] = "judge_data"
    rubrics: str | list[str] | None = None
    """Bundled names, .md files or texts, or one file of rubrics; absent: the rows' own column
    `rubric`, else helpfulness."""
    judge: str | None = None
    """Teacher that scores; absent: the one that writes."""
    votes: int = Field(default=1, ge=1)
    """How often a response is scored, or a pair is compared in each order; the most frequent
    verdict counts, and the votes stay with the row."""
    flips: Literal["tie", "drop", "review"] = "tie"
    """judge_pairwise: what becomes of verdicts that change with the order; `review` keeps them as
    ties marked `flipped`, which reviewers get first. A scale without a tie drops them."""
    feedback: bool = True
    """Whether the judge's reasons are written, and learnt."""


class ContextDistillationOptions(Model):
    """The teacher reads a long prompt, the student learns to answer without it."""

    kind: Literal["context_distillation"] = "context_distillation"
    context: str
    """The long prompt: a template, inline or a file. The student sees `task.prompt` only."""


class BestOfNOptions(Model):
    """The best of several answers; the others are kept beside it."""

    kind: Literal["best_of_n"] = "best_of_n"
    n: int = Field(default=4, ge=2, le=32)
    judge: str | None = None
    """Teacher that scores from 1 to 5; absent: the one that answers."""
    criteria: str = "helpful, correct, complete and to the point"
    verifier: str | None = None
    """`package.module:function`, called as `await function(row, ask, answer=...)`; a number."""
    reference: str | None = None
    """Column of the right answer: an answer that ends with it scores 1, another 0."""
    min: float | None = None
    """Rows whose best answer scores less are rejected."""


class EditHardOptions(Model):
    """More of what an earlier student got wrong, on rows that are not gold."""

    kind: Literal["edit_hard"] = "edit_hard"
    run: str
    """The earlier run: a folder, or a name under ./runs."""


StrategyOptions = Annotated[
    LabelPoolOptions
    | SelfInstructOptions
    | EvolveOptions
    | ParaphraseOptions
    | FromDocumentsOptions
    | RationaleOptions
    | ReactOptions
    | PreferenceOptions
    | JudgeDataOptions
    | ContextDistillationOptions
    | BestOfNOptions
    | EditHardOptions,
    Field(discriminator="kind"),
]

OPTIONS: Mapping[str, type[Model]] = {
    kind.model_fields["kind"].default: kind for kind in get_args(get_args(StrategyOptions)[0])
}
"""Strategy -> its options."""
