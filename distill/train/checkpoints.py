"""What a training leaves on the disk on its way, and at its end. Only rank 0 writes."""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from distill.progress import Listener, Progress
from distill.train.plan import PLAN_FILE, TrainPlan, TrainResult, write_json, write_result
from distill.train.preference import REFERENCE_FILE
from teachers.local_loading import save_tokenizer


def train_from_last(plan: TrainPlan, trainer: Any, listen: Listener) -> list[dict[str, int]]:
    """Trains, from the last checkpoint of this very plan where there is one.

    Returns where it went on with a fresh optimiser: {step, processes_before, processes}. DeepSpeed
    shards the optimiser over the processes, so another number of them takes the weights alone; the
    order of the rows and the schedule of the rate go on where they stood.
    """
    _clear_stale(plan, trainer)
    last = last_checkpoint(Path(trainer.args.output_dir))
    processes = trainer.args.world_size
    restarts: list[dict[str, int]] = _read_plan(plan).get("restarts", [])
    if last is not None and (before := _processes(Path(last))) != processes:
        trainer.fresh_optimizer = True
        step = int(_state(Path(last))["global_step"])
        entry = {"step": step, "processes_before": before, "processes": processes}
        restarts = [one for one in restarts if one["step"] < step] + [entry]
        _write_plan(plan, trainer, restarts)
        words = (
            f"{plan.arm}: goes on from step {step} of {trainer.args.max_steps} with the "
            f"checkpoint's weights and a fresh optimiser: {processes} processes, {before} before"
        )
        listen(Progress("train", step, trainer.args.max_steps, note=words))
    trainer.train(resume_from_checkpoint=last)
    return restarts


def _clear_stale(plan: TrainPlan, trainer: Any) -> None:
    """Leave in the folder only what an earlier, interrupted training of this very plan wrote."""
    out = Path(plan.out_dir)
    if trainer.is_world_process_zero():
        known = _read_plan(plan)
        stamp = known.get("stamp") or {}
        if stamp.get("digest") != plan.digest():
            for name in ("checkpoints", "model", "adapter"):
                shutil.rmtree(out / name, ignore_errors=True)
            (out / REFERENCE_FILE).unlink(missing_ok=True)
            known = {}
        _write_plan(plan, trainer, known.get("restarts", []))
    trainer.accelerator.wait_for_everyone()


def _read_plan(plan: TrainPlan) -> dict[str, Any]:
    try:
        found = json.loads((Path(plan.out_dir) / PLAN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_plan(plan: TrainPlan, trainer: Any, restarts: list[dict[str, int]]) -> None:
    if trainer.is_world_process_zero():
        stamp = {"digest": plan.digest(), "processes": trainer.args.world_size}
        content = {"stamp": stamp, "restarts": restarts, "plan": plan.as_dict()}
        write_json(Path(plan.out_dir) / PLAN_FILE, content)


def _processes(checkpoint: Path) -> int:
    """How many processes wrote a checkpoint: each leaves the state of its random numbers."""
    return len(list(checkpoint.glob("rng_state*.pth")))


def last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written whole: its state file is written last."""
    found = []
    for path in folder.glob("checkpoint-*"):
        try:
            state = _state(path)
        except (OSError, ValueError):
            continue
        found.append((state["global_step"], str(path)))
    return max(found)[1] if found else None


def _state(checkpoint: Path) -> Any:
    return json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))


def save(plan: TrainPlan, tokenizer: Any, trainer: Any, result: TrainResult) -> None:
    """Weights, tokenizer and result; under ZeRO-3 every rank gives its shards."""
    folder = Path(result.model_dir)
    _forget_unused_renamings(trainer.model)
    trainer.save_model(str(folder))
    if trainer.is_world_process_zero():
        # The Trainer adds its own settings as a pickle, which nobody needs to load a student.
        (folder / "training_args.bin").unlink(missing_ok=True)
        save_tokenizer(tokenizer, folder)
        write_result(plan, result)
        _drop_checkpoints(Path(plan.out_dir) / "checkpoints")
    trainer.accelerator.wait_for_everyone()


def _drop_checkpoints(folder: Path) -> None:
    """Delete what only a continued training needs; logs of a `report_to` lie beside it and stay."""
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint, ignore_errors=True)
    with suppress(OSError):  # not empty, or never made
        folder.rmdir()


def _forget_unused_renamings(model: Any) -> None:
    """Keep transformers from saving weights under names that the loaded file did not have.

    Loading applies its table of old names, saving reverses what was applied; under ZeRO-3 it would
    reverse the whole table (LayerNorm.weight becomes LayerNorm.gamma).
    """
    for module in model.modules():
        known = vars(module).get("_weight_conversions")
        if known:
            module._weight_conversions = [one for one in known if one.was_used()]
