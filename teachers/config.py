"""What a recipe may say about a teacher: one class per kind, a closed union. No heavy import."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


class Price(BaseModel):
    """USD per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    input: float = Field(ge=0)
    output: float = Field(ge=0)


class TokenRate(BaseModel):
    """Tokens per minute, where an account limits what goes in and what comes out apart."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    input: int | None = Field(default=None, ge=1)
    output: int | None = Field(default=None, ge=1)


class _Teacher(BaseModel):
    """Settings that every kind of teacher has."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), use_attribute_docstrings=True
    )

    system: str | None = None
    """System message put before every prompt."""
    temperature: float = Field(default=1.0, ge=0)
    """Sampling temperature of the written answers (not the temperature of a loss)."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=512, ge=1)
    """Most tokens of one answer; the budget reserves this many."""
    stop: list[str] | None = None
    concurrency: int = Field(default=16, ge=1)
    """Most asks in flight at once; for a local teacher the batch size."""
    rpm: int | None = Field(default=None, ge=1)
    """Requests per minute."""
    tpm: Annotated[int, Field(ge=1)] | TokenRate | None = None
    """Tokens per minute: one number, or {input, output}."""
    price: Price | None = None
    logprobs: int = Field(default=0, ge=0)
    """Alternatives per token to ask for with every answer."""
    identity: str | None = None
    """Names what stands behind an address, so that answers of two fine-tunes are never mixed up."""


class OpenAITeacher(_Teacher):
    """Any endpoint that speaks the OpenAI API: OpenAI, vLLM, llama.cpp, `transformers serve`."""

    kind: Literal["openai"]
    model: str
    base_url: str | list[str] | None = None
    """One address or a pool of them; absent: OpenAI's own."""
    api_key_env: str | None = Field(default=None, pattern=ENV_NAME)
    """Name of the environment variable that holds the key (never the key itself)."""
    headers_env: dict[str, str] = {}
    """Extra headers: header name -> environment variable that holds its value."""
    chat: bool = True
    """False asks /v1/completions with the raw prompt."""
    timeout_s: float = Field(default=120.0, gt=0)
    """Seconds from sending a request to the end of its answer; our own queue does not count."""
    warm_up_s: float | None = Field(default=None, ge=0)
    """Seconds to wait for a server that is still loading its model. Absent: 600 where it answers
    that it is not ready (503), none where nobody listens, as at a wrong address."""
    params: dict[str, Any] = {}
    """Merged verbatim into the request body."""
    constrained: bool = True
    """Have the server hold answers to choices and schemas while it writes, where it can. False lets
    it write freely, as a model that reasons before it answers may need; answers are checked anyway.
    """
    mode: Literal["online", "batch", "auto"] = "online"
    """batch: the Batch API, at half the price and within a day; auto: it for large rounds."""
    batch_tokens: int | None = Field(default=None, ge=1)
    """Most input tokens in batches at once, where the account has a queue limit."""


class LocalTeacher(_Teacher):
    """A transformers model in this process: a hub id, a folder, or another recipe's student."""

    kind: Literal["local"]
    model: str | None = None
    recipe: str | None = None
    """A recipe whose student is this teacher; it is run first, inside this run's directory."""
    chat: bool | None = None
    """False continues the raw prompt; absent: true where the tokenizer has a chat template."""
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "auto"
    device_map: str | None = None
    quantize: Literal["4bit"] | None = None
    revision: str | None = None
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> "LocalTeacher":
        if (self.model is None) == (self.recipe is None):
            raise ValueError("a local teacher needs exactly one of `model` and `recipe`")
        return self


class ScriptRule(BaseModel):
    """Asks whose last message matches `when` get one of `answers`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    when: str = ""
    """Regular expression searched in the last message; groups fill {1}, {name} in an answer."""
    answers: list[str] = Field(min_length=1)


class ScriptedTeacher(_Teacher):
    """A deterministic stand-in for tests and tutorials; it follows rules and says so."""

    kind: Literal["scripted"]
    model: str = "scripted"
    script: list[ScriptRule] = []
    """First matching rule wins; without one an ask with choices gets the first choice that the end
    of its text names, else one picked by the ask's hash."""
    choices: list[str] | None = None
    """Labels for asks that bring none (an ask over HTTP cannot)."""
    wrong: float = Field(default=0.0, ge=0, le=1)
    """Share of asks with choices that get another choice than the rules say, fixed by hash."""
    refuse: float = Field(default=0.0, ge=0, le=1)
    """Share of asks that are refused."""
    malformed: float = Field(default=0.0, ge=0, le=1)
    """Share of asks that get an answer outside the choices or the schema."""
    latency_s: float = Field(default=0.0, ge=0)


class CustomTeacher(_Teacher):
    """The user's own adapter."""

    kind: Literal["custom"]
    factory: str
    """`package.module:function`; called with (name, options), returns a Teacher."""
    model: str = "custom"
    options: dict[str, Any] = {}


TeacherConfig = Annotated[
    OpenAITeacher | LocalTeacher | ScriptedTeacher | CustomTeacher, Field(discriminator="kind")
]
