"""The tree is layered: a folder imports only what stands above it, and there are no import circles."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "textvae"

LAYERS = (
    "utils", "text", "pretrained", "priors", "models", "data", "preparation", "training", "recipes", "runs",
    "exported", "pipeline", "editing", "experiment", "evaluation", "own_pictures", "papers", "export", "serve",
    "library", "cli",
)  # fmt: skip
"""In the order in which data passes. ``textvae/__init__.py`` and ``__main__.py`` are the doors, above all."""

MODULES = {
    ".".join(("textvae", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
}


def imports(module: str) -> Iterator[str]:
    """Modules of textvae that a module imports, also those that its functions import when they are called."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] == "textvae":
                yield name if name in MODULES else name.rpartition(".")[0]


def layer(module: str) -> str:
    return [*module.split("."), ""][1]


@pytest.mark.parametrize("module", sorted(m for m in MODULES if layer(m) not in ("", "__main__")))
def test_a_folder_imports_only_what_stands_above_it(module: str) -> None:
    own = LAYERS.index(layer(module))
    for imported in imports(module):
        assert imported != "textvae", f"{module} imports the package, which stands above all"
        assert LAYERS.index(layer(imported)) <= own, f"{module} imports {imported}, which stands below it"


def test_there_are_no_import_circles() -> None:
    graph = {module: set(imports(module)) - {module} for module in MODULES}
    graph["textvae.cli.completion"].remove("textvae.cli")  # it lists the commands, of which it is one
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for imported in sorted(graph[module]):
                visit(imported, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_every_module_says_in_its_first_line_what_it_holds() -> None:
    for module, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        assert not text.strip() or ast.get_docstring(ast.parse(text)), f"{module} has no docstring"
