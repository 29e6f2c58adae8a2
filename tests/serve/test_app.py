"""The HTTP API: a real server on a free port of this machine, called by OpenAI's client and by httpx."""

import asyncio
import base64
import io
import itertools
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from textvae import TextToImage, inpaint
from textvae.utils.images import read_metadata
from textvae.utils.pixels import to_pil

pytest.importorskip("starlette")
openai = pytest.importorskip("openai")
uvicorn = pytest.importorskip("uvicorn")

from textvae.serve.app import create_app  # noqa: E402
from textvae.serve.limits import Limits  # noqa: E402
from textvae.serve.server import listening  # noqa: E402
from textvae.serve.uploads import hole_of  # noqa: E402

OLD_RUN = Path(__file__).parents[1] / "helpers" / "fashion"
TOKEN = "a token"
LIMITS = Limits(prompt_characters=100, images=4, json_bytes=2000, upload_bytes=200_000, pixels=512 * 512)


class Served:
    """An application on a free port, in a thread."""

    def __init__(self, app) -> None:
        self.socket = listening("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        config = uvicorn.Config(app, log_level="critical", lifespan="on", timeout_graceful_shutdown=5)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
            assert self.thread.is_alive()

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.socket.close()


@pytest.fixture(scope="module")
def models() -> dict[str, TextToImage]:
    return {"fashion": TextToImage.load("fashion"), "flowers": TextToImage.load("flowers")}


@pytest.fixture(scope="module")
def served(models) -> Iterator[Served]:
    server = Served(create_app(models, LIMITS, TOKEN))
    yield server
    server.close()


@pytest.fixture(scope="module")
def client(served) -> "Iterator[openai.OpenAI]":
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=TOKEN, max_retries=0) as found:
        yield found


@pytest.fixture(scope="module")
def http(served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as found:
        yield found


def image_of(item) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(item["b64_json"] if isinstance(item, dict) else item.b64_json)))


def difference(image: Image.Image, other: Image.Image) -> int:
    assert image.size == other.size
    assert image.mode == other.mode
    return int(np.abs(np.asarray(image).astype(int) - np.asarray(other)).max())


