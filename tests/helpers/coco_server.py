"""A made server of MS-COCO's archives and photographs on this machine, which can break a connection in the middle."""

import contextlib
import hashlib
import http.server
import io
import json
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from textvae.data.archives import Archive


@dataclass
class Server:
    """What it serves by path, and what was asked of it."""

    files: dict[str, bytes]
    address: str = ""
    ranges: bool = True
    """Whether it answers requests for a part of a file with that part."""
    breaks: dict[str, int] = field(default_factory=dict)
    """The next answer for a path ends after so many bytes."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and range of each request."""


@contextlib.contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[Server]:
    server = Server(dict(files))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, wanted = self.path.lstrip("/"), self.headers.get("Range", "")
            server.asked.append((path, wanted))
            if path not in server.files:
                self.send_error(404)
                return
            content, start = server.files[path], 0
            if wanted and server.ranges:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(content[start : server.breaks.pop(path, None)])

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server.address = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


def packed(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def annotations(images: Mapping[int, list[str]]) -> bytes:
    """A captions file of images by their id."""
    texts = [{"image_id": number, "caption": text} for number, own in images.items() for text in own]
    return json.dumps(
        {
            "images": [{"id": number, "file_name": f"{number:012d}.jpg"} for number in images],
            "annotations": [{"id": n, **text} for n, text in enumerate(texts)],
        }
    ).encode()


def archive(path: str, content: bytes, wanted: str, proof: str) -> Archive:
    return Archive(path, len(content), hashlib.sha256(content).hexdigest(), wanted, proof)
