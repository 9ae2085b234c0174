"""Modules of PyTorch that end where a user's question ends: one embedding, or classes with their scores, a text."""

from collections.abc import Sequence
from typing import Any

from packager.converters.huggingface.folder import ModelFolder
from packager.converters.huggingface.pooling import Step
from packager.core.errors import ConverterMissing

# Of the exported graph; the classes' names take the place of the last.
LABEL, SCORE, PROBABILITIES, INDEX = "label", "score", "probabilities", "index"
_ACTIVATIONS = {"Identity": "identity", "Sigmoid": "sigmoid", "Softmax": "softmax"}


def embedding_of(model: Any, steps: Sequence[Step]) -> Any:
    """A module of the model's inputs whose answer is ``embedding``."""
    import torch

    pool, *further = steps

    class Embedding(torch.nn.Module):  # type: ignore[misc]  # torch is not there for mypy
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.further = torch.nn.ModuleList([step for step in further if isinstance(step, torch.nn.Module)])

        def forward(self, **inputs: Any) -> Any:
            answer = pool(self.model(**inputs)[0], inputs["attention_mask"])
            for step in further:
                answer = step(answer)
            return {"embedding": answer}

    return Embedding().eval()


def classification_of(model: Any, function: str) -> Any:
    """A module of the model's inputs whose answers are the classes' probabilities, the best and its index.

    A model of one class, or of numbers, answers those alone.

    Args:
        function: ``softmax``, ``sigmoid`` or ``identity``.
    """
    import torch

    change = {"softmax": lambda x: torch.softmax(x, dim=-1), "sigmoid": torch.sigmoid, "identity": lambda x: x}[
        function
    ]
    classes: int = model.config.num_labels
    numbers = model.config.problem_type == "regression"

    class Classification(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, **inputs: Any) -> Any:
            values = change(self.model(**inputs)[0])
            if classes == 1:
                return {SCORE: values[:, 0]}
            if numbers:
                return {"values": values}
            return {SCORE: values.max(dim=-1).values, PROBABILITIES: values, INDEX: values.argmax(dim=-1)}

    return Classification().eval()


def function_of(folder: ModelFolder, model: Any) -> str:
    """What turns the classifier's scores into what it is asked for.

    Source: ``TextClassificationPipeline`` of transformers; the activation that sentence-transformers keeps in the
    configuration of a cross-encoder goes before.

    Raises:
        ConverterMissing: That activation is another one.
    """
    if (named := folder.activation) is not None:
        if named not in _ACTIVATIONS:
            raise ConverterMissing(
                f"the cross-encoder ends in {named}, which is not served", hint=f"served are {', '.join(_ACTIVATIONS)}"
            )
        return _ACTIVATIONS[named]
    if model.config.problem_type == "regression":
        return "identity"
    several = model.config.problem_type == "multi_label_classification"
    return "sigmoid" if several or model.config.num_labels == 1 else "softmax"


def class_names(model: Any) -> tuple[str, ...]:
    """The classes in the order of their scores."""
    names = {int(index): str(name) for index, name in (model.config.id2label or {}).items()}
    return tuple(names.get(index, f"LABEL_{index}") for index in range(model.config.num_labels))
