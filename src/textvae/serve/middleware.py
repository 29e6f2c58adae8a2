"""What wraps every request: the bearer token, and the counting of answers."""

import hmac
import time

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from textvae.serve.limits import APIError
from textvae.serve.metrics import Metrics


class Authorized:
    """Requires a bearer token for the routes under /v1/ and for /metrics."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers 401."""
        if scope["type"] == "http" and self._expected is not None and _is_private(scope["path"]):
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                error = APIError(
                    401, "the bearer token is missing or wrong", None, "invalid_api_key", {"WWW-Authenticate": "Bearer"}
                )
                await JSONResponse(error.content, error.status, dict(error.headers))(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_private(path: str) -> bool:
    return path.startswith("/v1/") or path == "/metrics"


class Counted:
    """Counts answers and their time."""

    ROUTES = ("/v1/images/generations", "/v1/images/edits", "/v1/models", "/health", "/metrics")

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on and notes status and time of the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, start = 500, time.perf_counter()

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            # Any other path counts as one route, or a visitor could make series without end.
            route = scope["path"] if scope["path"] in self.ROUTES else "other"
            self._metrics.add(route, status, time.perf_counter() - start)
