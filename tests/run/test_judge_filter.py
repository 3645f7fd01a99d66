"""Filters that ask a teacher, in a run: the budget holds, scores last, thresholds cost nothing."""

import pytest

from distill.errors import BudgetPaused, PrerequisiteError
from distill.recipe.load import load_recipe
from distill.rows.stages import read_stage
from distill.run import packages
from distill.run.walk import run_recipe

RUBRIC = "---\nscale: {min: 0, max: 9}\n---\nGrade by the number of the case.\n"
JUDGE = "  - judge: {ask: judge, rubric: good.md, min: 3}\n"


@pytest.fixture
def judged(project, workdir):
    """A recipe whose judge gives every case its last digit as the grade."""
    recipe = project.write_project(workdir, rows=30)
    (workdir / "good.md").write_text(RUBRIC)
    rule = '{when: "case \\\\d*([0-9])\\\\b", answers: ["{1}"]}'
    grades = f"  judge: {{kind: scripted, script: [{rule}]}}\n"
    project.change(recipe, "task:", f"{grades}task:")
    project.change(recipe, "  - length", f"{JUDGE}  - length")
    return recipe


def run(recipe, **options):
    """The report of a run."""
    return run_recipe(load_recipe(recipe, options.pop("set", ())), **options)


def test_another_threshold_asks_nobody(judged, project, workdir):
    """Scores stand in the stage; min moves rows over it without one request."""
    before = run(judged)
    rows = list(read_stage(workdir / "runs/tiny/stages/02-filter"))
    asked = [row for row in rows if row.verdicts[-1].by == "judge"]
    # Free filters ran first, though the judge is listed first.
    assert before["rows"][1]["filters"][-1]["filter"] == "judge"
    assert before["rows"][1]["filters"][-1]["in"] == len(asked) < 30
    assert before["cost"]["by_teacher"]["judge"]["requests"] > 0
    project.change(judged, "min: 3", "min: 4")
    after = run(judged)
    assert after["cost"]["requests"] == before["cost"]["requests"]
    expected = sum(row.verdicts[-1].score >= 4 for row in asked)
    assert after["rows"][1]["accepted"] == expected < before["rows"][1]["accepted"]


def test_another_rubric_asks_only_the_judge(judged, workdir):
    """Generation stays up to date when the rubric changes."""
    before = run(judged)
    (workdir / "good.md").write_text(RUBRIC.replace("Grade", "Judge"))
    after = run(judged)
    spent = after["cost"]["by_teacher"], before["cost"]["by_teacher"]
    assert spent[0]["big"] == spent[1]["big"]
    assert spent[0]["judge"]["requests"] == 2 * spent[1]["judge"]["requests"]


def test_the_cap_holds_for_judges_too(judged):
    """The run pauses; with a higher cap it goes on and pays nothing twice."""
    with pytest.raises(BudgetPaused):
        run(judged, set=["budget.requests=35"])
    report = run(judged)
    assert report["cost"]["requests"] <= 60
    assert report["rows"][1]["accepted"] > 0


def test_with_a_target_the_judge_decides_what_counts(judged, project):
    """Candidates are judged round by round until enough are accepted."""
    project.change(judged, "ask: big}", "ask: big, accept: 8}")
    report = run(judged)
    assert report["rows"][2]["accepted"] == 8
    assert report["rows"][1]["filters"][-1]["filter"] == "judge"


def test_a_missing_extra_is_said_before_anything_is_asked(project, workdir, monkeypatch):
    """The line to type names the extras of the filters."""
    recipe = project.write_project(workdir)
    project.change(recipe, "  - refusal\n", "  - language\n  - label_noise\n")
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with pytest.raises(PrerequisiteError, match=r"pip install 'distill-kit\[lang,evaluate\]'"):
        run(recipe)
    assert not (workdir / "runs/tiny/stages").exists()
