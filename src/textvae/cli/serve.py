"""``serve``: an HTTP API for one model or several."""

import os
from pathlib import Path
from typing import Annotated

import tyro

from textvae.cli.shared import Clip, Device, Output, Precision, in_range, open_model
from textvae.utils.errors import UserError
from textvae.utils.progress import say


def serve(
    models: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[MODEL ...]", help_behavior_hint="(default: all bundled models that generate images)"),
    ] = (),
    /,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_env: Annotated[
        str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: no token is required)")
    ] = None,
    page: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: no page)")] = None,
    queue: int = 1024,
    max_images: int = 16,
    device: Device = "auto",
    precision: Precision = "fp32",
    clip: Clip = None,
) -> Output:
    """Serve models over HTTP with the routes of OpenAI's image API.

    Args:
        models: Run folders, or names of bundled models. Requests name a run by its folder's name; the first model is
            the default.
        host: Address to listen on. The default is reachable from this machine alone; 0.0.0.0 from any.
        port: Port to listen on; 0 takes a free one.
        token_env: Environment variable that holds the bearer token that requests have to send.
        page: Static page written by textvae page, to be served at /.
        queue: Maximum number of images waiting to be generated; further requests get status 429.
        max_images: Maximum number of images per request.

    Examples:
        textvae serve
        textvae serve fashion runs/my-model --port 9000
        textvae serve flowers --host 0.0.0.0 --token-env TOKEN
    """
    in_range("--port", port, 0, 65535)
    in_range("--queue", queue, 1, 1_000_000)
    in_range("--max-images", max_images, 1, min(queue, 1024))
    token = None if token_env is None else os.environ.get(token_env)
    if token_env is not None and not token:
        raise UserError(f"the environment variable {token_env} is unset or empty", "set it, or leave out --token-env")
    if page is not None and not (page / "index.html").is_file():
        raise UserError(f"{page} does not contain a page", f"write one: textvae page --out {page}")
    try:
        from textvae.serve.app import create_app
        from textvae.serve.limits import Limits
        from textvae.serve.server import is_loopback, listening, run
    except ImportError as error:
        raise UserError(f"serving needs the package {error.name}", 'pip install "textvae[serve]"') from None
    from textvae.runs.find import shipped_models

    names = models or tuple(name for name in sorted(shipped_models()) if not name.startswith("judge-"))
    with listening(host, port) as bound:
        served = {}
        for name in names:
            opened, model = open_model(name, device, precision, None, clip)
            if opened.name in served:
                raise UserError(f"two models have the name {opened.name!r}", "rename one of the run folders")
            served[opened.name] = model
        app = create_app(served, Limits(waiting_images=queue, images=max_images), token, page)
        url = f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"
        if token is None and not is_loopback(host):
            say("no token is required: anyone who can reach this address can use the models; see --token-env")

        run(app, bound, lambda: say(f"serving {', '.join(served)} at {url}"))
    return Output({"url": url, "models": list(served)}, f"{url} is closed")
