"""Starts a training on several processes, or under DeepSpeed, and listens to its first process."""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from distill.errors import (
    DataError,
    DistillError,
    PrerequisiteError,
    Problem,
    RecipeError,
    RunError,
)
from distill.progress import Listener, Progress
from distill.run.nodes import Meeting, lost_error
from distill.train.launch import hostfile_command, launcher_command, worker_command
from distill.train.plan import TrainPlan, TrainResult, finished

PLAN_FILE = "launch.json"
"""Not the plan.json that the training itself writes beside it to know its checkpoints by."""
TEACHER_FILE, FAILURE_FILE, LOG_FILE = "teacher.json", "failure.json", "launch.log"
MARK = "distill-progress "
"""Begins the lines in which the first process tells where it stands."""
GRACE_S = 20.0
WATCH_S = 1.0
KINDS: Mapping[str, type[DistillError]] = {
    kind.kind: kind for kind in (RecipeError, DataError, PrerequisiteError, RunError)
}


def train_in_processes(
    plan: TrainPlan,
    teacher: Mapping[str, Any] | None,
    processes: int,
    listen: Listener,
    hostfile: Path | None = None,
    meeting: Meeting | None = None,
) -> TrainResult:
    """Runs a plan through a launcher, or on the ranks of the meeting, and returns its result.

    Raises: DistillError as the process that failed first told it.
    """
    if (result := finished(plan)) is not None:
        return result
    folder = Path(plan.out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    plan.write(folder / PLAN_FILE)
    (folder / TEACHER_FILE).write_text(json.dumps(teacher), "utf-8")
    (folder / FAILURE_FILE).unlink(missing_ok=True)
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "DISTILL_PARENT": str(os.getpid())}
    if meeting is not None:
        command = worker_command(folder / PLAN_FILE)
        environment = meeting.announce(folder / PLAN_FILE)
    elif hostfile is not None:
        command = hostfile_command(folder / PLAN_FILE, hostfile.resolve())
    else:
        command = launcher_command(folder / PLAN_FILE, processes)
    with (folder / LOG_FILE).open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            if meeting is not None:
                threading.Thread(target=_watch, args=(meeting, process), daemon=True).start()
            _follow(process.stdout, log, listen)
            code = process.wait()
        except BaseException:
            _stop(process)
            raise
    result = finished(plan)
    if code != 0 or result is None:
        raise _with_losses(failure(folder, code), folder, meeting)
    return result


def _watch(meeting: Meeting, process: "subprocess.Popen[str]") -> None:
    """Ends the training of rank 0 when another rank went away: it would wait for it in vain."""
    with suppress(DistillError):
        while process.poll() is None:
            if meeting.losses():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE_S)  # it may notice by itself, and say more
                break
            with suppress(subprocess.TimeoutExpired):
                process.wait(WATCH_S)
    if process.poll() is None:
        _stop(process)


def _with_losses(error: DistillError, folder: Path, meeting: Meeting | None) -> DistillError:
    """Names the ranks that went away, where a training failed for that and not by itself."""
    if meeting is None or not isinstance(error, RunError):
        return error
    words = meeting.losses_after_failure()
    return lost_error(words, folder / LOG_FILE) if words else error


def _follow(lines: IO[str], log: IO[str], listen: Listener) -> None:
    for line in lines:
        if MARK in line:  # behind the name of its host where there are several
            listen(Progress(**json.loads(line.partition(MARK)[2])))
        else:
            log.write(line)


def _stop(process: "subprocess.Popen[str]") -> None:
    """Ends the launcher's own process group, which holds the training processes too."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
            return


def failure(folder: Path, code: int) -> DistillError:
    """What the process that failed first said, or how it ended where it said nothing."""
    log = folder / LOG_FILE
    try:
        told = json.loads((folder / FAILURE_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        codes = re.findall(r"exitcode *: *(-?\d+)", log.read_text("utf-8", errors="replace"))
        last = int(codes[-1]) if codes else code
        how = f"was killed by signal {-last}" if last < 0 else f"ended with exit code {last}"
        memory = " (often for want of memory)" if last == -signal.SIGKILL else ""
        problem = Problem(
            found=f"a training process {how}{memory}",
            file=str(log),
            fix="Run the same command to continue from the last checkpoint.",
        )
        return RunError(str(problem), [problem])
    problems = [Problem(**problem) for problem in told["problems"]]
    return KINDS.get(told["kind"], RunError)(told["message"], problems)
