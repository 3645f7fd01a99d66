"""`advise` as it is typed: from facts, and from a recipe with its data."""


def test_from_facts(project):
    """The path, the ladder with its costs, the reasons and the rows to collect, as text."""
    said = project.command("advise", "--fact", "task=classify,rows_per_month=5,000,000")
    assert said.code == 0
    for part in (
        "1. classifier",
        "USD once",
        "Because",
        "many rows",
        "Rows to collect",
        "(assumed)",
    ):
        assert part in said.out


def test_from_a_recipe(made, project):
    """Task and counts come from the recipe and its files."""
    found = project.command("advise", "recipe.yaml", "--json").json
    assert found["facts"]["task"] == "classify"
    assert found["facts"]["gold_rows"] > 0
    assert found["first"] == found["ladder"][0]["rung"]


def test_a_wrong_fact(project):
    """Exit 2 and what is allowed."""
    said = project.command("advise", "--fact", "need=speed")
    assert said.code == 2
    assert "cost, style, format" in said.err


def test_costs_come_from_the_recipes_estimate(project, monkeypatch):
    """A rung that trains costs what `estimate` says of the asks; without one the usual sizes."""
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    usd = project.command("estimate", "classify", "--json").json["usd"]["online"]["value"]
    ladder = project.command("advise", "classify", "--json").json["ladder"]
    costs = {rung["rung"]: rung["cost"] for rung in ladder}
    trained = [cost for cost in costs.values() if cost["gpu_hours"]]
    assert trained
    assert all(0 < cost["once_usd"] - usd < 50 for cost in trained)
    assert all("4,000 rows as `distill estimate` has it" in cost["basis"] for cost in trained)
