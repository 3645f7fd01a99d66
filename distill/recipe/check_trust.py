"""Notes what a recipe does beyond asking and training: for whoever runs somebody else's recipe."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from distill.errors import RecipeError
from distill.recipe.files import folder_of, locate
from distill.recipe.findings import Findings
from distill.recipe.generation import OWN_SOURCES, TOOLS, ActField, PythonField, SampleField
from distill.recipe.hosted import hosted_config, is_hosted
from distill.recipe.schema import Recipe
from teachers.config import ENV_NAME, CustomTeacher, LocalTeacher, OpenAITeacher
from teachers.credentials import env_names, is_openai, urls_of
from teachers.errors import ConfigError


def note_trust(recipe: Recipe, findings: Findings) -> None:
    """Notes code that would run, secrets that would travel, and files read from elsewhere."""
    findings.notes += [f"runs code of the recipe's own: {what}" for what in _code(recipe)]
    findings.notes += list(dict.fromkeys(_secrets(recipe)))
    findings.notes += [f"reads {path}, outside the recipe's folder" for path in _outside(recipe)]


def _code(recipe: Recipe) -> Iterator[str]:
    for name, config in recipe.teachers.items():
        if isinstance(config, CustomTeacher):
            yield f"{config.factory} (teachers.{name})"
        if isinstance(config, LocalTeacher) and config.trust_remote_code:
            yield f"the code beside the weights of {config.model} (teachers.{name})"
    for name, spec in (recipe.generate.fields if recipe.generate else {}).items():
        if isinstance(spec, PythonField):
            yield f"{spec.python} (generate.fields.{name})"
        if isinstance(spec, ActField):
            own = [tool for tool in spec.tools.values() if tool not in TOOLS]
            yield from (f"{tool} (generate.fields.{name})" for tool in own)
    for index, item in enumerate(recipe.filter):
        if (function := getattr(item, "python", None)) is not None:
            yield f"{function} (filter.{index})"
    if recipe.student is not None and recipe.student.trust_remote_code:
        yield f"the code beside the weights of {recipe.student.model} (student)"


def _secrets(recipe: Recipe) -> Iterator[str]:
    endpoints = [one for one in recipe.teachers.values() if isinstance(one, OpenAITeacher)]
    if is_hosted(recipe) and recipe.student is not None:
        endpoints.append(hosted_config(recipe.student, str(recipe.student.model), 1))
    for config in endpoints:
        try:
            elsewhere = [url for url in urls_of(config) if not is_openai(url)]
        except ConfigError:  # told as a wrong base_url
            continue
        # What stands where a variable's name should may be the secret itself: it is told elsewhere.
        known = [name for name in env_names(config) if re.fullmatch(ENV_NAME, name)]
        if names := ", ".join(known):
            yield from (
                f"sends the value of {names} to {urlsplit(url).hostname}" for url in elsewhere
            )


def _outside(recipe: Recipe) -> Iterator[str]:
    named = [recipe.data.seeds, recipe.data.pool, recipe.data.documents, recipe.data.gold]
    for spec in (recipe.generate.fields if recipe.generate else {}).values():
        if isinstance(spec, SampleField) and isinstance(spec.sample, str):
            named.append(None if spec.sample in OWN_SOURCES else spec.sample)
    home = folder_of(recipe).resolve()
    for ref in dict.fromkeys(filter(None, named)):
        try:
            path = locate(recipe, ref).resolve()
        except RecipeError:  # told as a missing file
            continue
        if not path.is_relative_to(home):
            yield str(ref)
