"""The rows of a training set: images with conditions, loaded whole, memory-mapped, or in parts fetched as needed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from textvae.data.captioned_images import CaptionedImages
from textvae.data.parts import ConditionsInParts
from textvae.data.remote import WINDOW, ImagesInParts
from textvae.utils.device import Execution
from textvae.utils.memory import ReadAhead, fits, is_large
from textvae.utils.permutation import Permutation
from textvae.utils.pixels import unit_interval
from textvae.utils.windows import WindowedOrder


@dataclass(frozen=True, eq=False)
class CaptionedLatents:
    """The data of a flow's training: the latents of a captioned data set, in place of its images."""

    images: Float[Tensor, "n *numbers"]
    caption_range: Int64[Tensor, "n 2"]
    """First and one-past-last condition of each image."""

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class LatentsInParts:
    """``CaptionedLatents`` for a data set in parts; the latents are computed when they are needed."""

    images: ImagesInParts
    encoded: Callable[[Float[Tensor, "b c h w"], Tensor], Float[Tensor, "b *numbers"]]
    """The latents of images, given a condition of each."""
    mirrored: bool
    """Whether those of all mirrored images follow."""

    def __len__(self) -> int:
        return len(self.images) * (1 + self.mirrored)


@runtime_checkable
class Order(Protocol):
    """The order in which an epoch visits the training images."""

    def part(self, start: int, stop: int) -> Int64[Tensor, "part"]:
        """The numbers at the positions from ``start`` to ``stop - 1``, or to the last one."""
        ...


@runtime_checkable
class Rows(Protocol):
    """The source of the batches of a training."""

    in_pixels: bool
    """Whether they are pictures, rather than features or latents."""

    def __len__(self) -> int: ...

    def order(self, seed: int, count: int, epoch: int) -> Order:
        """The order of the first ``count`` rows in an epoch."""
        ...

    def begin(self, batch: Int64[Tensor, "b"]) -> None:
        """Starts to read a batch that will be requested later."""
        ...

    def gather(self, batch: Int64[Tensor, "b"], uniform: Float[Tensor, "b"]) -> tuple[Tensor, Tensor]:
        """On the device: the images of a batch, in [0, 1], and one condition of each, chosen by uniform numbers."""
        ...

    def first(self, count: int) -> tuple[Tensor, Tensor]:
        """The first images, as stored, and the first condition of each."""
        ...


class LoadedRows:
    """Images and conditions as tensors: on the device if they fit; else they stay where they are."""

    def __init__(
        self,
        data: CaptionedImages | CaptionedLatents,
        conditions: Tensor,
        condition_range: Int64[Tensor, "n 2"] | None,
        execution: Execution,
    ) -> None:
        """See ``Training``."""
        device = execution.device
        self._execution = execution
        self.images = data.images.to(device) if fits(data.images, device) else data.images
        ahead = self.images.device != device or (device.type == "cpu" and is_large(self.images))
        self.ahead = ReadAhead(self.images.__getitem__) if ahead else None
        """Reads the rows of the next batch by a thread."""
        self.condition_range = (data.caption_range if condition_range is None else condition_range).to(device)
        self.conditions = conditions.to(device) if fits(conditions, device) else conditions
        self.in_pixels = self.images.dtype == torch.uint8

    def __len__(self) -> int:
        return len(self.images)

    def order(self, seed: int, count: int, epoch: int) -> Order:
        """A permutation of all."""
        return Permutation(seed, count, epoch)

    def begin(self, batch: Int64[Tensor, "b"]) -> None:
        """By a thread, where images are not on the device."""
        if self.ahead is not None:
            self.ahead.begin(batch)

    def gather(self, batch: Int64[Tensor, "b"], uniform: Float[Tensor, "b"]) -> tuple[Tensor, Tensor]:
        """See ``Rows``."""
        device = self._execution.device
        index = batch.to(device)
        start, stop = self.condition_range[index].unbind(1)
        chosen = start + (uniform * (stop - start)).long()
        condition = _whole(self.conditions[chosen.to(self.conditions.device)].to(device))
        images = self.images[index] if self.ahead is None else self.ahead.rows(batch).to(device)
        return unit_interval(images, device) if self.in_pixels else images, condition

    def first(self, count: int) -> tuple[Tensor, Tensor]:
        """See ``Rows``."""
        some = torch.arange(count, device=self.images.device)
        return self.images[some].cpu(), _whole(self.conditions[self.condition_range[some, 0]])


