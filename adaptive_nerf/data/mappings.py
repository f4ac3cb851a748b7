"""mappings.txt: `original_name,000123.pt` a line, no header. A name may itself hold commas: the last one splits."""

from pathlib import Path

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.unreadable import unreadable

MOST_DIGITS = 18  # of a photo id


def read_mappings(path: Path, warnings: list[str]) -> dict[int, str]:
    """Original names by photo id."""
    if not path.exists():
        warnings.append(f"{path} is missing; photos go by their file names")
        return {}
    names: dict[int, str] = {}
    twice: list[str] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise unreadable(path, error, "cannot be read", "a text file") from error
    except UnicodeDecodeError as error:
        raise BadData(path, "is not UTF-8 text", expected="lines like DJI_0001.JPG,000123.pt") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, comma, file_name = line.rpartition(",")
        stem = file_name.strip().removesuffix(".pt")
        if not comma or not stem.isdecimal() or len(stem) > MOST_DIGITS:
            raise BadData(path, f"line {number} reads {line!r}", expected="original_name,000123.pt")
        if int(stem) in names:
            twice.append(stem)
        names[int(stem)] = name
    if twice:
        warnings.append(f"{path}: {len(twice)} ids are named more than once, the last name counts ({twice[0]} is the "
                        "first)")
    return names


def mappings_text(names: dict[int, str]) -> str:
    return "".join(f"{name},{photo_id:06d}.pt\n" for photo_id, name in sorted(names.items()))
