"""README and docs/ are held against the repository: commands, messages, trees, links, tables."""

import ast
import json
import re
import shutil
import subprocess
from importlib import import_module

import pytest

from adaptive_nerf.jobs.message import read_job
from adaptive_nerf.jobs.schema import summary
from adaptive_nerf.jobs.states import State
from kafka_utils.settings import read_config
from tests.support.dry_run import must_take, script_of
from tests.support.pages import Page, commands_of, tree_of

CLONE_PAGES = ["README.md", "CHANGELOG.md", *(f"docs/{name}.md" for name in (
    "architecture", "engine", "events", "frames", "job_message", "operating", "operations", "promises", "scene_format",
    "town", "troubleshooting", "viewer"))]
NOT_OURS = {"apt-get", "cd", "colmap", "cp", "curl", "docker", "export", "git", "journalctl", "mkdir", "ssh", "sudo",
            "systemctl", "tail"}
OURS = re.compile(r"(\./scripts/\w+\.py|(python3?|\.venv/bin/python) [\w./]+\.py|\.venv/bin/python -m bench\.\w+)( |$)")
MAKE = re.compile(r"make ([a-z-]+)( |$)")
FLAG = re.compile(r"--[a-z][\w-]+")
NO_FLAGS_OF_OURS = {"--help", "--sett"}  # every program has the one; the other is an example of a slip
PROGRAMS = ["mediator.py", "adaptive_nerf/nerf_runner.py", *(f"scripts/{name}.py" for name in (
    "create_clusters", "demo", "doctor", "inspect_scene", "job_schema", "jobs", "kafka_node", "make_town",
    "merge_experts", "prepare_dataset", "send_config", "update_dataset", "visualize_clusters"))]


@pytest.fixture(params=CLONE_PAGES)
def page(request, clone):
    return Page.of(clone / request.param)


@pytest.fixture(scope="module")
def readme(clone):
    return Page.of(clone / "README.md")


@pytest.fixture(scope="module")
def tracked(clone):
    if shutil.which("git") is None or not (clone / ".git").exists():
        pytest.skip("this is no clone of a git repository")
    listed = subprocess.run(["git", "ls-files"], cwd=clone, capture_output=True, text=True, check=True)
    return [path for path in listed.stdout.splitlines() if (clone / path).exists()]


@pytest.fixture(scope="module")
def targets(clone):
    return set(re.findall(r"^([a-z-]+):", (clone / "Makefile").read_text(), re.MULTILINE))


def test_no_page_and_no_program_is_forgotten_here(clone):
    assert {path.relative_to(clone).as_posix() for path in clone.glob("docs/*.md")} <= set(CLONE_PAGES)
    assert {path.relative_to(clone).as_posix() for path in clone.glob("scripts/[a-z]*.py")} <= set(PROGRAMS)


def test_every_command_line_is_one_that_its_program_takes(page, clone, targets):
    for command in page.commands():
        if command[0] == "make":
            assert set(command[1:]) <= targets, command
        elif ours := script_of(command, clone):
            must_take(*ours, clone)
        else:
            assert command[0] in NOT_OURS, command


def test_commands_within_a_sentence_are_taken_too(page, clone, targets):
    for span in page.spans():
        assert not span.startswith("python "), span  # a clone has none of that name
        if made := MAKE.match(span):
            assert made[1] in targets, span
        if OURS.match(span) and "…" not in span:
            for command in commands_of(span):
                script, flags = script_of(command, clone)
                assert script.is_file(), span
                if flags:
                    must_take(script, flags, clone)


@pytest.fixture(scope="module")
def flags(clone):
    """Every flag of every program."""
    sources = [*map(clone.joinpath, PROGRAMS), *(clone / "bench").glob("*.py"), clone / "adaptive_nerf/client/way.py",
               clone / "adaptive_nerf/data/prepare_options.py"]
    return {flag for source in sources for flag in re.findall(r'"(--?[a-zA-Z][\w-]*)"', source.read_text())}


