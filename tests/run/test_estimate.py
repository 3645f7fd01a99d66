"""What a recipe will take, a few rows shown first, and the teacher measured before it is paid."""

import json

import pytest

from teachers.budget import read_totals

PRICED = {"kind": "scripted", "script": [{"when": "about (billing|bug|other)", "answers": ["{1}"]}],
          "price": {"input": 1.0, "output": 2.0}}  # fmt: skip


@pytest.fixture
def folder(project, tmp_path, monkeypatch):
    """A project with a priced teacher, as current directory."""
    monkeypatch.chdir(tmp_path)
    project.write_project(tmp_path, rows=40, teacher=PRICED)
    return tmp_path


def within(span):
    return 0 <= span["low"] <= span["value"] <= span["high"]


def test_static_estimate_holds_what_the_run_takes(project, folder):
    """Nothing is asked; calls are exact for a pool, tokens and money lie within their spans."""
    said = project.command("estimate", "recipe.yaml", "--json")
    assert said.code == 0, said.out
    found = said.json
    assert not (folder / "runs").exists()
    assert not (folder / ".distill").exists()
    assert found["calls"]["low"] == found["calls"]["high"] == 40
    assert found["pilot"] is None
    assert found["seconds"]["online"] is None
    assert found["usd"]["batch"] is None
    cost = project.command("generate", "recipe.yaml", "--json").json["cost"]
    usd, tokens = found["usd"]["online"], found["tokens"]
    assert within(usd)
    assert usd["low"] <= cost["usd"] <= usd["high"]
    for name in ("input", "output"):
        assert tokens[name]["low"] <= cost[f"{name}_tokens"] <= tokens[name]["high"]


def test_pilot_measures_and_is_not_paid_twice(project, folder):
    """The pilot gives the yield per filter; its answers serve the run, whose budget paid them."""
    found = project.command("estimate", "recipe.yaml", "--pilot", 16, "--json").json
    pilot = found["pilot"]
    assert (pilot["rows"], pilot["accepted"]) == (16, 14)
    assert [(step["name"], step["in"], step["out"]) for step in pilot["filters"]] == [
        ("generate", 16, 16), ("length", 16, 14), ("refusal", 14, 14), ("not_in_gold", 14, 14),
    ]  # fmt: skip
    assert pilot["yield"]["low"] < 14 / 16 < pilot["yield"]["high"]
    assert within(found["usd"]["online"])
    assert within(found["seconds"]["online"])
    cost = project.command("generate", "recipe.yaml", "--json").json["cost"]
    assert (cost["requests"], cost["stored_answers"]) == (40, 16)
    usd = found["usd"]["online"]
    assert usd["low"] <= cost["usd"] <= usd["high"]
    assert pilot["usd"] == pytest.approx(cost["usd"] * 16 / 40, rel=0.1)
    again = project.command("estimate", "recipe.yaml", "--pilot", 16)
    assert "stored already" in again.out
    assert "14 of 16" in again.out


def test_batch_beside_online(project, folder):
    """A teacher of OpenAI's own service is priced both ways, without a key."""
    path = folder / "recipe.yaml"
    project.change(path, json.dumps(PRICED), '{"kind": "openai", "model": "gpt-4.1-mini"}')
    found = project.command("estimate", path, "--json").json
    online, batch = found["usd"]["online"], found["usd"]["batch"]
    assert batch["value"] == pytest.approx(online["value"] / 2)
    assert found["seconds"]["batch"] == {"value": 3600.0, "low": 3600.0, "high": 86400.0}


def test_preview_shows_rows(project, folder):
    """A few rows with their ends; answers and what they cost are left behind, and nothing else."""
    found = project.command("preview", "recipe.yaml", "-n", 8, "--json").json
    assert len(found["rows"]) == 8
    ends = {row["status"] for row in found["rows"]}
    assert ends == {"accepted", "rejected"}
    accepted = next(row for row in found["rows"] if row["status"] == "accepted")
    assert accepted["messages"][-1]["content"] == accepted["fields"]["label"]
    assert found["cost"]["requests"] == found["cost"]["by_teacher"]["big"]["requests"] == 8
    left = {path.name.partition("-")[0] for path in (folder / "runs/tiny").iterdir()}
    assert left == {".pid", "ledger.sqlite"}
    text = project.command("preview", "recipe.yaml", "-n", 3).out
    assert text.count("label: ") == 3
    cost = project.command("generate", "recipe.yaml", "--json").json["cost"]
    # Three of the eight were shown again.
    assert (cost["requests"], cost["stored_answers"]) == (40, 11)


