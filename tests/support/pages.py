"""Pages for people, taken apart: their blocks of code, the commands in them, links, headings, trees."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
BETWEEN_COMMANDS = {"&&", "||", ";", "|", "&", "(", ")"}


@dataclass(frozen=True)
class Page:
    path: Path
    text: str

    @classmethod
    def of(cls, path: Path) -> "Page":
        return cls(path, path.read_text())

    def blocks(self, language: str) -> list[str]:
        return [re.sub(f"^{indent}", "", content, flags=re.MULTILINE)
                for indent, found, content in FENCE.findall(self.text) if found == language]

    @property
    def prose(self) -> str:
        return FENCE.sub("", self.text)

    def spans(self) -> list[str]:
        """What stands between backquotes in a line."""
        return SPAN.findall(self.prose)

    def links(self) -> list[str]:
        return [link for link in LINK.findall(self.prose) if "://" not in link]

    def anchors(self) -> set[str]:
        return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
                for heading in re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)}

    def commands(self) -> list[list[str]]:
        """Every command line of its shell blocks, in words."""
        lines = "\n".join(self.blocks("bash")).replace("\\\n", " ").splitlines()
        return [command for line in lines for command in commands_of(line)]


def commands_of(line: str) -> list[list[str]]:
    """`a && b | c` are three; where output goes to does not count, <placeholder> and [--choice] are words."""
    line = re.sub(r"<(\w+)>|\[(--\w+)\]", r"\1\2", line).partition(" > ")[0]
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.commenters, lexer.whitespace_split = "#", True
    found: list[list[str]] = [[]]
    for word in lexer:
        if word in BETWEEN_COMMANDS:
            found.append([])
        else:
            found[-1].append(word)
    return [command for command in found if command]


def tree_of(block: str) -> list[str]:
    """The paths of a tree: a name, two spaces or more, what it is; a folder's content is indented below it."""
    found: list[str] = []
    above: list[tuple[int, str]] = []
    for space, name in re.findall(r"^( *)(\S+)(?:  .*)?$", block, re.MULTILINE):
        indent = len(space)
        while above and above[-1][0] >= indent:
            above.pop()
        path = "".join(folder for _, folder in above) + name
        found.append(path)
        if name.endswith("/"):
            above.append((indent, name))
    return found
