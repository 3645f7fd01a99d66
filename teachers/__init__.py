"""Teachers: the protocol, the settings of each kind, the adapters and the gateway before them.

Importing this package loads no adapter: no openai, aiohttp, torch or transformers.
"""

from teachers.budget import Budget, Caps, Reservation, Totals
from teachers.build import ADAPTERS, build_adapter
from teachers.config import (
    CustomTeacher,
    LocalTeacher,
    OpenAITeacher,
    Price,
    ScriptedTeacher,
    ScriptRule,
    TeacherConfig,
)
from teachers.credentials import env_names, missing_keys
from teachers.errors import (
    AuthError,
    BudgetReached,
    ConfigError,
    FailureKind,
    MissingKey,
    MissingPackage,
    StorageError,
    TeacherError,
)
from teachers.gateway import Gateway
from teachers.keys import ask_key
from teachers.prices import price_of, prices_as_of
from teachers.protocol import (
    Answer,
    Ask,
    Finish,
    Message,
    Teacher,
    TokenLogprob,
    Usage,
    user,
)
from teachers.store import Record, Store

__all__ = [
    "ADAPTERS",
    "Answer",
    "Ask",
    "AuthError",
    "Budget",
    "BudgetReached",
    "Caps",
    "ConfigError",
    "CustomTeacher",
    "FailureKind",
    "Finish",
    "Gateway",
    "LocalTeacher",
    "Message",
    "MissingKey",
    "MissingPackage",
    "OpenAITeacher",
    "Price",
    "Record",
    "Reservation",
    "ScriptRule",
    "ScriptedTeacher",
    "StorageError",
    "Store",
    "Teacher",
    "TeacherConfig",
    "TeacherError",
    "TokenLogprob",
    "Totals",
    "Usage",
    "ask_key",
    "build_adapter",
    "env_names",
    "missing_keys",
    "price_of",
    "prices_as_of",
    "user",
]
