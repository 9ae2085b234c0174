"""Writes the table of operators in docs/mxnet.md from the registry and the recorded cases."""

from pathlib import Path

from tests.support.mxnet_models import page_with_table

PAGE = Path(__file__).parent.parent / "docs" / "mxnet.md"

if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
