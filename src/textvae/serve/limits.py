"""What a request may ask for, the errors that it gets otherwise, and bodies that are read within bounds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio
from starlette.requests import Request
from starlette.types import Message, Receive

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Bounds of requests. They are checked before an image is decoded or a model is run."""

    prompt_characters: int = 1000
    """Of each prompt."""
    images: int = 16
    """Images of one request."""
    json_bytes: int = 64 << 10
    """Body of a request for generation."""
    upload_bytes: int = 8 * MEBIBYTE
    """Body of a request for an edit: image, mask and fields together."""
    pixels: int = 4096 * 4096
    """Width times height of an uploaded image."""
    uploads: int = 8
    """Edits whose bodies are received and decoded at the same time."""
    waiting_images: int = 1024
    """Images that may wait to be drawn."""
    body_seconds: float = 30.0
    """Time in which a body has to arrive."""


@dataclass
class APIError(Exception):
    """An error answer, in the form of OpenAI's API."""

    status: int
    message: str
    param: str | None = None
    """The field of the request that is wrong."""
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> dict[str, object]:
        """The JSON of the answer."""
        kinds = {401: "authentication_error", 429: "rate_limit_error"}
        kind = "server_error" if self.status >= 500 else kinds.get(self.status, "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def within(request: Request, limit: int, seconds: float) -> Request:
    """The request with a body that raises ``APIError`` once it is longer than ``limit`` bytes or takes too long.

    Raises:
        APIError: the body's length is given and too large.
    """
    too_large = APIError(413, f"the body is larger than {limit:,} bytes", code="body_too_large")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > limit:
        raise too_large
    receive = request.receive
    received = 0
    deadline = anyio.current_time() + seconds

    async def bounded() -> Message:
        nonlocal received
        try:
            with anyio.fail_after(deadline - anyio.current_time()):
                message = await receive()
        except TimeoutError:
            raise APIError(408, f"the body did not arrive within {seconds:g} seconds") from None
        received += len(message.get("body", b""))
        if received > limit:
            raise too_large
        return message

    bounded_receive: Receive = bounded
    return Request(request.scope, bounded_receive)
