"""Puts a dataset or an exported student on the Hugging Face hub, privately where it is new."""

import re
from pathlib import Path
from typing import Any, Literal

from distill.errors import PrerequisiteError, Problem, RunError, UsageError

NAME = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?")
KEPT_BACK = {
    # Earlier versions, and rows that were dropped: perhaps for what they hold.
    "dataset": ["versions/*", "versions/**", "rejected.parquet", ".*"],
    "model": None,
}


def check_push(repo: str) -> None:
    """Whether a push could be tried, asked before anything is paid or trained.

    Raises: UsageError for what is no repository's name, PrerequisiteError with the line to type
    where the package or the token is missing.
    """
    if not NAME.fullmatch(repo):
        problem = Problem(
            found=f"--push: {repo!r} is no repository of the hub", allowed="OWNER/NAME or NAME"
        )
        raise UsageError(str(problem), [problem])
    if _hub().get_token() is None:
        raise _no_token(repo)


def push(folder: Path, repo: str, kind: Literal["dataset", "model"]) -> str:
    """Uploads a folder as one commit and returns the repository's address.

    Earlier versions and rejected rows of a dataset stay here. The hub's own settings count:
    HF_TOKEN or `hf auth login`, HF_ENDPOINT.
    Raises: as check_push, and RunError when the hub refuses or cannot be reached.
    """
    check_push(repo)
    hub = _hub()
    try:
        api = hub.HfApi()
        made = api.create_repo(repo, repo_type=kind, private=True, exist_ok=True)
        api.upload_folder(
            repo_id=made.repo_id,
            repo_type=kind,
            folder_path=folder,
            ignore_patterns=KEPT_BACK[kind],
            commit_message=f"Upload the {'student' if kind == 'model' else kind}",
        )
        return str(made)
    except hub.errors.LocalTokenNotFoundError as error:
        raise _no_token(repo) from error
    except hub.errors.OfflineModeIsEnabled as error:
        raise _failed(repo, folder, "HF_HUB_OFFLINE is set") from error
    except hub.errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise _no_token(repo) from error
        raise _failed(repo, folder, str(error).splitlines()[0]) from error
    except Exception as error:  # which HTTP client the hub's package raises from is its own affair
        why = f"the hub cannot be reached ({type(error).__name__})"
        raise _failed(repo, folder, why) from error


def _hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        problem = Problem(
            found="--push needs the package huggingface_hub",
            fix="Type: pip install 'distill-kit[hub]'",
        )
        raise PrerequisiteError(str(problem), [problem]) from error
    return huggingface_hub


def _no_token(repo: str) -> PrerequisiteError:
    problem = Problem(
        found=f"--push {repo}: the hub takes no upload without a token that may write there",
        fix="Type: export HF_TOKEN=... (or: hf auth login)",
    )
    return PrerequisiteError(str(problem), [problem])


def _failed(repo: str, folder: Path, why: str) -> RunError:
    problem = Problem(
        file=str(folder),
        found=f"--push {repo} failed: {why}",
        fix="What was made is whole in its folder; run the same command to push it again.",
    )
    return RunError(str(problem), [problem])
