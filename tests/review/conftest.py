"""A small dataset file, its pack, and reviewers who fill in what was sent to them."""

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path

import openpyxl
import pytest

from distill.review.export import make_packs
from distill.review.formats.recognise import read_file
from distill.review.formats.writers import WRITERS
from distill.review.log import append, read_log
from distill.review.pack import read_packs, write_pack
from distill.review.plan import Known, make_plan
from distill.review.source import file_source

NOW = "2026-01-02T03:04:05.000Z"
ROWS = [
    {"id": f"r{at}", "text": f"ticket {at} about {label}", "label": label}
    for at, label in enumerate(["billing", "bug", "billing", "other", "bug", "bug"])
]


@dataclass
class Desk:
    """A dataset file with its reviews."""

    path: Path
    options: dict = field(default_factory=dict)

    @property
    def found(self):
        """The file as rows under review."""
        return file_source(self.path, **self.options)

    @property
    def source(self):
        return self.found.source

    @property
    def folder(self):
        return self.source.folder

    def packs(self, **options):
        """Packs as export makes and remembers them."""
        given = {"rows": None, "choose": "random", "kind": "correct", "overlap": None,
                 "reviewers": (), "packs": read_packs(self.folder), "now": NOW}  # fmt: skip
        made = make_packs(self.source, **{**given, **options})
        for pack in made:
            write_pack(self.folder, pack)
        return made

    def pack(self, **options):
        [pack] = self.packs(**options)
        return pack

    def write(self, pack, format, name=None):
        """The file that a reviewer gets."""
        to = self.path.parent / (name or f"out.{format}")
        WRITERS[format](pack, to)
        return to

    def plan(self, path, reviewer=None, now=NOW):
        """What an import would do."""
        source = self.source
        packs = read_packs(self.folder)
        known = Known(packs, read_log(self.folder), source.rows, source.hashes())
        return make_plan(known, read_file(path, packs), reviewer=reviewer, now=now)

    def take(self, path, reviewer=None, now=NOW):
        """An import, carried out."""
        plan = self.plan(path, reviewer, now)
        append(self.folder, plan.reviews)
        return plan

    def decide(self, pack, reviewer, said, *, at=None):
        """An import of decisions: row id -> decision, or (decision, edits), or with tags too."""
        lines = []
        for row in pack.rows:
            if row.row_id not in said:
                continue
            decision, edits, *tags = (*[said[row.row_id]], {}) if isinstance(
                said[row.row_id], str) else said[row.row_id]  # fmt: skip
            review = {"decision": decision, "edits": edits, "tags": tags, "at": at,
                      "reviewer": reviewer}  # fmt: skip
            lines.append({"row_id": row.row_id, "content_hash": row.content_hash,
                          "pack_id": pack.pack_id, "review": review})  # fmt: skip
        path = self.path.parent / f"{reviewer}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return self.take(path)


@pytest.fixture
def desk(tmp_path):
    """A function that writes rows to a file and returns its desk."""

    def make(rows=ROWS, name="data.jsonl", **options):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return Desk(path, options)

    return make


def fill_csv(path, change, to=None, **dialect):
    """Fills in a CSV as a person with a spreadsheet would; `change` takes and changes a row."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        names, rows = list(reader.fieldnames), list(reader)
    for row in rows:
        change(row)
    to = to or path
    with to.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, names, **dialect)
        writer.writeheader()
        writer.writerows(rows)
    return to


def fill_xlsx(path, change):
    """Fills in a workbook; `change` takes and changes a row."""
    book = openpyxl.load_workbook(path)
    sheet = book["review"]
    names = [cell.value for cell in sheet[1]]
    for cells in sheet.iter_rows(min_row=2):
        row = {name: cell.value or "" for name, cell in zip(names, cells, strict=True)}
        before = dict(row)
        change(row)
        for name, cell in zip(names, cells, strict=True):
            if row[name] != before[name]:
                cell.value = row[name]
    book.save(path)
    return path


def fill_jsonl(path, change):
    """Fills in our JSONL; `change` takes and changes a row with the CSV's columns."""
    lines = []
    for text in path.read_text("utf-8").splitlines():
        row = json.loads(text)
        flat = {"row_id": row["row_id"], "reviewer": ""}
        change(flat)
        row["review"]["decision"] = flat.get("decision") or None
        row["review"]["reviewer"] = flat["reviewer"]
        row["review"]["comment"] = flat.get("comment", "")
        row["review"]["tags"] = [t for t in flat.get("tags", "").split(",") if t]
        row["review"]["edits"] = {k[4:]: v for k, v in flat.items() if k.startswith("new_")}
        lines.append(json.dumps(row, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def fill_label_studio(path, change):
    """What Label Studio exports after somebody worked through the tasks."""
    tasks = json.loads(path.read_text("utf-8"))
    for at, task in enumerate(tasks):
        flat = {"row_id": task["data"]["row_id"], "reviewer": ""}
        change(flat)
        result = []
        for name, value in flat.items():
            if not value or name in ("row_id", "reviewer"):
                continue
            kind = "choices" if name in ("decision", "tags", "new_label") else "textarea"
            values = value.split(",") if name == "tags" else [value]
            held = {"choices" if kind == "choices" else "text": values}
            result.append({"from_name": name, "to_name": "row", "type": kind, "value": held})
        task["id"], task["drafts"] = 1000 + at, []
        task["annotations"] = [{"id": at, "completed_by": {"id": 1, "email": flat["reviewer"]},
            "result": result, "was_cancelled": False, "ground_truth": True, "lead_time": 4.5,
            "created_at": "2026-01-02T03:00:00.000000Z",
            "updated_at": "2026-01-02T03:04:05.123456Z"}]  # fmt: skip
    path.write_text(json.dumps(tasks, ensure_ascii=False), "utf-8")
    return path


def fill_argilla(path, change):
    """What an Argilla dataset holds after somebody submitted every record."""
    records = json.loads(path.read_text("utf-8"))
    for record in records:
        flat = {"row_id": record["id"], "reviewer": ""}
        change(flat)
        for name, value in flat.items():
            if value and name not in ("row_id", "reviewer"):
                value = value.split(",") if name == "tags" else value
                record["responses"][name] = [
                    {"value": value, "user_id": flat["reviewer"], "status": "submitted"}
                ]
    path.write_text(json.dumps(records, ensure_ascii=False), "utf-8")
    return path


@pytest.fixture(scope="session")
def fill():
    """Format -> a function that fills a file of it in."""
    return {"csv": fill_csv, "xlsx": fill_xlsx, "jsonl": fill_jsonl,
            "label-studio": fill_label_studio, "argilla": fill_argilla}  # fmt: skip
