"""Evaluation of every task kind in a whole run: scripted teacher, tiny student, real files."""

import json

import pytest

from distill.report.model import check_report

pytestmark = pytest.mark.long

STUDENT = {
    "student": {
        "init": "scratch",
        "tokenizer": {"bpe": 300},
        "config": {
            "model_type": "llama", "hidden_size": 16, "intermediate_size": 32,
            "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 256,
        },
    },
    "train": {"batch": 8, "steps": 4, "lr": 1e-2, "max_length": 256},
    "split": {"train": 0.75, "val": 0.25},
}  # fmt: skip


@pytest.fixture
def run(project, tmp_path, monkeypatch):
    """Runs a recipe in this process; gives back the report and the lines of answers."""
    monkeypatch.chdir(tmp_path)

    def go(files, script, more_teachers=None, **recipe):
        for name, rows in files.items():
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / f"{name}.jsonl").write_text(text)
        whole = {
            "version": 1,
            "name": "k",
            "seed": 3,
            "teachers": {
                "big": {
                    "kind": "scripted",
                    "max_tokens": 24,
                    "script": [{"when": when, "answers": [say]} for when, say in script],
                },
                **(more_teachers or {}),
            },
            "data": {name: f"{name}.jsonl" for name in files},
            "generate": {"strategy": "label_pool", "ask": "big"},
            **recipe,
        }
        (tmp_path / "recipe.yaml").write_text(json.dumps(whole))
        said = project.command("run", "recipe.yaml", "--json")
        assert said.code == 0, said.err + said.out
        check_report(said.json)
        found = next((tmp_path / "runs/k/stages").glob("*-evaluate")) / "answers.jsonl"
        return said.json, [json.loads(line) for line in found.read_text().splitlines()]

    return go


def pair(at):
    good, bad = f"good {at}", f"bad reply {at}"
    first = at % 2 == 0
    return {"instruction": f"q{at}", "a": good if first else bad, "b": bad if first else good,
            "winner": "a" if first else "b"}  # fmt: skip


def test_a_judge_of_pairs_is_measured_in_both_orders(run):
    """Teacher, students, majority and longer on gold, with the passport of each in the report."""
    rows = [pair(at) for at in range(24)]
    pool = [{name: row[name] for name in ("instruction", "a", "b")} for row in rows[:16]]
    report, lines = run(
        {"pool": pool, "gold": [*rows[16:], {**pair(30), "winner": None}]},
        [("Response A:\\n(good)", "A"), ("Response B:\\n(good)", "B")],
        task={"kind": "judge_pairwise"},
        evaluate={"on": ["gold"], "baselines": ["majority", "zero_shot"]},
        **STUDENT,
    )
    metrics = report["metrics"]
    assert set(metrics) == {
        "teacher", "student", "student_before", "zero_shot", "majority", "longer"
    }  # fmt: skip
    assert metrics["teacher"]["both_right"] == {**metrics["teacher"]["both_right"], "value": 1.0}
    assert metrics["teacher"]["accuracy"]["n"] == 8
    assert metrics["longer"]["accuracy"]["value"] == 0
    assert metrics["student"]["parsed"]["value"] is not None
    passport = report["judging"]["student"]
    assert passport["without_gold"] == 1
    assert passport["reference_lines"]["longer"]["value"] == 0
    assert passport["reference_lines"]["teacher_human"]["value"] == 1
    assert set(passport["position"]) >= {"first", "second", "p"}
    teacher = [line for line in lines if line["system"] == "teacher"]
    assert [line["score"] for line in teacher] == [1.0] * 8
    assert {line["expected"] for line in teacher} == {"a", "b"}


