"""Answers new rows with an exported student, in batches, and goes on where it stopped."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from distill.errors import DataError, PrerequisiteError, Problem, RunError, UsageError
from distill.evaluate.predict import predict_rows
from distill.progress import Listener, Progress
from distill.recipe.prompts import TaskPrompt
from distill.rows.atomic import storage_error
from distill.rows.readers import read_records
from distill.rows.writers import write_records
from distill.run.directory import RunDirectory, find_run
from distill.run.models.hosted import hosted_student
from distill.run.models.students import ANSWER_TOKENS, BATCH, student_adapter
from teachers.errors import ConfigError, MissingKey, TeacherError
from teachers.protocol import Teacher

FACTS = "distill.json"
ADDED = ("answer", "parsed", "p", "failed", "wrote")
"""What a row gets."""
TABLES = (".csv", ".parquet")


@dataclass(frozen=True, slots=True)
class Predicted:
    """What came of it."""

    rows: int
    parsed: int
    already: int
    """Rows that an earlier, interrupted call had answered."""


def student_folder(ref: str) -> Path:
    """The folder of an exported student: itself, or the one of a run.

    Raises: UsageError when there is none.
    """
    folder = Path(ref)
    if (folder / FACTS).is_file():
        return folder
    run: RunDirectory = find_run(ref)
    if (run.student / FACTS).is_file():
        return run.student
    problem = Problem(
        found="this run has no student yet",
        file=str(run.root),
        fix="Train one: distill export RECIPE",
    )
    raise UsageError(str(problem), [problem])


def predict_file(ref: str, source: Path, to: Path, listen: Listener) -> Predicted:
    """Writes every row of a file with `answer`, `parsed` and `p` added; an existing output goes on.

    The answers are JSON lines, which can be continued; for a .csv or .parquet they are turned into
    that once all are there.
    Raises: UsageError, DataError, PrerequisiteError, RunError.
    """
    folder = student_folder(ref)
    facts = json.loads((folder / FACTS).read_text("utf-8"))
    prompt = TaskPrompt.from_dict(facts["prompt"])
    records = read_records(source)
    _require_fields(prompt, records, source)
    lines = to.with_name(f"{to.name}.part.jsonl") if to.suffix in TABLES else to
    try:
        already = _answered(lines, records)
        parsed = sum(row["parsed"] for row in already)
        lines.parent.mkdir(parents=True, exist_ok=True)
        with lines.open("a", encoding="utf-8") as file:
            at = len(already)
            parsed += asyncio.run(_answer(folder, facts, prompt, records, at, file, listen))
        if lines != to:
            write_records(to, read_records(lines))
            lines.unlink()
    except OSError as error:
        raise storage_error(error, to) from error
    except ConfigError as error:
        raise DataError(str(error)) from error
    except MissingKey as error:
        raise PrerequisiteError(str(error)) from error
    except TeacherError as error:  # of a service: nothing that was answered is lost
        again = f"Run the same command again; answered rows lie in {lines}."
        problem = Problem(found=str(error).rstrip("."), fix=again)
        raise RunError(str(problem), [problem]) from error
    return Predicted(len(records), parsed, len(already))


async def _answer(
    folder: Path,
    facts: Mapping[str, Any],
    prompt: TaskPrompt,
    records: Sequence[Mapping[str, Any]],
    start: int,
    file: IO[str],
    listen: Listener,
) -> int:
    limit = facts.get("max_tokens") or ANSWER_TOKENS
    parsed, chunk = 0, 8 * BATCH
    with _asked(folder, facts, limit) as student:
        try:
            for at in range(start, len(records), chunk):
                rows = await predict_rows(
                    student, prompt, records[at : at + chunk], max_tokens=limit, in_flight=4 * BATCH
                )
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
                file.flush()
                parsed += sum(bool(row["parsed"]) for row in rows)
                listen(Progress("predict", at + len(rows), len(records), {"parsed": parsed}))
        finally:
            await student.close()
    return parsed


@contextmanager
def _asked(folder: Path, facts: Mapping[str, Any], limit: int) -> Iterator[Teacher]:
    """The student: its weights in this process, or the service that serves it."""
    if (hosted := facts.get("hosted")) is None:
        yield student_adapter(str(folder), limit)
        return
    with hosted_student(hosted) as student:
        yield student


def _require_fields(prompt: TaskPrompt, records: Sequence[Mapping[str, Any]], source: Path) -> None:
    for place, record in enumerate(records, 1):
        if missing := sorted(prompt.needs - record.keys()):
            problem = Problem(
                found=f"row {place} lacks {', '.join(missing)}",
                file=str(source),
                allowed=f"rows with {', '.join(sorted(prompt.needs))}",
                fix="The student's prompt names these fields.",
            )
            raise DataError(str(problem), [problem])


def _answered(to: Path, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The whole lines that are already there; a torn last line is cut off.

    Raises: DataError when they answer other rows than these.
    """
    if not to.is_file():
        return []
    done: list[dict[str, Any]] = []
    whole = 0
    with closing(to.open("rb")) as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                done.append(json.loads(line))
            except ValueError:
                break
            whole += len(line)
    if len(done) > len(records) or not all(map(_answers, done, records)):
        problem = Problem(
            found="this file holds something else than answers to these rows",
            file=str(to),
            fix="Delete it, or give another --to.",
        )
        raise DataError(str(problem), [problem])
    with to.open("rb+") as file:
        file.truncate(whole)
    return done


def _answers(row: Any, record: Mapping[str, Any]) -> bool:
    """Whether a line of the output is this record with its answer."""
    if not isinstance(row, dict) or not isinstance(row.get("parsed"), bool) or "answer" not in row:
        return False
    # A column of the record's that has the name of one of ours was written over.
    return all(row.get(name) == value for name, value in record.items() if name not in ADDED)
