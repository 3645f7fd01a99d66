"""From a teacher's configuration to its adapter: one dictionary, each entry imported when used."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from teachers.config import CustomTeacher, LocalTeacher, OpenAITeacher, ScriptedTeacher
from teachers.errors import ConfigError, MissingPackage
from teachers.protocol import Teacher

EXTRAS = {"torch": "train", "transformers": "train", "accelerate": "train", "peft": "train"}


def _openai(config: OpenAITeacher, name: str, _: str | None) -> Teacher:
    from teachers.openai_api import OpenAIAdapter

    return OpenAIAdapter(config, name)


def _local(config: LocalTeacher, name: str, source: str | None) -> Teacher:
    from teachers.local import LocalAdapter

    if config.recipe is not None and source is None:
        raise ConfigError(
            f"teachers.{name}: recipe {config.recipe!r} has to be run before it can be asked"
        )
    return LocalAdapter(config, name, source=source)


def _scripted(config: ScriptedTeacher, name: str, _: str | None) -> Teacher:
    from teachers.scripted import ScriptedAdapter

    return ScriptedAdapter(config, name)


def _custom(config: CustomTeacher, name: str, _: str | None) -> Teacher:
    module, colon, attribute = config.factory.partition(":")
    if not (module and colon and attribute):
        raise ConfigError(
            f"teachers.{name}.factory: {config.factory!r} is not package.module:function"
        )
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as exc:
        if exc.name and (module == exc.name or module.startswith(exc.name + ".")):
            raise ConfigError(
                f"teachers.{name}.factory: there is no module {exc.name!r} on the Python path"
            ) from None
        raise
    except AttributeError:
        raise ConfigError(f"teachers.{name}.factory: {module} has no {attribute!r}") from None
    made: Teacher = factory(name, dict(config.options))
    if not callable(getattr(made, "ask", None)) or not callable(getattr(made, "close", None)):
        raise ConfigError(f"teachers.{name}.factory: what it returned has no `ask` and `close`")
    return made


ADAPTERS: Mapping[str, Callable[[Any, str, str | None], Teacher]] = {
    "openai": _openai,
    "local": _local,
    "scripted": _scripted,
    "custom": _custom,
}


def build_adapter(config: Any, name: str, *, source: str | None = None) -> Teacher:
    """The adapter for a configuration of the closed union `TeacherConfig`.

    `source` is where a local model's weights lie, where that is not what its configuration names.

    Raises: ConfigError, MissingKey, MissingPackage with the line to type.
    """
    try:
        return ADAPTERS[config.kind](config, name, source)
    except ModuleNotFoundError as exc:
        package = (exc.name or "").partition(".")[0]
        extra = EXTRAS.get(package)
        line = f"pip install 'distill-kit[{extra}]'" if extra else f"pip install {package}"
        raise MissingPackage(
            f"teachers.{name} (kind: {config.kind}) needs {package}. Type: {line}"
        ) from None
