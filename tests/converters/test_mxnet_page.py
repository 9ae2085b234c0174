"""The page about MXNet says what the converter does."""

from pathlib import Path

import pytest

from packager.converters.mxnet.attributes import signatures
from packager.converters.mxnet.refused import PREFIXES, REFUSED, reason
from packager.converters.mxnet.registry import operators
from tests.support.mxnet_models import page_with_table

PAGE = Path(__file__).parent.parent.parent / "docs" / "mxnet.md"


def test_the_page_and_the_registry_agree() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page_with_table(text) == text, "python -m tools.mxnet_operators_page writes the table again"
    assert all(f"| `{name}` |" in text for name in operators())


def test_no_operator_is_both_supported_and_refused() -> None:
    assert not set(REFUSED) & {name for name, signature in signatures().items() if signature.name in operators()}


@pytest.mark.parametrize("op", ["_contrib_box_nms", "_random_normal", "_sg_mkldnn_conv", "Custom", "no_such_thing"])
def test_every_refusal_has_a_reason(op: str) -> None:
    assert reason(op)
    assert op in REFUSED or op.startswith(tuple(PREFIXES)) or reason(op) == "not verified against MXNet"
