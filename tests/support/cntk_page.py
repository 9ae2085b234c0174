"""The table of docs/cntk.md, from the registry: `python -m tests.support.cntk_page` writes it."""

import importlib
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "cntk.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"


def table() -> str:
    """A row a primitive, in the order of CNTK's enumeration."""
    importlib.import_module("packager.converters.cntk.lowering")  # registers the rules
    from packager.converters.cntk.registry import PRIMITIVES

    rows = ["| id | primitive | | what, or why not |", "|---|---|---|---|"]
    for number, known in sorted(PRIMITIVES.items()):
        rows.append(f"| {number} | {known.name} | {'refused' if known.refused else 'converted'} | {known.how} |")
    return "\n".join(rows) + "\n"


def parts() -> tuple[str, str, str]:
    """The page before the table, the table, and what follows."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    found, _, after = rest.partition(END)
    return before, found, after


def main() -> None:
    """Write the table."""
    before, _, after = parts()
    PAGE.write_text(before + BEGIN + table() + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
