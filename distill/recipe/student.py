"""What is trained: a causal model or a classifier, from weights or from a configuration."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from distill.recipe.model import Model, kind_of
from teachers.config import ENV_NAME


class LoraOptions(Model):
    """Any key of peft's LoraConfig; the ones named here have our defaults."""

    model_config = ConfigDict(extra="allow")
    r: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: str | list[str] = "all-linear"


class BuildTokenizer(Model):
    """A byte-level BPE tokenizer trained on the dataset's own training text."""

    bpe: int = Field(ge=260)
    """Size of the vocabulary."""


class HostedPrice(Model):
    """What it costs to run the student."""

    input: float | None = None
    output: float | None = None
    gpu_hour: float | None = None
    training: float | None = Field(default=None, ge=0)
    """With `method: hosted`: USD per million trained tokens."""


class HostedOptions(Model):
    """Where somebody else's servers fine-tune the student, and how."""

    base_url: str | None = None
    """Any service with OpenAI's fine-tuning API; absent: OpenAI's own."""
    api_key_env: str | None = Field(default=None, pattern=ENV_NAME)
    """Name of the environment variable that holds the key (never the key itself)."""
    headers_env: dict[str, str] = Field(default={})
    """Extra headers: header name -> environment variable that holds its value."""
    hyperparameters: dict[str, Any] = Field(default={})
    """Beside n_epochs, which is `train.epochs`: batch_size, learning_rate_multiplier."""
    concurrency: int = Field(default=16, ge=1)
    """Most requests in flight when it is measured."""
    params: dict[str, Any] = Field(default={})
    """Merged verbatim into every request that it answers."""


class _Student(Model):
    """What both kinds have."""

    model: str | None = None
    """Hub id or folder."""
    init: Literal["scratch"] | None = None
    """`scratch` starts from a configuration without weights."""
    config: dict[str, Any] | str | None = None
    """With `init: scratch`: transformers configuration keys with `model_type`, or a config.json."""
    tokenizer: str | BuildTokenizer | None = None
    """With `init: scratch`: a folder, the name of a local teacher, or {bpe: SIZE}."""
    rope_scaling: dict[str, Any] | None = None
    """For a longer context: transformers' rope parameters, such as {rope_type: yarn, factor: 4.0};
    the context grows by `factor`."""
    attention: str | None = None
    """transformers' attention implementation (sdpa, eager, flash_attention_2, ...) in training;
    absent: its default."""
    method: Literal["full", "lora", "qlora", "hosted"] = "full"
    """`hosted`: `model` is a name of a service that fine-tunes it on `dataset/openai.jsonl`."""
    hosted: HostedOptions = HostedOptions()
    lora: LoraOptions = LoraOptions()
    quantization: dict[str, Any] = Field(default={})
    """With `method: qlora`: any BitsAndBytesConfig key beside the defaults (4-bit NF4 with double
    quantisation, bfloat16 for computing and storage)."""
    price: HostedPrice | None = None
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> "_Student":
        if (self.model is None) == (self.init is None):
            raise ValueError("a student needs exactly one of `model` and `init: scratch`")
        if self.init and (self.config is None or self.tokenizer is None):
            raise ValueError("`init: scratch` needs `config` and `tokenizer`")
        if self.init and self.method in ("lora", "qlora"):
            raise ValueError(f"`method: {self.method}` adapts existing weights; scratch has none")
        if self.init and self.rope_scaling:
            raise ValueError("with `init: scratch` write `rope_parameters` into `config`")
        return self


class CausalStudent(_Student):
    """A language model."""

    kind: Literal["causal"] = "causal"


class ClassifierStudent(_Student):
    """An encoder with a classification head."""

    kind: Literal["classifier"]


Student = Annotated[
    Annotated[CausalStudent, Tag("causal")] | Annotated[ClassifierStudent, Tag("classifier")],
    Discriminator(kind_of("causal")),
]
