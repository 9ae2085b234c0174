"""What PyTorch's exporters refuse, in words that say what to change."""

import re
import traceback
from pathlib import Path
from typing import NoReturn

from packager.core.errors import ConversionError, ConverterMissing

_OPERATOR = re.compile(r"OpOverload\(op='([\w.:]+)', overload='(\w+)'\)")
_LEGACY_OPERATOR = re.compile(r"operator '?([\w:]+)'?")
_STATIC = re.compile(r"You marked (\w+) as dynamic but your code specialized it to be a constant \((\d+)\)")
_FIX = re.compile(r"Suggested fixes:\s*(.+?)(?:\n\n|$)", re.DOTALL)
_MOST = re.compile(r"(\w+) = Dim\('\w+', (?:min=\d+, )?max=(\d+)\)")
_BRANCH = (
    "write the branch with torch.where or torch.cond, take it out, or script the module with torch.jit.script: a"
    " scripted branch becomes an If"
)


def not_captured(error: Exception, name: str) -> NoReturn:
    """Refuse a module that ``torch.export`` does not capture.

    Args:
        name: Of the module's class.

    Raises:
        ConversionError: Always, with torch's own reason.
    """
    text, kind = str(error), type(error).__name__
    if "DataDependent" in kind or "data-dependent" in text.lower() or "dynamic control flow" in text:
        where = _own_line(error)
        raise ConversionError(
            f"{name} decides in Python by the values that it is given{where}, which has no single graph",
            hint=_BRANCH,
            detail={"torch": text[:2000]},
        ) from error
    if found := _STATIC.search(text):
        raise ConversionError(
            f"the axis {found[1]!r} was asked to be free, but {name} works with the size {found[2]} only",
            hint=f"take sizes from the tensor, as in x.shape[0], not from constants; or fix the axis with --input"
            f" NAME=DTYPE:{found[2]},…",
            detail={"axis": found[1], "size": int(found[2])},
        ) from error
    if "Constraints violated" in text:
        fix = _FIX.search(text)
        if fix and (most := _MOST.search(fix[1])):
            raise ConversionError(
                f"{name} answers in another way where the axis {most[1]!r} is over {most[2]}, and a graph has one way",
                hint="take that out (in place of torch.cdist: (a[:, None] - b).norm(dim=-1)), or fix the axis with"
                f" --input NAME=DTYPE:{most[2]},…",
                detail={"axis": most[1], "size": int(most[2]), "torch": text[:2000]},
            ) from error
        raise ConversionError(
            f"{name} does not work with every size of an axis that was asked to be free:"
            f" {' '.join((fix[1] if fix else text).split())[:300]}",
            hint="give axes of one size the same letter in --input NAME=DTYPE:N,L, or fix the axis to one size there",
            detail={"torch": text[:2000]},
        ) from error
    raise ConversionError(
        f"torch.export does not capture {name}: {_first_line(text) or kind}",
        hint="mend the module as it says, or script it with torch.jit.script and give the TorchScript file",
        detail={"torch": text[:2000]},
    ) from error


def not_translated(error: Exception, name: str) -> NoReturn:
    """Refuse a graph that has no ONNX form; names the operator.

    Raises:
        ConverterMissing: An operator has no rule.
        ConversionError: Anything else, with the exporter's reason.
    """
    text = "\n".join(str(link) for link in _chain(error))
    if found := _OPERATOR.search(text):
        operator = found[1] if found[2] == "default" else f"{found[1]}.{found[2]}"
        raise _no_rule(operator, name) from error
    if type(error).__name__ == "UnsupportedOperatorError" and (legacy := _LEGACY_OPERATOR.search(text)):
        raise _no_rule(legacy[1], name) from error
    raise ConversionError(
        f"{name} has no ONNX form: {_first_line(_without_advice(text)) or type(error).__name__}",
        hint="the exporter's own words are in the detail; try another --opset, or replace that part of the model",
        detail={"torch": text[:2000]},
    ) from error


def _own_line(error: BaseException) -> str:
    """Where in the model's own code it happened."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.name == "forward" and "/torch/" not in frame.filename]
    if not own or own[-1].filename.endswith("torch_export/capture.py"):
        return ""
    return f" (line {own[-1].lineno} of {Path(own[-1].filename).name}: {own[-1].line})"


def _no_rule(operator: str, name: str) -> ConverterMissing:
    return ConverterMissing(
        f"{name} uses the operator {operator}, which has no ONNX form",
        hint="replace that part of the model, or leave it to whoever calls the model",
        detail={"operator": operator},
    )


def _chain(error: BaseException | None) -> list[BaseException]:
    links: list[BaseException] = []
    while error is not None and error not in links and len(links) < 10:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


def _without_advice(text: str) -> str:
    """The exporter's summary, without what it says to people who mend exporters."""
    return text.partition("## Exception summary")[2] or text


def _first_line(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line), "")[:300]
