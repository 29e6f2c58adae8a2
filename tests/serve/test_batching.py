"""The queue: what is drawn together, its bounds, cancellation and its end."""

import threading
from concurrent.futures import CancelledError

import pytest
import torch
from torch import Tensor

from textvae import TextToImage
from textvae.serve.batching import Batcher, Drawing, QueueFullError
from textvae.text.labels import FASHION
from textvae.utils.errors import UserError


class Slow(TextToImage):
    """Stands for a TextToImage whose images say by their grey level what they were drawn for; each draw waits."""

    text = FASHION

    def __init__(self) -> None:
        self.go, self.begun = threading.Semaphore(0), threading.Semaphore(0)
        self.sizes: list[int] = []
        self.error: Exception | None = None

    def draw(self, conditions: Tensor, seeds: list[int], sampling: object) -> Tensor:
        self.sizes.append(len(seeds))
        self.begun.release()
        assert self.go.acquire(timeout=20)
        if self.error:
            raise self.error
        grey = 20 * conditions.argmax(1) + torch.tensor(seeds)
        return grey.to(torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def batcher(slow):
    made = Batcher({"a": slow, "b": slow}, waiting_images=10, batch=4, wait_s=0.0)
    yield made
    slow.go.release(100)
    made.close()


def occupy(batcher: Batcher, slow: Slow) -> None:
    """Lets the thread begin a drawing, so that what comes next waits."""
    batcher.draw(Drawing("a", "a dress", (0,)))
    assert slow.begun.acquire(timeout=20)


def grey_levels(future) -> list[int]:
    return [image.getpixel((0, 0)) for image in future.result(timeout=20).images]


def test_draws_what_waits_together_as_far_as_a_batch_goes(batcher, slow) -> None:
    occupy(batcher, slow)
    futures = [batcher.draw(Drawing("a", "a coat", (i, i + 1))) for i in (0, 2, 4)]
    other = batcher.draw(Drawing("b", "a bag", (1,)))
    late = batcher.draw(Drawing("a", "a shirt", (3,), guidance_scale=2.0))
    assert batcher.waiting == 8
    slow.go.release(100)
    assert [grey_levels(future) for future in futures] == [[80, 81], [82, 83], [84, 85]]
    assert grey_levels(other) == [161]
    assert grey_levels(late) == [123]
    assert slow.sizes == [1, 4, 2, 1, 1]
    assert batcher.waiting == 0
    assert batcher.drawn == {"a": 8, "b": 1}
    assert futures[0].result().understood == "coat"


def test_waits_for_company(slow) -> None:
    patient = Batcher({"a": slow}, waiting_images=10, batch=4, wait_s=20.0)
    futures = [patient.draw(Drawing("a", "a coat", (i, i + 1))) for i in (0, 2)]
    slow.go.release()
    assert [grey_levels(future) for future in futures] == [[80, 81], [82, 83]]
    patient.close()
    assert slow.sizes == [4]


def test_is_bounded(batcher, slow) -> None:
    occupy(batcher, slow)
    batcher.draw(Drawing("a", "a coat", tuple(range(10))))
    with pytest.raises(QueueFullError) as found:
        batcher.draw(Drawing("a", "a coat", (0,)))
    assert 1 <= found.value.retry_after <= 60
    with pytest.raises(QueueFullError):
        batcher.run(lambda: None, 1)


def test_a_task_counts_as_the_images_whose_time_it_takes_but_fits_into_an_empty_queue(batcher, slow) -> None:
    occupy(batcher, slow)
    first = batcher.run(lambda: "done", 7)
    assert batcher.waiting == 7
    with pytest.raises(QueueFullError):
        batcher.run(lambda: "never", 100)
    first.cancel()
    longest = batcher.run(lambda: "done", 100)
    assert batcher.waiting == 10
    slow.go.release(100)
    assert longest.result(timeout=20) == "done"


def test_what_is_cancelled_leaves_the_queue(batcher, slow) -> None:
    occupy(batcher, slow)
    future = batcher.draw(Drawing("a", "a coat", tuple(range(10))))
    kept = threading.Event()
    assert future.cancel()
    assert batcher.waiting == 0
    batcher.run(kept.set, 10)
    slow.go.release(100)
    assert kept.wait(20)
    assert slow.sizes == [1]


def test_errors_reach_their_own_request_alone(batcher, slow) -> None:
    occupy(batcher, slow)
    wrong, right = batcher.draw(Drawing("a", "a xylophone", (0,))), batcher.draw(Drawing("a", "a coat", (0,)))
    slow.go.release(2)
    with pytest.raises(UserError):
        wrong.result(timeout=20)
    assert grey_levels(right) == [80]
    slow.error = MemoryError()
    slow.go.release()
    with pytest.raises(MemoryError):
        batcher.draw(Drawing("a", "a coat", (0,))).result(timeout=20)
    slow.error = None
    slow.go.release()
    assert grey_levels(batcher.draw(Drawing("a", "a coat", (1,)))) == [81]


def test_closing_cancels_what_waits_and_finishes_what_is_drawn(slow) -> None:
    batcher = Batcher({"a": slow}, waiting_images=10, batch=4, wait_s=0.0)
    drawing = batcher.draw(Drawing("a", "a coat", (0,)))
    assert slow.begun.acquire(timeout=20)
    waiting = batcher.draw(Drawing("a", "a coat", (1,)))
    slow.go.release()
    batcher.close()
    assert grey_levels(drawing) == [80]
    with pytest.raises(CancelledError):
        waiting.result(timeout=20)
    with pytest.raises(QueueFullError):
        batcher.draw(Drawing("a", "a coat", (2,)))