def test_every_flag_that_is_named_is_one(page, flags):
    named = {flag for span in page.spans() if not span.startswith("colmap") for flag in FLAG.findall(span)}
    assert named - flags - NO_FLAGS_OF_OURS == set()


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_examples_of_a_help_are_taken_by_the_program(clone, name):
    source = (clone / name).read_text()
    examples = re.search(r'EXAMPLES = """(.*?)"""', source, re.DOTALL)[1].replace("\\\\\n", " ").replace("\\\n", "")
    lines = [line.strip().removeprefix("job=$(") for line in examples.splitlines()]
    commands = [command for line in lines for command in commands_of(line) if command[0] not in {"jq", "make"}]
    assert commands
    for command in commands:
        ours = script_of(command, clone)
        assert ours, command
        must_take(*ours, clone)


def test_every_message_is_a_job_without_a_warning(page):
    for block in page.blocks("json"):
        read = read_job(block.encode())
        assert read.warnings == (), json.loads(block)


def test_every_link_leads_somewhere(page):
    for link in page.links():
        name, _, anchor = link.partition("#")
        target = (page.path.parent / name).resolve() if name else page.path
        assert target.exists(), link
        if anchor:
            assert anchor in Page.of(target).anchors(), link


@pytest.fixture(scope="module")
def programs(clone):
    """Every Python file of ours."""
    return [path.as_posix() for top in ("*.py", "[a-z]*/*.py", "[a-z]*/*/**/*.py") for path in clone.glob(top)]


def test_every_file_of_ours_that_is_named_is_there(page, programs):
    """`jobs/shim.py` and `test_shim.py` are named without the folders above them."""
    for span in page.spans():
        for named in re.findall(r"^[\w/]+\.py", span):
            assert any(path.endswith(f"/{named}") for path in programs), span


def test_the_readme_names_every_folder_that_is_there_and_no_other(readme, tracked, clone):
    paths = [path for block in readme.blocks("") for path in tree_of(block)]
    assert [path for path in paths if not (clone / path).exists()] == []
    folders = {f"{path.split('/')[0]}/" for path in tracked if "/" in path and not path.startswith(".")}
    assert {path for path in paths if path.endswith("/")} == folders


def test_the_page_on_the_house_names_every_package(clone, tracked):
    paths = tree_of(Page.of(clone / "docs/architecture.md").blocks("")[0])
    assert [path for path in paths if not (clone / path).exists()] == []
    packages = {"/".join(path.split("/")[:2]) + "/" for path in tracked
                if path.startswith("adaptive_nerf/") and path.count("/") > 1}
    assert packages <= set(paths)


def test_the_table_of_the_readme_is_made_from_the_models(readme):
    table = re.search(
        r"<!-- made by \./scripts/job_schema\.py --summary -->\n(.*?)<!-- end -->", readme.text, re.DOTALL)
    assert table[1] == summary()


def test_every_event_is_told_and_no_other(clone):
    told = set(re.findall(r"^\| `(\w+)` \|", Page.of(clone / "docs/events.md").text, re.MULTILINE))
    sources = "".join(path.read_text() for path in sorted((clone / "adaptive_nerf/jobs").glob("*.py")))
    made = set(re.findall(r'Draft\("(\w+)"', sources)) | set(re.findall(r'State\.\w+: "(\w+)"', sources)) | {"rejected"}
    assert told == made | {"queued"}
    assert {state.value for state in State} - {"REJECTED"} <= set(re.findall(r"[A-Z_]{6,}", (
        clone / "docs/events.md").read_text()))


def test_settings_of_kafka_are_ones_that_the_service_takes(page, tmp_path):
    for block in page.blocks("properties"):
        path = tmp_path / "kafka.properties"
        path.write_text(re.sub(r"^ssl\.ca\.location=.*\n", "", block, flags=re.MULTILINE))  # a file of that machine
        assert read_config(path)


def test_code_of_ours_on_a_page_can_be_imported(page):
    for block in page.blocks("python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                assert all(hasattr(import_module(node.module), alias.name) for alias in node.names)
