"""The chain of filters."""

import asyncio
from typing import get_args

import pytest

from distill.errors import RecipeError
from distill.filters import chain
from distill.filters.chain import FILTERS, build_chain
from distill.recipe.filtering import AnyFilter
from distill.rows.row import Row


def test_free_filters_run_first_and_paid_ones_last(recipe_of, teachers):
    """The order of the recipe holds inside both; a cap behind an ask counts what survives it."""
    rubric = "---\nscale: {min: 1, max: 5}\n---\nGood?\n"
    judge = {"judge": {"ask": "big", "rubric": rubric, "min": 4}}
    cap = {"balance": {"max": 5}}
    recipe = recipe_of(judge, "refusal", cap, {"complete": {"ask": "big"}}, "duplicate")
    chain = build_chain(recipe, gold=[], teachers=teachers())
    assert chain.order == ["refusal", "duplicate", "judge", "balance", "complete"]
    early = recipe_of(cap, judge, "refusal", data={"gold": "gold.jsonl"})
    gold = [{"text": "one two", "label": "a"}]
    order = build_chain(early, gold=gold, teachers=teachers()).order
    assert order == ["balance", "refusal", "not_in_gold", "judge"]


def test_every_filter_of_the_schema_is_built():
    """The dictionary's keys are the kinds of the union."""
    kinds = {spec.model_fields["kind"].default for spec in get_args(AnyFilter)}
    assert set(FILTERS) == kinds


def test_rows_are_sifted_in_id_order_and_survivors_go_on(recipe_of):
    """Filters run as listed; a dropped row meets no later filter and keeps its verdicts."""
    recipe = recipe_of({"length": {"words": [2, 9]}}, "duplicate", "refusal")
    chain = build_chain(recipe, gold=[])
    rows = [
        Row("c", {"text": "same words"}),
        Row("a", {"text": "Same words!"}),
        Row("b", {"text": "x"}),
    ]
    sifted = asyncio.run(chain.sift(rows))
    assert [(row.id, row.status, row.reason) for row in sifted] == [
        ("a", "accepted", None),
        ("b", "rejected", "length:too_short"),
        ("c", "rejected", "duplicate"),
    ]
    assert [[verdict.by for verdict in row.verdicts] for row in sifted] == [
        ["length", "duplicate", "refusal"],
        ["length"],
        ["length", "duplicate"],
    ]
    assert sifted[1].score == 1
    assert chain.order == ["length", "duplicate", "refusal"]


def test_blocks_change_nothing(recipe_of, monkeypatch):
    """Filters that judge each row by itself see some rows at a time."""
    recipe = recipe_of({"length": {"words": [2, 4]}}, "standardise", "duplicate", "pii")
    texts = ["one two", "one  two", "one", None, "me@here.example is mine", "a b c d e", "x y"]
    rows = [Row(f"{at:03}", {"text": text, "label": "a"}) for at, text in enumerate(texts)]
    whole = asyncio.run(build_chain(recipe, gold=[]).sift(rows))
    monkeypatch.setattr(chain, "BLOCK", 2)
    assert asyncio.run(build_chain(recipe, gold=[]).sift(rows)) == whole
    assert [row.reason for row in whole] == [
        None, "duplicate", "length:too_short", "length:missing_field", "pii:email",
        "length:too_long", None,
    ]  # fmt: skip


def test_a_missing_field_is_a_reason(sift):
    """A row without the field that a filter reads is dropped and counted, not an error."""
    [row, other] = sift({"length": {"words": [1, 9]}}, {"other": 1}, {"text": None})
    assert (row.status, row.reason) == ("rejected", "length:missing_field")
    assert other.reason == "length:missing_field"


def test_rows_that_are_not_accepted_pass_through(recipe_of):
    """Failed rows come back as they went in."""
    chain = build_chain(recipe_of("duplicate"), gold=[])
    failed = Row("a", {}, "failed", "timeout")
    assert asyncio.run(chain.sift([failed])) == [failed]


def test_not_in_gold_is_added_where_there_is_gold(recipe_of):
    """With data.gold the filter runs unasked, last, and only once."""
    gold = [{"text": "one two", "label": "a"}]
    data = {"gold": "gold.jsonl"}
    assert build_chain(recipe_of("refusal", data=data), gold=gold).order == [
        "refusal",
        "not_in_gold",
    ]
    assert build_chain(recipe_of("not_in_gold", "refusal", data=data), gold=gold).order == [
        "not_in_gold",
        "refusal",
    ]
    assert build_chain(recipe_of("refusal"), gold=[]).order == ["refusal"]


@pytest.mark.parametrize(
    ("filter", "said"),
    [
        ("balance", "no cap"),
        ("verify", "checks nothing"),
        ({"classifier": {"model": "nowhere", "label": "ok"}}, "no limit"),
        ({"custom": {"python": "nothing"}}, "names no function"),
        ({"language": {"languages": ["xx"]}}, "unknown languages"),
        ({"judge": {"ask": "big", "rubric": "Good?\n", "min": 1}}, "no front matter"),
        ("length", "no limit"),
        ({"length": {"words": [5, 2]}}, "allows no row"),
        ({"length": {"tokens": [1, 2]}}, "tokenizer"),
        ("regex", "no pattern"),
        ({"regex": {"match": "("}}, "not a regular expression"),
        ({"format": {"json_schema": {"type": "nonsense"}}}, "not a JSON Schema"),
        ("not_in_gold", "no gold rows"),
    ],
)
def test_options_that_cannot_work_are_refused_with_their_place(recipe_of, filter, said):
    """The message names the key of the recipe and what is wrong."""
    with pytest.raises(RecipeError, match=said) as caught:
        build_chain(recipe_of(filter), gold=[])
    assert caught.value.problems[0].key.startswith("filter.0.")
