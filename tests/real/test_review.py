"""PandaLM's three annotators as three reviewers: through every format and back, bit for bit."""

import csv
import json
import shutil
import subprocess

import openpyxl
import pytest

from distill.review.agree import agree
from distill.review.cells import decode
from distill.review.export import make_packs
from distill.review.formats.recognise import read_file
from distill.review.formats.writers import WRITERS
from distill.review.log import append, read_log
from distill.review.merge import merge
from distill.review.pack import read_packs, write_pack
from distill.review.plan import Known, make_plan
from distill.review.source import file_source

NOW = "2026-01-02T03:04:05.000Z"
PEOPLE = ("annotator1", "annotator2", "annotator3")


@pytest.fixture(scope="module")
def rows(real):
    """The comparisons by id, with the first annotator's verdict as the one to review."""
    found = json.loads((real / "data/pandalm/testset-v1.json").read_text("utf-8"))
    return {str(row["idx"]): row for row in found}


@pytest.fixture
def place(rows, tmp_path):
    """The dataset file under review, and its pack."""
    path = tmp_path / "pandalm.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for id, row in rows.items():
            shown = {name: value for name, value in row.items() if name not in PEOPLE}
            record = {"id": id, **shown, "winner": row["annotator1"]}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    source = file_source(path).source
    [pack] = make_packs(
        source, rows=None, choose="random", kind="correct", overlap=None, reviewers=(), packs={},
        now=NOW,
    )  # fmt: skip
    write_pack(source.folder, pack)
    return source, pack


def said(row, person):
    """What an annotator's verdict is as a decision on the first one's."""
    mine = row[person]
    return ("accept", "") if mine == row["annotator1"] else ("edit", str(mine))


def fill_csv(path, rows, person):
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        table = list(reader)
    for row in table:
        row["decision"], row["new_winner"] = said(rows[row["row_id"]], person)
        row["reviewer"] = person
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, reader.fieldnames)
        writer.writeheader()
        writer.writerows(table)


def fill_xlsx(path, rows, person):
    book = openpyxl.load_workbook(path)
    sheet = book["review"]
    at = {cell.value: cell.column for cell in sheet[1]}
    for line in range(2, sheet.max_row + 1):
        id = sheet.cell(line, at["row_id"]).value
        decision, value = said(rows[id], person)
        sheet.cell(line, at["decision"]).value = decision
        sheet.cell(line, at["new_winner"]).value = int(value) if value else None
        sheet.cell(line, at["reviewer"]).value = person
    book.save(path)


def fill_jsonl(path, rows, person):
    lines = []
    for text in path.read_text("utf-8").splitlines():
        record = json.loads(text)
        decision, value = said(rows[record["row_id"]], person)
        edits = {"winner": int(value)} if value else {}
        record["review"] |= {"decision": decision, "edits": edits, "reviewer": person}
        lines.append(json.dumps(record, ensure_ascii=False))
    path.write_text("\n".join(lines), "utf-8")


def fill_label_studio(path, rows, person):
    tasks = json.loads(path.read_text("utf-8"))
    for task in tasks:
        decision, value = said(rows[task["data"]["row_id"]], person)
        given = {"decision": decision, **({"new_winner": value} if value else {})}
        result = [
            {"from_name": name, "to_name": "row", "type": "choices", "value": {"choices": [text]}}
            for name, text in given.items()
        ]
        task["annotations"] = [{"completed_by": {"email": person}, "result": result}]
    path.write_text(json.dumps(tasks), "utf-8")


def fill_argilla(path, rows, person):
    records = json.loads(path.read_text("utf-8"))
    for record in records:
        decision, value = said(rows[record["id"]], person)
        given = {"decision": decision, **({"new_winner": value} if value else {})}
        record["responses"] = {
            name: [{"value": text, "user_id": person}] for name, text in given.items()
        }
    path.write_text(json.dumps(records), "utf-8")


FILL = {"csv": fill_csv, "xlsx": fill_xlsx, "jsonl": fill_jsonl, "label-studio": fill_label_studio,
        "argilla": fill_argilla}  # fmt: skip


def plan_of(source, path):
    packs = read_packs(source.folder)
    known = Known(packs, read_log(source.folder), source.rows, source.hashes())
    return make_plan(known, read_file(path, packs), reviewer=None, now=NOW)


