"""The lock file for development has a version of each package that pyproject.toml asks for, and one that it allows."""

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
def test_every_package_is_locked_at_a_version_that_is_allowed() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / ".ci" / "constraints-3.11.txt").read_text(encoding="utf-8").splitlines()
    locked = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    versions = {canonicalize_name(name): version for name, version in locked.items()}
    extras = {name: needs for name, needs in project["optional-dependencies"].items() if name != "docs"}
    asked = [Requirement(line) for needs in (project["dependencies"], *extras.values()) for line in needs]
    assert len(asked) > 30
    for requirement in asked:
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not locked"
        assert requirement.specifier.contains(version), f"{requirement}: {version} is locked"
