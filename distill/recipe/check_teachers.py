"""Checks teachers: keys, addresses, prices under a cap in USD, recipes that train one."""

import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from distill.errors import RecipeError
from distill.recipe.files import locate, missing_folder
from distill.recipe.findings import Findings
from distill.recipe.generation import AskField, PythonField
from distill.recipe.schema import Recipe
from distill.recipe.signal_source import signal_source
from teachers.config import ENV_NAME, LocalTeacher, OpenAITeacher, TeacherConfig
from teachers.credentials import missing_keys, urls_of
from teachers.errors import ConfigError
from teachers.prices import price_of


def check_teachers(recipe: Recipe, environ: Mapping[str, str], findings: Findings) -> None:
    """Notes teachers that cannot be asked or paid, and the environment variables they miss."""
    used = set(used_teachers(recipe))
    for name, config in recipe.teachers.items():
        if name not in used:
            findings.notes.append(f"teacher {name!r} is not used")
            continue
        if isinstance(config, OpenAITeacher):
            check_keys(f"teachers.{name}", config, environ, findings)
        if recipe.budget.usd is not None and _price_unknown(config):
            findings.add(
                f"teachers.{name}",
                f"budget.usd cannot hold: nobody knows the price of {config.model!r}",
                None,
                f"Give teachers.{name}.price {{input, output}} in USD per million tokens.",
            )
        if isinstance(config, LocalTeacher) and config.recipe is not None:
            _trained(recipe, name, config.recipe, findings)
        if isinstance(config, LocalTeacher) and config.quantize and not find_spec("bitsandbytes"):
            fix = "Type: pip install 'distill-kit[quant]'"
            at, found = f"teachers.{name}.quantize", "4-bit weights need bitsandbytes"
            findings.missing_keys.append(findings.problem(at, found, None, fix))
        if isinstance(config, LocalTeacher) and missing_folder(recipe, config.model or ""):
            findings.add(f"teachers.{name}.model", f"no folder {config.model!r}")


def used_teachers(recipe: Recipe) -> Iterator[str]:
    """Names of the teachers that any part of the recipe asks, with repeats."""
    if recipe.generate is not None:
        if recipe.generate.ask:
            yield recipe.generate.ask
        for field in recipe.generate.fields.values():
            if isinstance(field, AskField | PythonField) and field.ask:
                yield field.ask
    source = getattr(recipe.train.signal, "from_", None) if recipe.train else None
    if source:
        yield source
    elif (captured := signal_source(recipe)) is not None:
        yield captured.teacher
    elif recipe.train is not None and recipe.train.signal.kind == "dense":
        yield from (n for n, config in recipe.teachers.items() if isinstance(config, LocalTeacher))
    if recipe.student is not None and isinstance(recipe.student.tokenizer, str):
        yield recipe.student.tokenizer
    for spec in recipe.filter:
        asked = getattr(spec, "ask", None)
        if isinstance(asked, str):
            yield asked


def check_keys(
    key: str, config: OpenAITeacher, environ: Mapping[str, str], findings: Findings
) -> None:
    """Notes an address or a header that is wrong, and the environment variables that are missing.

    `key` is where the recipe describes the endpoint.
    """
    if not all(re.match(ENV_NAME, variable) for variable in config.headers_env.values()):
        fix = "Give each header the name of an environment variable, never its value."
        findings.add(f"{key}.headers_env", "not the name of an environment variable", None, fix)
        return
    try:
        urls_of(config)
    except ConfigError as error:
        findings.add(f"{key}.base_url", str(error))
        return
    if config.mode != "online" and len(urls_of(config)) > 1:
        fix = "Give one base_url, or mode: online."
        findings.add(f"{key}.mode", f"mode {config.mode} takes one address, not a pool", None, fix)
    for variable in missing_keys(config, environ):
        at = f"{key}.api_key_env" if variable == config.api_key_env else key
        fix = f"Type: export {variable}=..."
        found = f"the environment variable {variable} is not set"
        findings.missing_keys.append(findings.problem(at, found, None, fix))


def _price_unknown(config: TeacherConfig) -> bool:
    try:
        return price_of(config) is None
    except ConfigError:  # told as a wrong base_url
        return False


def _trained(recipe: Recipe, name: str, ref: str, findings: Findings) -> None:
    """A teacher that is the student of another recipe: that recipe must load and train one."""
    from distill.recipe.load import load_recipe

    key = f"teachers.{name}.recipe"
    try:
        path = locate(recipe, ref)
        other = load_recipe(path)
    except RecipeError as error:
        findings.add_error(key, error)
        return
    if other.student is None or other.train is None:
        findings.add(key, f"{ref} trains no student", None, "Give it `student` and `train`.")
    elif circle := _circle(other, (Path(recipe._source).resolve(),)):
        findings.add(key, f"{circle} would have to be trained before itself")


def _circle(recipe: Recipe, above: tuple[Path, ...]) -> str | None:
    """The name of a recipe that, through its teachers, needs itself."""
    from distill.recipe.load import load_recipe

    path = Path(recipe._source)
    if path in above:
        return path.name
    for config in recipe.teachers.values():
        if isinstance(config, LocalTeacher) and config.recipe:
            try:
                below = load_recipe(locate(recipe, config.recipe))
            except RecipeError:
                continue  # told when that recipe is run
            if circle := _circle(below, (*above, path)):
                return circle
    return None
