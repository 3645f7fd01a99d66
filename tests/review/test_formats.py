"""Packs leave in every format and decisions come back, whatever was done to the file meanwhile."""

import csv
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest

from distill.errors import DataError
from distill.review.cells import decode, encode
from distill.review.formats.label_studio import labelling_config
from distill.review.formats.recognise import read_file
from distill.review.formats.writers import WRITERS
from distill.review.log import read_log
from distill.review.pack import pack_from_dict, read_packs, write_pack

FIXTURES = Path(__file__).parent / "fixtures"
FORMATS = sorted(set(WRITERS) - {"html"})
HOSTILE = [
    '=HYPERLINK("http://x","y")', "-1", "'quoted'", "\ttab", "line\nbreak \"quote\" ; , |", "",
    "\U0001f600 \u05e9\u05dc\u05d5\u05dd \u202e", "</script><img src=x onerror=alert(1)>",
    "\x1b[31mred", "x" * 40_000, "true", "_x0041_ \r\n", "00123",
    "<r><t>rich</t></r>", " \n ",
]  # fmt: skip
HEADER = ["row_id", "content_hash", "pack_id", "schema_hash"]


def hostile_rows():
    rows = [{"id": f"r{at}", "text": text, "label": "a"} for at, text in enumerate(HOSTILE)]
    rows.append({"id": "typed", "text": "plain", "label": "b", "extra": True})
    rows.append({"id": "empty", "text": "plain", "label": "b", "extra": None})
    return rows


@pytest.mark.parametrize("format", FORMATS)
def test_decisions_come_back(desk, fill, format):
    """Accept, edit with hostile text, reject with tags, skip: all of it returns in each format."""
    at = desk(hostile_rows(), outputs=["text", "label"])
    pack = at.pack()
    path = at.write(pack, format)
    wanted = {}

    def review(row):
        id, row["reviewer"] = row["row_id"], "ann"
        if id == "typed":
            row["decision"], row["tags"], row["comment"] = "reject", "unsafe,other", "no"
        elif id == "empty":
            row["decision"] = "skip"
        elif id == "r5":
            row["decision"] = "accept"
        else:
            row["decision"] = "edit"
            row["new_label"] = "b"
        wanted[id] = row["decision"]

    plan = at.take(fill[format](path, review))
    assert plan.as_dict(dry_run=False)["counts"]["applied"] == len(wanted)
    assert plan.problems == []
    assert plan.altered_cells == 0
    log = {review.row_id: review for review in read_log(at.folder)}
    assert {id: review.decision for id, review in log.items()} == wanted
    assert log["r0"].edits == {"label": "b"}
    assert (log["typed"].tags, log["typed"].comment) == (("unsafe", "other"), "no")
    assert {review.reviewer for review in log.values()} == {"ann"}
    assert at.plan(path).rows["unchanged"] == plan.rows["applied"]


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_every_cell_comes_back_bit_for_bit(desk, format):
    """What a table shows is the row's own text: formulas, controls, 40,000 characters, types."""
    at = desk(hostile_rows(), outputs=["label"])
    pack = at.pack()
    read = read_file(at.write(pack, format), {})
    kinds = {"text": True, "label": True, "extra": False}
    for row, there in zip(read.rows, pack.rows, strict=True):
        shown = {n: decode(cell, text_only=kinds[n]) for n, cell in row.shown.items()}
        assert {n: v for n, v in shown.items() if v is not None} == {
            n: v for n, v in there.show.items() if v is not None
        }
        assert (row.row_id, row.content_hash) == (there.row_id, there.content_hash)


UNTYPABLE = {
    # Nobody can type that into a cell, and openpyxl saves blanks as if they were none.
    "xlsx": ["x" * 40_000, "\x1b[31mred", "_x0041_ \r\n", " \n "],
    "label-studio": [""],  # an empty answer is no answer there
    "argilla": [""],
}
EDITS = [(f, t) for f in FORMATS for t in [*HOSTILE, "=1"] if t not in UNTYPABLE.get(f, ())]


@pytest.mark.parametrize(("format", "text"), EDITS, ids=ascii)
def test_hostile_edits_come_back(desk, fill, format, text):
    """A corrected text arrives as it was typed into a cell that is safe, or as it is elsewhere."""
    at = desk([{"id": "r", "text": "before", "label": "a"}], outputs=["text"])

    def review(row):
        cell = format in ("csv", "xlsx")
        row["decision"] = "edit"
        row["new_text"] = encode(text, text_only=True) if cell else text

    path = at.write(at.pack(), format)
    plan = at.plan(fill[format](path, review))
    assert [review.edits for review in plan.reviews] == [{"text": text}]


