"""What somebody else's recipe would do on this machine is said before it runs."""

from distill.recipe.check import check
from distill.recipe.load import load_recipe

RECIPE = """\
version: 1
name: foreign
teachers:
  far: {kind: openai, model: m, base_url: "https://models.example.net/v1", api_key_env: MY_KEY}
  own: {kind: openai, model: gpt-4.1}
  odd: {kind: custom, factory: "their.module:make"}
task: {kind: classify, labels: [a, b]}
data: {pool: ../elsewhere.csv}
generate:
  fields:
    text: {sample: [x, y]}
    note: {python: "theirs.py:write", ask: far}
    label: {ask: own, prompt: "{{ text }} {{ note }}", choices: labels}
    last: {ask: odd, prompt: "{{ text }}"}
filter: [{custom: {python: "theirs.py:judge"}}]
"""


def test_code_secrets_and_files_are_named(tmp_path):
    """Every function that would run, every key and its host, every file from outside."""
    (tmp_path / "elsewhere.csv").write_text("text\nhello\n")
    folder = tmp_path / "recipe"
    folder.mkdir()
    (folder / "theirs.py").write_text("async def write(row, ask): ...\ndef judge(row): ...\n")
    (folder / "recipe.yaml").write_text(RECIPE)
    notes = check(load_recipe(folder / "recipe.yaml"), {"MY_KEY": "secret-4711"}).notes
    said = "\n".join(notes)
    assert "runs code of the recipe's own: their.module:make (teachers.odd)" in notes
    assert "runs code of the recipe's own: theirs.py:write (generate.fields.note)" in notes
    assert "runs code of the recipe's own: theirs.py:judge (filter.0)" in notes
    assert "sends the value of MY_KEY to models.example.net" in notes
    assert "reads ../elsewhere.csv, outside the recipe's folder" in notes
    assert "secret-4711" not in said
    assert "OPENAI_API_KEY" not in said
