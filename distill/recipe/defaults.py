"""Prompts of ours, for recipes that bring none.

Templates name `input` (the value of task.input), `labels`, `schema`, `scale`, `passages` and
`abstain` beside the row's fields.
"""

RUBRIC = """\
{% if rubric %}Rubric: {% if rubric is string %}{{ rubric | rubric }}\
{% else %}{{ rubric.criterion }}
{% for level, what in (rubric.get('levels') or {}).items() %}{{ level }}: {{ what }}
{% endfor %}{% endif %}

{% endif %}{% if context %}Context:
{{ context }}

{% endif %}"""
"""What a response is judged by, in the row's own shape: text, or {criterion, levels}."""

REFERENCE = """\
{% if reference %}Reference answer:
{{ reference }}

{% endif %}"""

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
    "grounded": (
        "Answer the question from the passages alone. After each statement name the passage that "
        "it rests on, like [1]. If the passages do not hold the answer, write only: "
        "{{ abstain }}\n\n"
        "{% for passage in passages %}[{{ loop.index }}] {% if passage is string %}{{ passage }}"
        "{% else %}{% if passage.get('title') %}{{ passage.title }}: {% endif %}{{ passage.text }}"
        "{% endif %}\n\n{% endfor %}"
        "Question: {{ input }}\nAnswer: "
    ),
    "judge_absolute": (
        "Grade the response on the rubric: first what speaks for and against it, then, on a last "
        "line, `VERDICT: ` and one of {{ scale | join(', ') }}.\n\n"
        + RUBRIC
        + "Instruction:\n{{ instruction }}\n\nResponse:\n{{ response }}\n\n"
        + REFERENCE
        + "Feedback: "
    ),
    "judge_pairwise": (
        "Compare the two responses to the instruction: first what sets them apart, then, on a "
        "last line, `VERDICT: ` and one of A, B, TIE.\n\n"
        + RUBRIC
        + "Instruction:\n{{ instruction }}\n\nResponse A:\n{{ a }}\n\nResponse B:\n{{ b }}\n\n"
        + REFERENCE
        + "Feedback: "
    ),
}

_LINES = {
    "judge_absolute": (
        "on a last line, `VERDICT: ` and one of {{ scale | join(', ') }}.",
        '{"feedback": "...", "verdict": one of {{ scale | join(\', \') }}}.',
    ),
    "judge_pairwise": (
        "on a last line, `VERDICT: ` and one of A, B, TIE.",
        '{"feedback": "...", "verdict": "A", "B" or "TIE"}.',
    ),
}
JSON_PROMPTS = {
    kind: STUDENT_PROMPTS[kind].replace(f"then, {line}", f"then the verdict, as JSON: {form}")
    .removesuffix("Feedback: ") + "JSON: "
    for kind, (line, form) in _LINES.items()
}  # fmt: skip
"""What a judge that writes JSON is shown; the rest is as for the others."""


def without_tie(prompt: str) -> str:
    """A default prompt about pairs for a scale that has no tie."""
    return prompt.replace("A, B, TIE", "A, B").replace('"A", "B" or "TIE"', '"A" or "B"')


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

JUDGE_ABSOLUTE = (
    "Grade the response on the rubric.\n\n"
    + RUBRIC
    + "Instruction:\n{{ instruction }}\n\nResponse:\n{{ response }}\n\n"
    + REFERENCE
    + "Answer with one of {{ scale | join(', ') }} and nothing else."
)

JUDGE_PAIRWISE = (
    "Compare the two responses to the instruction. Neither their order nor their length matters."
    "\n\n"
    + RUBRIC
    + "Instruction:\n{{ instruction }}\n\nResponse A:\n{{ a }}\n\nResponse B:\n{{ b }}\n\n"
    + REFERENCE
    + "Which one is better? Answer with one of A, B, TIE and nothing else."
)

TEACHER_PROMPTS = {
    "classify": LABEL_PROMPT,
    "extract": EXTRACT_PROMPT,
    "generate": STUDENT_PROMPTS["generate"],
    "grounded": STUDENT_PROMPTS["grounded"],
    "judge_absolute": JUDGE_ABSOLUTE,
    "judge_pairwise": JUDGE_PAIRWISE,
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
