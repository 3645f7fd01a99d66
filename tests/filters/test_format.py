"""format."""

SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}


def test_text_is_parsed_and_objects_are_taken_as_they_are(reasons):
    """A string must be JSON that fits; a parsed value must fit."""
    filter = {"format": {"field": "out", "json_schema": SCHEMA}}
    values = ['{"n": 1}', {"n": 1}, '{"n": "1"}', {"m": 1}, "n: 1", '{"n": NaN}', "[" * 100000]
    assert reasons(filter, *({"out": value} for value in values)) == [
        None,
        None,
        "format:schema",
        "format:schema",
        "format:not_json",
        "format:not_json",
        "format:not_json",
    ]


def test_the_task_gives_field_and_schema(reasons):
    """Without options the output of an extract task is checked against the task's schema."""
    task = {"kind": "extract", "schema": SCHEMA}
    assert reasons("format", {"output": {"n": 1}}, {"output": {}}, task=task) == [
        None,
        "format:schema",
    ]
    assert reasons("format", {"label": "[1]"}, {"label": "x"}) == [None, "format:not_json"]


def test_yaml(reasons):
    """A mapping or list that fits the schema; bare text, aliases and tags are no YAML of ours."""
    filter = {"format": {"field": "out", "as": "yaml", "json_schema": SCHEMA}}
    values = ["n: 1", "n: x", "just text", "a: &a [1]\nb: *a", "n: !!python/name:os.system", "n: [",
              "n: 2024-01-01"]  # fmt: skip
    assert reasons(filter, *({"out": value} for value in values)) == [
        None,
        "format:schema",
        "format:not_yaml",
        "format:not_yaml",
        "format:not_yaml",
        "format:not_yaml",
        "format:schema",
    ]
    assert reasons({"format": {"as": "yaml"}}, {"label": "- a\n- b"}, {"text": "x"}) == [
        None,
        "format:missing_field",
    ]


def test_markdown(reasons):
    """Broken structure and missing headings; anything else is Markdown."""
    filter = {"format": {"as": "markdown", "sections": ["Summary"]}}
    texts = [
        "# Summary\n\ntext\n\n```py\n#!loose\n```\n",
        "## **Summary:**\n\n| a | b |\n|---|---|\n| 1 | `x|y` |\n",
        "# Summary\n```\nopen",
        "#Summary\n# Summary",
        "# Summary\n\n| a | b |\n|---|---|\n| 1 |\n",
        "# Other",
    ]
    assert reasons(filter, *({"label": text} for text in texts)) == [
        None,
        None,
        "format:open_fence",
        "format:loose_heading",
        "format:ragged_table",
        "format:no_section",
    ]
