"""What a rung of the ladder would cost here, what to watch, and where to start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.plan.advise import Advice, tree
from distill.plan.facts import Facts

TOKENS_PER_ROW = (600, 60)
"""Read and written for one row of a prompt with instructions; more with passages or examples."""
PASSAGES = 1500
EXAMPLES = 800
PRICE = (2.0, 8.0)
"""USD per million tokens of a GPT-4-class model (teachers/prices.yaml, gpt-4.1)."""
GPU_HOUR_USD = 2.5
FLOPS = 0.35 * 989e12
"""35 % of an H100's dense bf16 peak (NVIDIA data sheet); LoRA and packing seldom reach more."""
TRAINED_ROWS = 4000
EPOCHS = 2
CANDIDATES = 2
"""Rows asked for each that survives the filters."""
ON_POLICY = 4
"""A step in which the student writes costs about so much more."""


@dataclass(frozen=True, slots=True)
class Here:
    """What `distill estimate` says of the recipe at hand."""

    rows: float
    """That the student would learn."""
    usd: float
    """For all that the teachers are asked, checks and filters not counted."""
    read: float
    """Tokens that a teacher reads for one answer."""
    written: float


@dataclass(frozen=True, slots=True)
class Rung:
    """One method of the ladder."""

    name: str
    what: str
    risk: str
    cost: Mapping[str, Any]
    starter: Mapping[str, Any] | None

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "rung": self.name,
            "what": self.what,
            "risk": self.risk,
            "cost": dict(self.cost),
            "starter": dict(self.starter) if self.starter else None,
        }


def rungs(advice: Advice, here: Here | None = None) -> list[Rung]:
    """The ladder with costs, risks and starters.

    Args:
        advice: Which methods.
        here: Sizes and prices of a recipe; absent: those of a usual task.
    """
    known = tree()["rungs"]
    return [
        Rung(
            name,
            known[name]["what"],
            known[name]["risk"],
            cost_of(name, advice.facts, here),
            starter_of(name, advice.facts),
        )
        for name in advice.ladder
    ]


def cost_of(name: str, facts: Facts, here: Here | None = None) -> dict[str, Any]:
    """USD once and per 1,000 rows, with their assumptions.

    Training: 6 * parameters * tokens FLOPs (Kaplan et al. 2020, arXiv:2001.08361, section 2.1).
    """
    rung = tree()["rungs"][name]
    read, written = TOKENS_PER_ROW if here is None else (round(here.read), round(here.written))
    if name in ("retrieval", "retrieval_and_fine_tuning"):
        read += PASSAGES
    if name == "few_shot":
        read += EXAMPLES
    if name in ("chain_of_thought", "rationale"):
        written *= 4
    prompted = (read * PRICE[0] + written * PRICE[1]) / 1e6
    if not rung["training"]:
        return {
            "once_usd": 0.0,
            "per_1000_usd": 1000 * prompted,
            "gpu_hours": 0.0,
            "basis": f"{read} tokens read and {written} written per row at gpt-4.1's price",
        }
    parameters = rung["parameters"]
    tokens = _training_tokens(name, facts, (read + written) * (here.rows if here else TRAINED_ROWS))
    hours = 6 * parameters * tokens / FLOPS / 3600 * (ON_POLICY if name == "on_policy" else 1)
    reads_on = name in ("continued_pretraining", "pretraining")
    asked = here.usd if here else CANDIDATES * TRAINED_ROWS * prompted
    asks = (
        f"{here.rows:,.0f} rows as `distill estimate` has it"
        if here
        else f"{CANDIDATES * TRAINED_ROWS:,} rows asked of gpt-4.1"
    )
    forward = 2 * parameters * (read + written) / FLOPS
    return {
        "once_usd": (0.0 if reads_on else asked) + hours * GPU_HOUR_USD,
        "per_1000_usd": 1000 * forward / 3600 * GPU_HOUR_USD,
        "gpu_hours": hours,
        "basis": (
            f"{tokens:,.0f} tokens through {parameters:,} parameters on an H100 at "
            f"{GPU_HOUR_USD} USD an hour, 35 % of its peak" + ("" if reads_on else f"; {asks}")
        ),
    }


