"""What an edit of the recipe asks again, and what it does not."""

import pytest

RECIPE = """\
version: 1
name: reuse
seed: 1
teachers:
  writer: {kind: scripted, temperature: 1.0}
  judge: {kind: scripted}
task: {kind: classify, labels: [good, bad], input: text, output: label}
data: {pool: pool.csv}
generate:
  fields:
    reply: {ask: writer, prompt: "Reply to {{ text }}"}
    label: {ask: judge, prompt: "Judge it: {{ reply }}", votes: 3, choices: labels}
"""


@pytest.fixture
def asked(project, tmp_path, monkeypatch):
    """Runs the recipe after an edit; says how often each teacher was asked, all runs together."""
    monkeypatch.chdir(tmp_path)
    project.write_project(tmp_path, rows=12)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)

    def run(*edit):
        if edit:
            project.change(path, *edit)
        said = project.command("generate", path, "--json")
        assert said.code == 0, said.err + said.out
        parts = said.json["cost"]["by_teacher"]
        return parts["writer"]["requests"], parts["judge"]["requests"]

    return run


def test_an_edited_judge_prompt_asks_only_the_judge(asked):
    """The writer's answers are used again; nothing is asked twice without an edit."""
    assert asked() == (12, 36)
    assert asked() == (12, 36)
    assert asked("Judge it: {{ reply }}", "Judge this: {{ reply }}") == (12, 72)


def test_more_votes_ask_for_the_rest_only(asked):
    """Votes 3 to 5: two more for each row."""
    assert asked() == (12, 36)
    assert asked("votes: 3", "votes: 5") == (12, 60)


def test_a_changed_system_prompt_asks_all(asked):
    """Another system prompt is another question to that teacher, and so are its answers."""
    assert asked() == (12, 36)
    assert asked("temperature: 1.0}", "temperature: 1.0, system: Be brief.}")[0] == 24
