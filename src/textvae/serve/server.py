"""Runs the application by uvicorn until the process is told to stop."""

import ipaddress
import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from textvae.utils.errors import UserError

GRACE_S = 30
"""Time that requests have to finish after SIGTERM or Ctrl-C."""
CONNECTIONS = 4096
"""Connections at the same time; further ones are answered 503."""


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens on an address; port 0 takes a free one.

    Raises:
        UserError: there is no such address, or the port is in use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except (OSError, OverflowError) as error:
        raise UserError(f"{host}:{port} cannot be listened on: {error}", "choose another --host or --port") from None
    bound.set_inheritable(True)
    return bound


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def run(app: ASGIApp, bound: socket.socket, started: Callable[[], None]) -> None:
    """Serves until SIGTERM, after which it returns, or until Ctrl-C.

    No new requests are accepted from then on; those in progress have ``GRACE_S`` seconds to finish.

    Args:
        app: of ``create_app``.
        bound: of ``listening``.
        started: called once requests are answered.

    Raises:
        KeyboardInterrupt: it was stopped by Ctrl-C.
    """

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                started()

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
    )
    # uvicorn raises the signal again once it has stopped, which would end the process as if it had been killed.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        Server(config).run(sockets=[bound])
    finally:
        signal.signal(signal.SIGTERM, before)