@pytest.mark.parametrize("format", sorted(FILL))
def test_three_annotators_through_a_format(place, rows, tmp_path, format):
    """120 conflicts, the published coefficients, and importing again changes nothing."""
    source, pack = place
    differing = {id for id, row in rows.items() if len({row[p] for p in PEOPLE}) > 1}
    conflicts = set()
    for person in PEOPLE:
        path = tmp_path / f"{person}.{format}"
        WRITERS[format](pack, path)
        FILL[format](path, rows, person)
        plan = plan_of(source, path)
        assert plan.problems == []
        assert plan.altered_cells == 0
        append(source.folder, plan.reviews)
        conflicts |= set(plan.rows["conflict"])
        assert len(plan_of(source, path).rows["unchanged"]) == 999
    assert conflicts == differing
    assert len(conflicts) == 120
    log = read_log(source.folder)
    merged = merge(source, log, "consensus")
    assert (merged.count("waiting"), merged.count("accepted")) == (120, 879)
    values = {
        (review.row_id, review.reviewer): review.edits.get(
            "winner", rows[review.row_id]["annotator1"]
        )
        for review in log
    }
    assert values == {(id, p): row[p] for id, row in rows.items() for p in PEOPLE}
    if format == "csv":
        found = agree(source, log, read_packs(source.folder))["agreement"]["winner"]
        kappas = [figure["value"] for figure in found["cohen"].values()]
        assert kappas == pytest.approx([0.852023, 0.878944, 0.861661], abs=5e-7)
        assert found["fleiss"]["value"] == pytest.approx(0.864175, abs=5e-7)
        assert found["alpha"]["value"] == pytest.approx(0.864221, abs=5e-7)


def test_one_changed_row_is_stale(place, rows, tmp_path):
    """A source row that changed since the export keeps its decision out of the merge."""
    _, pack = place
    path = tmp_path / "out.csv"
    WRITERS["csv"](pack, path)
    fill_csv(path, rows, "annotator1")
    file = tmp_path / "pandalm.jsonl"
    lines = file.read_text("utf-8").split("\n")
    lines[7] = json.dumps({**json.loads(lines[7]), "response1": "changed"})
    file.write_text("\n".join(lines), "utf-8")
    plan = plan_of(file_source(file).source, path)
    assert plan.rows["stale"] == ["7"]
    assert len(plan.rows["applied"]) == 998


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_every_cell_bit_for_bit(place, tmp_path, format):
    """Every text, number and boolean of the 999 rows is in the table as it was."""
    _, pack = place
    path = tmp_path / f"out.{format}"
    WRITERS[format](pack, path)
    text_only = {
        name: all(isinstance(row.show[name], str) for row in pack.rows) for name in pack.columns
    }
    assert not text_only["response1"]  # some are true or false
    for row, there in zip(read_file(path, {}).rows, pack.rows, strict=True):
        back = {n: decode(cell, text_only=text_only[n]) for n, cell in row.shown.items()}
        assert back == there.show
        assert {n: type(v) for n, v in back.items()} == {n: type(v) for n, v in there.show.items()}


@pytest.mark.slow
@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_libreoffice_saves_it_again(place, rows, tmp_path, format):
    """After LibreOffice opened and saved the file, every decision still applies."""
    office = shutil.which("soffice") or shutil.which("libreoffice")
    if office is None:
        pytest.skip("no LibreOffice: apt-get install libreoffice-calc")
    source, pack = place
    path = tmp_path / f"out.{format}"
    WRITERS[format](pack, path)
    FILL[format](path, rows, "annotator2")
    saved = tmp_path / "saved"
    # Comma, double quote, UTF-8, and no guessing of numbers and dates.
    read = ["--infilter=CSV:44,34,76,1,,0,false,false"] if format == "csv" else []
    subprocess.run(
        [office, "--headless", f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}", *read,
         "--convert-to", format, "--outdir", str(saved), str(path)],
        check=True, timeout=600, capture_output=True,
    )  # fmt: skip
    assert (saved / path.name).read_bytes() != path.read_bytes()
    plan = plan_of(source, saved / path.name)
    assert plan.problems == []
    assert len(plan.rows["applied"]) == 999
    assert {review.row_id: review.edits.get("winner") for review in plan.reviews} == {
        id: row["annotator2"] if row["annotator2"] != row["annotator1"] else None
        for id, row in rows.items()
    }
