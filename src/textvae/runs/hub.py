"""Models on the Hugging Face hub: ``fetch`` copies one to this machine, ``push`` uploads a run (the extra ``hub``).

Only the files of a run that hold settings, weights and results are transferred; nothing in them is executable.
"""

import os
import re
from pathlib import Path
from typing import Any

from textvae.runs.card import card_of
from textvae.runs.find import CONFIG, HUB, hub_root
from textvae.runs.run import CARD, HISTORY, METRICS, MODEL, SAMPLES, Run
from textvae.utils.errors import UserError
from textvae.utils.files import write_text
from textvae.utils.progress import say

FILES = (CONFIG, MODEL, METRICS, HISTORY, SAMPLES, CARD)
"""The files that are transferred."""
MOST_BYTES = 4 << 30
"""Larger models are not fetched."""


def fetch(reference: str) -> Path:
    """The local copy of a model on the hub. Where the hub cannot be reached, an earlier copy is used.

    Examples:
        >>> folder = fetch("hf://owner/red-boats@v1")

    Args:
        reference: hf://OWNER/NAME, or hf://OWNER/NAME@REVISION with a branch, a tag or a commit.

    Raises:
        UserError: the reference is malformed, there is no such model, it is no run of textvae or too large, or the hub
            cannot be reached and there is no copy.
    """
    match = re.fullmatch(rf"{HUB}([\w-]+)/([\w.-]+)(?:@([\w./-]+))?", reference, re.ASCII)
    if match is None or ".." in reference:
        raise UserError(f"{reference!r} names no model", "write hf://OWNER/NAME, or hf://OWNER/NAME@REVISION")
    owner, name, revision = match[1], match[2], match[3] or "main"
    api = _api()
    # The commit of a branch or tag when it was last fetched, for when there is no network.
    known = hub_root() / owner / f"{name}@{revision.replace('/', '--')}"
    try:
        info = api.model_info(f"{owner}/{name}", revision=revision, files_metadata=True)
        folder = hub_root() / owner / str(info.sha) / name
        _check(reference, {file.rfilename: file.size or 0 for file in info.siblings or ()})
        api.snapshot_download(f"{owner}/{name}", revision=info.sha, local_dir=folder, allow_patterns=list(FILES))
        write_text(known, str(info.sha))
    except UserError:
        raise
    except Exception as error:
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        if isinstance(error, RepositoryNotFoundError | RevisionNotFoundError):
            raise UserError(
                f"there is no {reference} on the hub, or it is private",
                "check the name; for a private model, log in: hf auth login",
            ) from None
        commit = known.read_text(encoding="utf-8") if known.is_file() else "none"
        folder = hub_root() / owner / commit / name
        if not (folder / MODEL).is_file():
            raise _failed(f"{reference} cannot be fetched", error) from None
        say(f"{reference}: the hub cannot be reached; the copy in {folder} is used")
    return folder


def _check(reference: str, sizes: dict[str, int]) -> None:
    if missing := [name for name in (CONFIG, MODEL) if name not in sizes]:
        raise UserError(f"{reference} is not a textvae model: it has no {missing[0]}", "name one that has these files")
    if (total := sum(sizes.get(name, 0) for name in FILES)) > MOST_BYTES:
        raise UserError(f"{reference} has {total:,} bytes", f"models of up to {MOST_BYTES:,} bytes are fetched")


def push(run: Run, repository: str, private: bool = False) -> str:
    """Uploads a run as one commit, with a model card by which the hub lists it under text-to-image.

    Args:
        run: a run that has been trained.
        repository: OWNER/NAME; made if it does not exist.
        private: whether a repository that is made is visible to its owner only.

    Returns:
        The address of the model on the hub.

    Raises:
        UserError: the name is malformed, the run has no weights, nobody is logged in, or the hub refuses.
    """
    if re.fullmatch(r"[\w-]+/[\w.-]+", repository, re.ASCII) is None:
        raise UserError(f"{repository!r} is not the name of a repository", "write OWNER/NAME")
    run.load_model()
    api = _api()
    from huggingface_hub import CommitOperationAdd

    card = card_of(run, f"{HUB}{repository}").encode()
    files: dict[str, Any] = {name: run.path / name for name in FILES if (run.path / name).is_file()} | {CARD: card}
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        api.create_commit(repository, operations, commit_message=f"Upload {run.name}")
    except Exception as error:
        raise _failed(f"{repository} cannot be uploaded", error) from None
    return f"{api.endpoint}/{repository}"


def _api() -> Any:
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise UserError("models on the hub need the package huggingface-hub", "pip install 'textvae[hub]'") from None
    from textvae import __version__

    return HfApi(os.environ.get("HF_ENDPOINT"), library_name="textvae", library_version=__version__)


def _failed(what: str, error: Exception) -> UserError:
    """An error of the hub, or of the network, of which there are many classes."""
    first = next(iter(str(error).splitlines()), "") or type(error).__name__
    return UserError(f"{what}: {first}", "check the network, and your token: hf auth whoami")
