"""react: thoughts, actions and what tools gave back, as the text that the student learns."""

import re
from collections.abc import Mapping

from distill.recipe.files import text_of
from distill.recipe.generation import ActField, AskField, FieldSpec, RenderField
from distill.recipe.schema import Recipe
from distill.recipe.strategies.parts import Made, baked, ending, inputs
from distill.recipe.strategy_options import ReactOptions
from distill.recipe.task import GenerateTask, GroundedTask
from distill.recipe.templates import as_literal

WHAT = {
    "documents": "passages about the words between the brackets",
    "passages": "those of the row's passages that are about the words between the brackets",
    "calculator": "the value of the arithmetic between the brackets",
}
SAID = r"(?s).*finish\[(.*)\]"
"""What the last `finish[...]` holds."""
STEP = """\
{{ QUESTION }}

Work towards the answer in steps. Each step is two lines:
Thought: what you know and what is missing
Action: one of TOOLS, finish[the answer]

{{ TRACE }}{% if LAST %}This is the last step: finish now.
{% endif %}Write the next step only: one Thought and one Action."""


def react(recipe: Recipe, ask: str, options: ReactOptions) -> Made:
    """A step and what came back, as often as allowed; the trace and the answer out of it."""
    task = recipe.task
    tools = tools_of(recipe, options)
    listed = listed_tools(tools)
    own = task.prompt if isinstance(task, GenerateTask | GroundedTask) else None
    asked = baked(recipe, text_of(recipe, own)) if own else f"{{{{ {task.input} }}}}"
    fields: dict[str, FieldSpec | None] = dict(inputs(recipe, ask))
    for turn in range(1, options.steps + 1):
        text = STEP.replace("{{ QUESTION }}", asked).replace("TOOLS", as_literal(listed))
        text = text.replace("{{ TRACE }}", trace(turn - 1))
        text = text.replace("LAST", "true" if turn == options.steps else "false")
        # An empty step is one after the end.
        before = f"step_{turn - 1}"
        goes_on = f"{{{{ {before} | length > 0 and 'finish[' not in {before} }}}}"
        fields[f"step_{turn}"] = AskField(ask=ask, prompt=text, when=goes_on if turn > 1 else None)
        if turn < options.steps:
            fields[f"seen_{turn}"] = ActField(act=f"{{{{ step_{turn} }}}}", tools=tools)
    fields["trace"] = RenderField(render=trace(options.steps, last=options.steps))
    end = "(trace.split('finish[') | last).rsplit(']', 1)[0].strip()"
    usable = "'finish[' in trace"
    if options.reference:
        usable += f" and {ending(end)} == {ending(options.reference)}"
    fields["finished"] = RenderField(render=f"{{{{ 'yes' if {usable} else 'no' }}}}", keep=["yes"])
    fields[task.output] = RenderField(render=f"{{{{ {end} }}}}")
    return fields


def react_completion(recipe: Recipe, options: ReactOptions) -> str:
    """What the student learns to write: the whole trace."""
    return "{{ trace }}"


def listed_tools(tools: Mapping[str, str]) -> str:
    """What the actions are, as a model is told."""
    return ", ".join(f"{name}[...] ({WHAT.get(what, what)})" for name, what in tools.items())


def step_text(question: str, tools: str, trace: str, *, last: bool) -> str:
    """The prompt of one step with its parts filled in, whatever characters they hold."""
    before, _, rest = STEP.partition("{% if LAST %}")
    hint, _, after = rest.partition("{% endif %}")
    template = before + (hint if last else "") + after
    parts = {"{{ QUESTION }}": question, "{{ TRACE }}": trace, "TOOLS": tools}
    return re.sub("|".join(map(re.escape, parts)), lambda found: parts[found[0]], template)


def tools_of(recipe: Recipe, options: ReactOptions) -> dict[str, str]:
    """The tools that a trace may use, beside `finish`."""
    if options.tools is not None:
        return options.tools
    tools = {"calculate": "calculator"}
    if recipe.data.documents is not None:
        tools = {"search": "documents", **tools}
    if isinstance(recipe.task, GroundedTask) and recipe.data.documents is None:
        tools = {"search": "passages", **tools}
    return tools


def trace(steps: int, last: int | None = None) -> str:
    """The template of the first so many steps with what came back; nothing comes after the last."""
    text = ""
    for turn in range(1, steps + 1):
        text += f"{{% if step_{turn} %}}{{{{ step_{turn} }}}}\n{{% endif %}}"
        if turn != last:
            seen = f"seen_{turn}"
            text += f"{{% if {seen} %}}Observation: {{{{ {seen} }}}}\n{{% endif %}}"
    return text