def starter_of(name: str, facts: Facts) -> dict[str, Any] | None:
    """A template of `distill init` and what to set in it."""
    template = tree()["rungs"][name]["starter"]
    if template is None:
        return None
    by_task = {
        "classify": "classify",
        "extract": "format",
        "judge": "judge",
        "grounded": "grounded",
    }
    if template != "grounded" and facts.task in by_task:
        template = by_task[facts.task]
    return {
        "command": f"distill init my-project --template {template}",
        "template": template,
        "set": STARTER_SETS.get(name, {}),
    }


TEMPLATES = {
    "classify": "classify",
    "extract": "format",
    "judge": "judge",
    "grounded": "grounded",
}
STARTER_SETS: Mapping[str, Mapping[str, str]] = {
    "classifier": {"student": "{kind: classifier, model: FacebookAI/roberta-base}"},
    "lora": {"student": "{model: Qwen/Qwen2.5-7B, method: lora}"},
    "rationale": {"generate.strategy": "rationale"},
    "context_distillation": {"generate.strategy": "context_distillation"},
    "retrieval_and_fine_tuning": {"student": "{model: Qwen/Qwen2.5-7B, method: lora}"},
    "preference": {"generate.strategy": "preference", "train.objective": "dpo"},
    "on_policy": {"train.on_policy": "0.5"},
    "full": {"student": "{model: Qwen/Qwen2.5-7B, method: full}", "train.deepspeed": "zero3"},
    "continued_pretraining": {"train.objective": "clm", "evaluate.forgetting": "true"},
}


def data_plan(advice: Advice) -> list[dict[str, str]]:
    """Rows to collect, where from, how many to review, and what would change the plan."""
    facts = advice.facts
    plan = [
        {
            "what": "gold",
            "rows": "200",
            "where": "your own traffic, drawn at random, labelled by two people",
            "why": "an accuracy of 0.85 has an interval of 10 points then; with 600 rows of 6",
        },
        {
            "what": "review",
            "rows": "200",
            "where": "distill review export RUN --choose mixed",
            "why": "a random part gives the teacher's error rate with an interval",
        },
    ]
    if any(tree()["rungs"][name]["training"] for name in advice.ladder):
        have = facts.pool_rows or 0
        plan.insert(
            1,
            {
                "what": "pool",
                "rows": str(max(0, CANDIDATES * TRAINED_ROWS - have)),
                "where": "inputs as they come, unlabelled, another month than gold's",
                "why": f"{TRAINED_ROWS} rows that survive the filters teach a first student",
            },
        )
    plan.append(
        {
            "what": "error analysis",
            "rows": "50",
            "where": "distill report RUN: the wrong rows, by cause",
            "why": "wrong labels: mend them; missing facts: retrieval; missing kinds of rows: "
            "generate.strategy: edit_hard; wrong format: a validator and more rows",
        }
    )
    return plan


def _training_tokens(name: str, facts: Facts, once: float) -> float:
    if name == "pretraining":
        return 20.0 * float(tree()["rungs"][name]["parameters"])
    if name == "continued_pretraining":
        return float(max(facts.raw_tokens or 0, 10_000_000))
    return float(EPOCHS * once)


def told(advice: Advice, ladder: Sequence[Rung]) -> dict[str, Any]:
    """Everything as plain data."""
    return {
        "facts": advice.facts.as_dict(),
        "path": [
            {
                "question": step.question,
                "why": step.why,
                "fact": step.fact,
                "answer": step.answer,
                "assumed": step.assumed,
                "reason": step.reason,
            }
            for step in advice.path
        ],
        "first": ladder[0].name,
        "reasons": advice.reasons,
        "ladder": [rung.as_dict() for rung in ladder],
        "warnings": list(advice.warnings),
        "data_plan": data_plan(advice),
    }
