"""The verdict: one word from plain figures."""

from typing import Any

from distill.evaluate.verdict import verdict


def figure(value: float, half: float = 0.03) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": 600}


def report(measure: str = "accuracy", on: str = "gold", **systems: float) -> dict[str, Any]:
    return {
        "training": {"steps": 10},
        "metrics_on": on,
        "metrics": {name: {measure: figure(value)} for name, value in systems.items()},
    }


def test_without_training_the_dataset_is_the_result() -> None:
    """A run that trains nothing says dataset_only, whatever else was measured."""
    assert verdict({**report(teacher=0.9), "training": None})["say"] == "dataset_only"


def test_a_student_as_good_as_its_teacher_ships() -> None:
    """Inside the teacher's interval, and better than before, the student ships."""
    found = verdict(report(teacher=0.95, student=0.94, student_before=0.2, majority=0.2))
    assert found["say"] == "ship"
    assert "0.940" in found["because"]
    assert "0.950" in found["because"]


def test_a_student_that_trails_its_teacher_needs_more_data() -> None:
    """A student under the teacher's interval asks for more data."""
    assert verdict(report(teacher=0.95, student=0.8, student_before=0.2))["say"] == "more_data"


def test_an_uncertain_student_is_not_as_good_as_its_teacher() -> None:
    """A student whose few seeds spread widely still trails under the teacher's interval."""
    found = report(teacher=0.95, student=0.86, student_before=0.2)
    found["metrics"]["student"]["accuracy"] = figure(0.86, half=0.13)
    assert verdict(found)["say"] == "more_data"


def test_a_bad_teacher_is_mended_first() -> None:
    """A teacher under 0.7, or no better than the constant guess, is what has to be mended."""
    assert verdict(report(teacher=0.6, student=0.6, student_before=0.1))["say"] == "fix_labels"
    assert verdict(report(teacher=0.8, majority=0.82, student=0.81))["say"] == "fix_labels"


def test_the_teacher_is_not_judged_by_its_own_labels() -> None:
    """On val a low figure of the teacher says nothing about it, and the sentence tells why."""
    found = verdict(report(on="val", teacher=0.6, student=0.6, student_before=0.1))
    assert found["say"] == "ship"
    assert "teacher's own" in found["because"]


def test_training_that_bought_nothing_was_not_worth_it() -> None:
    """A student level with itself before training, or with the constant guess, is not worth it."""
    assert verdict(report(teacher=0.9, student=0.82, student_before=0.8))["say"] == "not_worth_it"
    assert verdict(report(teacher=0.95, student=0.9, majority=0.89))["say"] == "not_worth_it"


def test_a_cheaper_arm_that_keeps_up_is_named() -> None:
    """The best arm that reaches the student is mentioned, without changing the word."""
    found = verdict(report(teacher=0.95, student=0.94, student_before=0.2, hard_labels=0.945))
    assert found["say"] == "ship"
    assert "hard_labels does at least as well (0.945)" in found["because"]


def test_a_lower_loss_is_a_better_loss() -> None:
    """Where only the loss is known, lower is better."""
    assert (
        verdict(report("loss", teacher=1.0, student=2.0, student_before=5.0))["say"] == "more_data"
    )
    assert verdict(report("loss", teacher=1.99, student=2.0, student_before=5.0))["say"] == "ship"
    assert (
        verdict(report("loss", teacher=1.0, student=2.0, student_before=2.0))["say"]
        == "not_worth_it"
    )


def test_nothing_measured_is_said() -> None:
    """A trained student without figures asks for held-out rows."""
    found = verdict({"training": {"steps": 1}, "metrics": None})
    assert found["say"] == "more_data"
    assert "data.gold" in found["because"]


CURVE = {"because": "The last doubling changed accuracy by +0.001.", "worth": "no"}


def test_a_flat_curve_does_not_send_for_more_data() -> None:
    """A student that trails ships where the intervals overlap, else it was not worth it so."""
    near = {**report(teacher=0.95, student=0.91, student_before=0.2), "learning_curve": CURVE}
    far = {**report(teacher=0.95, student=0.8, student_before=0.2), "learning_curve": CURVE}
    assert verdict(near)["say"] == "ship"
    assert verdict(far)["say"] == "not_worth_it"
    assert verdict({**far, "learning_curve": {**CURVE, "worth": "yes"}})["say"] == "more_data"
    assert verdict(far)["numbers"] == [f"Learning curve: {CURVE['because']}"]


def test_wrong_labels_come_before_more_rows() -> None:
    """A student that trails on labels of which many look wrong is sent to fix them."""
    found = report(teacher=0.95, student=0.8, student_before=0.2)
    found["label_quality"] = {"suspected": figure(0.15)}
    assert verdict(found)["say"] == "fix_labels"
    found["label_quality"] = {"suspected": figure(0.05)}
    assert verdict(found)["say"] == "more_data"


def test_prompting_that_keeps_up_makes_training_not_worth_it() -> None:
    """A prompted model as good as the student counts, unless it costs more or is the teacher."""
    found = report(teacher=0.95, student=0.94, student_before=0.2, few_shot_4=0.93)
    assert verdict(found)["say"] == "not_worth_it"
    assert "few_shot_4" in verdict(found)["because"]
    assert verdict({**found, "ladder": {"asked": "big", "is_teacher": True}})["say"] == "ship"
    for system, cost in (("few_shot_4", 2.0), ("student", 0.1)):
        found["metrics"][system]["cost_per_1000"] = figure(cost)
    assert verdict(found)["say"] == "ship"


def reviewed(low: float, **systems: float) -> dict[str, Any]:
    """A report with what people found among rows drawn at random."""
    found = {"value": low + 0.06, "low": low, "high": low + 0.15, "n": 50}
    return {**report(**systems), "review": {"error_rate": found}}


def test_labels_that_people_found_wrong_come_first() -> None:
    """Before a student is blamed or more rows are bought; a good student ships all the same."""
    trailing = {"teacher": 0.95, "student": 0.8, "student_before": 0.79}
    found = verdict(reviewed(0.12, **trailing))
    assert found["say"] == "fix_labels"
    assert "18% of 50 rows drawn at random" in found["because"]
    assert (
        "Review: 18.0% of 50 rows drawn at random were wrong (interval 12.0% to 27.0%)."
        in (found["numbers"])
    )
    assert verdict(reviewed(0.05, **trailing))["say"] == "not_worth_it"
    good = {"teacher": 0.9, "student": 0.9, "student_before": 0.2}
    assert verdict(reviewed(0.12, **good))["say"] == "ship"
    assert verdict({**reviewed(0.12, **good), "metrics_on": "val"})["say"] == "fix_labels"


def test_reviews_without_a_random_part_say_nothing() -> None:
    """Rows that were chosen for doubt are worse than the rest; no rate follows from them."""
    unknown = {"review": {"error_rate": {"value": None, "why": "no random part"}}}
    found = verdict({**report(teacher=0.95, student=0.94, student_before=0.2), **unknown})
    assert found["say"] == "ship"
    assert not [line for line in found["numbers"] if line.startswith("Review")]
