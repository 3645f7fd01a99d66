"""The generate stage: rounds, targets, determinism, stopping."""

import asyncio

import pytest

from distill.errors import RecipeError, RunError
from distill.filters.chain import build_chain
from distill.generate.stage import Interrupted, run_generate
from distill.progress import silent
from teachers.errors import AuthError, BudgetReached, MissingKey, TeacherError

WRITE = {
    "label": {"sample": "labels"},
    "text": {"ask": "t", "prompt": "Write about {{ label }}"},
    "check": {"ask": "t", "prompt": "Label {{ text }}", "choices": "labels", "votes": 3},
}


def test_result_does_not_depend_on_completion_order(make_recipe, generate, tools):
    """Random delays change neither rows, nor ids, nor the cut, nor what was asked."""
    recipe = make_recipe(WRITE, accept=60, max_failed=0.5, filter=[{"agree": {"with": "check"}}])
    results, asks = [], []
    for seed, pace in ((1, 0.0), (2, 0.01), (3, 0.02)):
        teacher = tools.Scribe(tools.fails_some, pace, seed)
        results.append(generate(recipe, teacher, build_chain(recipe, gold=[]).sift))
        asks.append({(ask.messages, ask.sample, ask.choices) for ask in teacher.asks})
    assert results[0] == results[1] == results[2]
    assert asks[0] == asks[1] == asks[2]
    rows = results[0].sifted
    assert sum(row.status == "accepted" for row in rows) == 60
    assert {row.reason for row in rows if row.status == "rejected"} >= {"surplus"}


def test_every_candidate_is_answered_or_failed_and_sifted_once(make_recipe, generate, tools):
    """in = accepted + rejected + failed, joined by id."""
    recipe = make_recipe(WRITE, accept=80, max_failed=0.5, filter=[{"agree": {"with": "check"}}])
    made = generate(recipe, tools.Scribe(tools.fails_some), build_chain(recipe, gold=[]).sift)
    answered = [row.id for row in made.candidates if row.status == "accepted"]
    failed = [row for row in made.candidates if row.status == "failed"]
    assert len(set(answered)) + len(failed) == len(made.candidates)
    assert [row.id for row in made.sifted] == answered
    assert failed
    assert {row.reason for row in failed} == {"content_filter"}
    assert failed[0].verdicts[0].by in ("text", "check")


def test_the_last_round_is_cut_in_row_order(make_recipe, generate, tools):
    """Rows beyond the target are rejected as surplus, the highest ids first to go."""
    recipe = make_recipe({"label": {"sample": "labels"}}, accept=10)
    made = generate(recipe)
    assert [row.status for row in made.sifted] == ["accepted"] * 10 + ["rejected"] * 10
    assert {row.reason for row in made.sifted[10:]} == {"surplus"}
    assert all(row.status == "accepted" for row in made.candidates)
    assert made.shortfall is None


def test_a_missed_target_is_a_shortfall_with_its_cause(make_recipe, generate, tools):
    """At the ceiling the stage ends and says what dropped the most rows."""
    recipe = make_recipe(WRITE, accept=50, candidates=90)
    sift = tools.keep_if(lambda fields: fields["label"] == "a")
    made = generate(recipe, tools.Scribe(tools.chooses), sift)
    assert len(made.candidates) == 90
    got = sum(row.status == "accepted" for row in made.sifted)
    assert (made.shortfall.accept, made.shortfall.got) == (50, got)
    lost = 90 - got
    assert made.shortfall.why == (
        f"all 90 candidates were tried; {lost} were dropped or failed, most often dull ({lost})"
    )


def test_a_pool_is_labelled_once_and_equal_rows_keep_their_own_ids(make_recipe, generate, tools):
    """Every pool row becomes one candidate; a copy gets the second ordinal of the same parent."""
    pool = [{"text": "one", "n": 1}, {"text": "two", "n": 2}, {"text": "one", "n": 1}]
    fields = {"label": {"ask": "t", "prompt": "{{ text }}", "choices": "labels"}}
    recipe = make_recipe(fields, files={"pool.jsonl": pool}, data={"pool": "pool.jsonl"})
    teacher = tools.Scribe(tools.chooses)
    made = generate(recipe, teacher)
    assert len({row.id for row in made.candidates}) == 3
    assert sorted(row.fields["n"] for row in made.candidates) == [1, 1, 2]
    assert {ask.sample for ask in teacher.asks} == {0}
    turned = make_recipe(fields, files={"pool.jsonl": pool[::-1]}, data={"pool": "pool.jsonl"})
    assert generate(turned, tools.Scribe(tools.chooses)).candidates == made.candidates


