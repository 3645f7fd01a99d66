"""One process of a launched training: `python -m distill.run.train.worker PLAN.json`."""

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from distill.errors import DistillError, Problem, RunError
from distill.progress import Progress, silent
from distill.run.models.local import teacher_builder
from distill.run.train.launch import FAILURE_FILE, LOG_FILE, MARK, TEACHER_FILE
from distill.train.plan import TrainPlan
from distill.train.stage import train

WATCH_S = 1.0


def main() -> None:
    """Trains as the plan says; the first process tells its progress on stdout."""
    path = Path(sys.argv[1])
    plan = TrainPlan.read(path)
    first = os.environ.get("RANK", "0") == "0"
    _follow_parent()
    teacher = json.loads(path.with_name(TEACHER_FILE).read_text("utf-8"))
    try:
        train(plan, teacher_builder(teacher), _tell if first else silent)
    except DistillError as error:
        _leave_word(path, error.kind, error.message, error.problems)
        sys.exit(error.exit_code)
    except Exception as error:
        said = f"training failed: {type(error).__name__}: {error}"
        fix = f"More of it: {path.with_name(LOG_FILE)}"
        _leave_word(path, RunError.kind, said, [Problem(found=" ".join(said.split()), fix=fix)])
        raise


def _leave_word(path: Path, kind: str, message: str, problems: Sequence[Problem]) -> None:
    """Tells the run what went wrong; the first process that fails is the one that knows."""
    told = {"kind": kind, "message": message, "problems": [p.as_dict() for p in problems]}
    with (
        suppress(FileExistsError),
        path.with_name(FAILURE_FILE).open("x", encoding="utf-8") as file,
    ):
        json.dump(told, file)


def _tell(progress: Progress) -> None:
    print(MARK + json.dumps(asdict(progress)), flush=True)


def _follow_parent() -> None:
    """Ends this process when the run that started it is gone: nobody would hold the run then."""
    parent = os.environ.get("DISTILL_PARENT")
    if parent is None:
        return

    def watch() -> None:
        while True:
            time.sleep(WATCH_S)
            try:
                os.kill(int(parent), 0)
            except ProcessLookupError:
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
