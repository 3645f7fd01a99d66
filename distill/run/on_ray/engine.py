"""What a run spreads over a Ray cluster, and how."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.filters.filter import Elsewhere
from distill.generate.stage import Spread
from distill.inspect.workplace import Workplace
from distill.progress import Listener
from distill.recipe.files import folder_of
from distill.recipe.schema import Recipe
from distill.run.engine import Engine
from distill.run.on_ray.cluster import Cluster
from distill.run.on_ray.desk import Opening, opened
from distill.run.on_ray.fill import spread_over
from distill.run.on_ray.look import ClusterPlace
from distill.run.on_ray.sift import Workers
from distill.run.teachers import TeacherPool, Teachers
from teachers.credentials import env_names

if TYPE_CHECKING:
    from distill.capture.local import Reader


class RayEngine(Engine):
    """A cluster that is joined when first needed.

    Nodes have the same distill installed, and see the recipe's folder under the same path.
    """

    def __init__(self, recipe: Recipe) -> None:
        names = [name for config in recipe.teachers.values() for name in env_names(config)]
        self._recipe = recipe
        self._keys = {name: os.environ[name] for name in names if name in os.environ}
        self._cluster = Cluster(recipe.run.address, names, str(folder_of(recipe).resolve()))

    def spread(self) -> Spread | None:
        """Candidates are filled by workers on all nodes."""
        return spread_over(self._cluster)

    def elsewhere(self) -> Elsewhere | None:
        """Many rows are judged and compared on all nodes."""
        return Workers(self._cluster)

    def workplace(self) -> Workplace:
        """Texts are looked at and compared on all nodes."""
        return ClusterPlace(self._cluster)

    @contextmanager
    def asking(
        self,
        pool: TeacherPool,
        sources: Mapping[str, str],
        runner: asyncio.Runner,
        listen: Listener,
    ) -> Iterator[Teachers]:
        """The teachers at the desk, which holds store and ledger meanwhile."""
        opening = Opening(
            self._recipe,
            Path.cwd(),
            pool.ledger.resolve(),
            pool.spending.resolve(),
            {name: _absolute(source) for name, source in sources.items()},
            pool.retry_failed,
        )
        runner.run(pool.close())
        pool.close_files()
        try:
            with opened(self._cluster, opening, self._keys, listen) as teachers:
                yield teachers
        finally:
            pool.open_files()

    @contextmanager
    def reading(self, load: Mapping[str, Any]) -> Iterator["Reader"]:
        """The teacher loaded once on every GPU, or on every node where there is none."""
        from distill.run.on_ray.score import Scorers

        yield Scorers(self._cluster, load)

    def close(self) -> None:
        """Leaves the cluster."""
        self._cluster.leave()


def _absolute(source: str) -> str:
    """A folder by its whole path; a hub id as it is."""
    return str(Path(source).resolve()) if Path(source).is_dir() else source
