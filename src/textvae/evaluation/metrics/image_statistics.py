"""Simple statistics of colour images: brightness and colour in the upper, middle and lower third, and overall."""

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from textvae.evaluation.metrics.chunks import chunks

_REGIONS = ("above", "in the middle", "below", "overall")
_QUALITIES = ("brightness", "red", "green", "blue", "colourfulness")
STATISTICS = tuple(f"{quality} {region}" for region in _REGIONS for quality in _QUALITIES)
"""Names of the columns of ``image_statistics``; they appear in metrics.json."""


def image_statistics(images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, "n statistics"]:
    """``STATISTICS`` of each image, pixels in [0, 1].

    Red, green and blue are each measured against the mean of the other two, so that a bright image is not all three.
    """
    rows = []
    for batch in chunks(images):
        red, green, blue = (batch.double() / 255).unbind(1)
        qualities = torch.stack(
            [
                (red + green + blue) / 3,
                red - (green + blue) / 2,
                green - (red + blue) / 2,
                blue - (red + green) / 2,
                torch.stack([red, green, blue]).amax(0) - torch.stack([red, green, blue]).amin(0),
            ],
            dim=1,
        )
        thirds = [third.mean((2, 3)) for third in qualities.tensor_split(3, dim=2)]
        rows.append(torch.cat([*thirds, qualities.mean((2, 3))], dim=1))
    return torch.cat(rows)
