"""How the student is trained: the signal, the loss and the trainer's settings."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from distill.recipe.model import Model, kind_of


class TextSignal(Model):
    """What the teacher wrote: sequence-level distillation (Kim and Rush 2016, arXiv:1606.07947)."""

    kind: Literal["text"] = "text"


class DenseSignal(Model):
    """Every token's probability from a live local teacher."""

    kind: Literal["dense"]
    from_: str | None = Field(default=None, alias="from")
    """Teacher; needed when several could give it."""


class LabelsSignal(Model):
    """The teacher's distribution over the task's labels, for classifiers.

    Label log-probabilities where it tells them, else the shares of its votes.
    """

    kind: Literal["labels"]


class SparseSignal(Model):
    """What an API or a cache tells about each token."""

    kind: Literal["token", "topk", "sampled"]
    from_: str | None = Field(default=None, alias="from")
    """Teacher; needed when several could give it."""
    k: int = Field(default=64, ge=1)
    """topk: most tokens per position (an API tells 20 at most). sampled: draws per position."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """topk: only as many tokens as hold this mass; absent: always k."""
    min_k: int = Field(default=4, ge=1)
    """topk: with `top_p`, at least so many tokens."""
    codec: Literal["raw", "packed", "set", "sampled"] | None = None
    """How it is written. Absent: sampled for draws, else set."""
    cross_tokenizer: bool = False
    """topk of a local teacher whose tokenizer is another one: its probabilities are summed up by
    the student's tokens, aligned by their bytes."""
    via: Literal["auto", "prompt", "answers"] = "auto"
    """A remote teacher scores whole prompts (vLLM), or tells the probabilities of its own answers.
    auto: answers from OpenAI and, with a k of 20 or less, from the teacher that answers the task;
    else prompt."""


Signal = Annotated[
    Annotated[TextSignal, Tag("text")]
    | Annotated[DenseSignal, Tag("dense")]
    | Annotated[LabelsSignal, Tag("labels")]
    | Annotated[SparseSignal, Tag("token")]
    | Annotated[SparseSignal, Tag("topk")]
    | Annotated[SparseSignal, Tag("sampled")],
    Discriminator(kind_of("text")),
]


class _Loss(Model):
    """loss = sum(weight * KD over rows with a signal + ce * CE) / supervised tokens."""

    weight: float = Field(default=0.5, ge=0)
    """Weight of the distillation term, used as written."""
    ce: float = Field(default=0.5, ge=0)
    """Weight of the cross-entropy on the written tokens, used as written."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the loss, not of sampling. Value and gradient are NOT multiplied by temperature**2."""
    tail: Literal["ghost"] = "ghost"
    """Of top-k targets: all tokens outside the teacher's k are one token more. A lower bound."""


class ForwardKL(_Loss):
    """KL(teacher || student). Hinton et al. 2015, arXiv:1503.02531."""

    kind: Literal["forward_kl"] = "forward_kl"


class ReverseKL(_Loss):
    """KL(student || teacher). Gu et al. 2023, arXiv:2306.08543."""

    kind: Literal["reverse_kl"]


class JSD(_Loss):
    """Generalised Jensen-Shannon divergence. Agarwal et al. 2023, arXiv:2306.13649, section 2."""

    kind: Literal["jsd"]
    beta: float = Field(default=0.5, ge=0, le=1)
    """0 is forward KL, 1 reverse KL."""
    normalised: bool = False
    """Divide by beta (1 - beta), which makes the value continuous at both ends."""


class SkewKL(_Loss):
    """KL(teacher || alpha teacher + (1 - alpha) student). Ko et al. 2024, arXiv:2402.03898."""

    kind: Literal["skew_kl"]
    alpha: float = Field(default=0.1, gt=0, lt=1)
    """The teacher's share of the mixture; the value stays under -log(alpha)."""


class SkewReverseKL(_Loss):
    """KL(student || (1 - alpha) teacher + alpha student). Ko et al. 2024, arXiv:2402.03898."""

    kind: Literal["skew_reverse_kl"]
    alpha: float = Field(default=0.1, gt=0, lt=1)
    """The student's share of the mixture; the value stays under -log(alpha)."""
    detached: bool = False
    """Hold the mixture's student part fixed in the gradient, as DistiLLM-2 does
    (arXiv:2503.07067). The gradient is then not that of the value."""


class TVD(_Loss):
    """Total variation distance. Wen et al. 2023, arXiv:2307.15190."""

    kind: Literal["tvd"]


class AdaptiveKL(_Loss):
    """Forward and reverse KL, weighted per token by where student and teacher differ.

    Wu et al. 2024, arXiv:2404.02657.
    """

    kind: Literal["adaptive_kl"]
    head: float = Field(default=0.5, gt=0, lt=1)
    """The head is what is left of the teacher when its least likely tokens, up to this much mass,
    are taken off as the tail."""


