"""The step that trains every arm of the comparison, with every seed."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from distill.errors import Problem, RecipeError, RunError
from distill.progress import Progress
from distill.recipe.files import locate
from distill.recipe.hosted import is_hosted
from distill.recipe.prompts import choice, student_prompt
from distill.recipe.schema import Recipe
from distill.recipe.task import ClassifyTask
from distill.rows.dataset import DatasetRow, read_dataset
from distill.rows.row import digest
from distill.run.context import Context, Outcome
from distill.run.fingerprint import model_fingerprint
from distill.run.models.answering import answer_tokens
from distill.run.models.hosted import train_hosted
from distill.run.models.local import teacher_builder
from distill.run.models.students import ask_student
from distill.run.packages import local_or_hub, tokenizer_source
from distill.run.rows.finished import texts_of
from distill.run.rows.steps import require_rows
from distill.run.train.arms import Arm, arms, student_arm, train_folder
from distill.run.train.launch import train_in_processes
from distill.run.train.learning_curve import train_shares
from distill.train.plan import TrainPlan, TrainResult


def train_step(context: Context) -> Outcome:
    """Trains every arm with every seed."""
    if is_hosted(context.recipe):
        return train_hosted(context)
    require_rows(context)
    # Local teachers give their memory back; who is measured later loads again.
    context.runner.run(context.teachers.close())
    recipe = context.recipe
    assert recipe.train is not None
    seeds = range(recipe.seed, recipe.seed + (recipe.evaluate.seeds if recipe.evaluate else 1))
    before = [initial_student(context, seed) for seed in seeds]
    models = {"student_before": [context.directory.relative(base) for base in before]}
    results: dict[str, list[TrainResult]] = {}
    rates: dict[str, Any] = {}
    for arm in arms(context):
        rate, searched = search_rate(context, arm, before[0], seeds[0])
        rates[arm.name] = {"lr": rate, "searched": searched}
        results[arm.name] = [
            train_one(context, arm, base, seed, rate)
            for base, seed in zip(before, seeds, strict=True)
        ]
        models[arm.name] = [
            context.directory.relative(result.model_dir) for result in results[arm.name]
        ]
    whole = results["student"]
    shares = train_shares(
        context,
        student_arm(context),
        whole[0].steps,
        lambda arm: [
            train_one(context, arm, base, seed, rates["student"]["lr"])
            for base, seed in zip(before, seeds, strict=True)
        ],
    )
    details = {
        "models": models,
        "shares": shares,
        "rates": rates,
        "training": training_summary(whole[0]),
        "pairs": [result.pairs for result in whole],
        "curves": {name: list(found[0].curve) for name, found in results.items()},
    }
    every = [*models.values(), *(share["models"] for share in shares.values())]
    trained = [context.directory.model(ref) for refs in every for ref in refs]
    return Outcome(digest([rates, list(models), _weights(trained)]), {}, details)


def initial_student(context: Context, seed: int) -> str:
    """The untrained student of one seed: the same for every arm, and what `student_before` is."""
    from distill.train.initialise import make_student

    recipe = context.recipe
    student = recipe.student
    assert student is not None
    plain = student.model_dump(mode="json")
    if student.model:
        plain["model"] = local_or_hub(recipe, student.model)
    if isinstance(student.config, str):
        plain["config"] = str(locate(recipe, student.config))
    shown = _classifier_texts(recipe) if student.kind == "classifier" else texts_of
    labels = recipe.task.labels if isinstance(recipe.task, ClassifyTask) else ()
    rows = read_dataset(context.directory.dataset, "train")
    return make_student(
        plain,
        tokenizer_source(context),
        (text for row in rows for text in shown(row)),
        seed,
        train_folder(context) / "before" / f"seed-{seed}",
        words=labels,
        labels=labels,
    )


def _classifier_texts(recipe: Recipe) -> Callable[[DatasetRow], Iterable[str]]:
    """What a classifier reads of a row, which is less than the conversation that it holds."""
    prompt = student_prompt(recipe)
    return lambda row: [turn.content for turn in prompt.ask_messages(row.fields)]


def search_rate(
    context: Context, arm: Arm, base: str, seed: int
) -> tuple[float | None, list[dict[str, Any]]]:
    """The learning rate that does best on val, and what each of them scored."""
    rates = arm.train["lr"]
    if not isinstance(rates, list):
        return rates, []
    if len(rates) == 1:
        return float(rates[0]), []
    _require_val(context)
    scored = []
    for rate in rates:
        result = _train(context, arm, base, seed, rate)
        # A rate that is too high for a number is only a bad rate; the others may do.
        scored.append(
            {"lr": rate, "score": val_score(context, result) if _finite(result) else None}
        )
    best = max(scored, key=lambda found: -math.inf if found["score"] is None else found["score"])
    return best["lr"], scored


def _require_val(context: Context) -> None:
    path = context.directory.dataset / "val.jsonl"
    if path.is_file() and path.stat().st_size:
        return
    problem = Problem(
        file=context.recipe._source,
        key="train.lr",
        found="several rates are compared on val, and val holds no row",
        fix="Give `split` a share of val and enough rows, or one rate.",
    )
    raise RecipeError(str(problem), [problem])


def val_score(context: Context, result: TrainResult) -> float:
    """How good a student is on val, higher is better: accuracy, or minus the loss."""
    recipe = context.recipe
    if not isinstance(recipe.task, ClassifyTask):
        assert result.val_loss is not None
        return -result.val_loss
    prompt = student_prompt(recipe)
    rows = read_dataset(context.directory.dataset, "val")
    records = [row.fields for row in rows]
    answers, _ = context.runner.run(
        ask_student(prompt, result.model_dir, records, answer_tokens(recipe))
    )
    right = sum(
        answer.text == row.fields[recipe.task.output]
        for answer, row in zip(answers, rows, strict=True)
    )
    return float(right / len(rows))


def train_one(context: Context, arm: Arm, base: str, seed: int, rate: float | None) -> TrainResult:
    """One training; one that has already finished with the same plan is not done again.

    Raises: RunError when its loss is no number.
    """
    result = _train(context, arm, base, seed, rate)
    if not _finite(result):
        problem = Problem(
            file=context.recipe._source,
            key="train.lr",
            found=f"the training of {arm.name} diverged: its loss is {result.loss_last}",
            fix="Lower train.lr.",
        )
        raise RunError(str(problem), [problem])
    return result


def _source(arm: Arm) -> list[str]:
    source = (arm.teacher or {}).get("source")
    return [source] if source else []


def _finite(result: TrainResult) -> bool:
    return math.isfinite(result.loss_last) and math.isfinite(result.val_loss or 0.0)


def _train(context: Context, arm: Arm, base: str, seed: int, rate: float | None) -> TrainResult:
    recipe = context.recipe
    plan = _plan(context, arm, base, seed, rate)

    def listen(progress: Progress) -> None:
        context.listen(
            replace(progress, stage=f"train {arm.name}" if progress.note is None else "train")
        )

    processes = (
        context.processes or (recipe.train.processes if recipe.train else None) or visible_devices()
    )
    meeting = context.meeting
    alone = processes == 1 and context.hostfile is None and meeting is None
    if not alone or arm.train["deepspeed"] is not None:
        # Local teachers that wrote rows give their memory to the processes.
        context.runner.run(context.teachers.close())
        _refuse_unmetered(recipe, arm)
        return train_in_processes(plan, arm.teacher, processes, listen, context.hostfile, meeting)
    from distill.train.stage import train

    builder = teacher_builder(arm.teacher, context.runner.run, _meter(context, arm))
    return train(plan, builder, listen)


def _meter(context: Context, arm: Arm) -> Any:
    """The account of a served teacher that scores what the student writes."""
    if arm.teacher is None or "served" not in arm.teacher:
        return None
    from distill.capture.metering import Meter
    from teachers.prices import price_of

    name = arm.teacher["served"]
    price = price_of(context.recipe.teachers[name])
    return Meter(name, price, context.teachers.budget, context.teachers.limits(name))


def _refuse_unmetered(recipe: Recipe, arm: Arm) -> None:
    """A cap is kept by the one process that holds the ledger."""
    budget = recipe.budget
    capped = any(cap is not None for cap in (budget.usd, budget.requests, budget.tokens))
    if arm.teacher is None or "served" not in arm.teacher or not capped:
        return
    problem = Problem(
        file=recipe._source,
        key="budget",
        found="a served teacher that scores what the student writes is asked by processes of their "
        "own, which do not keep the cap",
        fix="Train in one process without DeepSpeed, or leave the budget out.",
    )
    raise RecipeError(str(problem), [problem])


def student_plan(context: Context) -> TrainPlan:
    """The student's own training: signals are captured for exactly the rows that it reads."""
    seed = context.recipe.seed
    return _plan(context, student_arm(context), initial_student(context, seed), seed, None)


