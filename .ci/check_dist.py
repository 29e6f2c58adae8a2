"""Checks the archives of ``python -m build``: what they hold, what they must not hold, and their size."""

import sys
import tarfile
import zipfile
from pathlib import Path

LIMIT = 40 * 2**20
"""Bytes of an archive. The Python Package Index takes 100 MB; the shipped weights need a third of this."""
NEEDED = ("py.typed", "weights/fashion/model.safetensors", "papers/measured/")
UNWANTED = ("/tests/", "/docs/figures/", "/state.pt", "/__pycache__/")


def check(path: Path) -> list[str]:
    """What is wrong with an archive, a line each."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            names = wheel.namelist()
    else:
        with tarfile.open(path) as source:
            names = source.getnames()
    faults = [f"{needed} is missing" for needed in NEEDED if not any(f"textvae/{needed}" in name for name in names)]
    faults += [f"{name} should not be there" for name in names if any(part in f"/{name}" for part in UNWANTED)]
    size = path.stat().st_size
    print(f"{path.name}: {size / 2**20:.1f} MiB, {len(names)} files")
    return [*faults, f"larger than {LIMIT / 2**20:.0f} MiB"] if size > LIMIT else faults


if __name__ == "__main__":
    archives = [*Path(sys.argv[1]).glob("*.whl"), *Path(sys.argv[1]).glob("*.tar.gz")]
    problems = [f"{archive.name}: {fault}" for archive in archives for fault in check(archive)]
    sys.exit("\n".join(problems) if problems else 0 if len(archives) == 2 else "expected a wheel and a source archive")
