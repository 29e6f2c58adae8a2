"""Builds the documentation site into site/: ``python docs/build_site.py``, which ``make docs`` calls.

The page that draws in the browser is a part of it, with all bundled models: site/draw/.

The site generator reads one folder, and some pages are in the root of the repository, where people look for them. So
all pages are copied into build/docs/ first, and their links are rewritten to a page of the site, or else to the file in
the repository.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from textvae.serve.static_page import write_page

ROOT = Path(__file__).resolve().parents[1]
STAGE = ROOT / "build" / "docs"
ROOT_PAGES = ("RESULTS.md", "CHANGELOG.md", "CONTRIBUTING.md")
REPOSITORY = "https://github.com/textvae/textvae"


def stage() -> None:
    """Copies pages and figures into an empty ``STAGE``, and writes the page that draws."""
    shutil.rmtree(STAGE, ignore_errors=True)
    shutil.copytree(ROOT / "docs", STAGE, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    pages = {page.relative_to(STAGE): ROOT / "docs" / page.relative_to(STAGE) for page in STAGE.rglob("*.md")}
    pages |= {Path(name): ROOT / name for name in ROOT_PAGES}
    for page, source in pages.items():
        text = source.read_text(encoding="utf-8")
        (STAGE / page).write_text(rewrite_links(text, source.parent, page), encoding="utf-8")
    write_page([], STAGE / "draw")


def rewrite_links(text: str, folder: Path, page: Path) -> str:
    """Rewrites the relative links of a page of the site whose source is in ``folder``."""

    def rewrite(match: re.Match[str]) -> str:
        path, hash_, anchor = match[1].partition("#")
        target = (folder / path).resolve()
        if re.match(r"[a-z]+:", path) or not path or not target.exists():
            return match[0]  # an address, an anchor of this page, or a broken link, which the generator reports
        inside = target.relative_to(ROOT)
        if inside.parts[0] == "docs" and target.is_file():
            inside = inside.relative_to("docs")
        elif str(inside) not in ROOT_PAGES:
            return f"]({REPOSITORY}/{'tree' if target.is_dir() else 'blob'}/main/{inside.as_posix()}{hash_}{anchor})"
        return f"]({'../' * (len(page.parts) - 1)}{inside.as_posix()}{hash_}{anchor})"

    return re.sub(r"\]\(([^)\s]+)\)", rewrite, text)


def build() -> int:
    """Runs the generator with warnings as errors, also those that its strict mode only prints: the exit code."""
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout.split("Traceback")[0])
    faults = re.findall(r"^(?:griffe|mkdocstrings):.*", done.stdout, re.MULTILINE)
    for page in sorted((ROOT / "site" / "api").rglob("*.html")):
        if re.search(r"<blockquote>\s*<blockquote>", page.read_text(encoding="utf-8")):
            faults.append(f"{page.parent.name}: a docstring has >>> outside of a section Examples:")
    if not (ROOT / "site" / "draw" / "index.html").is_file():
        faults.append("the site lacks the page that draws")
    print("\n".join(faults))
    return done.returncode or int(bool(faults))


if __name__ == "__main__":
    stage()
    sys.exit(build())
