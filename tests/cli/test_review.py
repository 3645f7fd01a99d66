"""The review commands, as users call them, on a run and on a plain file."""

import csv
import json

import pytest


@pytest.fixture
def reviewed(tmp_path, monkeypatch, project):
    """A run that waits for review."""
    project.write_project(tmp_path, more="review: {rows: 10, choose: random, stop: true}\n")
    monkeypatch.chdir(tmp_path)
    said = project.command("run", "recipe.yaml", "--json")
    assert said.code == 5
    assert said.json["error"]["kind"] == "review"
    assert "distill review merge runs/tiny" in said.json["error"]["problems"][0]["fix"]
    return tmp_path


def decide(path, decisions):
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    for row, said in zip(rows, decisions, strict=False):
        row.update(said)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, reader.fieldnames)
        writer.writeheader()
        writer.writerows(rows)
    return rows


def test_a_run_waits_and_goes_on_from_what_was_merged(reviewed, project):
    """Exit 5, export what the recipe asked for, import, merge, run again: the dataset has it."""
    command = project.command
    packs = list((reviewed / "runs/tiny/review/packs").glob("*.json"))
    made = command("review", "export", "tiny", "--to", "r.csv", "--format", "csv", "--json").json
    assert [path.stem for path in packs] == [made["pack_id"]]
    assert made["rows"] == 10
    second = list(csv.DictReader((reviewed / "r.csv").open(encoding="utf-8-sig", newline="")))[1]
    right = "bug" if second["in_label"] == "other" else "other"
    edit = {"decision": "edit", "new_label": right}
    reject = {"decision": "reject", "tags": "unclear_input"}
    rows = decide(reviewed / "r.csv", [reject, edit, *[{"decision": "accept"}] * 5])
    plan = command("review", "import", "tiny", "r.csv", "--reviewer", "ann", "--dry-run", "--json")
    assert (plan.code, plan.json["dry_run"], plan.json["counts"]["applied"]) == (0, True, 7)
    assert plan.json["undecided"] == 3
    again = command("run", "recipe.yaml", "--json")
    assert "0 of 10 rows" in again.json["error"]["message"]
    done = command("review", "import", "tiny", "r.csv", "--reviewer", "ann", "--json")
    assert done.json["counts"] == {**plan.json["counts"]}
    merged = command("review", "merge", "tiny", "--json").json
    assert (merged["accepted"], merged["edited"], merged["rejected"]) == (5, 1, 1)
    assert merged["version"] == 1
    assert merged["preferences"] == 1
    report = command("run", "recipe.yaml", "--json")
    assert report.code == 0
    assert report.json["review"]["error_rate"]["value"] == pytest.approx(2 / 7)
    assert (report.json["review"]["rows"], report.json["review"]["reviewers"]) == (7, 1)
    page = (reviewed / "runs/tiny/report.html").read_text("utf-8")
    assert "Review: 28.6% of 7 rows drawn at random were wrong" in page
    stage = next(entry for entry in report.json["rows"] if entry["stage"] == "review")
    assert stage["rejected"] == 1
    assert stage["reasons"] == {"review_rejected": 1}
    dataset = reviewed / "runs/tiny/dataset"
    text = "".join((dataset / f"{name}.jsonl").read_text() for name in ("train", "val"))
    kept = {row["id"]: row for row in map(json.loads, text.splitlines())}
    assert rows[0]["row_id"] not in kept
    assert kept[rows[1]["row_id"]]["messages"][-1]["content"] == right
    assert kept[rows[1]["row_id"]]["fields"]["label"] == right
    life = command("why", "tiny", rows[0]["row_id"], "--json").json
    assert life["end"] == "rejected by review"
    agree = command("review", "agree", "tiny", "--json").json
    assert agree["error_rate"]["value"] == pytest.approx(2 / 7)
    assert set(agree["agreement"]) == {"decision", "label"}


