"""Every strategy from a recipe to a dataset, with the scripted teacher."""

import json

import pytest

ECHO = {"kind": "scripted"}
POOL = [{"text": f"How do I mend item {n}?", "truth": str(n)} for n in range(6)]
SEEDS = [{"text": f"Tell me about item {n}.", "answer": f"It is {n}."} for n in range(4)]
DOCUMENTS = [
    {"id": f"d{n}", "title": f"Town {n}", "text": f"Town {n} lies by a river. " * 12}
    for n in range(5)
]
VAL = "runs/s/dataset/val.jsonl"
RUBRICS = [
    {"criterion": "Is it correct?", "levels": {"1": "no", "5": "yes"}},
    {"criterion": "Is it kind?", "levels": {"1": "no", "5": "yes"}},
]
FREE = {"kind": "generate", "input": "text", "output": "answer"}
GROUNDED = {"kind": "grounded"}
JUDGE = {"kind": "judge_absolute"}
PAIRS = {"kind": "judge_pairwise"}
LABELS = {"kind": "classify", "labels": ["a", "b"]}


@pytest.fixture
def make(project, tmp_path, monkeypatch):
    """Runs a recipe up to its dataset; gives back report and rows."""
    monkeypatch.chdir(tmp_path)

    def run(task, generate, *, script=(), data=(), teachers=None, **more):
        files = {"pool": POOL, "seeds": SEEDS, "documents": DOCUMENTS, "rubrics": RUBRICS}
        for name, rows in files.items():
            path = tmp_path / f"{name}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        teacher = {**ECHO, "script": [{"when": w, "answers": [a]} for w, a in script]}
        recipe = {
            "version": 1,
            "name": "s",
            "seed": 5,
            "teachers": teachers or {"t": teacher},
            "task": task,
            "data": {name: f"{name}.jsonl" for name in data},
            "generate": {"ask": "t", **generate},
            **more,
        }
        (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
        said = project.command("generate", "recipe.yaml", "--json")
        assert said.code == 0, said.err + said.out
        lines = (tmp_path / "runs/s/dataset/train.jsonl").read_text().splitlines()
        return said.json, [json.loads(line) for line in lines]

    return run


def completion(row):
    return row["messages"][-1]["content"]


def test_evolve_eliminates_what_did_not_evolve(make):
    """Rewritten twice; what stayed the same, or speaks of the rewriting, is rejected at once."""
    report, rows = make(
        FREE,
        {"strategy": "evolve", "candidates": 12, "options": {"rounds": 2}},
        data=["seeds"],
        script=[
            (r"Rewrite the input(?s:.*)Tell me about item 0", "the rewritten one"),
            (r"Here are two inputs.\s+First:\s+Tell me about item 1", "same"),
            ("Here are two inputs", "evolved"),
        ],
    )
    made = report["rows"][0]
    assert made["reasons"] == {"evolved_1:same": 3, "whole_1:no": 3}
    assert made["accepted"] == len(rows) == 6
    assert {row["fields"]["source"]["text"] for row in rows} == {
        "Tell me about item 2.",
        "Tell me about item 3.",
    }
    assert all(row["fields"]["input_1"] != row["fields"]["text"] for row in rows)


def test_paraphrase_keeps_the_output_of_its_seed(make):
    """Each seed in other words, every seed as often; the seeds' outputs, without asking."""
    report, rows = make(FREE, {"strategy": "paraphrase", "candidates": 8}, data=["seeds"])
    told = [(row["fields"]["source"]["answer"], completion(row)) for row in rows]
    assert all(ours == theirs for ours, theirs in told)
    assert sorted(ours for ours, _ in told) == sorted(2 * [row["answer"] for row in SEEDS])
    assert report["cost"]["requests"] == 8
    _, rows = make(
        FREE, {"strategy": "paraphrase", "candidates": 6, "options": {"styles": ["odd"]}},
        data=["pool"],
    )  # fmt: skip
    assert {row["fields"]["source"]["text"] for row in rows} == {row["text"] for row in POOL}


def test_from_documents(make, tmp_path):
    """Question, passages with distractors, a cited answer; a share that cannot be answered."""
    report, rows = make(
        GROUNDED,
        {
            "strategy": "from_documents",
            "candidates": 40,
            "options": {"distractors": 2, "unanswerable": 0.25, "words": 40},
        },
        data=["documents"],
        script=[
            ("Write one question", "Where does it lie?"),
            (r"\[2\] Town[^\[]*\[3\]", "By a river [1] [2] [3]."),
        ],
        split={"train": 0.9, "val": 0.1, "keep_together": ["seed"]},
    )
    assert report["rows"][0]["accepted"] == 40
    kept_back = [json.loads(line) for line in (tmp_path / VAL).read_text().splitlines()]
    assert len(rows) + len(kept_back) == 40
    documents = [{row["fields"]["passage_id"] for row in part} for part in (rows, kept_back)]
    assert not documents[0] & documents[1]
    without = [row for row in rows if row["fields"]["unanswerable"]]
    assert 2 <= len(without) <= 18
    for row in rows:
        fields = row["fields"]
        assert len(fields["passages"]) == 3
        own = [part["id"].split("#")[0] for part in fields["passages"]]
        assert (fields["passage_id"] in own) is not fields["unanswerable"]
        shown = row["messages"][0]["content"]
        assert all(part["text"] in shown for part in fields["passages"])
        wanted = "The passages do not say." if fields["unanswerable"] else "By a river [1] [2] [3]."
        assert completion(row) == wanted
    assert {row["fields"]["passage_id"] for row in rows} <= {row["id"] for row in DOCUMENTS}


def test_answers_without_the_right_citation_are_rejected(make):
    """An answer that does not name the passage it was made from is dropped."""
    report, _ = make(
        GROUNDED,
        {"strategy": "from_documents", "candidates": 12, "options": {"unanswerable": 0}},
        data=["documents"],
        script=[("Write one question", "Where?"), ("Answer the question", "By a river.")],
    )
    assert report["rows"][0]["reasons"] == {"cited:no": 12}


def test_rationale_kept_and_dropped(make):
    """The reasoning before the answer is learnt or left out; wrong endings are rejected."""
    script = [(r"item (\d)\?", "Items are numbered.\nAnswer: {1}"), ("", "no idea")]
    generate = {"strategy": "rationale", "options": {"reference": "truth"}}
    _, rows = make(FREE, generate, data=["pool"], script=script)
    assert {completion(row) for row in rows} == {
        f"Items are numbered.\nAnswer: {n}" for n in range(6)
    }
    generate["options"]["student"] = "drop"
    report, rows = make(FREE, generate, data=["pool"], script=[
        ("item 0", "It says so.\nAnswer: 7"), ("item 1", "no idea"), *script,
    ])  # fmt: skip
    assert {completion(row) for row in rows} == {"2", "3", "4", "5"}
    assert report["rows"][0]["reasons"] == {"usable:no": 2}


def test_react_traces(make):
    """Thoughts, actions and what tools gave back make the text; unfinished rows are rejected."""
    script = [
        (
            r"Observation: Town (\d)[^\n]*\n(?s:.*)Write the next",
            "Thought: so\nAction: finish[{1}]",
        ),
        ("item 5", "Thought: none\nAction: calculate[2 + 3 * (4 - 1)]"),
        (r"item (\d)", "Thought: search\nAction: search[town {1}]"),
    ]
    generate = {"strategy": "react", "options": {"steps": 3, "reference": "truth"}}
    report, rows = make(FREE, generate, data=["pool", "documents"], script=script)
    assert report["rows"][0]["reasons"] == {"finished:no": 1}
    assert len(rows) == 5
    for row in rows:
        text = completion(row)
        assert text.startswith("Thought: search\nAction: search[town ")
        assert "\nObservation: Town " in text
        assert text.rstrip().endswith(f"Action: finish[{row['fields']['truth']}]")
        assert row["fields"]["step_3"] == ""
        assert row["fields"]["answer"] == row["fields"]["truth"]


def test_preference_in_both_orders(make, tmp_path):
    """Chosen and rejected where both orders agree; a verdict that follows the order is no row."""
    report, rows = make(
        FREE,
        {"strategy": "preference", "options": {"other": "good", "judge": "judge"}},
        data=["pool"],
        teachers={
            "t": {"kind": "scripted"},
            "good": {"kind": "scripted", "script": [{"when": "item (.)", "answers": ["good {1}"]}]},
            "judge": {"kind": "scripted", "script": [
                {"when": r"Asked:\s+How do I mend item 0", "answers": ["A"]},
                {"when": r"Response A:\s+good", "answers": ["A"]},
                {"when": r"Response B:\s+good", "answers": ["B"]},
            ]},
        },
    )  # fmt: skip
    assert report["rows"][0]["reasons"] == {"winner:tie": 1}
    assert len(rows) == 5
    for row in rows:
        assert set(row) == {"id", "prompt", "chosen", "rejected", "fields"}
        assert row["prompt"] == [{"role": "user", "content": row["fields"]["text"]}]
        assert row["chosen"][0]["content"].startswith("good")
        assert row["rejected"] == [{"role": "assistant", "content": row["fields"]["rejected"]}]
    info = json.loads((tmp_path / "runs/s/dataset/dataset_info.json").read_text())
    assert info["train"]["ranking"] is True
    assert not (tmp_path / "runs/s/dataset/openai.jsonl").exists()


def test_one_teacher_answers_twice(make):
    """Without another teacher the same one is asked for two answers, which differ."""
    report, rows = make(FREE, {"strategy": "preference"}, data=["pool"], script=[
        (r"Response A:\s+About(?s:.*)", "A"), (r"Response B:\s+About", "B"), ("Which resp", "TIE"),
    ])  # fmt: skip
    assert report["rows"][0]["in"] == 6
    for row in rows:
        assert len(set(row["fields"]["answers"])) == 2


def test_best_of_n_keeps_the_losers(make):
    """The best answer is learnt, the others stand beside it with their scores."""
    script = [
        (r"Response:\s+(?:About|Notes)", "5"), (r"How good is the response", "2"),
    ]  # fmt: skip
    generate = {"strategy": "best_of_n", "options": {"n": 3, "min": 3}}
    report, rows = make(FREE, generate, data=["pool"], script=script)
    assert report["rows"][0]["rejected"] + len(rows) == 6
    for row in rows:
        fields = row["fields"]
        assert fields["scores"][fields["best"]] == max(fields["scores"]) == 5
        assert completion(row) == fields["answers"][fields["best"]]
        assert len(fields["losers"]) == 2
        assert {loser["answer"] for loser in fields["losers"]} <= set(fields["answers"])


def test_best_of_n_with_a_verifier_and_a_reference(make, tmp_path):
    """The user's own function, or a known answer, scores instead of a judge."""
    (tmp_path / "mine.py").write_text(
        "async def longest(row, ask, answer):\n    return len(answer)\n"
    )
    generate = {"strategy": "best_of_n", "options": {"n": 3, "verifier": "mine:longest"}}
    _, rows = make(FREE, generate, data=["pool"])
    assert all(completion(row) == max(row["fields"]["answers"], key=len) for row in rows)
    script = [("item [01]", "It is 1."), (r"item (\d)", "I say {1}")]
    generate = {"strategy": "best_of_n", "options": {"n": 2, "reference": "truth", "min": 1}}
    report, rows = make(FREE, generate, data=["pool"], script=script)
    assert report["rows"][0]["reasons"] == {"good:no": 1}
    assert len(rows) == 5


def test_judge_data_absolute(make):
    """Rubric, instruction, response, feedback and the judge's score; the verdict on a last line."""
    report, rows = make(
        JUDGE,
        {
            "strategy": "judge_data",
            "accept": 10,
            "balance": "wanted",
            "options": {"rubrics": "rubrics.jsonl", "votes": 3},
            "fields": {"instruction": {"render": "Explain it."}},
        },
        script=[(r"the grade (\d) of", "worth {1}"), (r"worth (\d)(?s:.*)Answer with", "{1}"),
                (r"The grade is (\d)", "It deserves {1}.")],
    )  # fmt: skip
    assert sorted(row["fields"]["score"] for row in rows) == sorted(2 * [1, 2, 3, 4, 5])
    for row in rows:
        fields = row["fields"]
        assert completion(row) == f"It deserves {fields['score']}.\nVERDICT: {fields['score']}"
        assert {"instruction", "response", "rubric", "score", "feedback", "source"} <= set(fields)
        assert fields["rubric"]["criterion"] in row["messages"][0]["content"]
        assert fields["judged_p"] == 1.0
    assert report["shortfall"] is None


def test_judge_data_pairwise_flips(make):
    """A verdict that follows the order is a tie or no row; winners speak of content."""
    script = [
        ("a high grade", "good"), ("a low grade", "bad"), ("a middling grade", "so so"),
        (r"The verdict is (\w+)", "Because {1}."),
        (r"Response A:\s+so so", "A"),
        (r"Response A:\s+good", "A"), (r"Response B:\s+good", "B"), ("Which one", "TIE"),
    ]  # fmt: skip
    generate = {
        "strategy": "judge_data",
        "candidates": 30,
        "fields": {"instruction": {"render": "Do it."}},
    }
    _, rows = make(PAIRS, generate, script=script)
    content = ({"A": "a", "B": "b", "TIE": "tie"}, {"A": "b", "B": "a", "TIE": "tie"})
    for row in rows:
        fields = row["fields"]
        said = [
            of[fields[name]] for of, name in zip(content, ("ranked", "ranked_swapped"), strict=True)
        ]
        assert fields["winner_votes"] == {one: said.count(one) for one in ("a", "b", "tie")}
        if "good" in (fields["a"], fields["b"]) and "so so" not in (fields["a"], fields["b"]):
            assert fields["winner"] == ("a" if fields["a"] == "good" else "b")
        verdict = fields["winner"].upper()
        assert completion(row) == f"Because {verdict}.\nVERDICT: {verdict}"
    flips = [r for r in rows if {r["fields"]["a"], r["fields"]["b"]} == {"good", "so so"}]
    assert flips
    assert all(row["fields"]["winner"] in ("tie", "a", "b") for row in flips)
    generate["options"] = {"votes": 3}
    _, asked = make(PAIRS, generate, script=script)
    thrice = [{one: 3 * n for one, n in row["fields"]["winner_votes"].items()} for row in rows]
    assert [row["fields"]["winner_votes"] for row in asked] == thrice
    generate["options"] = {"flips": "drop"}
    report, kept = make(PAIRS, generate, script=script)
    assert len(kept) < len(rows)
    assert "winner:flip" in report["rows"][0]["reasons"]
    generate["options"] = {"flips": "review"}
    _, kept = make(PAIRS, generate, script=script, review={"rows": 5})
    assert len(kept) == len(rows)
    assert {row["fields"]["flipped"] for row in kept} == {True, False}
    for row in kept:
        same = row["fields"]["ranked"] == {"A": "B", "B": "A"}.get(row["fields"]["ranked_swapped"])
        tie = row["fields"]["ranked"] == row["fields"]["ranked_swapped"] == "TIE"
        assert row["fields"]["flipped"] is not (same or tie)


def test_pairs_without_ties(make, project, tmp_path):
    """Nobody is offered a tie, and a verdict that turns with the order is no row."""
    script = [("TIE", "TIE"), (r"Response A:\s+(good|same)", "A"), (r"Response B:\s+good", "B"),
              ("a high grade", "good"), ("a low grade", "same"), ("grade", "bad")]  # fmt: skip
    generate = {
        "strategy": "judge_data",
        "candidates": 20,
        "options": {"feedback": False},
        "fields": {"instruction": {"render": "Do it."}},
    }
    report, rows = make({**PAIRS, "scale": ["a", "b"]}, generate, script=script)
    assert report["rows"][0]["reasons"]["winner:flip"] > 0
    assert {row["fields"]["winner"] for row in rows} == {"a", "b"}
    assert not any("TIE" in turn["content"] for row in rows for turn in row["messages"])
    recipe = json.loads((tmp_path / "recipe.yaml").read_text())
    recipe["generate"]["options"]["flips"] = "tie"
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    said = project.command("check", "recipe.yaml", "--json")
    assert said.code == 2
    assert [p["key"] for p in said.json["error"]["problems"]] == ["generate.options.flips"]


def test_copies_of_comparisons(make, tmp_path):
    """Swapped copies of training rows: not of val, not counted, in no stage, named on the card."""
    script = [(r"The verdict is (\w+)", "Response {1} is it."), (r"Response A:\s+good", "A"),
              (r"Response B:\s+good", "B"), ("a high grade", "good"), ("grade", "bad")]  # fmt: skip
    task = {**PAIRS, "augment": {"swap": 1.0, "drop_feedback": 0.5}}
    generate = {
        "strategy": "judge_data",
        "accept": 8,
        "candidates": 60,
        "fields": {"instruction": {"render": "Do it."}},
    }
    report, rows = make(task, generate, script=script, split={"train": 0.75, "val": 0.25})
    own = {row["id"]: row for row in rows if "copy_of" not in row["fields"]}
    swaps = [row for row in rows if row["fields"].get("augmented") == "swap"]
    held_out = [json.loads(line) for line in (tmp_path / VAL).read_text().splitlines()]
    assert len(own) + len(held_out) == 8 == report["rows"][-1]["accepted"]
    assert {row["fields"]["copy_of"] for row in swaps} == own.keys()
    assert not any("copy_of" in row["fields"] for row in held_out)
    for copy in swaps:
        first = own[copy["fields"]["copy_of"]]["fields"]
        assert (copy["fields"]["a"], copy["fields"]["b"]) == (first["b"], first["a"])
        winner = {"a": "B", "b": "A"}[first["winner"]]
        assert completion(copy) == f"Response {winner} is it.\nVERDICT: {winner}"
        asked = copy["messages"][0]["content"]
        assert asked.index(first["b"]) < asked.index(first["a"])
    short = [row for row in rows if row["fields"].get("augmented") == "no-feedback"]
    assert all(completion(row).startswith("VERDICT: ") for row in short)
    card = (tmp_path / "runs/s/dataset/README.md").read_text()
    assert f"holds {len(rows) - len(own)} more rows" in card


def test_label_pool_for_judges(make):
    """A pool of responses is scored; a rubric or reference that a row lacks is no error."""
    _, rows = make(
        {**JUDGE, "input": "text"} | {"input": "response"},
        {
            "strategy": "label_pool",
            "fields": {
                "instruction": {"render": "Say {{ truth }}."},
                "response": {"render": "{{ text }}"},
            },
        },
        data=["pool"],
    )
    assert len(rows) == 6
    assert all(completion(row) == f"VERDICT: {row['fields']['score']}" for row in rows)


def test_context_distillation(make, tmp_path):
    """The long prompt goes to the teacher, the student learns without it."""
    (tmp_path / "long.md").write_text("House rules: " + "be kind. " * 50)
    generate = {"strategy": "context_distillation", "options": {"context": "long.md"}}
    _, rows = make(FREE, generate, data=["pool"], script=[
        (r"House rules(?s:.*)item (\d)", "kindly {1}"), ("", "rudely"),
    ])  # fmt: skip
    assert {completion(row) for row in rows} == {f"kindly {n}" for n in range(6)}
    assert all("House" not in row["messages"][0]["content"] for row in rows)


def test_edit_hard(make, tmp_path):
    """New rows like those of val that an earlier student got wrong, never like gold."""
    folder = tmp_path / "runs/old/stages/07-evaluate"
    folder.mkdir(parents=True)
    lines = [
        {"set": name, "system": system, "id": f"{name}{n}", "fields": {"text": text, "label": "a"},
         "expected": "a", "answered": "b", "score": score}
        for name, system, n, text, score in [
            ("gold", "student", 0, "a gold text", 0.0), ("val", "student", 1, "a hard text", 0.0),
            ("val", "student", 2, "an easy text", 1.0), ("val", "teacher", 1, "another", 0.0),
        ]
    ]  # fmt: skip
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    _, rows = make(
        LABELS,
        {"strategy": "edit_hard", "candidates": 4, "options": {"run": "old"}},
        script=[(r"given this input:\s+a hard text", "harder still"), ("", "a")],
    )
    assert len(rows) == 4
    assert all(row["fields"]["text"] == "harder still" for row in rows)
    assert all(row["fields"]["failure_id"] == "val1" for row in rows)


def test_own_functions(make, tmp_path):
    """A python field gets the row and one async ask; what it raises fails the row, not the run."""
    (tmp_path / "own_fields.py").write_text(
        "async def shout(row, ask):\n"
        "    if row['truth'] == '3':\n"
        "        raise ValueError('three')\n"
        "    return {'said': (await ask('Say ' + row['text'])).upper()}\n"
    )
    report, rows = make(
        {**FREE, "output": "loud"},
        {"max_failed": 0.5, "fields": {"loud": {"python": "own_fields:shout", "ask": "t"}}},
        data=["pool"],
        script=[(r"Say (.*)", "{1}")],
    )
    assert report["rows"][0]["reasons"] == {"user_code": 1}
    assert {row["fields"]["loud"]["said"] for row in rows} == {
        row["text"].upper() for row in POOL if row["truth"] != "3"
    }
