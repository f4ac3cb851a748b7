"""docs/troubleshooting.md is held against the program: nothing is missing, and what pages quote is what is said."""

import argparse
import ast
import inspect
import re
from pathlib import Path

import pytest

from adaptive_nerf.common import errors
from adaptive_nerf.jobs.states import Exit, Reason

TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
MESSAGES = ("you see", "as in")  # ends of the headings of columns that quote what the program says
QUOTED = re.compile(r"`([^`]+)`")
REFUSED_ON_THE_PAGE = re.compile(r"""(?:NotNow|door_pages\.told)\(f?"([^"]+)""")
REFUSED_BY = re.compile(r"""(?:BadMessage|_unreadable|Rejected)\("(\w+)",""")


@pytest.fixture(scope="module")
def page(clone):
    return (clone / "docs" / "troubleshooting.md").read_text()


@pytest.fixture(scope="module")
def sources(clone):
    places = [Path(inspect.getfile(argparse)), clone / "mediator.py", *(clone / "scripts").glob("*.py"),
              *(clone / "kafka_utils").glob("*.py"), *(clone / "adaptive_nerf").rglob("*.py")]
    return {path: path.read_text() for path in places}


@pytest.fixture(scope="module")
def texts(sources, clone):
    """All that the program can say: its strings, each with … where a value stands."""
    found = [(clone / "Makefile").read_text()]
    for source in sources.values():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                found.append("".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values))
    return found


def section(page, title):
    return page.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("code", Exit)
def test_every_exit_code_of_a_job_is_told_beside_its_reason(page, code):
    rows = [line for line in section(page, "How a job ends").splitlines() if line.startswith(f"| {code.value} |")]
    assert len(rows) == 1
    assert f"`{Reason[code.name].value}`" in rows[0]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_told(page, reason):
    assert f"`{reason.value}`" in section(page, "How a job ends")


@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type)
                                  and issubclass(kind, errors.AdaptiveNerfError)
                                  and kind is not errors.AdaptiveNerfError])
def test_every_kind_of_error_is_told(page, kind):
    assert f"`{kind.__name__}`" in section(page, "How a command ends")


def test_every_code_of_a_refusal_is_told_and_no_other(page, sources):
    codes = set().union(*(REFUSED_BY.findall(source) for source in sources.values()))
    told = {code for row in section(page, "A message is refused").splitlines() if row.startswith("| `")
            for code in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert told == codes
    assert len(codes) > 10


def test_every_refusal_of_the_page_is_told(page, sources):
    """What a button answers at a wrong moment, and the front door in place of the page."""
    said = [text for source in sources.values() for text in REFUSED_ON_THE_PAGE.findall(source)]
    quoted = quotes(section(page, "The page"))
    assert [text for text in said if not any(matches(quote, text) for quote in quoted)] == []
    assert len(said) > 8


@pytest.mark.parametrize(("name", "least"), [("troubleshooting", 110), ("operating", 9)])
def test_what_a_page_quotes_is_what_the_program_says(clone, texts, name, least):
    quoted = quotes((clone / "docs" / f"{name}.md").read_text())
    assert len(quoted) >= least
    assert [quote for quote in quoted if not any(matches(quote, text) for text in texts)] == []


def quotes(page):
    """All that stands between backquotes in the columns of messages."""
    found = []
    for table in TABLE.findall(page):
        heads, _, *rows = ([cell.strip() for cell in line.split("|")] for line in table.splitlines())
        columns = [number for number, head in enumerate(heads) if head.endswith(MESSAGES)]
        found += [quote for row in rows for column in columns for quote in QUOTED.findall(row[column])]
    return found


def matches(quote, text):
    """… in the quote stands for whatever the program has there."""
    pattern = ".*".join(re.escape(part.strip()) for part in quote.split("…"))
    return re.search(pattern, text, re.DOTALL) is not None
