"""Stands for torchvision where a package imports it without using it in training or sampling.

torchvision's wheels do not load beside the CPU build of torch. The packages use it to read pictures from files and to
write sheets of samples, neither of which happens here: pictures come from memory, sheets are drawn by the benchmark.
"""

import sys
import types
from typing import Any


class _Unused(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *arguments, **settings: None


_torchvision = sys.modules["torchvision"] = _Unused("torchvision")
for _name in ("transforms", "utils"):
    _part = sys.modules[f"torchvision.{_name}"] = _Unused(f"torchvision.{_name}")
    setattr(_torchvision, _name, _part)
