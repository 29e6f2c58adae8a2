"""The HTTP API under load: 1,000 requests at once, against the library's own rate in batches on the same machine.

    python benchmarks/serve_load.py
    python benchmarks/serve_load.py --model flowers --requests 200

Each repeat draws the same images twice: by ``TextToImage.draw`` in this process while the server is idle, and by
requests to a server in a process of its own. Every image of every answer is compared with the directly drawn one.
The clients have one core to themselves (1,000 of them use a fifth of a core or more), and both the server and the
library have the others: otherwise the clients would be counted against the server. Needs Linux, which tells the memory
and time of a process.
"""

import argparse
import asyncio
import base64
import io
import itertools
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from common import Neighbours, machine, summary, write
from PIL import Image

from textvae import TextToImage
from textvae.utils.device import choose_execution
from textvae.utils.pixels import to_pil

PROMPTS = {
    "fashion": ["a dress", "a coat", "a bag", "an ankle boot", "a shirt", "a t-shirt", "a sandal", "a sneaker"],
    "flowers": ["a red flower", "a white flower", "a flower with pink petals and a yellow center"],
}
CLIENTS = 20
"""Pools of connections. One pool of 1,000 connections would spend its time on searching itself."""
TARGET = 0.9
"""Share of the library's rate."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(PROMPTS), default="fashion")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--images", type=int, default=4, help="images of one request")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="folder of the JSON; default: the package's measured/")
    asked = parser.parse_args()

    described = machine()
    cores = sorted(os.sched_getaffinity(0))
    drawing, clients = cores[:-1] or cores, cores[-1:]
    os.sched_setaffinity(0, drawing)
    execution = choose_execution("cpu", "fp32")
    prompts = itertools.islice(itertools.cycle(PROMPTS[asked.model]), asked.requests)
    wanted = [(prompt, 1000 * i) for i, prompt in enumerate(prompts)]
    model = TextToImage.load(asked.model)
    model(["a bag" if asked.model == "fashion" else "a flower"], 64)
    neighbours = Neighbours()
    rates: dict[str, list[float]] = {"library": [], "server": []}
    work: dict[str, list[float]] = {"library": [], "server": []}
    latencies: list[float] = []
    count = asked.requests * asked.images
    command = [sys.executable, "-m", "textvae", "serve", asked.model, "--port", "0", "--queue", str(count)]
    server = subprocess.Popen(
        [*command, "--device", "cpu"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        url = server.stderr.readline().split()[-1]
        asyncio.run(answers(url, wanted[:64], asked.images))
        memory = [peak_memory(server.pid)]
        worst, lost = 0, 0
        for _ in range(asked.repeats):
            start, used = time.perf_counter(), time.process_time()
            direct = drawn(model, wanted, asked.images)
            rates["library"].append(count / (time.perf_counter() - start))
            work["library"].append((time.process_time() - used) / count)
            os.sched_setaffinity(0, clients)
            start, used = time.perf_counter(), processor_time(server.pid)
            found = asyncio.run(answers(url, wanted, asked.images))
            rates["server"].append(count / (time.perf_counter() - start))
            work["server"].append((processor_time(server.pid) - used) / count)
            os.sched_setaffinity(0, drawing)
            memory.append(peak_memory(server.pid))
            latencies += [seconds for _, seconds in found]
            lost += sum(answer.status_code != 200 for answer, _ in found)
            worst = max(worst, difference(direct, [answer for answer, _ in found], wanted, asked.images))
    finally:
        server.terminate()
        exit_code = server.wait(60)

    ratios = [server / library for server, library in zip(rates["server"], rates["library"], strict=True)]
    result: dict[str, Any] = {
        "machine": described | {"threads": execution.threads},
        "protocol": {
            "requests": asked.requests, "images_per_request": asked.images, "model": asked.model,
            "clients": "httpx in one process on a core of the same machine; all requests are sent at once",
            "library": "TextToImage.draw of the same prompts and seeds, prompts encoded within the time",
        },
        "images_per_s": {name: summary(found) for name, found in rates.items()},
        "ratio": summary(ratios),
        "processor_s_per_image": {name: summary(found) for name, found in work.items()},
        "target": TARGET,
        "latency_s": {f"p{q}": float(np.percentile(latencies, q)) for q in (50, 95, 100)},
        "peak_memory_mib": {"warm": memory[0], "repeats": memory[1:]},
        "lost": lost,
        "largest_difference_in_grey_levels": worst,
        "exit_code_after_sigterm": exit_code,
    }  # fmt: skip
    median = {name: statistics.median(found) for name, found in rates.items()}
    result["summary"] = [
        {
            "what": f"`textvae serve {asked.model}`, {asked.requests:,} requests at once, {asked.images} images each, "
            f"against the library (target {TARGET} x)",
            "ours": f"{median['server']:,.0f} images/s",
            "theirs": f"{median['library']:,.0f} images/s",
            "ratio": f"{statistics.median(ratios):.2f}",
        }
    ]
    for name, value in result.items():
        print(f"{name}: {value}")
    if lost or worst > 1 or exit_code != 0:
        sys.exit("not written: answers were lost or wrong, or the server did not stop cleanly")
    write("serve-load", result, neighbours, asked.out)


def drawn(model: TextToImage, wanted: list[tuple[str, int]], images: int) -> list[Image.Image]:
    """The images of all requests, in order, by the library."""
    conditions = model.text.encode([prompt for prompt, _ in wanted]).repeat_interleave(images, dim=0)
    return to_pil(model.draw(conditions, [seed + i for _, seed in wanted for i in range(images)]))


async def answers(url: str, wanted: list[tuple[str, int]], images: int) -> list[tuple[httpx.Response, float]]:
    """The answers to all requests, sent at once, each with its seconds."""
    limits = httpx.Limits(max_connections=None)
    clients = [httpx.AsyncClient(base_url=url, limits=limits, timeout=600) for _ in range(CLIENTS)]

    async def one(number: int, prompt: str, seed: int) -> tuple[httpx.Response, float]:
        start = time.perf_counter()
        body = {"prompt": prompt, "seed": seed, "n": images}
        answer = await clients[number % CLIENTS].post("/v1/images/generations", json=body)
        return answer, time.perf_counter() - start

    try:
        return await asyncio.gather(*(one(i, prompt, seed) for i, (prompt, seed) in enumerate(wanted)))
    finally:
        for client in clients:
            await client.aclose()


def difference(
    direct: list[Image.Image], found: list[httpx.Response], wanted: list[tuple[str, int]], images: int
) -> int:
    """The largest difference of any pixel of any answer from the directly drawn image."""
    worst = 0
    for number, (answer, (_, seed)) in enumerate(zip(found, wanted, strict=True)):
        items = answer.json()["data"]
        assert [item["seed"] for item in items] == list(range(seed, seed + images))
        for item, expected in zip(items, direct[number * images : (number + 1) * images], strict=True):
            pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(item["b64_json"]))))
            worst = max(worst, int(np.abs(pixels.astype(int) - np.asarray(expected)).max()))
    return worst


def processor_time(process: int) -> float:
    """Seconds that all threads of a process have computed; what others do on the machine changes it little."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory(process: int) -> float:
    """Largest resident memory of a process so far in MiB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024, 1)


if __name__ == "__main__":
    main()
