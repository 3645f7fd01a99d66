"""Cells are kept level: generation goes on where one is short and stops where it is full."""

import pytest

LIST = {"sample": ["calm", "angry"]}
ASK = {"ask": "t", "prompt": "{{ label }} {{ tone }}"}


def cells(tools, made, *names):
    accepted = [row for row in made.sifted if row.status == "accepted"]
    return tools.Counter(tuple(row.fields[name] for name in names) for row in accepted)


def fields(**more):
    return {"label": {"sample": "labels"}, "tone": LIST, "text": ASK, **more}


def test_a_cell_of_low_yield_gets_more_candidates(make_recipe, generate, tools):
    """One label survives rarely: it is asked for more often, and all are level in the end."""
    recipe = make_recipe(fields(), accept=60, candidates=1000, balance="label")
    sift = tools.keep_if(lambda row: row["label"] != "c" or int(row["text"][-3:], 16) % 5 == 0)
    made = generate(recipe, tools.Scribe(), sift)
    assert cells(tools, made, "label") == {("a",): 20, ("b",): 20, ("c",): 20}
    tried = tools.Counter(row.fields["label"] for row in made.candidates)
    assert tried["c"] > 2 * tried["a"]
    assert made.shortfall is None


def test_attributes_are_crossed(make_recipe, generate, tools):
    """Several fields make a cell of every combination; what cannot be shared goes to the first."""
    recipe = make_recipe(fields(), accept=32, candidates=1000, balance=["label", "tone"])
    counts = cells(tools, generate(recipe, tools.Scribe()), "label", "tone")
    assert sorted(counts.values()) == [5, 5, 5, 5, 6, 6]


def test_a_label_that_is_asked_for_is_cut_where_full(make_recipe, generate, tools):
    """Where the teacher chooses, rows beyond a full cell are surplus, and asking goes on."""
    label = {"ask": "t", "prompt": "{{ n }}", "choices": "labels"}
    asked = {"n": {"sample": list(range(500))}, "text": {"ask": "t", "prompt": "{{ n }}"},
             "label": label}  # fmt: skip
    recipe = make_recipe(asked, accept=30, candidates=500, balance="label")

    def mostly_a(ask):
        said = tools.chooses(ask)
        return "a" if ask.choices and hash(ask.messages[-1].content) and said == "b" and (
            int(ask.messages[-1].content) % 4) else said  # fmt: skip

    made = generate(recipe, tools.Scribe(mostly_a))
    assert cells(tools, made, "label") == {("a",): 10, ("b",): 10, ("c",): 10}
    surplus = tools.Counter(row.fields["label"] for row in made.sifted if row.reason == "surplus")
    assert surplus["a"] > surplus["b"]


def test_an_unreachable_cell_ends_with_what_was_found(make_recipe, generate, tools):
    """The ceiling ends it; the shortfall names the cell, how far it got and why."""
    recipe = make_recipe(fields(), accept=30, candidates=90, balance="label")
    sift = tools.keep_if(lambda row: row["label"] != "b", reason="dull")
    made = generate(recipe, tools.Scribe(), sift)
    assert len(made.candidates) == 90
    assert (made.shortfall.accept, made.shortfall.got) == (30, 20)
    assert "short are b: 0 of 10" in made.shortfall.why
    assert "dull" in made.shortfall.why


@pytest.mark.parametrize("balance", [None, "label"])
def test_rows_do_not_depend_on_timing(make_recipe, generate, tools, balance):
    """Whatever order answers come in, the rows are the same."""
    more = {"balance": balance} if balance else {}
    recipe = make_recipe(fields(), accept=40, candidates=400, **more)
    sift = tools.keep_if(lambda row: int(row["text"][-2:], 16) % 3 > 0)
    one, two = (
        generate(recipe, tools.Scribe(pace=0.004, seed=seed), sift).sifted for seed in (1, 2)
    )
    assert one == two