class SampledReverseKL(_Loss):
    """KL(student || teacher) estimated from tokens that the student itself wrote (signal `token`).

    Schulman 2020, "Approximating KL divergence" (k1); Gu et al. 2023, arXiv:2306.08543.
    """

    kind: Literal["sampled_reverse_kl"]


class VerdictLoss(_Loss):
    """The allowed scores of a judge, against the teacher's distribution or the vote shares."""

    kind: Literal["verdict"]
    form: Literal["kl", "cdf", "expected"] = "kl"
    """kl: KL(target || student) over the scores. cdf: squared distance of the cumulative
    distributions, for ordered scores (Hou et al. 2016, arXiv:1611.05916). expected: squared error
    of the expected score (Chiang et al. 2025, arXiv:2503.04381)."""


Loss = Annotated[
    Annotated[ForwardKL, Tag("forward_kl")]
    | Annotated[ReverseKL, Tag("reverse_kl")]
    | Annotated[JSD, Tag("jsd")]
    | Annotated[SkewKL, Tag("skew_kl")]
    | Annotated[SkewReverseKL, Tag("skew_reverse_kl")]
    | Annotated[TVD, Tag("tvd")]
    | Annotated[AdaptiveKL, Tag("adaptive_kl")]
    | Annotated[SampledReverseKL, Tag("sampled_reverse_kl")]
    | Annotated[VerdictLoss, Tag("verdict")],
    Discriminator(kind_of("forward_kl")),
]


class HiddenMatch(Model):
    """The student's last hidden states, through a projector, against the live teacher's.

    Added to the loss: weight * distance of every token with a signal / supervised tokens.
    """

    weight: float = Field(default=1.0, gt=0)
    measure: Literal["mse", "cosine"] = "mse"
    """mse: mean squared difference (TinyBERT, arXiv:1909.10351). cosine: 1 - cos (DistilBERT,
    arXiv:1910.01108)."""


class Mix(Model):
    """Other data mixed in against forgetting."""

    data: str
    """A file of rows (messages, text, or the task's input and output) or a folder of documents."""
    share: float = Field(gt=0, lt=1)
    """Of all rows that are read."""


class PreferenceOptions(Model):
    """Direct preference optimisation. Rafailov et al. 2023, arXiv:2305.18290."""

    beta: float = Field(default=0.1, gt=0)
    """How strongly the student is held to what it was; 0.1 as in the paper, section 6."""
    ce: float = Field(default=0.0, ge=0)
    """Weight of the chosen answer's cross-entropy per token (Pang et al. 2024, arXiv:2404.19733).
    """


class Train(Model):
    """Settings of the trainer. `trainer` takes any TrainingArguments key."""

    objective: Literal["distill", "clm", "dpo"] = "distill"
    """distill: learn what a teacher wrote or thinks. clm: continue pre-training on raw text (rows
    with `text`). dpo: learn which of two answers is preferred (prompt, chosen, rejected)."""
    signal: Signal = TextSignal()
    loss: Loss = ForwardKL()
    hidden: HiddenMatch | None = None
    """Match the hidden states of a live teacher too; the projector is not exported."""
    dpo: PreferenceOptions = PreferenceOptions()
    batch: int = Field(default=32, ge=1)
    """Rows per optimiser step, whatever the number of devices; accumulation is derived."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Rows per forward pass on one device; absent: min(batch / devices, 8)."""
    steps: int | None = Field(default=None, ge=1)
    epochs: float | None = Field(default=None, gt=0)
    """Absent, and no steps: 3."""
    max_length: int = Field(default=2048, ge=2)
    packing: bool = False
    lr: float | list[float] | None = None
    """Absent: the default of the method. A list is searched on val with the first seed; the best
    one serves every seed of that arm."""
    mix: list[Mix] = Field(default=[])
    on_policy: float | None = Field(default=None, ge=0, le=1)
    early_stop: bool = False
    """Stop when val gets no better, and keep the weights that were best there."""
    deepspeed: str | dict[str, Any] | None = None
    """zero0, zero1, zero2, zero3, zero2_offload, zero3_offload (optimiser, then weights too, in the
    CPU's memory), a file, or an inline mapping. Values that are `auto` follow from the recipe."""
    processes: int | None = Field(default=None, ge=1)
    """Absent: one per visible GPU, else 1."""
    trainer: dict[str, Any] = Field(default={})

    @model_validator(mode="after")
    def _one_length(self) -> "Train":
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give `steps` or `epochs`, not both")
        if sum(blend.share for blend in self.mix) >= 1:
            raise ValueError("the shares of `mix` leave no room for the rows themselves")
        return self
