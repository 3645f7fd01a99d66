"""What a training leaves on the disk on its way, and at its end. Only rank 0 writes."""

import json
import shutil
from pathlib import Path
from typing import Any

from distill.train.plan import PLAN_FILE, TrainPlan, TrainResult, write_json, write_result
from distill.train.preference import REFERENCE_FILE


def clear_stale(plan: TrainPlan, trainer: Any) -> None:
    """Leave in the folder only what an earlier, interrupted training of this very plan wrote."""
    out = Path(plan.out_dir)
    stamp = {"digest": plan.digest(), "processes": trainer.args.world_size}
    if trainer.is_world_process_zero():
        try:
            same = json.loads((out / PLAN_FILE).read_text(encoding="utf-8")).get("stamp") == stamp
        except (OSError, ValueError):
            same = False
        if not same:
            for name in ("checkpoints", "model", "adapter"):
                shutil.rmtree(out / name, ignore_errors=True)
            (out / REFERENCE_FILE).unlink(missing_ok=True)
            write_json(out / PLAN_FILE, {"stamp": stamp, "plan": plan.as_dict()})
    trainer.accelerator.wait_for_everyone()


def last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written whole: its state file is written last."""
    found = []
    for path in folder.glob("checkpoint-*"):
        try:
            state = json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found.append((state["global_step"], str(path)))
    return max(found)[1] if found else None


def save(plan: TrainPlan, tokenizer: Any, trainer: Any, result: TrainResult) -> None:
    """Weights, tokenizer and result; under ZeRO-3 every rank gives its shards."""
    folder = Path(result.model_dir)
    _forget_unused_renamings(trainer.model)
    trainer.save_model(str(folder))
    if trainer.is_world_process_zero():
        # The Trainer adds its own settings as a pickle, which nobody needs to load a student.
        (folder / "training_args.bin").unlink(missing_ok=True)
        tokenizer.save_pretrained(folder)
        write_result(plan, result)
        shutil.rmtree(Path(plan.out_dir) / "checkpoints", ignore_errors=True)
    trainer.accelerator.wait_for_everyone()


def _forget_unused_renamings(model: Any) -> None:
    """Keep transformers from saving weights under names that the loaded file did not have.

    Loading applies its table of old names, saving reverses what was applied; under ZeRO-3 it would
    reverse the whole table (LayerNorm.weight becomes LayerNorm.gamma).
    """
    for module in model.modules():
        known = vars(module).get("_weight_conversions")
        if known:
            module._weight_conversions = [one for one in known if one.was_used()]