def _plan(context: Context, arm: Arm, base: str, seed: int, rate: float | None) -> TrainPlan:
    recipe, directory = context.recipe, context.directory
    named = "default" if rate is None else f"{rate:g}"
    val = directory.dataset / "val.jsonl"
    prompt, soft = choice(recipe, arm.train["loss"]["kind"])
    return TrainPlan(
        rows_path=str(arm.rows.resolve()),
        val_path=str(val.resolve()) if val.is_file() else None,
        student=recipe.student.model_dump(mode="json") if recipe.student else {},
        base=str(Path(base).resolve()) if Path(base).is_dir() else base,
        train={**arm.train, "lr": rate},
        out_dir=str((train_folder(context) / arm.name / f"seed-{seed}-lr-{named}").resolve()),
        seed=seed,
        arm=arm.name,
        output=recipe.task.output,
        mix=arm.mix,
        prompt=prompt,
        soft=soft,
        weights=_weights([base, *_source(arm)]),
        signals=arm.signals,
    )


def visible_devices() -> int:
    """One process for each GPU that can be seen, else one."""
    import torch

    return max(1, torch.cuda.device_count())


def training_summary(result: TrainResult) -> dict[str, Any]:
    """`training` of report.json."""
    keys = (
        "steps", "tokens", "loss_first", "loss_last", "tokens_per_s", "trainable",
        "trainable_share", "val_loss", "seconds", "supervised_tokens", "truncated_rows", "pairs",
        "soft_rows", "verdicts",
    )  # fmt: skip
    restarts = {"restarts": list(result.restarts)} if result.restarts else {}
    return {key: getattr(result, key) for key in keys} | restarts


def _weights(models: Sequence[str]) -> list[str]:
    return [model_fingerprint(source) for source in models]
