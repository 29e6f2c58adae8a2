"""Runs the Containerfile's steps, or the Space's, in a fresh environment: where no container can be built.

``check_container.py container`` carries out COPY and RUN of the Containerfile below a temporary folder, with a virtual
environment in place of the image, starts what ENTRYPOINT and CMD say, runs the HEALTHCHECK, and asks for an image.
``check_container.py space`` installs examples/space/requirements.txt, with this source as textvae, and Gradio, as a
Space does, starts app.py, and asks for images by Gradio's client.

An index of packages that a RUN names and that cannot be reached from here is left out, which is printed: pip then looks
where it looks by default. The Python of the environment is the one that runs this. No users are made and no packages
of the system are installed: a RUN may use pip, rm and useradd, of which the last does nothing here.
"""

import base64
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START_S = 300
SPACE_CLIENT = """
import sys
from gradio_client import Client
found = Client(sys.argv[1], verbose=False).predict("fashion", "a dress", 1, 1.5, fn_index=0)
print(len(found))
"""


def steps_of(text: str) -> list[tuple[str, str]]:
    """The instructions of a Containerfile in order: name and argument."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]
    return [(name, argument.strip()) for name, _, argument in (line.partition(" ") for line in lines)]


class Fresh:
    """A virtual environment below a temporary folder, which stands for the root of a container."""

    def __init__(self, root: Path) -> None:
        self.root = root
        venv.create(root / "venv", with_pip=True)
        self.bin = root / "venv" / "bin"
        (root / "home").mkdir()
        useradd = self.bin / "useradd"
        useradd.write_text("#!/bin/sh\n", encoding="utf-8")
        useradd.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        self.environment = kept | {"HOME": str(root / "home"), "PATH": f"{self.bin}:/usr/bin:/bin"}

    def run(self, command: str) -> None:
        """Runs a command of the shell, and fails as it does."""
        print(f"$ {command}", flush=True)
        subprocess.run(["/bin/sh", "-ec", command], cwd=self.root, env=self.environment, check=True)

    @contextmanager
    def serving(self, words: list[str], address: str, **more: str) -> Iterator[None]:
        """A program that serves, once it answers at an address."""
        print(f"$ {shlex.join(words)}", flush=True)
        process = subprocess.Popen(words, cwd=self.root, env=self.environment | more)
        try:
            deadline = time.monotonic() + START_S
            while not answers(address):
                assert process.poll() is None, f"the server has ended with exit code {process.returncode}"
                assert time.monotonic() < deadline, f"{address} does not answer after {START_S} s"
                time.sleep(1)
            yield
        finally:
            process.terminate()
            process.wait(60)


def answers(address: str) -> bool:
    """Whether an address answers with status 200."""
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def reachable(host: str) -> bool:
    """Whether a host answers at the port of https."""
    try:
        socket.create_connection((host, 443), timeout=10).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_container(fresh: Fresh) -> str:
    """Carries out the Containerfile; returns what came of it."""
    places: dict[str, str] = {}
    health: list[str] = []
    command: list[str] = []
    for name, argument in steps_of((ROOT / "Containerfile").read_text(encoding="utf-8")):
        if name == "COPY":
            *sources, target = argument.split()
            # Paths of the container lie below the temporary folder, also where a RUN names them.
            top = f"/{target.strip('/').split('/')[0]}"
            places[top] = f"{fresh.root}{top}"
            place = fresh.root / target.strip("/")
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    place.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / source, place)
        elif name == "RUN":
            for inside, outside in places.items():
                argument = argument.replace(f'"{inside}', f'"{outside}').replace(f" {inside}", f" {outside}")
            for option, host in re.findall(r"(--index-url https://([^/ ]+)\S* )", argument):
                if not reachable(host):
                    print(f"{host} cannot be reached: {option.strip()} is left out")
                    argument = argument.replace(option, "")
            fresh.run(argument)
        elif name == "HEALTHCHECK":
            health = json.loads(argument.partition("CMD")[2])
        elif name in ("ENTRYPOINT", "CMD"):
            command += json.loads(argument)
        else:
            assert name in ("FROM", "USER", "EXPOSE"), f"{name} is not known here"
    port = free_port()
    program, *arguments = command
    words = [str(fresh.bin / program), *arguments, "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with fresh.serving(words, f"{url}/health"):
        checked = [str(fresh.bin / health[0]), *(word.replace(":8000", f":{port}") for word in health[1:])]
        subprocess.run(checked, env=fresh.environment, check=True)
        asked = json.dumps({"model": "flowers", "prompt": "a red flower", "seed": 7}).encode()
        request = urllib.request.Request(
            f"{url}/v1/images/generations", asked, {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            (image,) = json.load(answer)["data"]
        png = base64.b64decode(image["b64_json"])
        assert png.startswith(b"\x89PNG"), "the answer is no PNG"
    return f"healthy, and drew a picture of {len(png):,} bytes with seed {image['seed']}"


def check_space(fresh: Fresh) -> str:
    """Installs and starts the Space; returns what came of it."""
    space = shutil.copytree(ROOT / "examples" / "space", fresh.root / "space")
    fresh.run(f"pip wheel --quiet --no-deps --wheel-dir wheels {shlex.quote(str(ROOT))}")
    fresh.run("pip install --quiet --find-links wheels --requirement space/requirements.txt gradio")
    url = f"http://127.0.0.1:{free_port()}/"
    port = url.rpartition(":")[2].strip("/")
    words = [str(fresh.bin / "python"), str(space / "app.py")]
    with fresh.serving(words, url, GRADIO_SERVER_PORT=port, GRADIO_ANALYTICS_ENABLED="False"):
        client = [str(fresh.bin / "python"), "-c", SPACE_CLIENT, url]
        done = subprocess.run(client, env=fresh.environment, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["8"], done.stdout
    return "8 images by Gradio's client"


if __name__ == "__main__":
    checks = {"container": check_container, "space": check_space}
    with tempfile.TemporaryDirectory() as folder:
        print(f"{sys.argv[1]}: {checks[sys.argv[1]](Fresh(Path(folder)))}")
