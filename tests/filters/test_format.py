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
