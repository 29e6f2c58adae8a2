"""A stand-in of the Hugging Face hub's HTTP API on loopback: repositories in memory, as its client needs them."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class Hub:
    """Repositories: of each, its commits, newest last, as files by name."""

    def __init__(self) -> None:
        self.repositories: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        self.asked: list[str] = []
        self.answers = True

    def commit(self, repository: str, files: dict[str, bytes]) -> str:
        """Adds a commit with these files, and those of the commit before that it does not replace."""
        commits = self.repositories.setdefault(repository, [])
        kept = {**(commits[-1][1] if commits else {}), **files}
        sha = hashlib.sha1(repr((len(commits), sorted(kept.items()))).encode()).hexdigest()
        commits.append((sha, kept))
        return sha

    def at(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit of a revision; None where there is none."""
        commits = self.repositories.get(repository, [])
        if revision == "main":
            return commits[-1] if commits else None
        return next((commit for commit in commits if commit[0] == revision), None)


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """The address of a server of the hub."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def answer(self, status: int, body: bytes = b"{}", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path).strip("/").split("/")
            hub.asked.append(f"{self.command} {'/'.join(path)}")
            if not hub.answers:
                return self.answer(503)
            if path[:2] == ["api", "models"]:
                repository, what, revision = "/".join(path[2:4]), *(path[4:6] or ("revision", "main"))
                found = hub.at(repository, revision)
                if found is None:
                    return self.missing(repository)
                sha, files = found
                listed = [{"rfilename": name, "size": len(content)} for name, content in sorted(files.items())]
                if what == "tree":
                    tree = [{"type": "file", "path": name, "size": len(content), "oid": etag(content)}
                            for name, content in sorted(files.items())]  # fmt: skip
                    return self.answer(200, json.dumps(tree).encode(), Content_Type="application/json")
                body = {"_id": "1", "id": repository, "modelId": repository, "sha": sha, "siblings": listed,
                        "private": False, "tags": [], "downloads": 0, "likes": 0}  # fmt: skip
                return self.answer(200, json.dumps(body).encode(), Content_Type="application/json")
            if path[2:3] == ["resolve"]:
                found = hub.at("/".join(path[:2]), path[3])
                name = "/".join(path[4:])
                if found is None or name not in found[1]:
                    return self.answer(404, X_Error_Code="EntryNotFound")
                content = found[1][name]
                return self.answer(200, content, X_Repo_Commit=found[0], ETag=f'"{etag(content)}"')
            return self.answer(404)

        do_HEAD = do_GET

        def do_POST(self) -> None:
            path = unquote(urlsplit(self.path).path).strip("/").split("/")
            hub.asked.append(f"POST {'/'.join(path)}")
            body = self.body()
            if self.headers.get("Authorization") != "Bearer hf_right":
                return self.answer(401, b'{"error": "Invalid username or password."}')
            if path == ["api", "repos", "create"]:
                asked = json.loads(body)
                name = f"{asked.get('organization', 'me')}/{asked['name']}"
                hub.repositories.setdefault(name, [])
                answer = {"url": f"http://{self.headers['Host']}/{name}", "name": name, "id": name}
                return self.answer(200, json.dumps(answer).encode())
            if path == ["api", "validate-yaml"]:
                return self.answer(200, b'{"errors": [], "warnings": []}')
            if path[4:5] == ["preupload"]:
                files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                         for file in json.loads(body)["files"]]  # fmt: skip
                return self.answer(200, json.dumps({"files": files}).encode())
            if path[4:5] == ["commit"]:
                rows = [json.loads(line) for line in body.decode().splitlines()]
                files = {row["value"]["path"]: base64.b64decode(row["value"]["content"])
                         for row in rows if row["key"] == "file"}  # fmt: skip
                sha = hub.commit("/".join(path[2:4]), files)
                url = f"http://{self.headers['Host']}/{'/'.join(path[2:4])}/commit/{sha}"
                return self.answer(200, json.dumps({"commitUrl": url, "commitOid": sha}).encode())
            return self.answer(404)

        def body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def missing(self, repository: str) -> None:
            known = repository in hub.repositories
            self.answer(404, X_Error_Code="RevisionNotFound" if known else "RepoNotFound")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def etag(content: bytes) -> str:
    """The checksum by which git, and so the hub, names a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
