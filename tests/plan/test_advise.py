"""The decision tree: facts in, the first rung and the reasons out."""

import dataclasses

import pytest

from distill.errors import UsageError
from distill.plan.advise import advise, tree
from distill.plan.facts import Facts, choices_of, read_fact
from distill.plan.rungs import STARTER_SETS, rungs, told

SCENARIOS = {
    "no labels and changing knowledge": (
        {"labelled_rows": 0, "knowledge": "changing"}, ["retrieval"], "the facts change",
    ),
    "a fixed format and 500 rows": (
        {"need": "format", "labelled_rows": 500}, ["few_shot", "lora"], "teach a format",
    ),
    "extraction and 500 rows": (
        {"task": "extract", "labelled_rows": 500}, ["few_shot", "lora"], "fixed format",
    ),
    "classification at high volume": (
        {"task": "classify", "rows_per_month": 5_000_000}, ["classifier"], "many rows",
    ),
    "classification in few milliseconds": (
        {"task": "classify", "latency_ms": 20}, ["classifier"], "few milliseconds",
    ),
    "classification, small, no labels": (
        {"task": "classify", "labelled_rows": 10}, ["zero_shot", "few_shot"], "hardly any labels",
    ),
    "classification, small, with labels": (
        {"task": "classify", "labelled_rows": 400}, ["few_shot", "classifier"], "to learn from",
    ),
    "style and changing facts": (
        {"need": "style", "knowledge": "changing"}, ["retrieval_and_fine_tuning"], "to be taught",
    ),
    "no team and a small budget": (
        {"team": "none", "budget_usd": 100}, ["zero_shot", "few_shot"], "no team",
    ),
    "no team, and facts that change": (
        {"team": "none", "knowledge": "changing"}, ["retrieval"], "the facts change",
    ),
    "answers that must not be made up": (
        {"knowledge": "changing", "hallucination": "fatal", "need": "accuracy"},
        ["retrieval", "retrieval_and_fine_tuning"], "made-up",
    ),
    "a judge without human verdicts": (
        {"task": "judge", "labelled_rows": 20}, ["few_shot"], "too few human verdicts",
    ),
    "a judge with human verdicts": (
        {"task": "judge", "labelled_rows": 1000}, ["few_shot", "lora"], "measure a small judge",
    ),
    "a good prompt that costs too much": (
        {"need": "cost", "tasks": "one"}, ["few_shot", "context_distillation"], "too expensive",
    ),
    "a costly prompt whose answers need reasons": (
        {"need": "cost", "transparency": True}, ["few_shot", "rationale"], "explained",
    ),
    "many tasks": ({"need": "cost", "tasks": "many"}, ["few_shot"], "more capacity"),
    "tone": ({"need": "style"}, ["few_shot", "lora", "preference"], "tone"),
    "a rare language with much text": (
        {"need": "language", "raw_tokens": 50_000_000},
        ["retrieval", "lora", "continued_pretraining"], "read on",
    ),
    "a field with little text": (
        {"knowledge": "stable", "raw_tokens": 10**5}, ["retrieval", "few_shot"], "too little text",
    ),
    "a new ability": ({"need": "ability"}, ["chain_of_thought", "lora"], "cannot do this"),
    "grounded answers": ({"task": "grounded"}, ["retrieval"], "given passages"),
    "a model of one's own": (
        {"from_scratch": True, "raw_tokens": 10**9}, ["continued_pretraining"], "10^11",
    ),
    "nothing is known": ({}, ["zero_shot", "few_shot"], "nobody has measured"),
}  # fmt: skip


@pytest.mark.parametrize(("facts", "ladder", "reason"), SCENARIOS.values(), ids=SCENARIOS)
def test_scenarios(facts, ladder, reason):
    """The first rungs and a reason of each situation."""
    found = advise(Facts(**facts))
    assert list(found.ladder)[: len(ladder)] == ladder
    assert reason in "; ".join(found.reasons)


def test_dangerous_rungs_come_with_a_warning():
    """Continued pre-training names data and forgetting, pre-training its GPU-hours."""
    reads_on = advise(Facts(need="language", raw_tokens=10**8))
    assert any("forgets" in warning for warning in reads_on.warnings)
    scratch = advise(Facts(from_scratch=True, raw_tokens=10**12))
    assert any("10^5 to 10^7 GPU-hours" in warning for warning in scratch.warnings)


def test_assumed_answers_are_marked():
    """What nobody said is told apart from what somebody said."""
    path = advise(Facts(task="classify")).path
    assert [step.assumed for step in path if step.fact == "task"] == [False]
    assert all(step.assumed for step in path if step.fact != "task")


def test_a_person_is_asked_only_for_what_is_not_known():
    """The walk asks in the order of the tree and takes what it is told."""
    asked = []

    def answer(fact, question, why):
        asked.append(fact)
        return {"from_scratch": False, "team_and_budget": "some", "task": "judge"}.get(fact)

    found = advise(Facts(knowledge="none", labelled_rows=500), answer)
    assert asked == ["from_scratch", "team_and_budget", "task"]
    assert found.ladder[0] == "few_shot"
    starter = told(found, rungs(found))["ladder"][0]["starter"]
    assert starter["command"] == "distill init my-project --template judge"


def test_the_tree_is_whole():
    """Every question is reached, every branch leads somewhere, every rung and warning exists."""
    known, reached = tree(), {tree()["start"]}
    for question in known["questions"].values():
        assert {"ask", "why", "fact", "branches"} <= question.keys()
        assert hasattr(Facts(), question["fact"])
        for branch in question["branches"]:
            assert ("then" in branch) != ("ladder" in branch)
            reached |= {branch["then"]} if "then" in branch else set()
            assert set(branch.get("ladder", [])) <= set(known["rungs"])
            assert set(branch.get("warn", [])) <= set(known["warnings"])
    assert reached == set(known["questions"])
    used = {
        r for q in known["questions"].values() for b in q["branches"] for r in b.get("ladder", [])
    }
    assert used == set(known["rungs"])
    assert set(STARTER_SETS) <= set(known["rungs"])


def test_every_value_of_a_fact_has_a_branch():
    """No answer leads nowhere."""
    for question in tree()["questions"].values():
        values = {branch["is"] for branch in question["branches"] if "is" in branch}
        if values and question["fact"] in {one.name for one in dataclasses.fields(Facts)}:
            assert values == set(choices_of(question["fact"])), question["fact"]


def test_rungs_have_costs_and_starters():
    """A trained rung costs once, a prompted one per row; each says on what that rests."""
    plain = told(found := advise(Facts(task="classify", labelled_rows=400)), rungs(found))
    few_shot, classifier, lora = plain["ladder"]
    assert few_shot["cost"]["once_usd"] == 0
    assert few_shot["cost"]["per_1000_usd"] > lora["cost"]["per_1000_usd"]
    assert lora["cost"]["gpu_hours"] > classifier["cost"]["gpu_hours"] > 0
    assert all(rung["cost"]["basis"] for rung in plain["ladder"])
    assert lora["starter"]["command"] == "distill init my-project --template classify"
    assert [part["what"] for part in plain["data_plan"]] == [
        "gold", "pool", "review", "error analysis",
    ]  # fmt: skip


def test_facts_are_read_as_typed():
    """Numbers with separators, yes and no; anything else is refused with what is allowed."""
    assert read_fact("rows_per_month", "300,000") == 300_000
    assert read_fact("transparency", "Yes") is True
    assert read_fact("need", "style") == "style"
    for name, text in (("need", "speed"), ("labelled_rows", "many"), ("mood", "good")):
        with pytest.raises(UsageError):
            read_fact(name, text)
