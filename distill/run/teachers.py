"""Builds the teachers of a run: adapters behind gateways that share one store and one budget."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from distill.errors import PrerequisiteError, Problem, RecipeError, RunError
from distill.progress import Listener, Progress, silent
from distill.recipe.schema import Recipe
from distill.run.fingerprint import model_fingerprint
from distill.run.ledger import record
from teachers.budget import Budget, Caps, Totals
from teachers.build import build_adapter
from teachers.config import LocalTeacher, TeacherConfig
from teachers.credentials import account_of
from teachers.errors import ConfigError, MissingPackage, StorageError
from teachers.gateway import Gateway
from teachers.limits import Limits
from teachers.protocol import Answer, Ask, Teacher
from teachers.store import Store

STORE = Path(".distill") / "store.sqlite"


class Teachers(Mapping[str, Teacher]):
    """Teachers by name that can tell what was spent."""

    @abstractmethod
    def totals(self) -> Totals:
        """What was spent so far, over all of them."""


class TeacherPool(Teachers):
    """The run's teachers, each built when it is first asked for.

    `sources` maps the name of a local teacher to the folder or hub id that it is loaded from.
    `spending` is the ledger that calls are booked in, where it is not the run's own.
    `retry_failed` asks again where an earlier answer could not be used. `listen` hears what a user
    should know of a teacher (the ledger keeps it).
    """

    def __init__(
        self,
        recipe: Recipe,
        ledger: Path,
        sources: Mapping[str, str],
        *,
        spending: Path | None = None,
        retry_failed: bool = False,
        listen: Listener = silent,
    ) -> None:
        self._recipe = recipe
        self._configs = dict(recipe.teachers)
        self._listen = listen
        self._limits: dict[tuple[str, ...], Limits] = {}
        self.ledger = ledger
        self.spending = spending or ledger
        self.retry_failed = retry_failed
        self._sources = sources
        self._gateways: dict[tuple[str, bool], Gateway] = {}
        self.open_files()

    def __getitem__(self, name: str) -> Teacher:
        """The teacher of that name.

        Raises: RecipeError or PrerequisiteError when it cannot be built.
        """
        return self._gateway(name)

    def add(self, name: str, config: TeacherConfig) -> None:
        """Takes one more that can be asked, such as a student that a service trained."""
        self._configs[name] = config

    def config(self, name: str) -> TeacherConfig:
        """The settings of one of them."""
        return self._configs[name]

    def online(self, name: str) -> Teacher:
        """The same teacher, asked at once even where its mode is batch: a batch may take a day.

        Raises: RecipeError or PrerequisiteError when it cannot be built.
        """
        batch = getattr(self._configs[name], "mode", "online") != "online"
        return self._gateway(name, at_once=batch)

    def _gateway(self, name: str, at_once: bool = False) -> Gateway:
        if (name, at_once) not in self._gateways:
            config = self._configs[name]
            if at_once:
                config = config.model_copy(update={"mode": "online"})
            self._gateways[name, at_once] = self._build(name, config)
        return self._gateways[name, at_once]

    def stored(self, name: str) -> Callable[[Ask], Answer | None]:
        """A function that looks up what this teacher has answered, and asks nothing.

        Raises: RecipeError or PrerequisiteError when it cannot be built.
        """
        return self._gateway(name).stored

    def __iter__(self) -> Iterator[str]:
        return iter(self._configs)

    def __len__(self) -> int:
        return len(self._configs)

    def _build(self, name: str, config: TeacherConfig) -> Gateway:
        try:
            adapter = build_adapter(self._keyed(name, config), name, source=self._sources.get(name))
            return Gateway(
                adapter,
                self._keyed(name, config),
                name=name,
                store=self.store,
                budget=self.budget,
                limits=self._limits_of(config),
                tell=self._tell,
                retry_failed=self.retry_failed,
            )
        except MissingPackage as error:
            raise PrerequisiteError(str(error)) from error
        except ConfigError as error:
            problem = Problem(found=str(error), file=self._recipe._source, key=f"teachers.{name}")
            raise RecipeError(str(problem), [problem]) from error

    def limits(self, name: str) -> Limits | None:
        """The pace at which this teacher's account may be asked, None where it has none."""
        return self._limits_of(self._configs[name])

    def _limits_of(self, config: TeacherConfig) -> Limits | None:
        """One pace for all teachers that share an account and a model."""
        if (account := account_of(config)) is None:
            return None
        if account not in self._limits:
            sharing = [one for one in self._configs.values() if account_of(one) == account]
            rpm = min((one.rpm for one in sharing if one.rpm), default=None)
            tpm = next((one.tpm for one in sharing if one.tpm), None)
            most = max(one.concurrency for one in sharing)
            self._limits[account] = Limits(most, rpm, tpm)
        return self._limits[account]

    def _tell(self, note: str) -> None:
        self._listen(Progress("teachers", 0, note=note))
        record(self.ledger, None, "note", {"note": note})

    def _keyed(self, name: str, config: TeacherConfig) -> TeacherConfig:
        """A local teacher is known by its weights, not by the folder that they lie in."""
        if not isinstance(config, LocalTeacher) or name not in self._sources:
            return config
        source = self._sources[name]
        identity = config.identity or model_fingerprint(source)
        return config.model_copy(
            update={"model": Path(source).name, "recipe": None, "identity": identity}
        )

    def totals(self) -> Totals:
        """What was spent so far, over all of them and all resumes."""
        return self.budget.totals()

    def open_files(self) -> None:
        """Opens the store and the ledger, which nobody else may hold.

        Raises: RunError.
        """
        budget = self._recipe.budget
        caps = Caps(budget.usd, budget.requests, budget.tokens)
        try:
            self.store = Store(STORE)
            self.budget = Budget(self.spending, caps, store=self.store)
        except StorageError as error:
            raise RunError(str(error)) from error

    async def close(self) -> None:
        """Gives back connections, memory and files; everything answered is already stored."""
        for gateway in self._gateways.values():
            await gateway.close()
        self._gateways.clear()

    def close_files(self) -> None:
        """Closes the store and the ledger."""
        self.budget.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close_files()
