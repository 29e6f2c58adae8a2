"""The HTTP API as an ASGI application: images by OpenAI's routes, models, health and metrics."""

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive

from textvae.editing import edit, flow_of, inpaint
from textvae.pipeline import TextToImage
from textvae.priors.flow import solvers
from textvae.priors.flow.prior import INPAINTING_ROUNDS, INPAINTING_STEPS
from textvae.serve.batching import Batcher, Drawing, Drawn, QueueFullError
from textvae.serve.fields import COMMON, FORMATS, Asked, Fields, asked, parsed_json, size_of
from textvae.serve.limits import APIError, Limits, within
from textvae.serve.metrics import Metrics
from textvae.serve.middleware import Authorized, Counted
from textvae.serve.understood import understood
from textvae.serve.uploads import decoded, hole_of
from textvae.utils.errors import UserError
from textvae.utils.images import encode_image
from textvae.utils.pixels import fit_image

T = TypeVar("T")

GENERATION = (*COMMON, "num_inference_steps", "negative_prompt")
EDIT = (*COMMON, "image", "image[]", "mask", "from")
MAX_STEPS = 1000
"""Only bounds the number; the model's own limit is lower and checked by the model."""
CLIENT_GONE = 499
"""Status of a request whose client closed the connection; for the metrics, as nobody receives it."""


@dataclass(frozen=True)
class _State:
    """What the routes share."""

    models: Mapping[str, TextToImage]
    limits: Limits
    batcher: Batcher
    metrics: Metrics
    codec: ThreadPoolExecutor
    """One thread that decodes and encodes images, so that answers do not wait for that."""
    uploads: asyncio.Semaphore
    started: int


def create_app(
    models: Mapping[str, TextToImage],
    limits: Limits | None = None,
    token: str | None = None,
    page: Path | None = None,
) -> ASGIApp:
    """The application.

    Args:
        models: by the names that requests use; the first is the default.
        limits: bounds of requests.
        token: bearer token that the routes under /v1/ and /metrics require; None requires none.
        page: folder of a static page, served at / without a token.
    """
    if not models:
        raise ValueError("there are no models to serve")
    bounds, metrics = limits or Limits(), Metrics()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        batcher = Batcher(models, bounds.waiting_images)
        codec = ThreadPoolExecutor(1, "textvae-codec")
        uploads = asyncio.Semaphore(bounds.uploads)
        app.state.shared = _State(models, bounds, batcher, metrics, codec, uploads, int(time.time()))
        try:
            yield
        finally:
            await asyncio.to_thread(batcher.close)
            codec.shutdown()

    routes: list[BaseRoute] = [
        Route("/v1/images/generations", _generations, methods=["POST"]),
        Route("/v1/images/edits", _edits, methods=["POST"]),
        Route("/v1/models", _models, methods=["GET"]),
        Route("/v1/models/{name}", _model, methods=["GET"]),
        Route("/health", _health, methods=["GET"]),
        Route("/metrics", _metrics, methods=["GET"]),
    ]
    if page is not None:
        routes.append(Mount("/", StaticFiles(directory=page, html=True)))
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={
            APIError: _api_error,
            UserError: _user_error,
            QueueFullError: _queue_full,
            HTTPException: _http_error,
            Exception: _bug,
        },
    )
    return Counted(Authorized(app, token), metrics)