def test_a_review_after_a_run_makes_the_split_anew(made_folder, tmp_path, monkeypatch, project):
    """People may review a run whose recipe does not ask for it; the next run takes it in."""
    import shutil

    shutil.copytree(made_folder, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    command = project.command
    before = (tmp_path / "copy/runs/tiny/dataset/train.jsonl").read_text()
    command("review", "export", "tiny", "--to", "r.csv", "--rows", "2")
    rows = decide(tmp_path / "copy/r.csv", [{"decision": "reject"}] * 2)
    command("review", "import", "tiny", "r.csv")
    merged = command("review", "merge", "tiny", "--json").json
    assert (merged["version"], merged["parent"]) == (2, 1)
    assert command("generate", "recipe.yaml", "--quiet").code == 0
    after = (tmp_path / "copy/runs/tiny/dataset/train.jsonl").read_text()
    assert len(after.splitlines()) <= len(before.splitlines())
    assert not any(row["row_id"] in after for row in rows)
    kept = tmp_path / "copy/runs/tiny/dataset/versions/1/train.jsonl"
    assert kept.read_text() == before


def test_a_dataset_file_without_a_run(workdir, project):
    """Any file can be reviewed; its reviews lie beside it, and bad rows make the exit code 1."""
    command = project.command
    rows = [{"id": str(at), "text": f"t{at}", "label": "ab"[at % 2]} for at in range(6)]
    (workdir / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = command("review", "export", "d.jsonl", "--to", "r.csv", "--format", "csv", "--json").json
    assert (workdir / f"d.jsonl.review/packs/{made['pack_id']}.json").is_file()
    decide(
        workdir / "r.csv", [{"decision": "accept"}, {"decision": "maybe"}, {"decision": "reject"}]
    )
    said = command("review", "import", "d.jsonl", "r.csv", "--json")
    assert said.code == 1
    assert said.json["rows"]["invalid"] == ["1"]
    assert said.json["rows"]["applied"] == ["0", "2"]
    merged = command("review", "merge", "d.jsonl", "--policy", "majority", "--json").json
    assert (merged["rejected"], merged["unreviewed"]) == (1, 4)
    again = command("review", "merge", "d.jsonl", "--policy", "majority", "--json").json
    assert (again["version"], again["parent"]) == (merged["version"], merged["parent"]) == (1, 0)
    new = [json.loads(x) for x in (workdir / "d.jsonl.review/dataset/train.jsonl").open()]
    assert new == [row for row in rows if row["id"] != "2"]
    queue = command("review", "adjudicate", "d.jsonl", "--json").json
    assert queue == {"conflicts": 0, "rows": []}


def test_conflicts_are_adjudicated_by_file(workdir, project):
    """The queue goes out as a file, and its decisions are the last word."""
    command = project.command
    rows = [{"id": str(at), "text": f"t{at}", "label": "ab"[at % 2]} for at in range(6)]
    (workdir / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command(
        "review", "export", "d.jsonl", "--to", "r.csv", "--reviewer", "ann,bob", "--overlap", "2"
    )
    for name, said in (("ann", "accept"), ("bob", "reject")):
        decide(workdir / f"r.{name}.csv", [{"decision": said}] * 2)
        assert command("review", "import", "d.jsonl", f"r.{name}.csv").code == 0
    said = command("review", "adjudicate", "d.jsonl", "--to", "q.csv", "--json").json
    assert said["conflicts"] == 2
    decide(workdir / "q.csv", [{"decision": "reject", "tags": "subjective"}] * 2)
    assert command("review", "import", "d.jsonl", "q.csv", "--reviewer", "zoe").code == 0
    merged = command("review", "merge", "d.jsonl", "--json").json
    assert (merged["rejected"], merged["waiting"]) == (2, 0)
    assert merged["diff"]["provenance"]["adjudicated"] == 2


def test_what_was_asked_is_what_counts(workdir, project):
    """Fields, labels and rubric of the export hold for all that follows, without being repeated."""
    command = project.command
    rows = [
        {"id": str(at), "text": f"ticket {'abcdef'[at]}", "note": f"n{at}", "label": "ab"[at % 2]}
        for at in range(6)
    ]
    (workdir / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ["--output", "note", "--rubric", "helpfulness", "--reviewer", "ann,bob"]
    command("review", "export", "d.jsonl", "--to", "r.csv", "--overlap", "2", *asked)
    told = (workdir / "r.ann.instructions.md").read_text("utf-8")
    assert "# Helpfulness" in told
    assert "scale:" not in told
    better = {"decision": "edit", "new_note": "better"}
    decide(workdir / "r.ann.csv", [better, better])
    decide(workdir / "r.bob.csv", [better, {"decision": "edit", "new_note": "best"}])
    for name in ("ann", "bob"):
        assert command("review", "import", "d.jsonl", f"r.{name}.csv").code == 0
    assert set(command("review", "agree", "d.jsonl", "--json").json["agreement"]) == {
        "decision", "note"
    }  # fmt: skip
    command("review", "adjudicate", "d.jsonl", "--to", "q.jsonl")
    queued = json.loads((workdir / "q.jsonl").read_text())
    assert list(queued["suggestion"]) == ["note"]
    merged = command("review", "merge", "d.jsonl", "--json").json
    assert (merged["edited"], merged["waiting"], merged["preferences"]) == (1, 1, 1)
    command("review", "gold", "d.jsonl", "--to", "g.jsonl", "--force")
    gold = [json.loads(line) for line in (workdir / "g.jsonl").open()]
    assert [(row["note"], row["label"]) for row in gold] == [("better", "a")]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["export", "nowhere", "--to", "x.csv"], 2, "no run"),
        (["export", "d.jsonl", "--to", "x.csv", "--format", "doc"], 2, "--format"),
        (["export", "d.jsonl", "--to", "x.csv", "--output", "nope"], 2, "no row has a field"),
        (["import", "d.jsonl", "d.jsonl"], 2, "no pack was made"),
        (["merge", "d.jsonl", "--policy", "loudest"], 2, "--policy"),
        (["merge", "d.jsonl"], 2, "nothing has been reviewed"),
        (["gold", "d.jsonl", "--to", "g.jsonl"], 2, "no row can be gold"),
    ],
)
def test_what_cannot_be_done_is_said(workdir, project, arguments, code, told):
    """Wrong names, formats and orders of doing things are one line each."""
    (workdir / "d.jsonl").write_text('{"id": "1", "text": "t", "label": "a"}\n')
    said = project.command("review", *arguments)
    assert said.code == code
    assert told in said.err


def test_rows_cannot_speak_to_the_terminal(workdir, project):
    """Escape codes in ids and labels are printed as marks."""
    (workdir / "d.jsonl").write_text(
        json.dumps({"id": "\x1b[31mx", "text": "t", "label": "\x1b]0;owned\x07"}) + "\n"
    )
    project.command("review", "export", "d.jsonl", "--to", "r.csv")
    decide(workdir / "r.csv", [{"decision": "\x1b[2J"}])
    said = project.command("review", "import", "d.jsonl", "r.csv")
    assert said.code == 1
    assert "\x1b" not in said.out + said.err


def test_a_quality_filter_learns_from_the_run_s_own_review(tmp_path, monkeypatch, project):
    """Merged decisions teach the filter at the next run; without any it keeps every row."""
    project.write_project(tmp_path, more="review: {rows: 40, choose: random}\n")
    monkeypatch.chdir(tmp_path)
    filters = "filter=[{quality: {fields: [text], min: 0.05}}]"

    def made():
        assert project.command("generate", "recipe.yaml", "--set", filters, "--json").code == 0
        entry = json.loads((tmp_path / "runs/tiny/report.json").read_text())["rows"][1]
        return entry["filters"][0]

    assert "approved" not in made()["facts"]
    project.command("review", "export", "tiny", "--to", "r.csv", "--format", "csv", "--rows", "40")
    rows = list(csv.DictReader((tmp_path / "r.csv").open(encoding="utf-8-sig", newline="")))
    said = [{"decision": "reject" if "bug" in row["in_text"] else "accept"} for row in rows]
    decide(tmp_path / "r.csv", said)
    assert project.command("review", "import", "tiny", "r.csv", "--reviewer", "ann").code == 0
    assert project.command("review", "merge", "tiny").code == 0
    learnt = made()
    assert learnt["facts"]["approved"] == sum(one["decision"] == "accept" for one in said)
    assert learnt["reasons"]["rejected_by_people"] > 0


def test_what_inspect_found_goes_straight_into_a_pack(workdir, project):
    """The ids of inspect name rows to review, by its JSON or one on a line, the first first."""
    (workdir / "more").mkdir()
    rows = [{"text": f"a text number {n}", "label": "ab"[n % 2]} for n in range(12)]
    rows += [
        {**rows[2], "label": "b"},
        rows[5],
        {"text": "write to ann@mail.example", "label": "a"},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (workdir / "more/train.jsonl").write_text(lines)
    (workdir / "more/test.jsonl").write_text(lines[: lines.index("\n") + 1])
    found = project.command("inspect", "more", "--json").json
    (workdir / "found.json").write_text(json.dumps(found))
    export = ["review", "export", "more/train.jsonl", "--to", "p.jsonl", "--format", "jsonl"]

    def sent(*flags):
        assert project.command(*export, *flags).code == 0
        return [json.loads(line) for line in (workdir / "p.jsonl").read_text().splitlines()]

    pack = sent("--ids", "found.json")
    assert {row["row_id"] for row in pack} == {
        row.removeprefix("train/")
        for fix in found["fix_first"]
        for row in fix["rows"]
        if row.startswith("train/")
    }
    [private] = sent("--ids", "found.json", "--fix", "pii")
    assert "ann@" in json.dumps(private)
    (workdir / "ids.txt").write_text(f"{pack[1]['row_id']}\n{pack[0]['row_id']}\nnosuch\n")
    assert len(sent("--ids", "ids.txt")) == 2
    assert [row["row_id"] for row in sent("--ids", "ids.txt", "--rows", "1")] == [pack[1]["row_id"]]
    (workdir / "none.txt").write_text("nosuch\n")
    wrong = (
        (["--ids", "none.txt"], "nosuch"),
        (["--ids", "found.json", "--fix", "nosuch"], "pii"),
        (["--ids", "more/train.jsonl", "--fix", "pii"], "JSON of inspect"),
        (["--fix", "pii"], "--ids"),
        (["--ids", "absent.json"], "absent.json"),
    )
    for flags, told in wrong:
        said = project.command(*export, *flags)
        assert (said.code, told in said.err) == (2, True), said.err