def test_header_and_instructions(desk):
    """The CSV's header is the agreed one; what to do lies beside it."""
    at = desk(outputs=["label"], rubric="Be kind.")
    path = at.write(at.pack(reviewers=["ann"]), "csv")
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, first, *_ = csv.reader(file)
    assert header == [*HEADER, "in_text", "in_label", "decision", "new_label", "tags", "comment",
                      "reviewer"]  # fmt: skip
    assert first[-1] == "ann"
    told = (path.parent / "out.instructions.md").read_text()
    assert "Be kind." in told
    assert "billing, bug, other" in told


@pytest.mark.parametrize(
    ("encoding", "dialect"),
    [
        ("utf-8-sig", {"delimiter": ";"}),
        ("utf-16", {"delimiter": "\t"}),
        ("utf-8", {"quoting": csv.QUOTE_ALL, "lineterminator": "\n"}),
        ("cp1252", {"delimiter": ";"}),
    ],
    ids=["excel-de", "excel-unicode", "unix", "excel-ansi"],
)
def test_what_spreadsheets_save(desk, fill, encoding, dialect):
    """Other separators, encodings and quoting are read."""
    at = desk()

    def review(row):
        row["decision"] = "ACCEPT "

    path = fill["csv"](at.write(at.pack(), "csv"), review, **dialect)
    text = path.read_text("utf-8-sig")
    path.write_bytes(text.encode(encoding))
    assert len(at.plan(path).rows["applied"]) == 6


def test_moved_deleted_and_added_columns_and_rows(desk):
    """Columns may move, go and come; blank rows are nothing, rows of others are unknown."""
    at = desk()
    pack = at.pack()
    path = at.write(pack, "csv")
    path.write_text(
        "mood;decision;row_id;new_label\n"
        "good;accept;r0;\n;;;\nbad;edit;r1;billing\nok;;r2;\nsum;2;;\n;accept;nobody;\n",
    )
    plan = at.plan(path, reviewer="ann")
    assert plan.rows["applied"] == ["r0", "r1"]
    assert plan.undecided == 1
    assert len(plan.rows["unknown"]) == 2
    assert not plan.clean


def test_a_bad_row_never_rejects_the_file(desk):
    """Broken lines and nonsense are problems of their own rows."""
    at = desk()
    path = at.write(at.pack(), "jsonl")
    lines = path.read_text().splitlines()
    good = json.loads(lines[0])
    good["review"]["decision"] = "accept"
    path.write_text("\n".join(["{broken", "[1]", '"x"', json.dumps(good), "{}", *lines[1:]]))
    plan = at.plan(path)
    assert plan.rows["applied"] == ["r0"]
    assert len(plan.rows["invalid"]) == 4
    assert [problem["line"] for problem in plan.problems] == [1, 2, 3, 5]


def test_values_of_other_kinds_are_left_out(desk):
    """What nobody would write there does not stop the rows that are right."""
    at = desk()
    path = at.write(at.pack(), "jsonl")
    odd = [
        {"order": 5}, {"seconds": 10**400}, {"tags": {"a": 1}, "comment": ["b"]}, {"edits": [1]},
        {"confidence": True, "labels": "x"}, {"at": 5},
    ]  # fmt: skip
    lines = []
    for text, more in zip(path.read_text().splitlines(), odd, strict=True):
        row = json.loads(text)
        row["review"] |= {"decision": "accept", **more}
        lines.append(json.dumps(row))
    path.write_text("\n".join(lines))
    plan = at.plan(path)
    assert plan.rows["applied"] == ["r0", "r1", "r2", "r3", "r4"]
    assert (plan.rows["invalid"], plan.problems[0]["column"]) == (["r5"], "at")


def test_empty_lines_above_the_header(desk, fill):
    """They are passed over, and counted where a line is named."""
    at = desk()
    path = at.write(at.pack(), "csv")
    fill["csv"](path, lambda row: row.update(decision="maybe" if row["row_id"] == "r0" else "skip"))
    path.write_text("\n\n" + path.read_text("utf-8-sig"))
    plan = at.plan(path)
    assert len(plan.rows["applied"]) == 5
    assert plan.problems[0]["line"] == 4


def test_a_title_above_the_header_of_a_workbook(desk, fill):
    """The header is found below it, and lines are counted from the sheet's first."""
    at = desk()
    path = fill["xlsx"](at.write(at.pack(), "xlsx"), lambda row: row.update(decision="skip"))
    book = openpyxl.load_workbook(path)
    book["review"].insert_rows(1, 2)
    book["review"]["A1"] = "Please return by Friday"
    names = [cell.value for cell in book["review"][3]]
    book["review"].cell(4, names.index("decision") + 1).value = "maybe"
    book.save(path)
    plan = at.plan(path)
    assert len(plan.rows["applied"]) == 5
    assert plan.problems[0]["line"] == 4


