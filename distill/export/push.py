"""Puts an exported student on the Hugging Face hub."""

import re
from pathlib import Path

from distill.errors import PrerequisiteError, Problem, RunError, UsageError

NAME = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?")


def check_push(repo: str) -> None:
    """Whether a push could be tried: the name is one, and the package is there.

    Raises: UsageError, PrerequisiteError with the line to type.
    """
    if not NAME.fullmatch(repo):
        problem = Problem(
            found=f"--push: {repo!r} is no repository of the hub", allowed="OWNER/NAME or NAME"
        )
        raise UsageError(str(problem), [problem])
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        problem = Problem(
            found="--push needs the package huggingface_hub",
            fix="Type: pip install 'distill-kit[hub]'",
        )
        raise PrerequisiteError(str(problem), [problem]) from error


def push_folder(folder: Path, repo: str) -> str:
    """Uploads a folder as a model, made private where it is new; returns its address.

    The hub's own settings count: HF_TOKEN or `hf auth login`, HF_ENDPOINT.
    Raises: PrerequisiteError without a key, RunError when the hub refuses or cannot be reached.
    """
    check_push(repo)
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    api = HfApi()
    try:
        made = api.create_repo(repo, private=True, exist_ok=True)
        api.upload_folder(
            repo_id=made.repo_id, folder_path=folder, commit_message="Upload the student"
        )
        return str(made)
    except LocalTokenNotFoundError as error:
        raise _no_key(repo) from error
    except OfflineModeIsEnabled as error:
        raise _failed(repo, folder, "HF_HUB_OFFLINE is set") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise _no_key(repo) from error
        raise _failed(repo, folder, str(error).splitlines()[0]) from error
    except Exception as error:  # which HTTP client the hub's package raises from is its own affair
        why = f"the hub cannot be reached ({type(error).__name__})"
        raise _failed(repo, folder, why) from error


def _no_key(repo: str) -> PrerequisiteError:
    problem = Problem(
        found=f"--push {repo}: the hub takes no upload without a key that may write there",
        fix="Type: hf auth login, or set HF_TOKEN.",
    )
    return PrerequisiteError(str(problem), [problem])


def _failed(repo: str, folder: Path, why: str) -> RunError:
    problem = Problem(
        file=str(folder),
        found=f"--push {repo} failed: {why}",
        fix="The student is whole in its folder; run the same command to push again.",
    )
    return RunError(str(problem), [problem])