def png(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def code_of(answer: httpx.Response) -> tuple[int, str | None]:
    error = answer.json()["error"]
    assert error["message"]
    assert error["type"]
    return answer.status_code, error["param"]


@pytest.mark.slow
def test_generates_what_the_library_draws(client, models) -> None:
    answer = client.images.generate(prompt="a Dress", n=3, extra_body={"seed": 7})
    assert [item.seed for item in answer.data] == [7, 8, 9]
    assert [item.revised_prompt for item in answer.data] == ["dress"] * 3
    assert answer.size == "28x28"
    for item, expected in zip(answer.data, models["fashion"]("a dress", 3, 7), strict=True):
        assert difference(image_of(item), expected) <= 1


def test_settings_reach_the_model(client, models) -> None:
    settings = {"seed": 1, "guidance_scale": 3, "num_inference_steps": 2, "negative_prompt": "a coat"}
    answer = client.images.generate(prompt="a dress", model="fashion", size="28x28", extra_body=settings)
    expected = models["fashion"]("a dress", 1, 1, 3.0, 2, "a coat")[0]
    assert difference(image_of(answer.data[0]), expected) <= 1
    assert difference(models["fashion"]("a dress", seed=1)[0], expected) > 1


def test_seed_is_chosen_where_none_is_given_and_draws_the_same_again(client) -> None:
    first = client.images.generate(prompt="a dress").data[0]
    again = client.images.generate(prompt="a dress", extra_body={"seed": first.seed}).data[0]
    assert difference(image_of(first), image_of(again)) <= 1
    assert client.images.generate(prompt="a dress").data[0].seed != first.seed


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_writes_each_format_with_metadata(client, tmp_path: Path, kind: str) -> None:
    answer = client.images.generate(prompt="a dress", output_format=kind, extra_body={"seed": 3})
    file = tmp_path / f"image.{kind}"
    file.write_bytes(base64.b64decode(answer.data[0].b64_json))
    assert image_of(answer.data[0]).format == kind.upper()
    assert read_metadata(file) == {"prompt": "a dress", "model": "fashion", "num_images": "1", "seed": "3"}


@pytest.mark.slow
def test_says_which_words_were_understood(client) -> None:
    answer = client.images.generate(prompt="a red Xylophone flower", model="flowers")
    assert answer.data[0].revised_prompt == "a red flower"


def test_lists_models(client) -> None:
    listed = list(client.models.list())
    assert [model.id for model in listed] == ["fashion", "flowers"]
    assert [model.size for model in listed] == ["28x28", "64x64"]
    assert client.models.retrieve("flowers").id == "flowers"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing")


@pytest.mark.slow
def test_inpaints_where_the_mask_is_white(client, models) -> None:
    image = models["fashion"]("a dress", seed=5)[0]
    mask = Image.new("L", image.size, 0)
    mask.paste(255, (0, 0, 28, 14))
    answer = client.images.edit(
        image=("image.png", png(image)), mask=("mask.png", png(mask)), prompt="a coat", extra_body={"seed": 9}
    )
    assert [(item.seed, item.revised_prompt) for item in answer.data] == [(9, "coat")]
    expected = inpaint(models["fashion"], image, mask, "a coat", num_images=1, seed=9)[0]
    assert difference(image_of(answer.data[0]), expected) <= 1


def test_transparent_pixels_of_a_mask_are_filled_in() -> None:
    clear = Image.new("RGBA", (4, 2), (255, 255, 255, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 2, 2))
    hole = hole_of(clear, (4, 2))
    assert hole.tobytes() == bytes([255, 255, 0, 0] * 2)


@pytest.mark.slow
def test_edits_by_words(client, models) -> None:
    image = models["fashion"]("a dress")[0]
    answer = client.images.edit(
        image=("image.png", png(image)), prompt="a coat", extra_body={"from": "a dress", "guidance_scale": 2.5}
    )
    assert answer.data[0].revised_prompt == "coat"
    assert answer.data[0].seed is None
    assert image_of(answer.data[0]).size == (28, 28)


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"prompt": None}, 400, "prompt"),
        ({"prompt": ["a dress"]}, 400, "prompt"),
        ({"prompt": "a dress " * 20}, 400, "prompt"),
        ({"prompt": "a xylophone"}, 400, None),
        ({"n": 0}, 400, "n"),
        ({"n": 5}, 400, "n"),
        ({"n": True}, 400, "n"),
        ({"n": 1.5}, 400, "n"),
        ({"seed": -1}, 400, "seed"),
        ({"seed": 10**40}, 400, "seed"),
        ({"size": "1024x1024"}, 400, "size"),
        ({"response_format": "url"}, 400, "response_format"),
        ({"output_format": "gif"}, 400, "output_format"),
        ({"stream": True}, 400, "stream"),
        ({"guidance_scale": "2"}, 400, "guidance_scale"),
        ({"guidance_scale": 1e300}, 400, "guidance_scale"),
        ({"guidance_scale": 1000}, 400, None),
        ({"num_inference_steps": 51}, 400, None),
        ({"guidance": 2}, 400, "guidance"),
        ({"model": "judge-fashion"}, 404, "model"),
        ({"model": str(OLD_RUN)}, 404, "model"),
    ],
)
def test_refuses_wrong_fields(http, fields: dict, status: int, param: str | None) -> None:
    answer = http.post("/v1/images/generations", json={"prompt": "a dress", **fields})
    assert code_of(answer) == (status, param)


def test_refuses_half_of_a_character(http) -> None:
    body = b'{"prompt": "a dress \\ud800"}'
    answer = http.post("/v1/images/generations", content=body, headers={"content-type": "application/json"})
    assert code_of(answer) == (400, "prompt")


def test_refuses_wrong_bodies(http) -> None:
    def post(body: bytes, kind: str = "application/json") -> int:
        answer = http.post("/v1/images/generations", content=body, headers={"Content-Type": kind})
        return code_of(answer)[0]

    assert post(b'{"prompt": "a dress"}', "text/plain") == 415
    assert post(b"{") == 400
    assert post(b"[1]") == 400
    assert post(b'{"prompt": "a dress", "guidance_scale": NaN}') == 400
    assert post(b"[" * 1900) == 400
    assert post(b"\xff\xfe") == 400
    assert post(b" " * 2001) == 413
    # Without a length in the header, what arrives is counted.
    chunks = http.post(
        "/v1/images/generations",
        content=(b" " * 500 for _ in range(5)),
        headers={"Content-Type": "application/json"},
    )
    assert code_of(chunks)[0] == 413
    assert code_of(http.get("/v1/images/generations"))[0] == 405
    assert code_of(http.get("/v2"))[0] == 404