@pytest.mark.parametrize("format", ["label-studio", "argilla"])
def test_exports_with_one_record_a_line(desk, fill, format):
    """The `datasets` library saves JSON lines: they are read as the array that they come from."""
    at = desk()
    path = at.write(at.pack(), format)
    fill[format](path, lambda row: row.update(decision="accept", reviewer="ann"))
    records = json.loads(path.read_text())
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + "{broken\n")
    plan = at.plan(path)
    assert plan.format == format
    assert (len(plan.rows["applied"]), len(plan.rows["invalid"])) == (6, 1)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "nothing"),
        (b"a,b\n1,2\n", "row_id"),
        (b"[1, 2]", "not a file of reviews"),
        (b"[]", "no rows"),
        (b"<!doctype html><html>", "press Download"),
        (b"PK\x03\x04rubbish", "workbook"),
    ],
    ids=["empty", "csv", "numbers", "no rows", "page", "zip"],
)
def test_files_that_hold_no_reviews(tmp_path, content, told):
    """A file of another kind says what it is, and what to do."""
    path = tmp_path / "back"
    path.write_bytes(content)
    with pytest.raises(DataError, match=told):
        read_file(path, {})


def test_a_pack_keeps_the_order_of_fields(desk):
    """What is read comes before what is corrected, in a pack that was read again too."""
    at = desk([{"id": "r", "title": "t", "body": "b", "answer": "a"}], outputs=["answer"])
    pack = at.pack()
    again = read_packs(at.folder)[pack.pack_id]
    assert again == pack
    assert again.columns == pack.columns == ["title", "body", "answer"]


@pytest.mark.parametrize("change", ["formula", "far to the right"])
def test_a_workbook_that_needs_care_holds_the_same(desk, change):
    """A formula or a stray cell takes the slow way, which reads every cell as the quick one."""
    at = desk(hostile_rows(), outputs=["label"])
    path = at.write(at.pack(), "xlsx")
    quick = [replace(row, line=0) for row in read_file(path, {}).rows]
    book = openpyxl.load_workbook(path)
    place = (1, 16_000) if change == "far to the right" else (2, len(quick[0].shown) + 10)
    book["review"].cell(*place).value = "=1+1"
    book.save(path)
    slow = [replace(row, line=0) for row in read_file(path, {}).rows]
    assert slow == quick


def test_a_formula_in_a_workbook_is_refused(desk):
    """A formula typed into a decision cell is that row's problem; its value is never taken."""
    at = desk()
    path = at.write(at.pack(), "xlsx")
    book = openpyxl.load_workbook(path)
    sheet = book["review"]
    names = [cell.value for cell in sheet[1]]
    sheet.cell(2, names.index("decision") + 1).value = '=IF(1,"accept","reject")'
    sheet.cell(3, names.index("decision") + 1).value = "accept"
    book.save(path)
    plan = at.plan(path)
    assert plan.rows["invalid"] == ["r0"]
    assert plan.rows["applied"] == ["r1"]
    assert "formula" in plan.problems[0]["what"]
    assert sheet.freeze_panes == "B2"
    assert [str(v.formula1) for v in sheet.data_validations.dataValidation] == [
        '"accept,edit,reject,skip"', '"billing,bug,other"'
    ]  # fmt: skip


def test_the_labelling_configuration_fits_the_tasks(desk):
    """Every control writes to an object, every object shows a key that all tasks have."""
    rows = [{"id": "1", "my text": "a & <b>", "decision": "x", "out put": "free"}]
    at = desk(rows, outputs=["out put"])
    pack = at.pack()
    root = ET.fromstring(labelling_config(pack))
    tasks = json.loads(at.write(pack, "label-studio").read_text())
    keys = {element.get("value")[1:] for element in root.iter("Text")}
    assert keys <= set(tasks[0]["data"])
    objects = {element.get("name") for element in root.iter("Text")}
    controls = {e.get("name"): e for e in root.iter() if e.tag in ("Choices", "TextArea")}
    assert {element.get("toName") for element in controls.values()} <= objects
    assert list(controls) == ["decision", "new_out_put", "tags", "comment"]
    assert not set(controls) & set(tasks[0]["data"])
    [prediction] = tasks[0]["predictions"]
    assert prediction["result"][0]["from_name"] == "new_out_put"
    assert prediction["result"][0]["value"] == {"text": ["free"]}


