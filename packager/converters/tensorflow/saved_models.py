"""SavedModel folders: the signature to serve, and its answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packager.converters.tensorflow.source import Source
from packager.converters.tensorflow.tracing import traced
from packager.core.conversion import ConversionRequest
from packager.core.errors import ConverterMissing, ModelInvalid, UsageError

_DEFAULTS = ("serving_default", "serve")


def load_signature(request: ConversionRequest) -> Source:
    """The signature that was asked for, or the one that serves.

    Raises:
        ModelInvalid: TensorFlow cannot load the folder, or it holds no function.
        UsageError: There are several and none was chosen, or none has the name.
    """
    loaded = _loaded(request.source)
    function = chosen(_functions(loaded), request.options.get("signature"), request.source.name)
    return of_function(loaded, function, request)


def of_function(owner: Any, function: Any, request: ConversionRequest) -> Source:
    """The source that a concrete function is.

    Raises:
        ConverterMissing: Its inputs have no names, or are not dense tensors.
    """
    import tensorflow as tf

    places, named = function.structured_input_signature
    flat = [*tf.nest.flatten(places), *tf.nest.flatten(named)]
    specs: dict[str, Any] = {}
    for index, spec in enumerate(flat):
        if not isinstance(spec, tf.TensorSpec):
            raise ConverterMissing(
                f"an input of the function is a {type(spec).__name__}, not a tensor",
                hint="give the function dense tensors only: tf.function(input_signature=[tf.TensorSpec(...)])",
            )
        specs[spec.name or f"input_{index}"] = spec

    def call(tensors: Mapping[str, Any]) -> Any:
        given = list(tensors.values())
        own, rest = given[: len(tf.nest.flatten(places))], given[len(tf.nest.flatten(places)) :]
        return function(*tf.nest.pack_sequence_as(places, own), **tf.nest.pack_sequence_as(named, rest))

    return traced(owner, call, specs, named_answers, request)


def named_answers(answers: Any) -> dict[str, Any]:
    """Outputs by name: the keys of a dictionary, else ``output_0`` and so on, as Keras exports them."""
    import tensorflow as tf

    if isinstance(answers, Mapping):
        return {str(key): answers[key] for key in sorted(answers)}  # TensorFlow keeps no order of its own
    flat = tf.nest.flatten(answers)
    return {f"output_{index}": value for index, value in enumerate(flat)}


def chosen(functions: Mapping[str, Any], wanted: str | None, model: str) -> Any:
    """The function with this name, else the one that serves by convention, else the only one.

    Raises:
        UsageError: It cannot be told which; lists them with their inputs.
        ModelInvalid: There is none.
    """
    if not functions:
        raise ModelInvalid(
            f"{model!r} holds no function that can be served",
            hint="save it with tf.saved_model.save(module, folder, signatures=module.call.get_concrete_function(...)),"
            " or a Keras model with model.export(folder)",
        )
    if wanted is not None and wanted not in functions:
        raise UsageError(f"{model!r} has no signature {wanted!r}", hint=f"it has {_listed(functions)}")
    for name in (wanted, *_DEFAULTS):
        if name is not None and name in functions:
            return functions[name]
    if len(functions) > 1:
        raise UsageError(
            f"{model!r} has {len(functions)} signatures and none is the default: {_listed(functions)}",
            hint="choose one with --signature NAME",
        )
    return next(iter(functions.values()))


def _loaded(folder: Path) -> Any:
    import tensorflow as tf

    try:
        return tf.saved_model.load(str(folder))
    except Exception as error:  # damage shows in any of its layers
        raise ModelInvalid(
            f"TensorFlow {tf.__version__} cannot load {folder.name!r}: {type(error).__name__}:"
            f" {' '.join(str(error).split())[:300]}",
            hint="the folder is not whole (saved_model.pb and variables/ belong together), or holds operations that"
            " this TensorFlow does not have; export it again",
        ) from error


def _functions(loaded: Any) -> dict[str, Any]:
    """Signatures by name; where there is none, methods of the module that were traced once."""
    signatures = {name: value for name, value in loaded.signatures.items() if not name.startswith("__")}
    if signatures:
        return signatures
    names = [name for name in vars(loaded) if not name.startswith("_")] + ["__call__"]
    traces: dict[str, Any] = {name: getattr(getattr(loaded, name, None), "concrete_functions", ()) for name in names}
    return {name: found[0] for name, found in traces.items() if len(found) == 1}


def _listed(functions: Mapping[str, Any]) -> str:
    import tensorflow as tf

    def inputs(function: Any) -> str:
        specs = tf.nest.flatten(function.structured_input_signature)
        return ", ".join(f"{getattr(spec, 'name', '?')} {list(getattr(spec, 'shape', ()) or ())}" for spec in specs)

    return "; ".join(f"{name!r} ({inputs(function)})" for name, function in functions.items())