def test_refuses_wrong_uploads(http) -> None:
    def post(image: bytes | None, mask: bytes | None = None, **data: str) -> tuple[int, str | None]:
        files = {name: ("x.png", content) for name, content in (("image", image), ("mask", mask)) if content}
        fields = {"prompt": "a red flower", "model": "flowers", **data}
        return code_of(http.post("/v1/images/edits", data=fields, files=files or {"other": ("x", b"x")}))

    small, black = png(Image.new("RGB", (64, 64))), png(Image.new("L", (64, 64)))
    assert post(None) == (400, "other")
    assert post(small) == (400, "mask")
    assert post(b"no image", **{"from": "a flower"}) == (400, "image")
    assert post(small[:-40], **{"from": "a flower"}) == (400, "image")
    # Orientation 6, and a width that is a text: Pillow fails with a struct.error when it turns such a picture upright.
    width, orientation = "0100 0002 00000006 00000026", "0112 0003 00000001 00060000"
    broken = bytes.fromhex(f"4D4D 002A 00000008 0002 {width} {orientation} 00000000") + b"hello\0"
    assert post(png(Image.new("RGB", (64, 64)), exif=broken), **{"from": "a flower"}) == (400, "image")
    assert post(png(Image.new("1", (600, 600))), **{"from": "a flower"}) == (413, "image")
    assert post(small, png(Image.new("L", (32, 64)))) == (400, "mask")
    assert post(small, black) == (400, None)
    assert post(small, n="2", **{"from": "a flower"}) == (400, "n")
    assert post(small, n="x", **{"from": "a flower"}) == (400, "n")
    assert post(small, num_inference_steps="4", **{"from": "a flower"}) == (400, "num_inference_steps")
    assert post(os.urandom(200_001)) == (413, None)
    assert code_of(http.post("/v1/images/edits", json={}))[0] == 415


def test_needs_the_token(served) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
        with httpx.Client(base_url=served.url, headers=headers) as stranger:
            assert code_of(stranger.get("/v1/models"))[0] == 401
            assert code_of(stranger.post("/v1/images/generations", json={"prompt": "a dress"}))[0] == 401
            assert stranger.get("/metrics").status_code == 401
            assert stranger.get("/health").json()["status"] == "ok"


def test_does_not_answer_other_origins(http) -> None:
    headers = {"Origin": "http://elsewhere", "Access-Control-Request-Method": "POST"}
    answer = http.options("/v1/images/generations", headers=headers)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_counts(http) -> None:
    def values() -> dict[str, float]:
        lines = http.get("/metrics").text.splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    before = values()
    http.post("/v1/images/generations", json={"prompt": "a dress", "n": 3})
    http.get("/some/where")
    after = values()

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grown('textvae_requests_total{route="/v1/images/generations",status="200"}') == 1
    assert grown('textvae_requests_total{route="other",status="404"}') == 1
    assert grown('textvae_images_total{model="fashion"}') == 3
    assert grown("textvae_batches_total") == 1
    assert grown('textvae_request_seconds_bucket{route="/v1/images/generations",le="+Inf"}') == 1
    assert grown('textvae_request_seconds_count{route="/v1/images/generations"}') == 1
    assert after["textvae_queue_images"] == 0


@pytest.mark.slow
def test_many_at_once_get_their_own_images_in_few_batches(served, http, models) -> None:
    prompts = ["a dress", "a coat", "a bag", "an ankle boot", "a shirt", "none"]
    wanted = [(prompts[i % 6], 1000 * i, 1 + i % 4) for i in range(60)]
    before = _batches(http)

    async def all_answers() -> list[httpx.Response]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=60) as client:
            requests = [
                client.post("/v1/images/generations", json={"prompt": prompt, "seed": seed, "n": n})
                for prompt, seed, n in wanted
            ]
            return await asyncio.gather(*requests)

    model = models["fashion"]
    each = [(prompt, seed + i) for prompt, seed, n in wanted for i in range(n)]
    direct = to_pil(model.draw(model.text.encode([prompt for prompt, _ in each]), [seed for _, seed in each]))
    items = [item for answer in asyncio.run(all_answers()) for item in answer.json()["data"]]
    for item, (prompt, seed), expected in zip(items, each, direct, strict=True):
        assert (item["seed"], item["revised_prompt"]) == (seed, re.sub("^an? ", "", prompt))
        assert difference(image_of(item), expected) <= 1
    assert min(difference(one, other) for one, other in itertools.pairwise(direct)) > 50
    assert _batches(http) - before < 40


def _batches(http: httpx.Client) -> float:
    line = next(line for line in http.get("/metrics").text.splitlines() if line.startswith("textvae_batches_total"))
    return float(line.split()[1])


def test_serves_a_page_without_a_token(models, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<title>page</title>")
    (tmp_path.parent / "secret").write_text("secret")
    served = Served(create_app({"fashion": models["fashion"]}, token=TOKEN, page=tmp_path))
    try:
        assert "page" in httpx.get(f"{served.url}/").text
        assert httpx.get(f"{served.url}/%2e%2e/secret").status_code == 404
        assert httpx.get(f"{served.url}/v1/models").status_code == 401
    finally:
        served.close()
