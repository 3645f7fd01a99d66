"""The spending cap of a run: where it stops, what it says, and how it goes on."""

import pytest

from distill.errors import BudgetPaused, RunError
from distill.recipe.load import load_recipe
from distill.run.walk import run_recipe

PRICE = {"input": 1.0, "output": 2.0}


@pytest.fixture
def paid(project, workdir):
    """A project whose teacher costs money, and its server."""
    with project.served() as server:
        teacher = server.teacher(price=PRICE, concurrency=4, max_tokens=20)
        yield project.write_project(workdir, teacher=teacher), server


def run(recipe, *overrides, **options):
    return run_recipe(load_recipe(recipe, overrides), **options)


def test_a_cap_pauses_and_a_higher_one_goes_on(paid, project):
    """Exit 4 with what is there and what the rest would cost; nothing is asked twice afterwards."""
    recipe, server = paid
    said = project.command("run", recipe, "--set", "budget.requests=10")
    assert said.code == 4
    [told] = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert "10 of 10 are spent" in told
    assert "10 of 40 rows are answered so far" in told
    assert "the other 30 would cost about 0.00" in told
    assert "Raise the cap" in told
    assert server.requests == 10
    assert project.command("run", recipe, "--set", "budget.requests=40", "--quiet").code == 0
    assert server.requests == 40


def test_with_a_target_the_accepted_rows_are_counted(paid):
    """What the filters drop does not count, also in a round that was broken off."""
    recipe, server = paid
    with pytest.raises(BudgetPaused) as caught:
        run(recipe, "generate.accept=30", "budget.requests=20")
    assert server.requests == 20
    found = caught.value.problems[0].found
    accepted = int(found.split(" of 30 rows are accepted")[0].split()[-1])
    assert 15 <= accepted < 20
    assert f"the other {30 - accepted} would cost about" in found


def test_a_cap_may_fail_the_run(paid):
    """`on_limit: fail` is an ordinary failure, exit 1."""
    with pytest.raises(RunError, match="are answered so far") as caught:
        run(paid[0], "budget.usd=0.0005", "budget.on_limit=fail")
    assert caught.value.exit_code == 1


def test_a_cap_holds_while_measuring(paid):
    """The teacher's answers on gold count too, and the same words are said."""
    recipe, server = paid
    student = "{init: scratch, tokenizer: {bpe: 300}, config: {model_type: llama, hidden_size: 8,"
    student += "intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1}}"
    overrides = [
        f"student={student}", "train={steps: 1, batch: 4, max_length: 48}",
        "evaluate={on: [gold]}",
    ]  # fmt: skip
    with pytest.raises(BudgetPaused, match=r"45 of 45 are spent.*Raise the cap"):
        run(recipe, *overrides, "budget.requests=45")
    report = run(recipe, *overrides, "budget.requests=58")
    assert server.requests == report["cost"]["requests"] == 58
    assert report["metrics"]["teacher"]["accuracy"]["n"] == 18
