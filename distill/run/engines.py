"""Which engine a recipe names (`run.engine`)."""

from distill.recipe.schema import Recipe
from distill.run.engine import Engine


def engine_of(recipe: Recipe) -> Engine:
    """The engine that the recipe names; nothing is started before it is used."""
    if recipe.run.engine == "local":
        return Engine()
    from distill.run.on_ray.engine import RayEngine

    return RayEngine(recipe)