async def _generations(request: Request) -> Response:
    state = _state(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise APIError(415, "the body is not JSON: send the header Content-Type: application/json")
    limits = state.limits
    body = await within(request, limits.json_bytes, limits.body_seconds).body()
    fields = Fields(parsed_json(body))
    fields.allow_only(GENERATION)
    common = asked(fields, state.models, limits)
    steps = fields.integer("num_inference_steps", 1, MAX_STEPS, None)
    negative = fields.text("negative_prompt", None, limits.prompt_characters)
    drawing = Drawing(common.model, common.prompt, common.seeds, common.guidance_scale, steps, negative)
    drawn = await _finished(request, state.batcher.draw(drawing))
    optional = {"guidance": common.guidance_scale, "steps": steps, "negative": negative}
    settings = {name: str(value) for name, value in optional.items() if value is not None}
    return await _answer(state, common, drawn, common.seeds, settings)


async def _edits(request: Request) -> Response:
    state = _state(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise APIError(415, "the body is not a form: send image and prompt as multipart/form-data")
    if state.uploads.locked():
        raise QueueFullError(1)
    limits = state.limits
    async with state.uploads:
        bounded = within(request, limits.upload_bytes, limits.body_seconds)
        async with bounded.form(max_files=2, max_fields=32, max_part_size=limits.json_bytes) as form:
            if len(form) < len(form.multi_items()):
                raise APIError(400, "a field occurs twice")
            fields = Fields({name: value for name, value in form.items() if isinstance(value, str)}, form=True)
            files = {name: await value.read() for name, value in form.items() if isinstance(value, UploadFile)}
        Fields({**fields.values, **files}).allow_only(EDIT)
        common = asked(fields, state.models, limits)
        model = state.models[common.model]
        flow_of(model)  # before anything is decoded
        image_file = files.get("image") or files.get("image[]")
        if image_file is None:
            raise APIError(400, "image is missing: send a file", "image", "missing_parameter")
        before = fields.text("from", None, limits.prompt_characters)
        mask_file = files.get("mask")
        if mask_file is None and before is None:
            raise APIError(400, "send a mask to fill in, or what the image shows as the field from", "mask")
        if mask_file is None and len(common.seeds) > 1:
            raise APIError(400, "an edit without a mask has one result: leave n out", "n")
        task = await _in_codec(state, lambda: _edit_task(model, common, image_file, mask_file, before, limits))
    evaluations = len(common.seeds) * INPAINTING_STEPS * INPAINTING_ROUNDS if mask_file else 2 * solvers.MAX_STEPS
    drawn = await _finished(request, state.batcher.run(task, -(-evaluations // flow_of(model).config.steps)))
    seeds = common.seeds if mask_file is not None else (None,)
    settings = {"verb": "inpaint"} if before is None else {"verb": "edit", "from": before}
    return await _answer(state, common, drawn, seeds, settings)


def _edit_task(
    model: TextToImage, common: Asked, image_file: bytes, mask_file: bytes | None, before: str | None, limits: Limits
) -> Any:
    """Decodes the uploads, and returns the function that edits. What waits in the queue has the model's size."""
    image = decoded(image_file, "image", limits)
    pixels = model.pixels(image)[0]
    hole = None
    if mask_file is not None:
        mask = hole_of(decoded(mask_file, "mask", limits), image.size)
        hole = fit_image(mask, (1, *model.model.image_shape[1:]))[0] > 127

    def task() -> Drawn:
        prompt, scale = common.prompt, common.guidance_scale
        words = understood(model.text, prompt, model.text.encode([prompt])[0])
        if hole is not None:
            return Drawn(inpaint(model, pixels, hole, prompt, len(common.seeds), common.seeds[0], scale), words)
        assert before is not None
        return Drawn([edit(model, pixels, before, prompt, scale).after], words)

    return task


async def _models(request: Request) -> Response:
    state = _state(request)
    return JSONResponse({"object": "list", "data": [_described(state, name) for name in state.models]})


async def _model(request: Request) -> Response:
    state, name = _state(request), request.path_params["name"]
    if name not in state.models:
        raise APIError(404, f"there is no model {name[:80]!r}", "model", "model_not_found")
    return JSONResponse(_described(state, name))


def _described(state: _State, name: str) -> dict[str, Any]:
    model = state.models[name]
    return {
        "id": name,
        "object": "model",
        "created": state.started,
        "owned_by": "textvae",
        "size": size_of(model),
        "color": model.model.image_shape[0] == 3,
        "guidance": model.model.prior.supports_guidance,
    }


async def _health(request: Request) -> Response:
    state = _state(request)
    return JSONResponse({"status": "ok", "models": list(state.models), "queue_images": state.batcher.waiting})


async def _metrics(request: Request) -> Response:
    state = _state(request)
    text = state.metrics.text(state.batcher.waiting, state.batcher.drawn, state.batcher.batches)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


async def _answer(
    state: _State, common: Asked, drawn: Drawn, seeds: Sequence[int | None], settings: Mapping[str, str]
) -> Response:
    metadata = {"prompt": common.prompt, "model": common.model, "num_images": "1", **settings}

    def encoded() -> list[dict[str, Any]]:
        items = []
        for image, seed in zip(drawn.images, seeds, strict=True):
            facts = metadata if seed is None else {**metadata, "seed": str(seed)}
            data = encode_image(image, FORMATS[common.output_format], facts)
            b64 = base64.b64encode(data).decode("ascii")
            items.append({"b64_json": b64, "seed": seed, "revised_prompt": drawn.understood})
        return items

    data = await _in_codec(state, encoded)
    answer = {"created": int(time.time()), "model": common.model, "output_format": common.output_format}
    return JSONResponse({**answer, "size": size_of(state.models[common.model]), "data": data})


async def _finished(request: Request, future: Future[T]) -> T:
    """Waits for a queued job, which is cancelled where the client closes the connection first."""
    work = asyncio.wrap_future(future)
    gone = asyncio.create_task(_disconnected(request.receive))
    either: set[asyncio.Future[Any]] = {work, gone}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise APIError(CLIENT_GONE, "the client closed the connection")
        if work.cancelled():
            raise APIError(503, "the server is shutting down", headers={"Retry-After": "5"})
        return work.result()
    finally:
        gone.cancel()
        work.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _in_codec(state: _State, function: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(state.codec, function)


def _state(request: Request) -> _State:
    state: _State = request.app.state.shared
    return state


def _error(error: APIError) -> Response:
    return JSONResponse(error.content, error.status, dict(error.headers))


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, APIError)
    return _error(error)


async def _user_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, UserError)
    return _error(APIError(400, f"{error.cause}: {error.cure}"))


async def _queue_full(request: Request, error: Exception) -> Response:
    assert isinstance(error, QueueFullError)
    headers = {"Retry-After": str(error.retry_after)}
    return _error(APIError(429, str(error), code="rate_limit_exceeded", headers=headers))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(APIError(error.status_code, error.detail, headers=dict(error.headers or {})))


async def _bug(request: Request, error: Exception) -> Response:
    # The traceback goes to the log alone.
    return _error(APIError(500, "the server failed; its log says why"))
