"""Counters of a server in the text format of Prometheus."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the latency histogram in seconds."""


class Metrics:
    """Answered requests by route and status, and the time that they took. For use by one thread."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()

    def add(self, route: str, status: int, seconds: float) -> None:
        """Counts one answer. Routes must come from a fixed list, as each has its own series."""
        self._requests[route, status] += 1
        buckets = self._buckets.setdefault(route, [0] * (len(BUCKETS) + 1))
        buckets[bisect_left(BUCKETS, seconds)] += 1
        self._seconds[route] += seconds  # type: ignore[assignment]

    def text(self, waiting: int, drawn: Mapping[str, int], batches: int) -> str:
        """All metrics.

        Args:
            waiting: images in the queue.
            drawn: images drawn so far, by model.
            batches: batches drawn so far.
        """
        lines = list(_series("requests_total", "counter", "Answered requests.", (
            (f'route="{route}",status="{status}"', count) for (route, status), count in sorted(self._requests.items())
        )))  # fmt: skip
        lines += _series("request_seconds", "histogram", "Seconds from a request to the end of its answer.", ())
        for route, buckets in sorted(self._buckets.items()):
            total = 0
            for bound, count in zip([*map(str, BUCKETS), "+Inf"], buckets, strict=True):
                total += count
                lines.append(f'textvae_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}')
            lines.append(f'textvae_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}')
            lines.append(f'textvae_request_seconds_count{{route="{route}"}} {total}')
        lines += _series("queue_images", "gauge", "Images that wait to be drawn.", [("", waiting)])
        lines += _series("images_total", "counter", "Images drawn, edits not included.",
                         ((f'model="{name}"', count) for name, count in drawn.items()))  # fmt: skip
        lines += _series("batches_total", "counter", "Batches drawn.", [("", batches)])
        return "\n".join(lines) + "\n"


def _series(name: str, kind: str, help_: str, values: Iterable[tuple[str, int]]) -> Iterable[str]:
    yield f"# HELP textvae_{name} {help_}"
    yield f"# TYPE textvae_{name} {kind}"
    for labels, value in values:
        yield f"textvae_{name}{{{labels}}} {value}" if labels else f"textvae_{name} {value}"
