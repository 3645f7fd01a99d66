"""Checks whom `evaluate` asks beside the student: judges, baselines, other models."""

from distill.recipe.check_fields import known_teacher
from distill.recipe.files import missing_folder
from distill.recipe.findings import Findings
from distill.recipe.given import objective_of
from distill.recipe.prompts import JUDGES
from distill.recipe.schema import Evaluate, Recipe

OWN_NAMES = frozenset({
    "teacher", "student", "student_before", "hard_labels", "hard_labels_confident", "text",
    "zero_shot", "chain_of_thought", "react", "retrieval", "majority", "longer",
})  # fmt: skip
"""Systems of the report: a teacher of such a name could not stand beside them."""
UNPROMPTED = frozenset({"majority", "zero_shot"})


def check_systems(recipe: Recipe, findings: Findings) -> None:
    """Notes systems that cannot be asked. What `against` names as a run is looked for later."""
    evaluate = recipe.evaluate
    if evaluate is None:
        return
    for key in ("judge", "ask"):
        if (name := getattr(evaluate, key)) is not None:
            known_teacher(recipe, f"evaluate.{key}", name, findings)
    given = evaluate.against
    for name in [given] if isinstance(given, str) else given or ():
        if name in OWN_NAMES and name in recipe.teachers:
            found = f"the report has a system {name!r} already"
            findings.add("evaluate.against", found, None, "Give the teacher another name.")
    if (model := evaluate.retrieval.model) is not None and missing_folder(recipe, model):
        findings.add("evaluate.retrieval.model", f"no folder {model!r}")
    _baselines(recipe, evaluate, findings)


def _baselines(recipe: Recipe, evaluate: Evaluate, findings: Findings) -> None:
    for index, name in enumerate(evaluate.baselines):
        key = f"evaluate.baselines.{index}"
        if name == "retrieval" and recipe.data.documents is None:
            fix = "Set data.documents, or leave retrieval out."
            findings.add(key, "there are no documents to search", None, fix)
        if name == "react" and isinstance(recipe.task, JUDGES):
            found = "a judge has no actions to take"
            findings.add(key, found, "zero_shot, few_shot, chain_of_thought, majority")
        if name not in UNPROMPTED and objective_of(recipe) == "clm":
            found = f"{name}: a model of raw text answers nothing"
            findings.add(key, found, None, "Leave it out.")
