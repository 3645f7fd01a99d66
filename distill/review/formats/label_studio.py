"""Label Studio: tasks with predictions, and the labelling configuration that fits them.

Reads its JSON and minimal JSON exports; its CSV export is read as any CSV. Rows are known by our
ids inside `data`: those of tasks and annotations do not survive its import.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from distill.review.formats.columns import IDS
from distill.review.formats.jsonl import number
from distill.review.incoming import FileRead, Incoming
from distill.review.instructions import KINDS
from distill.review.pack import Pack, PackRow
from distill.review.schema import DECISIONS
from distill.rows.atomic import atomic_file
from distill.rows.row import canonical_json, digest


def write(pack: Pack, path: Path) -> list[str]:
    """Writes the tasks, and beside them the configuration to paste into a new project."""
    names, schema_hash = Names(pack), pack.schema.hash
    tasks = [_task(pack, names, row, schema_hash) for row in pack.rows]
    with atomic_file(path) as file:
        json.dump(tasks, file, ensure_ascii=False, allow_nan=False, indent=1)
    config = path.with_name(f"{path.stem}.config.xml")
    with atomic_file(config) as file:
        file.write(labelling_config(pack))
    return [f"paste {config.name} into the project's labelling setup before importing the tasks"]


class Names:
    """Fields under names that are legal in the configuration and that no control has."""

    def __init__(self, pack: Pack) -> None:
        self.shown = _safe(pack.columns, "in_")
        self.new = _safe([field.name for field in pack.schema.fields], "new_")
        self.text = {
            name: all(isinstance(row.show.get(name, ""), str) for row in pack.rows)
            for name in pack.columns
        }


def _safe(names: Sequence[str], prefix: str) -> dict[str, str]:
    safe: dict[str, str] = {}
    for name in names:
        plain = prefix + re.sub(r"[^A-Za-z0-9_]", "_", name)
        while plain in safe.values():
            plain += "_"
        safe[name] = plain
    return safe


def _task(pack: Pack, names: Names, row: PackRow, schema_hash: str) -> dict[str, Any]:
    ids = (row.row_id, row.content_hash, pack.pack_id, schema_hash)
    data: dict[str, Any] = dict(zip(IDS, ids, strict=True))
    data["why"] = ", ".join(row.why)
    for name, safe in names.shown.items():
        data[safe] = _text(row.show[name]) if name in row.show else ""
    task: dict[str, Any] = {"data": data}
    results, scores, sources = [], [], []
    for field in pack.schema.fields:
        given = row.suggestion.get(field.name)
        if given is None or given.value is None:
            continue
        kind = "choices" if field.values else "textarea"
        results.append(
            {
                "id": digest([row.row_id, field.name])[:10],
                "from_name": names.new[field.name],
                "to_name": "row",
                "type": kind,
                "value": {"choices" if field.values else "text": [_text(given.value)]},
            }
        )
        scores += [given.score] if given.score is not None else []
        sources += [given.source] if given.source else []
    if results:
        prediction: dict[str, Any] = {"model_version": (sources or ["dataset"])[0]}
        if scores:
            prediction["score"] = min(scores)
        task["predictions"] = [{**prediction, "result": results}]
    return task


def labelling_config(pack: Pack) -> str:
    """The XML of a project: what is shown, the decision, one control per field, tags, comment."""
    names = Names(pack)
    lines = ["<View>", f"  <!-- {pack.name.replace('--', '- -')}: {pack.kind} -->"]
    for name, safe in names.shown.items():
        lines += [
            f'  <Header value={quoteattr(name)} size="5"/>',
            f"  <Text name={quoteattr('show_' + safe)} value={quoteattr('$' + safe)}/>",
        ]
    lines += ['  <Text name="row" value="$row_id"/>']
    lines += _choices("decision", DECISIONS, single=True)
    for field in pack.schema.fields:
        control = names.new[field.name]
        lines += [f'  <Header value={quoteattr(field.name)} size="5"/>']
        if field.values:
            lines += _choices(control, [_text(value) for value in field.values], single=True)
        if not field.values:
            lines += [f'  <TextArea name="{control}" toName="row" rows="4" editable="true"/>']
    lines += ['  <Header value="tags" size="5"/>', *_choices("tags", pack.schema.tags)]
    lines += ['  <Header value="comment" size="5"/>']
    lines += ['  <TextArea name="comment" toName="row" rows="2" editable="true"/>']
    about = re.sub(r"\s+", " ", f"{KINDS[pack.kind]} {pack.schema.rubric}").strip()[:4000]
    lines += [f'  <Header value={quoteattr(about)} size="6"/>', "</View>"]
    return "\n".join(lines) + "\n"


def _choices(name: str, values: Sequence[str], *, single: bool = False) -> list[str]:
    how = "single" if single else "multiple"
    return [
        f'  <Choices name={quoteattr(name)} toName="row" choice="{how}" showInline="true">',
        *(f"    <Choice value={quoteattr(value)}/>" for value in values),
        "  </Choices>",
    ]


def recognises(value: Any) -> bool:
    """Whether parsed JSON is an export of Label Studio."""
    first = value[0] if isinstance(value, list) and value else None
    if not isinstance(first, dict):
        return False
    full = isinstance(first.get("data"), dict) and (
        "annotations" in first or "predictions" in first or "row_id" in first["data"]
    )
    return full or ("row_id" in first and ("annotator" in first or "annotation_id" in first))


def read(value: list[Any], packs: Mapping[str, Pack]) -> FileRead:
    """The annotations of an export; drafts and history are left out and drafts counted."""
    notes: Counter[str] = Counter()
    rows: list[Incoming] = []
    named: dict[str, dict[str, str]] = {}

    def field_of(pack_id: str | None, control: str) -> str | None:
        if not control.startswith("new_"):
            return None
        pack = packs.get(pack_id or "")
        if pack is not None and pack.pack_id not in named:
            named[pack.pack_id] = {safe: name for name, safe in Names(pack).new.items()}
        return named.get(pack_id or "", {}).get(control, control[len("new_") :])

    for at, task in enumerate(value):
        if not isinstance(task, dict):
            rows.append(Incoming("", line=at + 1, fault="not a task"))
            continue
        notes["drafts"] += len(task.get("drafts") or ())
        if isinstance(task.get("data"), dict):
            for annotation in task.get("annotations") or task.get("completions") or ():
                rows.append(_annotation(task["data"], annotation, at + 1, field_of))
        else:
            rows.append(_minimal(task, at + 1, field_of))
    return FileRead("label-studio", rows, {name: n for name, n in notes.items() if n})


def _annotation(data: Mapping[str, Any], annotation: Any, line: int, field_of: Any) -> Incoming:
    if not isinstance(annotation, dict):
        return Incoming(_id(data, "row_id") or "", line=line, fault="not an annotation")
    controls: dict[str, list[str]] = {}
    for item in annotation.get("result") or ():
        if isinstance(item, dict) and "from_name" in item:
            # A changed mind leaves one result per control; of several regions all count.
            controls.setdefault(str(item["from_name"]), []).extend(_values(item.get("value")))
    about = {
        "reviewer": _person(annotation.get("completed_by")),
        "at": annotation.get("updated_at") or annotation.get("created_at"),
        "seconds": number(annotation.get("lead_time")),
    }
    cancelled = bool(annotation.get("was_cancelled") or annotation.get("skipped"))
    return _incoming(data, controls, about, cancelled, line, field_of)


def _minimal(task: Mapping[str, Any], line: int, field_of: Any) -> Incoming:
    controls = {
        name: _values(value)
        for name, value in task.items()
        if name.startswith("new_") or name in ("decision", "tags", "comment")
    }
    about = {
        "reviewer": _person(task.get("annotator")),
        "at": task.get("updated_at") or task.get("created_at"),
        "seconds": number(task.get("lead_time")),
    }
    return _incoming(task, controls, about, bool(task.get("was_cancelled")), line, field_of)


def _incoming(
    data: Mapping[str, Any],
    controls: Mapping[str, list[str]],
    about: Mapping[str, Any],
    cancelled: bool,
    line: int,
    field_of: Any,
) -> Incoming:
    pack_id = _id(data, "pack_id")
    edits = {
        field: "\n".join(values)
        for control, values in controls.items()
        if values and (field := field_of(pack_id, control)) is not None
    }
    decision = next(iter(controls.get("decision", ())), None)
    if cancelled:
        decision, edits = "skip", {}
    return Incoming(
        row_id=_id(data, "row_id") or "",
        pack_id=pack_id,
        content_hash=_id(data, "content_hash"),
        schema_hash=_id(data, "schema_hash"),
        decision=decision,
        edits=edits,
        written="text",
        tags=tuple(controls.get("tags", ())),
        comment="\n".join(controls.get("comment", ())),
        reviewer=about["reviewer"],
        at=about["at"],
        seconds=about["seconds"],
        line=line,
    )


def _values(value: Any) -> list[str]:
    """The texts in a result's value: choices, text, rating or number, as a list or bare."""
    if isinstance(value, dict):
        for name in ("choices", "text", "rating", "number", "taxonomy", "labels"):
            if name in value:
                return _values(value[name])
        return []
    if isinstance(value, list):
        return [text for item in value for text in _values(item)]
    return [] if value is None or value == "" else [_text(value)]


def _person(given: Any) -> str | None:
    if isinstance(given, dict):
        found = given.get("email") or given.get("username") or given.get("id")
        return str(found) if found is not None else None
    return f"user-{given}" if isinstance(given, int) else str(given) if given else None


def _id(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    return str(value) if value is not None else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)
