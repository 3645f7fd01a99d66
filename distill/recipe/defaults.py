"""Prompts of ours, for recipes that bring none.

Templates name `input` (the value of task.input), `labels` and `schema` beside the row's fields.
"""

STUDENT_PROMPTS = {
    "classify": (
        "Classify the text with one of these labels: {{ labels | join(', ') }}.\n\n"
        "Text: {{ input }}\nLabel: "
    ),
    "extract": (
        "Read the text and answer with one JSON object that fits this JSON Schema.\n\n"
        "Schema: {{ schema | json }}\n\nText: {{ input }}\nJSON: "
    ),
    "generate": "{{ input }}",
}

LABEL_PROMPT = """\
Read the text and choose the one label that fits it best.

Labels: {{ labels | join(', ') }}

Text:
{{ input }}

Answer with the label only, exactly as it is written above."""

EXTRACT_PROMPT = """\
Read the text and fill in one JSON object from what it says. Use null or leave a key out where the
text does not say.

JSON Schema: {{ schema | json }}

Text:
{{ input }}

Answer with the JSON object only."""

TEACHER_PROMPTS = {
    "classify": LABEL_PROMPT,
    "extract": EXTRACT_PROMPT,
    "generate": STUDENT_PROMPTS["generate"],
}
"""What a teacher is asked for task.output."""

SELF_INSTRUCT_CLASSIFY = """\
Here are texts with their labels. The labels in use are: {{ labels | join(', ') }}

{% for row in examples -%}
Label: {{ row[output_name] if row[output_name] is defined else "not given" }}
Text: {{ row[input_name] }}

{% endfor -%}
Write one new text whose label is: {{ label }}

It must differ from the ones above in what it says and in how it says it, and read as if the same
kind of person had written it. Answer with the text only."""

SELF_INSTRUCT_INPUT = """\
Here are some inputs of one task.

{% for row in examples -%}
Input: {{ row[input_name] }}

{% endfor -%}
Write one new input of the same task. It must differ from the ones above in what it is about and in
how it is put, at about the same length. Answer with the input only."""
