"""Looks at a run without touching it: status, report, the life of a row."""

import fcntl
import os
from typing import Any

from distill.errors import Problem, UsageError
from distill.rows.stages import read_stage
from distill.run.directory import STAGES, RunDirectory
from distill.run.ledger import events
from teachers.budget import read_totals


def holder(directory: RunDirectory) -> int | None:
    """Pid of the live process that holds the run, None when nobody does."""
    try:
        handle = os.open(directory.root / ".pid", os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return int(os.pread(handle, 20, 0) or 0)
    else:
        return None
    finally:
        os.close(handle)


def status_of(directory: RunDirectory) -> dict[str, Any]:
    """Stages with their state, the cost so far, and who holds the run."""
    lock = directory.read_json("lock.json")
    spent = read_totals(directory.ledger)
    pid = holder(directory)
    past = list(events(directory.ledger))
    stages = []
    for name in STAGES:
        done = directory.done(name)
        begun = any(event["stage"] == name for event in past)
        state = "done" if done else "begun" if begun else "not run"
        stages.append({"name": name, "state": state, "counts": dict(done.counts) if done else {}})
    return {
        "name": lock["recipe"]["name"],
        "state": f"running as process {pid}" if pid else "not running",
        "pid": pid,
        "stages": stages,
        "cost": spent.as_dict() if spent else None,
        "last_event": past[-1] if past else None,
    }


def report_of(directory: RunDirectory) -> dict[str, Any]:
    """The run's report.json.

    Raises: UsageError when the run has none yet.
    """
    found: dict[str, Any] | None = directory.read_json("report.json")
    if found is None:
        problem = Problem(
            found="no report yet",
            file=str(directory.root),
            fix="Finish the run: distill run RECIPE",
        )
        raise UsageError(str(problem), [problem])
    return found


def biography(directory: RunDirectory, row_id: str) -> dict[str, Any]:
    """Everything the run knows of one row; its id may be shortened.

    Raises: UsageError when no row, or more than one, has that id.
    """
    lives: dict[str, dict[str, Any]] = {}
    for stage in ("generate", "filter", "review", "split"):
        for row in read_stage(directory.stage(stage)) if directory.done(stage) else ():
            if not row.id.startswith(row_id):
                continue
            life = lives.setdefault(row.id, {"id": row.id, "end": "", "fields": {}, "stages": []})
            life["fields"] = dict(row.fields)
            life["stages"].append(
                {
                    "stage": stage,
                    "status": row.status,
                    "reason": row.reason,
                    "score": row.score,
                    "verdicts": [
                        {"by": v.by, "keep": v.keep, "reason": v.reason, "score": v.score}
                        for v in row.verdicts
                    ]
                    if stage in ("filter", "review")
                    else [],
                }
            )
            life["end"] = (
                f"in {row.fields['split']}" if stage == "split" else f"{row.status} by {stage}"
            )
    if row_id in lives:
        return lives[row_id]
    if len(lives) != 1:
        found = (
            f"{len(lives)} rows begin with {row_id!r}"
            if lives
            else f"no row {row_id!r} in this run"
        )
        problem = Problem(
            found=found,
            file=str(directory.root),
            allowed=", ".join(sorted(lives)[:5]) or None,
            fix="Ids stand in dataset/train.jsonl and dataset/rejected.parquet.",
        )
        raise UsageError(str(problem), [problem])
    return next(iter(lives.values()))
