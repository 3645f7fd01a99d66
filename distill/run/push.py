"""Uploads a dataset to the Hugging Face hub, as a private repository unless it exists already."""

import os
from pathlib import Path
from typing import Any

from distill.errors import PrerequisiteError, Problem, RunError

KEPT_BACK = ["versions/*", "versions/**", "rejected.parquet", ".*"]
"""Earlier versions, and rows that were dropped: perhaps for what they hold."""


def require_hub() -> None:
    """Checks that a push can work, before anything is paid.

    Raises: PrerequisiteError when the package or the token is missing.
    """
    if _token(_hub()) is None:
        problem = Problem(
            found="no token for the hub",
            allowed="the environment variable HF_TOKEN, or a login",
            fix="Type: export HF_TOKEN=... (or: hf auth login)",
        )
        raise PrerequisiteError(str(problem), [problem])


def push_dataset(folder: Path, repo: str) -> str:
    """Uploads the dataset as one commit and returns the address of the repository.

    Earlier versions and rejected rows stay here.

    Raises: PrerequisiteError when the package is missing, RunError when the hub refuses.
    """
    hub = _hub()
    api = hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=_token(hub))
    try:
        made = api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)
        api.upload_folder(
            folder_path=str(folder),
            repo_id=repo,
            repo_type="dataset",
            ignore_patterns=KEPT_BACK,
            commit_message="Upload from distill",
        )
    except (hub.errors.HfHubHTTPError, hub.errors.HFValidationError, OSError, ValueError) as error:
        problem = Problem(
            found=f"the hub refused {repo}: {' '.join(str(error).split())[:300]}",
            file=str(folder),
            fix="What was made lies in the folder; run the same command again to push it.",
        )
        raise RunError(str(problem), [problem]) from error
    return str(made)


def _hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError:
        line = "pip install 'distill-kit[hub]'"
        problem = Problem(found="pushing needs huggingface_hub", fix=f"Type: {line}")
        raise PrerequisiteError(str(problem), [problem]) from None
    return huggingface_hub


def _token(hub: Any) -> str | None:
    token: str | None = hub.get_token()
    return token