def test_a_judge_of_scores_is_measured_by_correlations(run):
    """Scores: the figures of section 6 for teacher and student, the majority beside them."""
    rows = [
        {
            "instruction": f"q{at}",
            "response": f"{'so ' * (at % 5 + 1)}end {at}",
            "score": at % 5 + 1,
        }
        for at in range(30)
    ]
    pool = [{name: row[name] for name in ("instruction", "response")} for row in rows[:20]]
    report, _ = run(
        {"pool": pool, "gold": rows[20:]},
        [(f"Response:\\n{'so ' * n}end", str(n)) for n in (5, 4, 3, 2, 1)],
        task={"kind": "judge_absolute"},
        evaluate={"on": ["gold"], "baselines": ["majority"]},
        **STUDENT,
    )
    metrics = report["metrics"]
    for name in ("pearson", "kappa_quadratic", "exact", "accuracy", "within_1"):
        assert metrics["teacher"][name]["value"] == pytest.approx(1), name
    assert metrics["teacher"]["mae"]["value"] == 0
    assert metrics["majority"]["accuracy"]["value"] == pytest.approx(0.2)
    assert metrics["majority"]["pearson"]["value"] is None
    assert "longer" not in metrics
    assert report["judging"]["teacher"]["absolute"]["histogram"] == dict.fromkeys("12345", 2)
    assert report["verdict"]["say"] in ("not_worth_it", "more_data")


TOWNS = ("Aal", "Bonn", "Cleve", "Daun", "Emden", "Fulda", "Goch", "Hamm", "Ilm", "Jena")


def about(at):
    """A question, passages of two towns, and the answer with its citation."""
    town, other = TOWNS[at % 10], TOWNS[(at + 3) % 10]
    texts = [f"{town} has {100 + at % 10} bridges.", f"{other} has a mill."]
    place = 1 if at % 2 else 2
    return {
        "question": f"Case {at}: how many bridges has {town}?",
        "passages": texts if place == 1 else texts[::-1],
        "answer": f"{100 + at % 10} [{place}]",
    }


def test_grounded_answers_are_held_against_gold_and_their_passages(run):
    """Words, citations and abstention on gold; a teacher that is named judges faithfulness."""
    rows = [about(at) for at in range(30)]
    pool = [{name: row[name] for name in ("question", "passages")} for row in rows[:20]]
    unknown = {**about(40), "answer": None, "passages": ["Nothing at all."]}
    report, lines = run(
        {"pool": pool, "gold": [*rows[20:], unknown]},
        [
            ("(?s)Rubric:.*Response:\\n1", "5"),
            ("(?s)Rubric:", "1"),
            ("(?s)\\[(\\d)\\] (\\w+) has (\\d+).*many bridges has \\2", "{3} [{1}]"),
            ("", "The passages do not say."),
        ],
        task={"kind": "grounded"},
        evaluate={"on": ["gold"], "judge": "big"},
        **STUDENT,
    )
    teacher = report["metrics"]["teacher"]
    for name in ("exact", "token_f1", "citation_precision", "citation_recall", "abstention"):
        assert teacher[name]["value"] == 1, name
    assert (teacher["faithful"]["value"], teacher["faithful"]["n"]) == (pytest.approx(10 / 11), 11)
    assert report["metrics"]["student"]["token_f1"]["n"] == 11
    assert {line["score"] for line in lines if line["system"] == "teacher"} == {1.0}


