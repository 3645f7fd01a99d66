"""Proposals: ids, sample numbers, random streams."""

import json

import pytest

from distill.errors import RecipeError
from distill.generate.propose import Proposer

KINDS = {"kind": {"sample": ["x", "y"]}}


def test_rows_with_equal_base_values_get_different_answers(make_recipe, generate, tools):
    """A writing field asks with sample = replica x votes + vote; a choosing field always with 0."""
    fields = KINDS | {
        "hue": {"sample": ["red", "blue"]},
        "text": {"ask": "t", "prompt": "Write about {{ kind }}"},
        "reply": {"ask": "t", "prompt": "Reply to {{ text }}", "votes": 2},
        "check": {"ask": "t", "prompt": "Label {{ kind }}", "choices": "labels", "votes": 2},
    }
    teacher = tools.Scribe(tools.chooses)
    made = generate(make_recipe(fields, candidates=40), teacher)
    kinds = tools.Counter(row.fields["kind"] for row in made.candidates)
    wrote = [ask for ask in teacher.asks if ask.messages[-1].content.startswith("Write")]
    assert sorted(ask.sample for ask in wrote) == sorted([*range(kinds["x"]), *range(kinds["y"])])
    assert len({(ask.messages, ask.sample) for ask in wrote}) == 40
    replies = [ask for ask in teacher.asks if ask.messages[-1].content.startswith("Reply")]
    assert max(ask.sample for ask in replies) == 2 * max(kinds.values()) - 1
    checks = [ask for ask in teacher.asks if ask.choices]
    assert {ask.sample for ask in checks} == {0, 1}


def test_replicas_count_over_rounds_in_proposal_order(make_recipe):
    """However the rounds are cut, the n-th row of equal base values is replica n - 1."""
    fields = KINDS | {"text": {"ask": "t", "prompt": "{{ kind }}"}}
    one, two = (
        Proposer(make_recipe(fields, candidates=30)),
        Proposer(make_recipe(fields, candidates=30)),
    )
    whole, parts = one.propose(30), two.propose(7) + two.propose(23)
    assert whole == parts
    assert not two.left
    for kind in ("x", "y"):
        seen = [p.replicas["text"] for p in whole if p.drawn["kind"]["kind"] == kind]
        assert seen == list(range(len(seen)))


def test_adding_a_field_or_raising_the_target_reshuffles_nothing(make_recipe):
    """Ids and drawn values of the first rows stay what they were."""
    few = Proposer(make_recipe(KINDS, accept=5)).propose(20)
    more = {"mood": {"sample": ["calm", "angry"]}} | KINDS
    many = Proposer(make_recipe(more, accept=50)).propose(20)
    assert [p.id for p in few] == [p.id for p in many]
    assert [p.drawn["kind"] for p in few] == [p.drawn["kind"] for p in many]
    other = Proposer(make_recipe(KINDS, accept=5, seed=8)).propose(20)
    assert [p.id for p in few] != [p.id for p in other]


def test_seeds_carry_their_id(make_recipe):
    """FIELD_id names the seed, so that rows of one seed can be kept together."""
    seeds = [{"text": "one"}, {"text": "two"}]
    recipe = make_recipe(
        {"seed": {"sample": "seeds"}},
        candidates=30,
        files={"s.jsonl": seeds},
        data={"seeds": "s.jsonl"},
    )
    drawn = [proposal.drawn["seed"] for proposal in Proposer(recipe).propose(30)]
    pairs = {(value["seed"]["text"], value["seed_id"]) for value in drawn}
    assert len(pairs) == 2
    assert all(len(id) == 16 for _, id in pairs)


def test_a_row_grown_from_a_grown_row_names_the_same_seed(make_recipe, generate, tools):
    """`accepted` with one value passes the seed's id on through any number of rounds."""
    seeds = [{"text": f"seed {at}"} for at in range(3)]
    fields = {
        "parent": {"sample": "accepted"},
        "text": {"ask": "t", "prompt": "Vary: {{ parent.text }}"},
    }
    recipe = make_recipe(fields, accept=200, files={"s.jsonl": seeds}, data={"seeds": "s.jsonl"})
    made = generate(recipe, tools.Scribe())
    ids = {row.fields["parent_id"] for row in made.candidates}
    parents = {row.fields["parent"]["text"] for row in made.candidates}
    assert len(ids) == 3
    assert len(parents) > 3


def test_values_come_from_every_kind_of_file(make_recipe):
    """Lines, YAML, JSON, JSONL, CSV of one column, and mappings picked by another field."""
    files = {
        "a.txt": "one\n\ntwo\n",
        "b.yaml": "- 1\n- [2, 3]\n",
        "c.json": '["c"]',
        "d.csv": "name\nAnn\n",
        "e.yaml": "x: [xx]\ny: [yy, yz]\n",
        "f.jsonl": [{"a": 1, "b": 2}],
    }
    fields = KINDS | {
        "a": {"sample": "a.txt"},
        "b": {"sample": "b.yaml"},
        "c": {"sample": "c.json"},
        "d": {"sample": "d.csv"},
        "e": {"sample": "e.yaml", "by": "kind"},
        "f": {"sample": "f.jsonl"},
        "g": {"sample": [1, 2, 3], "count": 2},
    }
    proposals = Proposer(make_recipe(fields, candidates=40, files=files)).propose(40)
    rows = [{k: v for d in p.drawn.values() for k, v in d.items()} for p in proposals]

    def values(name):
        return {json.dumps(row[name]) for row in rows}

    assert values("a") == {'"one"', '"two"'}
    assert values("b") == {"1", "[2, 3]"}
    assert values("c") == {'"c"'}
    assert values("d") == {'"Ann"'}
    assert values("f") == {'{"a": 1, "b": 2}'}
    assert all(row["e"][0] == row["kind"] for row in rows)
    assert all(len(set(row["g"])) == 2 for row in rows)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"sample": []}, "empty"),
        ({"sample": [1], "count": 2}, "2 different values wanted"),
        ({"sample": "missing.txt"}, "missing.txt"),
        ({"sample": "m.json"}, "a mapping without `by`"),
        ({"sample": [1], "by": "kind"}, "not a mapping"),
        ({"sample": "m.json", "by": "nothing"}, "neither a sampled field"),
        ({"sample": "m.json", "by": "kind"}, "no entry for kind"),
    ],
)
def test_sources_that_cannot_be_drawn_from_are_refused(make_recipe, field, said):
    """The message names the field's key in the recipe or the file."""
    recipe = make_recipe(KINDS | {"z": field}, candidates=9, files={"m.json": '{"x": [1]}'})
    with pytest.raises(RecipeError, match=said):
        Proposer(recipe).propose(9)


def test_each_draws_one_value_from_every_entry(make_recipe, tmp_path):
    """`each` gives a mapping with one value of every entry of the file."""
    (tmp_path / "slots.json").write_text(json.dumps({"day": ["Monday"], "city": ["Porto", "Lyon"]}))
    fields = {"slots": {"sample": "slots.json", "each": True}}
    proposer = Proposer(make_recipe(fields, candidates=20))
    drawn = [proposal.drawn["slots"]["slots"] for proposal in proposer.propose(20)]
    assert {slots["day"] for slots in drawn} == {"Monday"}
    assert {slots["city"] for slots in drawn} == {"Porto", "Lyon"}
