"""The dependency rule of docs/architecture.md, held by reading every import."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support import failpoints

ALLOWED = {
    "common": set(),
    "kafka_utils": {"common"},
    "geometry": {"common"},
    "engine": {"common"},
    "jobs": {"common"},
    "rendering": {"engine", "geometry", "common"},
    "models": {"engine", "rendering", "geometry", "common"},
    "data": {"geometry", "common"},
    "synth": {"geometry", "common", "rendering.types"},
    "pipelines": {"models", "data", "rendering", "engine", "geometry", "jobs.spec", "common"},
    "viewer": {"pipelines", "models", "rendering", "data", "geometry", "jobs.spec", "common"},
    "nerf_runner": {"pipelines", "viewer", "jobs", "common"},
    "mediator": {"jobs", "kafka_utils", "common"},
    "client": {"jobs", "kafka_utils", "common"},
}
LIGHT = {"client", "common", "jobs", "kafka_utils", "mediator"}  # the service starts in a third of a second
HEAVY_LIBRARIES = {"torch", "numpy", "scipy", "pycolmap", "trimesh", "matplotlib", "PIL"}
CLONE = Path(__file__).resolve().parents[2]
PACKAGES = ("adaptive_nerf", "kafka_utils")


def part_of(path: Path) -> str:
    inside = path.relative_to(CLONE).with_suffix("").parts
    return inside[1] if inside[0] == "adaptive_nerf" else inside[0]


def imports(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def sources() -> list[Path]:
    modules = [path for package in PACKAGES for path in sorted((CLONE / package).rglob("*.py"))]
    return modules + [path for path in [CLONE / "mediator.py"] if path.exists()]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(CLONE)))
def test_imports_point_one_way(path):
    part = part_of(path)
    for name in imports(ast.parse(path.read_text())):
        if not name.startswith(PACKAGES):
            continue
        inner = name.removeprefix("adaptive_nerf.")
        allowed = ALLOWED.get(part, set()) | {part}
        assert any(inner == target or inner.startswith(f"{target}.") for target in allowed), f"{part} imports {name}"


def test_no_modules_import_each_other_in_a_circle():
    """Also where only the types are wanted."""
    modules = {".".join(path.relative_to(CLONE).with_suffix("").parts): path for path in sources()}
    wanted = {name: {target for found in imports(ast.parse(path.read_text()))
                     for target in (found, found.rpartition(".")[0]) if target in modules}
              for name, path in modules.items()}
    assert wanted["adaptive_nerf.jobs.service"]
    TopologicalSorter(wanted).prepare()  # CycleError names them


@pytest.mark.parametrize("path", [path for path in sources() if part_of(path) in LIGHT], ids=lambda path: path.name)
def test_the_service_stays_light(path):
    libraries = {name.split(".")[0] for name in imports(ast.parse(path.read_text()))}
    assert not libraries & HEAVY_LIBRARIES


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(CLONE)))
def test_imports_stand_at_the_top_and_package_files_are_empty(path):
    tree = ast.parse(path.read_text())
    if path.name == "__init__.py":
        assert not tree.body
    inner = [node.lineno for function in ast.walk(tree) if isinstance(function, ast.FunctionDef)
             for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not inner, f"imports inside functions at lines {inner}"


def test_every_failpoint_of_the_program_is_one_that_a_test_dies_at():
    calls = [node for path in sources() for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint"]
    assert sorted(call.args[0].value for call in calls) == sorted(failpoints.ALL)


def test_scripts_are_thin_and_executable():
    for path in sorted((CLONE / "scripts").glob("[a-z]*.py")):
        assert len(path.read_text().splitlines()) <= 80, path.name
        assert path.stat().st_mode & 0o100, f"{path.name} is not executable"
