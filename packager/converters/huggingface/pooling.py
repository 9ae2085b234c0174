"""From tokens to one embedding: the modules of sentence-transformers, by their configuration.

Source: sentence_transformers 5 and 6, ``Pooling``, ``Dense`` and ``Normalize``.
"""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from packager.converters.huggingface.folder import ModelFolder, read_config, weights_of
from packager.core.errors import ConverterMissing, ModelInvalid

# (tokens, mask) → pooled, or pooled → pooled.
Step = Callable[..., Any]

_MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
# How the configuration of older versions calls them, each true or false.
_OLDER = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_ACTIVATIONS = {"Identity": "Identity", "Tanh": "Tanh", "ReLU": "ReLU", "GELU": "GELU", "Sigmoid": "Sigmoid"}


def pooling_steps(folder: ModelFolder) -> tuple[tuple[Step, ...], str]:
    """What follows the transformer: a pooling of tokens, then steps on its result; and how a person would call them.

    Raises:
        ConverterMissing: A module that dray does not know; names it.
    """
    if not folder.modules:
        return (_pooled(("mean",)),), "mean"
    kinds = [kind.rpartition(".")[2] for kind, _ in folder.modules]
    if kinds[0] != "Transformer" or "Pooling" not in kinds[1:2]:
        raise ConverterMissing(
            f"the modules of {folder.path.name!r} are {', '.join(kinds)}, expected Transformer and Pooling first",
            hint="models of other modules are not served from texts",
        )
    steps, said = [], []
    for kind, place in zip(kinds[1:], (place for _, place in folder.modules[1:]), strict=True):
        step, words = _step(kind, place, folder)
        steps.append(step)
        said.append(words)
    return tuple(steps), ", ".join(said)


def pooling_modes(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The ways of pooling whose results stand side by side in the embedding, in order.

    Raises:
        ConverterMissing: One that dray does not know.
    """
    named = config.get("pooling_mode")
    if named is not None:
        modes = (named,) if isinstance(named, str) else tuple(named)
    else:
        modes = tuple(mode for key, mode in _OLDER.items() if config.get(key)) or ("mean",)
    for mode in modes:
        if mode not in _MODES:
            raise ConverterMissing(f"pooling by {mode!r} is not known", hint=f"known are {', '.join(_MODES)}")
    return modes


def _step(kind: str, place: Path, folder: ModelFolder) -> tuple[Step, str]:
    if kind == "Normalize":
        return _normalised, "normalised"
    config = read_config(place / "config.json") if (place / "config.json").is_file() else {}
    if kind == "Pooling":
        if config.get("include_prompt") is False and folder.prompt:
            raise ConverterMissing(
                "the model leaves its prompt out when it pools, which is not served",
                hint="set include_prompt to true, or the default prompt to null, if the model was trained so",
            )
        modes = pooling_modes(config)
        return _pooled(modes), " and ".join(modes)
    if kind == "Dense":
        return _dense(config, place), f"a layer to {config.get('out_features')} values"
    raise ConverterMissing(
        f"the module {kind} of sentence-transformers is not served", hint="Transformer, Pooling, Dense, Normalize are"
    )


def _pooled(modes: tuple[str, ...]) -> Step:
    import torch

    def pool(tokens: Any, mask: Any) -> Any:
        return torch.cat([_POOLS[mode](tokens, mask) for mode in modes], dim=-1)

    return pool


def _mean(tokens: Any, mask: Any) -> Any:
    total, count = _sum(tokens, mask.unsqueeze(-1).to(tokens.dtype))
    return total / count


def _mean_sqrt(tokens: Any, mask: Any) -> Any:
    total, count = _sum(tokens, mask.unsqueeze(-1).to(tokens.dtype))
    return total / count.sqrt()


def _weighted(tokens: Any, mask: Any) -> Any:
    # Tokens are filled up on the right, so that the first one counts one.
    places = mask.cumsum(dim=1) * mask
    total, count = _sum(tokens, places.unsqueeze(-1).to(tokens.dtype))
    return total / count


def _sum(tokens: Any, weights: Any) -> tuple[Any, Any]:
    return (tokens * weights).sum(dim=1), weights.sum(dim=1).clamp(min=1e-9)


def _first(tokens: Any, _mask: Any) -> Any:
    return tokens[:, 0]


def _last(tokens: Any, mask: Any) -> Any:
    place = (mask.sum(dim=1) - 1).clamp(min=0)
    return tokens.gather(1, place.view(-1, 1, 1).expand(-1, 1, tokens.shape[-1])).squeeze(1)


def _max(tokens: Any, mask: Any) -> Any:
    return tokens.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).max(dim=1).values


def _normalised(pooled: Any) -> Any:
    import torch

    return torch.nn.functional.normalize(pooled, p=2, dim=1)


def _dense(config: Mapping[str, Any], place: Path) -> Step:
    import torch

    named = str(config.get("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")[2]
    extra = [key for key in ("use_residual",) if config.get(key)]
    if (
        named not in _ACTIVATIONS
        or extra
        or config.get("module_input_name", "sentence_embedding") != "sentence_embedding"
    ):
        raise ConverterMissing(
            f"the Dense layer in {place.name!r} has {', '.join(extra) or named}, which is not served",
            hint=f"layers on the sentence's embedding with {', '.join(_ACTIVATIONS)} are",
        )
    layer = torch.nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
    _load_weights(layer, place)
    activation = getattr(torch.nn, _ACTIVATIONS[named])()
    return torch.nn.Sequential(layer, activation).eval()  # type: ignore[no-any-return]


def _load_weights(layer: Any, place: Path) -> None:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    weights = weights_of(place)
    try:
        state = load_file(weights) if weights.suffix == ".safetensors" else torch.load(weights, weights_only=True)
        layer.load_state_dict({name.removeprefix("linear."): value.float() for name, value in state.items()})
    except (SafetensorError, RuntimeError, pickle.UnpicklingError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelInvalid(f"the weights in {place.name!r} do not fit their layer: {reason}") from error


_POOLS: Mapping[str, Step] = {
    "cls": _first,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt,
    "weightedmean": _weighted,
    "lasttoken": _last,
}