class RowsInParts:
    """Images in parts, of which only a few are on disk; or their latents, computed when they are needed."""

    def __init__(
        self, data: ImagesInParts | LatentsInParts, conditions: ConditionsInParts, execution: Execution
    ) -> None:
        """See ``Training``."""
        self._latents = data if isinstance(data, LatentsInParts) else None
        self._data = data.images if isinstance(data, LatentsInParts) else data
        self._count = len(data)
        self._conditions, self._execution = conditions, execution
        self._ahead = ReadAhead(self._data.__getitem__)
        self._order: WindowedOrder | None = None
        self._present = torch.zeros(0, dtype=torch.int64)
        self.in_pixels = self._latents is None

    def __len__(self) -> int:
        return self._count

    def order(self, seed: int, count: int, epoch: int) -> Order:
        """Window by window; with mirrored images, a part and its mirrored images are two parts."""
        sizes = self._data.sizes * (self._count // len(self._data))
        ends = torch.tensor(sizes).cumsum(0)
        cut = (ends - (ends - count).clamp_min(0)).diff(prepend=torch.zeros(1, dtype=torch.int64))
        self._order = WindowedOrder(seed, cut[cut > 0].tolist(), epoch, WINDOW)
        return self._order

    def begin(self, batch: Int64[Tensor, "b"]) -> None:
        """Reads the batch, and fetches the window after it, by threads."""
        self._keep(batch)
        self._ahead.begin(batch % len(self._data))

    def _keep(self, batch: Int64[Tensor, "b"]) -> None:
        """Keeps the windows of the present batch and of the next one; if those are one, fetches the one after it."""
        order = self._order
        if order is None:
            return
        numbers = torch.cat([self._present, batch])
        numbers = numbers[numbers < len(order)]  # no images that are held out
        count = len(self._data.sizes)
        parts = self._data.places(numbers % len(self._data))[0] + numbers // len(self._data) * count
        windows = order.window_of[parts].unique().tolist()  # type: ignore[no-untyped-call]
        if not windows:
            return
        following = [*order.windows, order.next]
        if len(windows) == 1:
            windows.append(windows[0] + 1)
        kept = torch.cat([following[window] for window in windows])
        self._data.cache.keep(list(dict.fromkeys((kept % count).tolist())))

    def gather(self, batch: Int64[Tensor, "b"], uniform: Float[Tensor, "b"]) -> tuple[Tensor, Tensor]:
        """See ``Rows``."""
        self._present = batch
        device = self._execution.device
        numbers = batch % len(self._data)
        pixels = unit_interval(self._ahead.rows(numbers), device)
        condition = self._conditions_of(numbers, uniform.cpu()).to(device)
        if self._latents is None:
            return pixels, condition
        mirrored = (batch >= len(self._data)).to(device)
        pixels = torch.where(mirrored[:, None, None, None], pixels.flip(3), pixels)
        first = self._conditions_of(numbers, torch.zeros(len(numbers))).to(device)
        with torch.no_grad():
            return self._latents.encoded(pixels.contiguous(memory_format=torch.channels_last), first), condition

    def _conditions_of(self, numbers: Int64[Tensor, "b"], uniform: Float[Tensor, "b"]) -> Tensor:
        which, rows = self._data.places(numbers)
        found: Tensor | None = None
        for number in which.unique().tolist():  # type: ignore[no-untyped-call]
            mine = which == number
            part = self._data.cache.part(number)
            start, stop = part.caption_range[rows[mine]].unbind(1)
            some = self._conditions(part, rows[mine], start + (uniform[mine] * (stop - start)).long())
            found = some.new_empty((len(numbers), *some.shape[1:])) if found is None else found
            found[mine] = some
        assert found is not None
        return _whole(found)

    def first(self, count: int) -> tuple[Tensor, Tensor]:
        """See ``Rows``."""
        numbers = torch.arange(min(count, len(self._data)))
        return self._data[numbers], self._conditions_of(numbers, torch.zeros(len(numbers)))


def _whole(conditions: Tensor) -> Tensor:
    """Converts conditions to single precision: prepared token embeddings are stored in half precision."""
    return conditions.float() if conditions.dtype is torch.float16 else conditions
