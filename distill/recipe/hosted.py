"""A student that somebody else's servers train and serve, and how it is asked."""

from distill.recipe.schema import Recipe
from distill.recipe.student import Student
from teachers.config import OpenAITeacher, Price

SYSTEM = "student"
"""Its name in the ledger, beside those of the teachers."""


def is_hosted(recipe: Recipe) -> bool:
    """Whether the recipe's student is trained elsewhere."""
    return recipe.student is not None and recipe.student.method == "hosted"


def hosted_config(student: Student, model: str, max_tokens: int) -> OpenAITeacher:
    """How a hosted model is asked: greedily, as any OpenAI model."""
    hosted, price = student.hosted, None
    if (told := student.price) and told.input is not None and told.output is not None:
        price = Price(input=told.input, output=told.output)
    return OpenAITeacher(
        kind="openai",
        model=model,
        base_url=hosted.base_url,
        api_key_env=hosted.api_key_env,
        headers_env=hosted.headers_env,
        params=hosted.params,
        concurrency=hosted.concurrency,
        temperature=0.0,
        max_tokens=max_tokens,
        price=price,
    )
