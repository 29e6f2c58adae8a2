"""The time of the Fréchet distance of 2,048 features x 10,000 samples, compared with ``scipy.linalg.sqrtm``.

Two times are measured: from moments to the distance (including the square root), and from features to the distance.
The reference is what most evaluation packages compute: ``numpy.cov``, and the trace of ``sqrtm`` of the product.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import scipy.linalg
import torch
from common import Neighbours, machine, summary, write

from textvae.evaluation.metrics.frechet import frechet_distance, moments_of
from textvae.utils.device import choose_execution

TARGET = 8.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="folder of the JSON; default: the package's measured/")
    asked = parser.parse_args()

    result: dict[str, Any] = {"machine": machine()}
    neighbours = Neighbours()
    threads = choose_execution("cpu", "fp32").threads
    a, b = samples_of(asked.samples, asked.features)
    # Warm-up: both libraries start their threads.
    ours(a[:64, :32], b[:64, :32])
    reference(a[:64, :32], b[:64, :32])

    sides: dict[str, Callable[..., dict[str, float]]] = {"textvae": ours, "scipy": reference}
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    print(f"{'':<10}{'value':>16}{'moments':>10}{'distance':>10}{'together':>10}  s")
    for _ in range(asked.repeats):
        for side, compute in sides.items():
            one = compute(a, b)
            one["together"] = one["moments"] + one["distance"]
            found[side].append(one)
            times = "".join(f"{one[key]:>10.2f}" for key in ("moments", "distance", "together"))
            print(f"{side:<10}{one['value']:>16.8f}{times}", flush=True)

    ours_value, their_value = found["textvae"][0]["value"], found["scipy"][0]["value"]
    result["protocol"] = {
        "features": asked.features,
        "samples": asked.samples,
        "data": "two samples of rectified Gaussians with decaying spectra, fp32",
        "order": "one process, taking turns, textvae first",
        "threads": threads,
        "scipy": scipy.__version__,
        "numpy": np.__version__,
    }
    result["value"] = {
        "textvae": ours_value,
        "scipy": their_value,
        "relative_difference": abs(ours_value - their_value) / abs(their_value),
    }
    result["seconds"] = {
        side: {key: summary([one[key] for one in rows]) for key in ("moments", "distance", "together")}
        for side, rows in found.items()
    }
    result["ratio"] = {"target": TARGET}
    result["summary"] = []
    for key, what in {"distance": "from moments to the distance", "together": "from features to the distance"}.items():
        ratios = [s[key] / t[key] for t, s in zip(found["textvae"], found["scipy"], strict=True)]
        result["ratio"][key] = summary(ratios)
        result["summary"].append(
            {
                "what": f"Fréchet of {asked.features:,} features x {asked.samples:,}, {what}; against scipy's `sqrtm`",
                "ours": f"{result['seconds']['textvae'][key]['median']:.1f} s",
                "theirs": f"{result['seconds']['scipy'][key]['median']:.1f} s",
                "ratio": f"{statistics.median(ratios):.1f} (target {TARGET:g})",
            }
        )
        print(f"ratio, {key:<9}{statistics.median(ratios):>6.1f} ({', '.join(f'{r:.1f}' for r in ratios)})")
    print(f"target {TARGET:g}; relative difference of the values {result['value']['relative_difference']:.1e}")
    write("frechet-speed", result, neighbours, asked.out)


def samples_of(samples: int, features: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two samples like features of a network: rectified, correlated, with a decaying spectrum."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(features, features, generator=generator) * torch.logspace(0, -2, features)[:, None]
    first, second = (torch.randn(samples, features, generator=generator) @ mixing for _ in range(2))
    return first.relu(), (second * 1.1 + 0.1).relu()


def ours(a: torch.Tensor, b: torch.Tensor) -> dict[str, float]:
    started = time.perf_counter()
    first, second = moments_of(a), moments_of(b)
    between = time.perf_counter()
    value = frechet_distance(first, second)
    return {"value": value, "moments": between - started, "distance": time.perf_counter() - between}


def reference(a: torch.Tensor, b: torch.Tensor) -> dict[str, float]:
    started = time.perf_counter()
    (mean_a, cov_a), (mean_b, cov_b) = (
        (x.mean(0), np.cov(x, rowvar=False)) for x in (a.double().numpy(), b.double().numpy())
    )
    between = time.perf_counter()
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    spread = np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(root).real
    value = float(((mean_a - mean_b) ** 2).sum() + spread)
    return {"value": value, "moments": between - started, "distance": time.perf_counter() - between}


if __name__ == "__main__":
    main()
