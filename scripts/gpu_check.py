"""What only a CUDA host can show: bf16, 4-bit LoRA, flash attention, memory, a 7B-shaped judge.

Each check goes through the product. One that cannot run here is "not run", with the reason.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "bench"))
from gpu_host import NotRun, hardware, need_gpu, need_package, versions, written_for
from gpu_judge import SHAPES, dataset_row, judge, make_base, make_model, prepare
from record import write_result


@dataclass
class Check:
    """One line of the result."""

    name: str
    status: str = "not run"
    """passed, failed or not run."""
    why: str = ""
    seconds: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    """Runs the checks that were named, or all; prints a table and writes the JSON."""
    args = _arguments()
    if args.prepare:
        prepare(args.prepare, args.shape)
        return
    checks = []
    for name in args.names or CHECKS:
        check = Check(name)
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir=args.folder) as folder, _told(check):
            check.figures = CHECKS[name](Path(folder), args.shape)
        check.seconds = time.monotonic() - started
        checks.append(check)
        print(f"{check.status:8} {check.name} {check.why}", flush=True)
    write_result(
        args.out,
        "checks on a CUDA host, each through the product",
        settings={"shape": args.shape, "hardware": hardware(), "written_for": written_for()},
        figures=[asdict(check) for check in checks],
        versions=versions(),
    )
    sys.exit(any(check.status == "failed" for check in checks))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *CHECKS], metavar="CHECK")
    parser.add_argument("--shape", choices=SHAPES, default="7b")
    parser.add_argument("--folder", help="where the weights go; about 60 GB at 7B shape")
    parser.add_argument("--out", default="gpu_check", help="name of the result")
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


@contextmanager
def _told(check: Check) -> Iterator[None]:
    try:
        yield
        check.status = "passed"
    except NotRun as reason:
        check.why = str(reason)
    except Exception as error:
        check.status = "failed"
        check.why = f"{type(error).__name__}: {error}"[:2000]


def _tiny_train(folder: Path, name: str, student: Mapping[str, Any], **train: Any) -> Any:
    """The result of a small training in this process."""
    from distill.progress import silent
    from distill.train.plan import TrainPlan
    from distill.train.stage import train as run

    base = folder / "base"
    if not base.is_dir():
        make_base(base, "tiny")
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps(dataset_row(at)) + "\n" for at in range(64)))
    settings = {"batch": 8, "steps": 30, "max_length": 128, "lr": 5e-3, **train}
    spec = {"model": str(base), **student}
    return run(TrainPlan(str(rows), spec, str(base), settings, str(folder / name)), None, silent)


def _losses(result: Any) -> list[float]:
    return [point["loss"] for point in result.curve if "loss" in point]


def _near(one: list[float], other: list[float], share: float) -> float:
    """The largest relative difference.

    Raises: AssertionError where it is over the share.
    """
    worst = max(abs(a - b) / max(abs(b), 1e-9) for a, b in zip(one, other, strict=True))
    assert worst <= share, f"losses differ by {worst:.3%}: {one} and {other}"
    return worst


def bf16(folder: Path, _: str) -> dict[str, Any]:
    """bfloat16 against float32 on the same GPU: losses of ten steps within 2 %."""
    need_gpu()
    import torch

    if not torch.cuda.is_bf16_supported():
        raise NotRun(f"{torch.cuda.get_device_name()} has no bfloat16")
    half = _tiny_train(folder, "bf16", {}, steps=10)
    full = _tiny_train(folder, "float32", {}, steps=10, trainer={"bf16": False})
    worst = _near(_losses(half), _losses(full), 0.02)
    return {"largest_difference": worst, "losses": _losses(half)}


def qlora(folder: Path, _: str) -> dict[str, Any]:
    """A 4-bit base with LoRA learns its rows; the adapter loads."""
    need_gpu()
    need_package("bitsandbytes", "pip install 'distill-kit[quant]'")
    result = _tiny_train(folder, "qlora", {"method": "qlora", "lora": {"r": 8}}, lr=2e-2)
    assert result.loss_last < 0.8 * result.loss_first, _losses(result)
    assert 0 < result.trainable_share < 0.5, result.trainable_share
    from teachers.local_model import LocalModel

    model = LocalModel.load(result.model_dir)
    model.release()
    return {"losses": _losses(result), "trainable_share": result.trainable_share}


def flash_attention(folder: Path, _: str) -> dict[str, Any]:
    """Packed rows under flash attention against padded ones without it: losses within 2 %."""
    need_gpu()
    need_package("flash_attn", "pip install flash-attn")
    flash = {"attention": "flash_attention_2", "method": "lora"}
    packed = _tiny_train(folder, "flash", flash, steps=10, packing=True)
    padded = _tiny_train(folder, "padded", {"method": "lora"}, steps=10)
    worst = _near(_losses(packed), _losses(padded), 0.02)
    return {"largest_difference": worst, "losses": _losses(packed)}


def memory(folder: Path, _: str) -> dict[str, Any]:
    """The peak of a real training beside what `distill estimate` says from the shape alone."""
    need_gpu()
    import torch

    torch.cuda.reset_peak_memory_stats()
    forecast = trained_and_forecast(folder, FORECAST)
    measured = torch.cuda.max_memory_allocated()
    figures = {"forecast_gb": forecast / 1e9, "measured_gb": measured / 1e9}
    assert abs(forecast - measured) <= 0.3 * measured, figures
    return figures


FORECAST: Mapping[str, int] = {
    "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 12,
    "num_attention_heads": 16, "max_position_embeddings": 512, "vocab_size": 32000,
}  # fmt: skip
"""About 220 million parameters: 4 GB of weights, gradients and optimiser."""


def trained_and_forecast(folder: Path, sizes: Mapping[str, int], rows: int = 4) -> int:
    """Trains three steps at this shape, every row as long as the context; the forecast's bytes."""
    import torch

    from distill.plan.memory import Setting, training_memory
    from distill.plan.shape import shape_of
    from distill.progress import silent
    from distill.train.plan import TrainPlan
    from distill.train.stage import train as run

    student = folder / "student"
    make_model(student, sizes)
    long = [dataset_row(at) for at in range(16)]
    for row in long:
        row["messages"][-1]["content"] *= 100
    (folder / "long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in long))
    length = sizes["max_position_embeddings"]
    settings = {"batch": rows, "micro_batch": rows, "steps": 3, "max_length": length}
    spec = {"model": str(student)}
    plan = TrainPlan(
        str(folder / "long.jsonl"), spec, str(student), settings, str(folder / "memory")
    )
    assert run(plan, None, silent).truncated_rows == len(long)
    shape = shape_of({"model_type": "llama", **sizes})
    assert shape is not None
    setting = Setting(rows=rows, length=length, half=torch.cuda.is_available())
    return training_memory(shape, setting).total


CHECKS: Mapping[str, Callable[[Path, str], dict[str, Any]]] = {
    "bf16": bf16,
    "qlora": qlora,
    "flash_attention": flash_attention,
    "memory": memory,
    "judge": judge,
}


if __name__ == "__main__":
    main()
