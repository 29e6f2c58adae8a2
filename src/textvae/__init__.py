"""textvae: text-to-image with variational autoencoders."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["TextToImage", "UserError", "__version__"]

if TYPE_CHECKING:
    from textvae.pipeline import TextToImage
    from textvae.utils.errors import UserError

_HOMES = {"TextToImage": "textvae.pipeline", "UserError": "textvae.utils.errors"}


def __getattr__(name: str) -> Any:
    # Lazily: importing torch takes a second and more, which `textvae --help` must not.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'textvae' has no attribute {name!r}")