def test_a_pool_with_a_target_asks_only_for_what_it_needs(make_recipe, generate, tools):
    """Pool rows beyond the target stay unasked; an exhausted pool is named in the shortfall."""
    pool = [{"text": f"row {at}"} for at in range(60)]
    fields = {"label": {"ask": "t", "prompt": "{{ text }}", "choices": "labels"}}
    files = {"files": {"pool.jsonl": pool}, "data": {"pool": "pool.jsonl"}}
    teacher = tools.Scribe(tools.chooses)
    assert len(generate(make_recipe(fields, accept=20, **files), teacher).candidates) == 24
    made = generate(make_recipe(fields, accept=70, **files), teacher)
    assert made.shortfall.why.startswith("all 60 rows of the pool were tried")


def test_growth_draws_from_accepted_rows_of_earlier_rounds(make_recipe, generate, tools):
    """Later prompts show rows that survived; dropped rows are never shown."""
    seeds = [{"text": "seed one", "label": "a"}, {"text": "seed two", "label": "b"}]
    fields = {
        "examples": {"sample": "accepted", "count": 3},
        "label": {"sample": "labels"},
        "text": {
            "ask": "t",
            "prompt": "{% for e in examples %}{{ e.text }};{% endfor %}{{ label }}",
        },
    }
    recipe = make_recipe(fields, accept=100, files={"s.jsonl": seeds}, data={"seeds": "s.jsonl"})
    sift = tools.keep_if(lambda row: row["label"] != "c")
    teacher = tools.Scribe(pace=0.002)
    made = generate(recipe, teacher, sift)
    shown = {example["text"] for row in made.candidates for example in row.fields["examples"]}
    kept = {row.fields["text"] for row in made.sifted if row.status == "accepted"}
    dropped = {row.fields["text"] for row in made.sifted if row.reason == "dull"}
    assert shown & kept
    assert not shown & dropped
    assert all(set(e) == {"text", "label"} for r in made.candidates for e in r.fields["examples"])
    assert made == generate(recipe, tools.Scribe(pace=0.0), sift)


def test_without_a_teacher_fields_are_drawn_and_rendered(make_recipe, generate):
    """A recipe with no teacher makes rows from samples and templates alone."""
    fields = {"who": {"sample": ["Ann", "Bo"]}, "text": {"render": "Dear {{ who }}"}}
    made = generate(make_recipe(fields, candidates=5, teachers={}))
    assert len(made.candidates) == 5
    assert all(row.fields["text"] == f"Dear {row.fields['who']}" for row in made.candidates)
    assert list(made.candidates[0].fields) == ["who", "text"]


def test_too_many_failures_stop_the_run_and_name_the_cause(make_recipe, generate, tools):
    """The first line names the commonest kind and a row with its message; running asks end."""
    recipe = make_recipe(WRITE, candidates=500, max_failed=0.2)

    def answer(ask):
        return TeacherError("parse", "answered nonsense") if "b" in str(ask.messages) else "text"

    teacher = tools.Scribe(answer, pace=0.005)
    with pytest.raises(RunError, match=r"\d+ rows failed, .* 'parse' .*; row [0-9a-f]{16}: ans"):
        generate(recipe, teacher)
    assert len(teacher.asks) < 500
    assert teacher.running == 0


def test_a_small_run_that_fails_whole_is_an_error(make_recipe, generate, tools):
    """Fewer rows than the window: only a run in which every row failed is stopped."""
    fields = {"text": {"ask": "t", "prompt": "x"}}
    teacher = tools.Scribe(lambda ask: TeacherError("network", "nobody answers"))
    with pytest.raises(RunError, match="nobody answers"):
        generate(make_recipe(fields, candidates=3), teacher)
    made = generate(make_recipe(fields, candidates=3, max_failed=1.0), teacher)
    assert [row.status for row in made.candidates] == ["failed"] * 3


