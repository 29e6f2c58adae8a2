"""Generated images that show themselves in a notebook."""

import base64

from PIL import Image

from textvae.utils.images import encode_image, grid

SHOWN = 64
"""A notebook shows this many images of a list at most."""
COLUMNS = 8


class Pictures(list[Image.Image]):
    """A list of images that a notebook shows as a grid when it is the value of a cell."""

    def grid(self) -> Image.Image:
        """The images in rows of eight, small ones enlarged.

        Raises:
            ValueError: there are none.
        """
        if not self:
            raise ValueError("there are no images")
        rows = [self[start : start + COLUMNS] for start in range(0, min(len(self), SHOWN), COLUMNS)]
        return grid(rows, scale=max(1, round(112 / self[0].width)))

    def _repr_png_(self) -> bytes | None:
        return encode_image(self.grid(), "PNG", {}) if self else None

    def _repr_html_(self) -> str | None:
        png = self._repr_png_()
        if png is None:
            return None
        more = f"<p>and {len(self) - SHOWN:,} more</p>" if len(self) > SHOWN else ""
        source = base64.b64encode(png).decode("ascii")
        return f'<img alt="{len(self)} images" src="data:image/png;base64,{source}">{more}'
