"""Teachers on held-out rows: asked as for the dataset, and shown no answer."""

from distill.recipe.load import load_recipe
from distill.recipe.prompts import teacher_prompt
from distill.run.models.as_generated import shown_to_teacher
from distill.run.models.filled_answers import can_fill

ASK = '{ask: big, prompt: "{{ row | json }} ->", choices: labels}'
FIELDS = f"fields: {{label: {ASK}, why: {{ask: big, prompt: why}}}}, probe: 9"


def test_the_probe_shows_no_answer(project, tmp_path, monkeypatch):
    """A teacher that repeats any label that it sees knows none, though the prompt shows the row."""
    monkeypatch.chdir(tmp_path)
    repeats = {"when": "label\\W+(billing|bug|other)", "answers": ["{1}"]}
    teacher = {"kind": "scripted", "script": [repeats, {"when": ".", "answers": ["other"]}]}
    recipe = project.write_project(tmp_path, rows=40, teacher=teacher)
    project.change(recipe, "strategy: label_pool, ask: big", FIELDS)
    said = project.command("generate", recipe, "--json")
    assert said.code == 0, said.err
    assert said.json["probe"]["overall"]["value"] < 0.7
    assert said.json["probe"]["by_label"]["bug"]["value"] == 0


def test_evaluation_shows_nothing_that_came_later(project, tmp_path):
    """Neither the output nor its votes nor what was made after it; other columns as they are."""
    path = project.write_project(tmp_path)
    project.change(path, "strategy: label_pool, ask: big", FIELDS)
    recipe = load_recipe(path)
    named = teacher_prompt(recipe)
    assert named is not None
    record = {"text": "a", "label": "bug", "label_votes": {"bug": 2}, "why": "so", "from": "b"}
    prompt = shown_to_teacher(recipe, named[1], [record])
    [turn] = prompt.ask_messages(record)
    assert turn.content == '{"from":"b","text":"a"} ->'


def test_a_prompt_that_needs_the_answer_is_not_used(project, tmp_path):
    """The student's own prompt then; and fields that need one are not filled."""
    path = project.write_project(tmp_path)
    project.change(path, "strategy: label_pool, ask: big", FIELDS.replace("row | json", "label_p"))
    recipe = load_recipe(path)
    record = {"text": "a", "label": "bug", "label_p": 1.0}
    named = teacher_prompt(recipe)
    assert named is not None
    [turn] = shown_to_teacher(recipe, named[1], [record]).ask_messages(record)
    assert turn.content == "a ->"
    assert not can_fill(recipe, [record])