@pytest.mark.parametrize("error", [AuthError("auth", "refused"), MissingKey("auth", "no key")])
def test_a_refused_key_ends_the_run_at_once(make_recipe, generate, tools, error):
    """The error itself comes out, after the other asks were cancelled."""
    recipe = make_recipe(WRITE, candidates=100)
    calls = iter(range(10**6))
    teacher = tools.Scribe(lambda ask: error if next(calls) == 5 else "a", pace=0.01)
    with pytest.raises(type(error)):
        generate(recipe, teacher)
    assert teacher.running == 0
    assert len(teacher.asks) < 100


def test_the_cap_interrupts_with_what_is_accepted(make_recipe, generate, tools):
    """Interrupted carries the cap, the rows accepted in complete rounds and those filled."""
    recipe = make_recipe({"text": {"ask": "t", "prompt": "x"}}, accept=60)
    calls = iter(range(10**6))

    def answer(ask):
        return BudgetReached("usd", "the next ask would pass 1 USD") if next(calls) >= 80 else "a"

    sift = tools.keep_if(lambda fields: False)
    with pytest.raises(Interrupted) as caught:
        generate(recipe, tools.Scribe(answer), sift)
    assert (caught.value.cause.args[0], caught.value.accepted) == ("usd", 0)
    assert 72 <= caught.value.asked <= 80
    assert str(caught.value) == "the next ask would pass 1 USD"


def test_stop_ends_the_stage_while_teachers_are_slow(make_recipe, generate, tools):
    """A request to stop does not wait for answers."""
    recipe = make_recipe({"text": {"ask": "t", "prompt": "x"}}, candidates=9)
    teacher = tools.Scribe(pace=1000)
    with pytest.raises(Interrupted) as caught:
        generate(recipe, teacher, stop=lambda: True)
    assert caught.value.cause is None
    assert teacher.cancelled == 9


def test_rows_in_flight_are_bounded(make_recipe, generate, tools):
    """At most 4 x concurrency rows (and never under 32) are open at once."""
    recipe = make_recipe({"text": {"ask": "t", "prompt": "x"}}, candidates=200)
    teacher = tools.Scribe(pace=0.005)
    generate(recipe, teacher)
    assert teacher.most == 32


def test_progress_counts_rows_or_the_target(make_recipe, tools):
    """Without a target the rows done are counted, with one the accepted rows."""
    seen = []
    recipe = make_recipe({"label": {"sample": "labels"}}, candidates=30)
    asyncio.run(run_generate(recipe, {}, None, seen.append))
    assert (seen[-1].stage, seen[-1].done, seen[-1].total) == ("generate", 30, 30)
    recipe = make_recipe({"label": {"sample": "labels"}}, accept=25)
    asyncio.run(run_generate(recipe, {}, None, seen.append))
    assert (seen[-1].done, seen[-1].total, seen[-1].figures["accepted"]) == (25, 25, 25)


def test_a_sift_that_loses_rows_is_an_error(make_recipe, generate):
    """Rows are joined by id; a filter may not drop one without a verdict."""

    async def loses(rows):
        return rows[1:]

    with pytest.raises(RunError, match="gave back"):
        generate(make_recipe({"label": {"sample": "labels"}}, candidates=3), sift=loses)


@pytest.mark.parametrize(
    ("fields", "more", "said"),
    [
        ({"text": {"ask": "nobody", "prompt": "x"}}, {"candidates": 1}, "no teacher 'nobody'"),
        ({"label": {"sample": "labels"}}, {}, "neither a pool nor"),
        ({"x": {"python": "m_:f"}}, {"candidates": 1}, "no module 'm_'"),
        ({"x": {"sample": "seeds"}}, {"candidates": 1}, "there are none"),
        ({"x": {"render": "{{ missing }}"}}, {"candidates": 1}, "missing"),
        ({"x": {"ask": "t", "prompt": "x", "choices": "colours"}}, {"candidates": 1}, "no choices"),
    ],
)
def test_recipes_that_cannot_be_generated_are_refused(make_recipe, tools, fields, more, said):
    """One clear RecipeError instead of a traceback."""
    with pytest.raises(RecipeError, match=said):
        asyncio.run(run_generate(make_recipe(fields, **more), {"t": tools.Scribe()}, None, silent))
