"""The verb: it serves until it is told to stop, and refuses what it cannot serve."""

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

pytest.importorskip("uvicorn")

from textvae.serve.server import listening

OLD_RUN = Path(__file__).parents[1] / "helpers" / "old_run"
TOKEN = "a token"


@pytest.mark.slow
def test_stops_on_sigterm_after_the_requests_in_progress() -> None:
    command = [sys.executable, "-m", "textvae", "serve", str(OLD_RUN), "--port", "0", "--token-env", "SECRET"]
    environment = os.environ | {"SECRET": TOKEN}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        url = process.stderr.readline().split()[-1]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            body = {"prompt": "a dress", "n": 16, "num_inference_steps": 50, "guidance_scale": 2}
            headers = {"Authorization": f"Bearer {TOKEN}"}
            answer = pool.submit(httpx.post, f"{url}/v1/images/generations", json=body, headers=headers, timeout=60)
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            assert len(answer.result().json()["data"]) == 16
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert url in out
    finally:
        process.kill()


@pytest.mark.slow
def test_refuses_what_it_cannot_serve(tmp_path: Path) -> None:
    def serve(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "textvae", "serve", str(OLD_RUN), "--json", *arguments],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 2
        return json.loads(done.stdout)["error"]["cause"]

    assert "NO_SUCH_NAME" in serve("--token-env", "NO_SUCH_NAME")
    with listening("127.0.0.1", 0) as taken:
        taken.listen()
        assert "cannot be listened on" in serve("--port", str(taken.getsockname()[1]))
    assert "does not contain a page" in serve("--page", str(tmp_path))
    assert "two models" in serve(str(OLD_RUN), "--port", "0")
