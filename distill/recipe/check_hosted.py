"""Checks a student that somebody else's servers train: what it cannot have, and what it needs."""

from collections.abc import Mapping

from distill.recipe.check_teachers import check_keys
from distill.recipe.findings import Findings
from distill.recipe.hosted import SYSTEM, hosted_config
from distill.recipe.schema import Recipe
from distill.recipe.training import Train

LOCAL_ONLY = (
    "steps", "micro_batch", "lr", "mix", "on_policy", "early_stop", "deepspeed", "processes",
    "trainer", "loss", "packing", "max_length", "batch",
)  # fmt: skip
"""Keys of `train` that another's servers do not take."""


def check_hosted(recipe: Recipe, environ: Mapping[str, str], findings: Findings) -> None:
    """Notes what a hosted student cannot have, and the keys and prices that it needs."""
    student, train = recipe.student, recipe.train
    assert student is not None
    if student.kind != "causal":
        findings.add("student.kind", "a hosted student is a language model", "causal")
    if student.model is None:
        findings.add("student.model", "a hosted student starts from a model of the service")
    if SYSTEM in recipe.teachers:
        fix = "Give that teacher another name."
        findings.add(f"teachers.{SYSTEM}", "the hosted student is called that", None, fix)
    else:
        check_keys(
            "student.hosted", hosted_config(student, str(student.model), 1), environ, findings
        )
    if train is not None:
        _train(train, findings)
    _evaluate(recipe, findings)
    _prices(recipe, findings)


def _train(train: Train, findings: Findings) -> None:
    if train.objective != "distill":
        findings.add("train.objective", "a hosted student learns from the rows' text", "distill")
    if train.signal.kind != "text":
        found = f"a service trains on text, not on {train.signal.kind} signals"
        findings.add("train.signal.kind", found, "text")
    for key in LOCAL_ONLY:
        if key in train.model_fields_set:
            fix = "Leave it out; student.hosted.hyperparameters takes what the service takes."
            findings.add(f"train.{key}", "a service does not take it", "epochs", fix)
    if train.epochs is not None and train.epochs != int(train.epochs):
        findings.add("train.epochs", f"a service takes whole epochs, not {train.epochs:g}")


def _evaluate(recipe: Recipe, findings: Findings) -> None:
    if recipe.evaluate is None:
        return
    if recipe.evaluate.compare:
        fix = "Each would be a job of its own: run a second recipe and `distill compare` them."
        findings.add("evaluate.compare", "extra hosted students are not trained", None, fix)
    if recipe.evaluate.seeds > 1:
        findings.add("evaluate.seeds", "a hosted student is trained once", "1")


def _prices(recipe: Recipe, findings: Findings) -> None:
    """A cap in USD cannot hold over what nobody knows the price of."""
    student = recipe.student
    assert student is not None
    if recipe.budget.usd is None:
        return
    price = student.price
    needed = {"training": "trained tokens"}
    if recipe.evaluate is not None:
        needed |= {"input": "tokens that it reads", "output": "tokens that it writes"}
    for name, what in needed.items():
        if price is None or getattr(price, name) is None:
            fix = f"USD per million {what}, from the service's price list."
            findings.add(f"student.price.{name}", "budget.usd cannot hold without it", None, fix)
