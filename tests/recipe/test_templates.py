import pytest

from distill.errors import RecipeError
from distill.recipe.templates import Template, as_literal


def test_names_and_values() -> None:
    """A template knows which names it needs, and values are inserted, never evaluated."""
    template = Template("{{ a }} {% for r in rows %}{{ r['x'] }}{{ y | json }}{% endfor %}", "t")
    assert template.names == {"a", "rows", "y"}
    values = {"a": "{{ b }}{% x %}", "rows": [{"x": "<1>"}], "y": {"b": "é", "a": 1}}
    assert template.render(values) == '{{ b }}{% x %} <1>{"a":1,"b":"é"}'


@pytest.mark.parametrize(
    "text", ["{{ a", "{% if %}", "{{ a | nosuch }}", "{% include 'x' %}", "{{ 1 1 }}"]
)
def test_broken_templates_have_a_line(text: str) -> None:
    """What is not a template is refused when it is read, with its line."""
    with pytest.raises(RecipeError) as caught:
        Template(f"first\n{text}", "p.md")
    assert caught.value.problems[0].file == "p.md"
    assert caught.value.problems[0].line == 2


@pytest.mark.parametrize(
    "text",
    [
        "{{ missing }}",
        "{{ a.__class__ }}",
        "{{ a | attr('__class__') }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ '{0.__class__}'.format(a) }}",
        "{{ range(10 ** 9) | list }}",
        "{{ 'x' * 10 ** 9 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ a / 0 }}",
        "{{ rows.append(1) }}",
        "{{ a['x'] }}",
        "{{ 1 + 'x' }}",
    ],
)
def test_breaking_templates_are_recipe_errors(text: str) -> None:
    """Missing names, reaching into Python and endless work are errors of the recipe."""
    with pytest.raises(RecipeError):
        Template(text, "t").render({"a": 1, "rows": []})


@pytest.mark.parametrize("text", ["plain", "a {{ b }}", "{% raw %}", 'x "{#" \\ é \n 😀 }}'])
def test_literal_text_renders_to_itself(text: str) -> None:
    """Labels and schemas may hold anything, braces included."""
    assert Template(as_literal(text), "t").render({}) == text
