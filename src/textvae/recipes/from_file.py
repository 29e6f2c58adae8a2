"""Loads a user's own recipe, ``FILE.py:FUNCTION``. The file is imported only because the user names it."""

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from textvae.recipes.recipe import Recipe
from textvae.utils.errors import UserError

CURE = "name it FILE.py:FUNCTION, a function without arguments that returns a textvae Recipe"


def is_spec(name: str) -> bool:
    """Whether a recipe's name has the form ``FILE.py:FUNCTION``. It does not say whether the file exists."""
    file, _, function = name.rpartition(":")
    return file.endswith(".py") and function.isidentifier()


def load_recipe(spec: str) -> Recipe:
    """Imports the file and calls the function. The file's code runs: never pass a name that was read from a file.

    Args:
        spec: ``FILE.py:FUNCTION``; modules beside the file can be imported by it.

    Returns:
        The recipe, whose ``origin`` is the spec.

    Raises:
        UserError: there is no such file or function, importing or calling it fails, or it returns something else.
    """
    file, _, function = spec.rpartition(":")
    path = Path(file).expanduser()
    if not path.is_file():
        raise UserError(f"there is no file {file}", CURE)
    make = getattr(_imported(path.resolve()), function, None)
    if not callable(make):
        raise UserError(f"{file} has no function {function!r}", CURE)
    return replace(called(make, spec), origin=spec)


def called(make: Callable[[], Any], name: str) -> Recipe:
    """The recipe that a function returns.

    Raises:
        UserError: the function fails, or returns something else.
    """
    try:
        made = make()
    except Exception as error:
        raise _failed(name, error) from error
    if not isinstance(made, Recipe):
        raise UserError(f"{name} returned a {type(made).__name__}, not a Recipe", CURE)
    return made


def _imported(path: Path) -> ModuleType:
    # Once a process for each content of the file: a model that is built twice is then of the same class.
    name = f"textvae_recipe_{hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    located = importlib.util.spec_from_file_location(name, path)
    assert located is not None
    assert located.loader is not None
    module = importlib.util.module_from_spec(located)
    # Dataclasses look their module up while they are defined.
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        located.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _failed(str(path), error) from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _failed(name: str, error: Exception) -> UserError:
    at = traceback.extract_tb(error.__traceback__)[-1]
    message = " ".join(str(error).split())
    return UserError(f"{name} failed: {type(error).__name__}: {message} ({at.filename}, line {at.lineno})", CURE)