def test_looking_ahead_counts_against_the_cap(project, folder):
    """Preview, pilot and run share one cap, each stops at it, and none passes it."""
    path = folder / "recipe.yaml"
    path.write_text(path.read_text() + "budget: {requests: 20}\n")
    assert project.command("preview", path, "-n", 8).code == 0
    assert project.command("estimate", path, "--pilot", 14).code == 0
    said = project.command("preview", path, "-n", 30)
    assert said.code == 4, said.err
    assert "20 of 20" in said.err
    said = project.command("generate", path, "--json")
    assert said.code == 4
    assert read_totals(folder / "runs/tiny/ledger.sqlite").requests == 20
    raised = project.command("generate", path, "--set", "budget.requests=40", "--json")
    assert raised.json["cost"]["requests"] == 40


def test_a_batch_teacher_is_asked_at_once(project, folder):
    """Preview, pilot and probe do not wait a day for a batch; the run itself sends batches."""
    path = folder / "recipe.yaml"
    with project.served() as served:
        teacher = served.teacher(mode="batch", price={"input": 1, "output": 1})
        project.change(path, json.dumps(PRICED), json.dumps(teacher))
        assert project.command("preview", path, "-n", 4).code == 0
        assert project.command("estimate", path, "--pilot", 8).code == 0
        assert (served.requests, served.server.stats["batches"]) == (8, 0)
        project.change(path, "ask: big}", "ask: big, probe: 6}")
        said = project.command("generate", path, "--json")
        assert said.code == 0, said.err
        assert said.json["probe"]["overall"]["n"] == 6
        assert served.requests == 8 + 6
        assert served.server.stats["batches"] >= 1
        assert said.json["cost"]["requests"] == 40 + 6


def test_more_rows_make_a_narrower_estimate(project, folder):
    """Tokens lie in a t-interval around the pilot's mean; it narrows as rows are asked."""
    widths = []
    for rows in (1, 10, 30):
        found = project.command("estimate", "recipe.yaml", "--pilot", rows, "--json").json
        tokens = found["tokens"]["input"]
        assert within(tokens)
        widths.append((tokens["high"] - tokens["low"]) / tokens["value"])
    assert widths[0] > 9 > 1 > widths[1] > widths[2] > 0


def test_probe_measures_the_teacher_first(project, folder):
    """The teacher's accuracy on gold, per label, in the report and the closing words."""
    path = folder / "recipe.yaml"
    project.change(path, "ask: big}", "ask: big, probe: 12}")
    project.change(path, '"kind": "scripted"', '"kind": "scripted", "wrong": 0.3')
    said = project.command("generate", path, "--json")
    assert said.code == 0, said.err + said.out
    found = said.json["probe"]
    assert (found["teacher"], found["metric"], found["overall"]["n"]) == ("big", "accuracy", 12)
    assert 0 < found["overall"]["low"] < found["overall"]["value"] < 1
    assert sum(figure.get("n", 0) for figure in found["by_label"].values()) == 12
    assert set(found["by_label"]) == {"billing", "bug", "other"}
    assert "12 gold rows: accuracy" in project.command("generate", path).out
    project.change(path, "gold: gold.jsonl", "seeds: null")
    assert "no gold to measure" in project.command("check", path).err


def test_what_evaluation_asks_is_counted(project, folder):
    """Every rung that a teacher climbs, the teacher itself and the judge of free texts, by row."""
    project.write_project(folder, rows=40, teacher=PRICED, student=True)
    gold = len((folder / "gold.jsonl").read_text().splitlines())
    more = {
        "on": ["gold"], "ask": "big", "few_shot": [1, 3],
        "baselines": ["zero_shot", "few_shot", "chain_of_thought", "majority"],
    }  # fmt: skip
    plain = project.command("estimate", "recipe.yaml", "--json").json
    assert plain["evaluation"]["asked"]["teacher"]["high"] >= gold
    given = "evaluate: {on: [gold, val], baselines: [majority, zero_shot], compare: [hard_labels]}"
    project.change(folder / "recipe.yaml", given, f"evaluate: {json.dumps(more)}")
    found = project.command("estimate", "recipe.yaml", "--json").json
    assert found["calls"] == plain["calls"]
    asked = found["evaluation"]["asked"]
    assert asked.keys() == {
        "teacher", "zero_shot", "few_shot_1", "few_shot_3", "chain_of_thought"
    }  # fmt: skip
    assert {calls["value"] for calls in asked.values()} == {gold}
    assert found["evaluation"]["calls"]["by_teacher"]["big"]["value"] == 5 * gold
    assert within(found["evaluation"]["usd"]["online"])
    assert found["evaluation"]["usd"]["online"]["value"] > 0
    assert f"evaluation     {5 * gold} calls" in project.command("estimate", "recipe.yaml").out