def test_label_studio_exports_of_other_shapes(desk):
    """Numbers as people, cancelled tasks, drafts, history, minimal JSON and ratings are read."""
    at = desk([{"id": f"r{at}", "text": "abcd"[at], "score": 3 + at // 2} for at in range(4)])
    pack = at.pack()
    path = at.write(pack, "label-studio")
    tasks = json.loads(path.read_text())

    def annotation(result, **more):
        return {"completed_by": 7, "result": result, "lead_time": 2.5, **more}

    def item(name, **value):
        return {"from_name": name, "to_name": "row", "type": "x", "value": value}

    tasks[0]["annotations"] = [annotation([item("new_score", rating=5)], parent_annotation=3)]
    tasks[0]["drafts"] = [{"result": []}]
    tasks[1]["annotations"] = [annotation([], was_cancelled=True)]
    tasks[2]["annotations"] = []
    tasks[3]["annotations"] = [annotation([item("decision", choices=["accept"])])]
    path.write_text(json.dumps(tasks))
    plan = at.plan(path)
    said = {r.row_id: (r.decision, dict(r.edits), r.reviewer, r.seconds) for r in plan.reviews}
    assert said == {
        "r0": ("edit", {"score": 5}, "user-7", 2.5),
        "r1": ("skip", {}, "user-7", 2.5),
        "r3": ("accept", {}, "user-7", 2.5),
    }
    assert plan.notes == {"drafts": 1}
    minimal = [{**tasks[0]["data"], "id": 9, "annotator": 2, "annotation_id": 4, "lead_time": 1.0,
                "decision": "edit", "new_score": {"choices": ["5"]}, "comment": "so"}]  # fmt: skip
    path.write_text(json.dumps(minimal))
    [review] = at.plan(path).reviews
    assert (review.edits, review.comment, review.reviewer) == ({"score": 5}, "so", "user-2")


def test_argilla_exports_of_other_shapes(desk):
    """Flattened records, drafts, discarded ones and responses without status are read."""
    at = desk()
    pack = at.pack()
    ids = {row.row_id: row.content_hash for row in pack.rows}
    base = {"pack_id": pack.pack_id, "schema_hash": pack.schema.hash}
    flat = [
        {"id": "r0", "status": "completed", "text": "t", **base, "content_hash": ids["r0"],
         "decision.responses": ["edit", None], "decision.responses.users": ["u1", "u2"],
         "decision.responses.status": ["submitted", "discarded"],
         "new_label.responses": ["bug", None], "new_label.responses.users": ["u1", "u2"]},
        {"id": "r1", **base, "content_hash": ids["r1"], "decision.responses": ["accept"],
         "decision.responses.users": ["u1"], "decision.responses.status": ["draft"]},
        {"id": "r2", **base, "content_hash": ids["r2"], "decision.responses": [None],
         "decision.responses.users": ["u1"]},
    ]  # fmt: skip
    path = at.folder.parent / "flat.json"
    path.write_text(json.dumps(flat))
    plan = at.plan(path)
    said = [(r.row_id, r.reviewer, r.decision, dict(r.edits)) for r in plan.reviews]
    assert said == [("r0", "u1", "edit", {"label": "bug"}), ("r0", "u2", "skip", {}),
                    ("r2", "u1", "skip", {})]  # fmt: skip
    assert plan.notes == {"drafts": 1, "without status or value, taken as skip": 1}


def test_packs_are_remembered(desk):
    """A pack is found again by its id, equal packs are one, and a damaged one is named."""
    at = desk()
    pack = at.pack()
    assert at.pack() == pack
    assert read_packs(at.folder) == {pack.pack_id: pack}
    (at.folder / "packs" / f"{pack.pack_id}.json").write_text("{}")
    with pytest.raises(DataError, match="not the pack"):
        read_packs(at.folder)


def test_what_label_studio_itself_exported(desk):
    """An export of Label Studio 1.23, made by scripts/check_label_studio.sh: nothing is lost."""
    pack = pack_from_dict(json.loads((FIXTURES / "label_studio_pack.json").read_text("utf-8")))
    at = desk([{"id": row.row_id, **row.show} for row in pack.rows], outputs=["label", "text"])
    write_pack(at.folder, pack)
    plan = at.plan(FIXTURES / "label_studio_export.json")
    assert plan.problems == []
    said = {r.row_id: (r.decision, r.edits, sorted(r.tags), r.comment) for r in plan.reviews}
    assert said == {
        "plain": ("accept", {}, [], ""),
        "formula": ("edit", {"label": "other", "text": "=1+1 'quoted'"}, ["wrong_answer"], ""),
        "script": ("edit", {"text": "<script>alert(2)</script>\nnext line"}, [], "see & tell"),
        "lines": ("reject", {}, ["other", "unsafe"], "no good \U0001f600"),
        "far": ("skip", {}, [], ""),
        "empty": ("skip", {}, [], ""),
    }
    assert all(review.at and review.reviewer == "user-1" for review in plan.reviews)
    assert {review.row_id for review in plan.reviews if review.seconds == 7.25} >= {"plain", "far"}
