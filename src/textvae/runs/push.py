"""Uploads a run to the Hugging Face hub (the extra ``hub``)."""

import re
from typing import Any

from textvae.runs.card import card_of
from textvae.runs.files import CARD
from textvae.runs.hub import FILES, HUB, hub_api, hub_error
from textvae.runs.run import Run
from textvae.utils.errors import UserError


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
    api = hub_api()
    from huggingface_hub import CommitOperationAdd

    card = card_of(run, f"{HUB}{repository}").encode()
    files: dict[str, Any] = {name: run.path / name for name in FILES if (run.path / name).is_file()} | {CARD: card}
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        api.create_commit(repository, operations, commit_message=f"Upload {run.name}")
    except Exception as error:
        raise hub_error(f"{repository} cannot be uploaded", error) from None
    return f"{api.endpoint}/{repository}"
