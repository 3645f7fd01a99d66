"""Where requests of an `openai` teacher go and which secrets may travel there.

OPENAI_API_KEY goes to OpenAI's own address only; any other address gets a key only if the recipe
names the environment variable. Values are read here and nowhere else, and never enter a message.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from teachers.config import OpenAITeacher, TeacherConfig
from teachers.errors import ConfigError, MissingKey

OPENAI_URL = "https://api.openai.com/v1"
PLACEHOLDER = "none"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets for one address. Their values do not show in its repr."""

    key: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that must never be shown."""
        values = (self.key, *self.headers.values())
        return tuple(value for value in values if value and value != PLACEHOLDER)


def urls_of(config: OpenAITeacher) -> tuple[str, ...]:
    """The addresses to ask, OpenAI's own when the recipe names none."""
    given = config.base_url
    urls = (given,) if isinstance(given, str) else tuple(given or (OPENAI_URL,))
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"base_url {url!r} is not an address (write http://HOST:PORT/v1)")
        if parts.username or parts.password or parts.query:
            raise ConfigError(
                f"the base_url at {parts.hostname} carries a user name, password or query; "
                "name an environment variable in api_key_env or headers_env"
            )
    return urls


def is_openai(url: str) -> bool:
    """Whether this is OpenAI's own service, over TLS."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    own = host == "api.openai.com" or host.endswith(".api.openai.com")
    return parts.scheme == "https" and own


def key_name(config: OpenAITeacher, url: str) -> str | None:
    """The environment variable that holds the key for this address, None where it gets no key."""
    return config.api_key_env or ("OPENAI_API_KEY" if is_openai(url) else None)


def env_names(config: TeacherConfig) -> tuple[str, ...]:
    """The environment variables that this teacher needs, in a fixed order."""
    if not isinstance(config, OpenAITeacher):
        return ()
    keys = [key_name(config, url) for url in urls_of(config)]
    names = [name for name in keys if name] + list(config.headers_env.values())
    return tuple(dict.fromkeys(names))


def account_of(config: TeacherConfig) -> tuple[str, ...] | None:
    """Whose limits count this teacher's requests: addresses, key and model; None: nobody's."""
    if not isinstance(config, OpenAITeacher):
        return None
    urls = urls_of(config)
    return (*urls, *env_names(config), config.model)


def missing_keys(config: TeacherConfig, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The environment variables that this teacher needs and that are absent or empty."""
    return tuple(name for name in env_names(config) if not environ.get(name, "").strip())


def credentials(config: OpenAITeacher, url: str, environ: Mapping[str, str]) -> Credentials:
    """The key and headers for one address.

    Raises: MissingKey with the line to type.
    """
    missing = missing_keys(config, environ)
    if missing:
        lines = "; ".join(f"export {name}=..." for name in missing)
        raise MissingKey("auth", f"{', '.join(missing)} is not set. Type: {lines}")
    name = key_name(config, url)
    # A key pasted with its newline would break the header and be echoed by the HTTP library.
    key = environ[name].strip() if name else PLACEHOLDER
    headers = {header: environ[env].strip() for header, env in config.headers_env.items()}
    return Credentials(key, headers)
