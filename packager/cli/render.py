"""Results as people read them."""

import json
from collections.abc import Iterable
from typing import Any

from packager.cli.circuit import circuit
from packager.cli.console import Console
from packager.cli.transformation import transformation
from packager.core.acceleration import in_words
from packager.documents import (
    DeployDocument,
    DeploymentDocument,
    InspectDocument,
    PackageDocument,
    PlanDocument,
    SmokeDocument,
    StatusDocument,
)
from runtime.contract.certificate import Comparison, OutputDeviation, Parity
from runtime.contract.manifest import Signature, TensorSpec
from runtime.contract.wire import InferenceResponse, Tensor


def certificate(document: PackageDocument) -> str:
    """What vouches for a package, as a short certificate."""
    title = f"certificate of {document.name} {document.version} ({document.digest[:19]}…)"
    lines = [f"  reference    {_REFERENCES[document.reference]}"]
    if document.parity:
        lines += _parity(document.parity)
    if document.transform:
        lines += transformation(document.transform, document.tolerances)
    if document.circuit:
        lines += [f"  {label:<12} {text}" for label, text in circuit(document.circuit)]
    safety = document.batch_safety
    lines.append(f"  batches      {'safe' if safety.batchable else 'not safe'}: {safety.reason}")
    if document.trusted:
        lines.append(f"  TRUSTED      the file called {', '.join(document.trusted)}")
    lines += [f"  note         {note}" for note in document.notes]
    return "\n".join([title, *lines])


_REFERENCES = {
    "source": "the source framework's own answers",
    "expected-file": "the answers given with --expected",
    "self": "the ONNX model itself, run without graph optimisation",
    "none": "none: nothing vouches for these answers",
}


def _parity(parity: Parity) -> Iterable[str]:
    kind = f"synthetic, seed {parity.seed}" if parity.synthetic else "given by the user"
    yield f"  samples      {parity.samples} ({kind}), at batch sizes {', '.join(map(str, parity.batch_sizes))}"
    if parity.coverage.measures:
        shares = (f"{share.reached} of {share.total} {what}" for what, share in parity.coverage.measures.items())
        yield f"  coverage     {', '.join(shares)}"
    if parity.coverage.weak:
        yield f"  WEAK         {parity.coverage.reason}"
    yield f"  tolerance    {parity.atol:g} + {parity.rtol:g} x |expected|, labels equal"
    yield from _comparison("conversion", parity.conversion)
    yield from _comparison("as users see", parity.user_visible)
    if parity.accepted_precision_loss:
        yield "  ACCEPTED     loss of precision on users' values (--accept-precision-loss)"


def _comparison(title: str, comparison: Comparison) -> Iterable[str]:
    for name, deviation in comparison.outputs.items():
        yield f"  {title:<12} {name}: {_deviation(deviation)}"
        title = ""


def _deviation(deviation: OutputDeviation) -> str:
    if deviation.max_abs_error is None:
        return f"{deviation.labels_differing} of {deviation.rows} rows differ"
    return f"largest error {deviation.max_abs_error:.2g}, {deviation.rows_over} of {deviation.rows} rows over tolerance"


def inspection(document: InspectDocument, summary: PackageDocument) -> str:
    """Manifest and certificate of a package."""
    onnx, source = document.onnx, document.source
    domains = "".join(f", {name} {number}" for name, number in onnx.domains.items())
    lines = [
        f"name         {document.name}",
        f"version      {document.version}",
        f"digest       {document.digest} (checked)",
        f"package      {document.package}",
        f"source       {source.framework} {source.framework_version}, {source.filename}, sha256 {source.sha256[:12]}…",
        f"onnx         opset {onnx.opset}{domains}, IR {onnx.ir_version}, {onnx.size_bytes} bytes",
        *_signature(document.signature),
    ]
    if (step := document.preprocessing) is not None:
        lines.append(f"tokenizer    {step.path}, {step.max_length} tokens of a text at most")
    for output, labels in (document.labels or {}).items():
        lines.append(f"labels       {output}: {', '.join(map(str, labels))}")
    return "\n".join([*lines, "", certificate(summary)])


def _signature(signature: Signature) -> Iterable[str]:
    yield from (f"input        {_tensor(spec)}" for spec in signature.inputs)
    yield from (f"output       {_tensor(spec)}" for spec in signature.outputs)


def _tensor(spec: TensorSpec) -> str:
    columns = f"  ({', '.join(spec.columns)})" if spec.columns else ""
    return f"{spec.name} {spec.dtype} [{', '.join(map(str, spec.shape))}]{columns}"


def plan(document: PlanDocument) -> str:
    """What would be done, one line an action, its changes below it."""
    lines = [f"plan for {document.name} on {document.target}"]
    for action in document.actions:
        lines.append(f"  {action.verb:<8} {action.resource}")
        lines += [f"           {field}: {before} -> {after}" for field, (before, after) in action.changes.items()]
    lines += [f"  {'STOPS' if each['blocking'] else 'note':<8} {each['message']}" for each in document.findings]
    lines += [f"  ASK      {reason}" for reason in document.confirm]
    return "\n".join(lines)


def smoke(document: SmokeDocument) -> str:
    """One line a check."""
    passed = sum(check.passed for check in document.checks)
    verdict = "passed" if document.passed else "FAILED"
    lines = [f"smoke tests {verdict}: {passed} of {len(document.checks)} checks"]
    lines += [f"  {'ok  ' if check.passed else 'FAIL'} {check.name}: {check.detail}" for check in document.checks]
    return "\n".join(lines)


def deployed(document: DeployDocument) -> str:
    """Endpoint first, then what proves it."""
    total = sum(document.seconds.values())
    waits = f"tests     none yet: `dray test {document.name}`, once what it waits for is there"
    return "\n".join(
        [
            f"{document.name} {document.version} is {document.state} on {document.target} after {total:.1f} s",
            f"endpoint  {document.endpoint or '-'}",
            f"package   {document.package}",
            *(f"{label:<9} {text}" for label, text in (circuit(document.circuit) if document.circuit else ())),
            waits if document.state == "pending" else smoke(document.smoke),
        ]
    )


def status(console: Console, document: StatusDocument) -> str:
    """A line a deployment; below it where those are computed that shall be on a card."""
    rows = [
        (row.name, row.target, row.state, row.version, row.digest[7:19], row.endpoint or "-", row.created_at)
        for row in document.root
    ]
    table = console.table(("NAME", "TARGET", "STATE", "VERSION", "DIGEST", "ENDPOINT", "SINCE"), rows)
    return "\n".join([table, *(f"{row.name}: {said}" for row in document.root if (said := _accelerated(row)))])


def _accelerated(row: DeploymentDocument) -> str:
    told = row.detail.get("acceleration")
    if told is None:
        return ""
    return in_words(told) if "active" in told else f"it does not say whether {', '.join(told['asked'])} is in use"


def answer(response: InferenceResponse) -> str:
    """A line an output: name and values, in rows where it has columns."""
    width = max(len(output.name) for output in response.outputs)
    return "\n".join(f"{output.name:<{width}}  {json.dumps(_rows(output))}" for output in response.outputs)


def _rows(output: Tensor) -> list[Any]:
    if len(output.shape) != 2 or not output.data or isinstance(output.data[0], list):
        return output.data
    width = output.shape[1]
    return [output.data[start : start + width] for start in range(0, len(output.data), width or 1)]
