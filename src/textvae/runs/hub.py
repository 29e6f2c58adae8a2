"""Models on the Hugging Face hub: ``fetch`` copies one to this machine (the extra ``hub``).

Only the files of a run that hold settings, weights and results are transferred; nothing in them is executable.
"""

import os
import re
from pathlib import Path
from typing import Any

from textvae.runs.files import CARD, CONFIG, HISTORY, METRICS, MODEL, SAMPLES
from textvae.utils.errors import UserError
from textvae.utils.files import write_text
from textvae.utils.paths import data_root
from textvae.utils.progress import say
from textvae.utils.version import __version__

HUB = "hf://"
FILES = (CONFIG, MODEL, METRICS, HISTORY, SAMPLES, CARD)
"""The files that are transferred."""
MOST_BYTES = 4 << 30
"""Larger models are not fetched."""


def hub_root() -> Path:
    """Folder for copies of models on the Hugging Face hub, next to ``data_root()``."""
    return data_root().parent / "hub"


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
    api = hub_api()
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
            raise hub_error(f"{reference} cannot be fetched", error) from None
        say(f"{reference}: the hub cannot be reached; the copy in {folder} is used")
    return folder


def _check(reference: str, sizes: dict[str, int]) -> None:
    if missing := [name for name in (CONFIG, MODEL) if name not in sizes]:
        raise UserError(f"{reference} is not a textvae model: it has no {missing[0]}", "name one that has these files")
    if (total := sum(sizes.get(name, 0) for name in FILES)) > MOST_BYTES:
        raise UserError(f"{reference} has {total:,} bytes", f"models of up to {MOST_BYTES:,} bytes are fetched")


def hub_api() -> Any:
    """The client of the hub.

    Raises:
        UserError: the package huggingface-hub is not installed.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise UserError("models on the hub need the package huggingface-hub", "pip install 'textvae[hub]'") from None
    return HfApi(os.environ.get("HF_ENDPOINT"), library_name="textvae", library_version=__version__)


def hub_error(what: str, error: Exception) -> UserError:
    """An error of the hub, or of the network, of which there are many classes."""
    first = next(iter(str(error).splitlines()), "") or type(error).__name__
    return UserError(f"{what}: {first}", "check the network, and your token: hf auth whoami")
