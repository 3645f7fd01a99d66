"""Argilla 2.x: records as its datasets write them to JSON, without its SDK.

Reads the nested and the flattened export. A record's id is our row id; hashes are its metadata.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.review.incoming import FileRead, Incoming
from distill.review.pack import Pack, PackRow
from distill.review.schema import DECISIONS
from distill.rows.atomic import atomic_file
from distill.rows.row import canonical_json

QUESTIONS = ("decision", "tags", "comment")


def write(pack: Pack, path: Path) -> list[str]:
    """Writes the records, and beside them the settings of a dataset that takes them."""
    columns, schema_hash = pack.columns, pack.schema.hash
    records = [_record(pack, row, columns, schema_hash) for row in pack.rows]
    with atomic_file(path) as file:
        json.dump(records, file, ensure_ascii=False, allow_nan=False, indent=1)
    beside = path.with_name(f"{path.stem}.settings.json")
    with atomic_file(beside) as file:
        json.dump(settings(pack), file, ensure_ascii=False, indent=2)
    return [f"{beside.name} holds the fields and questions of the dataset to make"]


def _record(pack: Pack, row: PackRow, columns: Sequence[str], schema_hash: str) -> dict[str, Any]:
    return {
        "id": row.row_id,
        "fields": {name: _text(row.show.get(name)) for name in columns},
        "metadata": {
            "content_hash": row.content_hash,
            "pack_id": pack.pack_id,
            "schema_hash": schema_hash,
            "why": ", ".join(row.why),
        },
        "suggestions": {
            f"new_{name}": {"value": _text(s.value), "score": s.score, "agent": s.source}
            for name, s in row.suggestion.items()
            if s.value is not None
        },
        "responses": {},
        "vectors": {},
    }


def settings(pack: Pack) -> dict[str, Any]:
    """Fields and questions, in the words of Argilla's settings."""
    questions: list[dict[str, Any]] = [
        {"name": "decision", "type": "label_selection", "labels": list(DECISIONS)}
    ]
    for field in pack.schema.fields:
        about: dict[str, Any] = {"name": f"new_{field.name}", "type": "text", "required": False}
        if field.values:
            labels = [_text(value) for value in field.values]
            about = {**about, "type": "label_selection", "labels": labels}
        questions.append(about)
    questions += [
        {
            "name": "tags",
            "type": "multi_label_selection",
            "labels": list(pack.schema.tags),
            "required": False,
        },
        {"name": "comment", "type": "text", "required": False},
    ]
    return {
        "guidelines": pack.schema.rubric,
        "fields": [{"name": name, "type": "text"} for name in pack.columns],
        "questions": questions,
        "metadata": [
            {"name": name, "type": "terms"}
            for name in ("content_hash", "pack_id", "schema_hash", "why")
        ],
        "distribution": {"min_submitted": pack.overlap or 1},
    }


def recognises(value: Any) -> bool:
    """Whether parsed JSON is an export of Argilla."""
    first = value[0] if isinstance(value, list) and value else None
    if not isinstance(first, dict) or "id" not in first:
        return False
    nested = "fields" in first and ("responses" in first or "suggestions" in first)
    return nested or any(name.endswith(".responses") for name in first)


def read(value: list[Any]) -> FileRead:
    """One decision per record and user; drafts are left out and counted."""
    notes: Counter[str] = Counter()
    rows = []
    for at, record in enumerate(value, 1):
        if not isinstance(record, dict) or record.get("id") is None:
            rows.append(Incoming("", line=at, fault="not a record: it has no id"))
            continue
        nested = "fields" in record and not any(k.endswith(".responses") for k in record)
        responses = _nested(record) if nested else _flat(record)
        metadata = record.get("metadata") if nested else record
        about: Mapping[str, Any] = metadata if isinstance(metadata, dict) else {}
        for user, answers in responses.items():
            status = answers.pop("", None)
            if status == "draft":
                notes["drafts"] += 1
                continue
            given = {name: value for name, value in answers.items() if value not in (None, "", [])}
            if status is None and not given:
                notes["without status or value, taken as skip"] += 1
            skip = status == "discarded" or not given
            rows.append(_incoming(str(record["id"]), about, user, {} if skip else given, skip, at))
    return FileRead("argilla", rows, dict(notes))


def _nested(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """User -> question -> value; the status, if any, under an empty name."""
    users: dict[str, dict[str, Any]] = {}
    for question, response in _responses(record.get("responses")):
        user = str(response.get("user_id") or response.get("user") or "user")
        answers = users.setdefault(user, {})
        answers[question] = response.get("value")
        if response.get("status"):
            answers[""] = str(response["status"])
    return users


def _responses(given: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Both shapes: {question: [{value, user_id}]} and [{question_name, value, user_id}]."""
    if isinstance(given, dict):
        for question, responses in given.items():
            for response in responses if isinstance(responses, list) else [responses]:
                if isinstance(response, dict):
                    yield question, response
    elif isinstance(given, list):
        for response in given:
            if not isinstance(response, dict):
                continue
            if isinstance(response.get("values"), dict):  # 1.x: all questions of one user
                for question, value in response["values"].items():
                    inner = value if isinstance(value, dict) else {"value": value}
                    yield question, {**response, "value": inner.get("value")}
            elif response.get("question_name"):
                yield str(response["question_name"]), response


def _flat(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    users: dict[str, dict[str, Any]] = {}
    for key, values in record.items():
        if not key.endswith(".responses") or not isinstance(values, list):
            continue
        question = key[: -len(".responses")]
        names = record.get(f"{key}.users") or []
        states = record.get(f"{key}.status") or []
        for at, value in enumerate(values):
            user = str(names[at]) if at < len(names) else f"user-{at + 1}"
            answers = users.setdefault(user, {})
            answers[question] = value
            if at < len(states) and states[at]:
                answers[""] = str(states[at])
    return users


def _incoming(
    row_id: str,
    about: Mapping[str, Any],
    user: str,
    given: Mapping[str, Any],
    skip: bool,
    line: int,
) -> Incoming:
    ids = {
        name: str(about[name]) if about.get(name) is not None else None
        for name in ("content_hash", "pack_id", "schema_hash")
    }
    tags = given.get("tags", ())
    return Incoming(
        row_id=row_id,
        pack_id=ids["pack_id"],
        content_hash=ids["content_hash"],
        schema_hash=ids["schema_hash"],
        decision="skip" if skip else _text(given["decision"]) if "decision" in given else None,
        edits={
            name.removeprefix("new_"): value if isinstance(value, str) else _text(value)
            for name, value in given.items()
            if name not in QUESTIONS
        },
        written="text",
        tags=tuple(map(str, tags if isinstance(tags, list | tuple) else [tags])),
        comment=str(given.get("comment", "")),
        reviewer=user,
        line=line,
    )


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else canonical_json(value)