def test_every_rung_answers_the_same_rows(run):
    """Examples, thoughts, actions, passages: the teacher climbs, the student is asked both ways."""
    rows = [about(at) for at in range(24)]
    pool = [{name: row[name] for name in ("question", "passages")} for row in rows[:14]]
    documents = [{"title": town, "text": f"{town} has {100 + at} bridges."}
                 for at, town in enumerate(TOWNS)]  # fmt: skip
    seeds = [{**about(at), "question": f"Seed {at}?"} for at in range(50, 56)]
    gold = rows[18:]
    report, lines = run(
        {"pool": pool, "gold": gold, "documents": documents, "seeds": [*seeds, gold[0]]},
        [
            (r"(?s)Action: one of.*Observation: \w+: \w+ has (\d+)", "Action: finish[{1}]"),
            (r"(?s)many bridges has (\w+)\?.*Action: one of", "Action: search[{1}]"),
            ("(?s)\\[(\\d)\\] (?:\\w+: )?(\\w+) has (\\d+).*many bridges has \\2.*step by step",
             "It says so.\nAnswer: {3} [{1}]"),
            ("(?s)\\[(\\d)\\] (?:\\w+: )?(\\w+) has (\\d+).*many bridges has \\2", "{3} [{1}]"),
            ("", "The passages do not say."),
        ],
        task={"kind": "grounded"},
        evaluate={
            "on": ["gold"], "ask": "big", "few_shot": [1, 3], "against": "other",
            "baselines": ["zero_shot", "few_shot", "chain_of_thought", "react", "retrieval"],
        },
        more_teachers={"other": {"kind": "scripted", "script": [{"when": "", "answers": ["no"]}]}},
        **STUDENT,
    )  # fmt: skip
    metrics = report["metrics"]
    rungs = {"zero_shot", "few_shot_1", "few_shot_3", "chain_of_thought", "react", "retrieval"}
    others = {"teacher", "student", "student_before", "other"}
    twos = {"closed_book", "student_closed_book", "student_retrieval"}
    assert set(metrics) == rungs | others | twos
    for name in rungs:
        assert metrics[name]["token_f1"]["value"] == 1, name
        assert metrics[name]["verbatim"]["value"] == 0
    assert metrics["retrieval"]["citation_recall"]["value"] == 1
    assert metrics["closed_book"]["abstention"]["value"] == 0
    assert metrics["other"]["exact"]["value"] == 0
    assert (
        metrics["react"]["tokens_per_row"]["value"]
        > metrics["zero_shot"]["tokens_per_row"]["value"]
    )
    ladder = report["ladder"]
    assert (ladder["asked"], ladder["is_teacher"]) == ("big", True)
    assert ladder["few_shot"]["source"] == "seeds"
    assert len(ladder["few_shot"]["ids"]) == 3
    assert ladder["retrieval"] == {"method": "bm25", "passages": 4, "among": 10}
    cells = report["two_by_two"]
    assert cells["base"]["with"]["score"]["value"] == 1
    assert cells["student"]["without"]["system"] == "student_closed_book"
    tests = {(one["a"], one["b"]): one for one in report["significance"]}
    assert ("teacher", "student") in tests
    assert ("few_shot_1", "few_shot_3") in tests
    assert {line["system"] for line in lines} == set(metrics)
    shown = [line for line in lines if line["system"] == "chain_of_thought"]
    assert shown[0]["wrote"].startswith("It says so.")


def test_gold_verdicts_off_the_scale_are_found_before_anything_is_paid(project, tmp_path):
    """check names the row whose score the scale does not have."""
    rows = [{"instruction": "q", "response": "r", "score": value} for value in (5, "4", 2.5, 7)]
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "pool.jsonl").write_text(json.dumps(rows[0]) + "\n")
    recipe = {
        "version": 1, "name": "k", "teachers": {"big": {"kind": "scripted"}},
        "task": {"kind": "judge_absolute"},
        "data": {"gold": "gold.jsonl", "pool": "pool.jsonl"},
        "generate": {"strategy": "label_pool", "ask": "big"},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    said = project.command("check", tmp_path / "recipe.yaml", "--json")
    assert said.code == 2
    problem = said.json["error"]["problems"][0]
    assert (problem["line"], problem["key"]) == (4, "data.gold")
    assert "7" in problem["found"]


def test_free_texts_are_held_against_the_teachers(run):
    """A teacher that is named says how often a text is better than the teacher's own."""
    rows = [{"text": f"say {at} words", "summary": f"{at} words said"} for at in range(24)]
    report, _ = run(
        {"pool": [{"text": row["text"]} for row in rows[:16]], "gold": rows[16:]},
        [("(?s)Response A:\\n\\d+ words said", "A"), ("(?s)Response A:", "B"),
         ("say (\\d+) words", "{1} words said")],
        task={"kind": "generate", "input": "text", "output": "summary"},
        evaluate={"on": ["gold"], "judge": "big"},
        **STUDENT,
    )  # fmt: skip
    found = report["metrics"]["student"]["win_rate"]
    assert found["n"] == 8
    assert found["value"] < 0.5
    assert "win_rate" not in report["metrics"]["teacher"]
