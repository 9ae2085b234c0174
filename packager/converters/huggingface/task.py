"""What a model is asked for: embeddings, or classes; what is not served from texts in one call is refused by name."""

from dataclasses import dataclass
from typing import Literal

from packager.converters.huggingface.folder import ModelFolder
from packager.core.errors import ConverterMissing, UsageError

Kind = Literal["embedding", "classification"]
_CLASSIFIER = "ForSequenceClassification"
_EMBEDDINGS = "for embeddings of its encoder, add --class transformers:AutoModel"
# By the end of the class's name: what it does, and what can be done.
_REFUSED: tuple[tuple[str, str, str], ...] = (
    ("ForMaskedLM", "fills masked words", _EMBEDDINGS),
    ("ForPreTraining", "holds the heads of its pre-training", _EMBEDDINGS),
    ("ForCausalLM", "writes text, token by token", "generation is not served"),
    ("LMHeadModel", "writes text, token by token", "generation is not served"),
    ("ForConditionalGeneration", "writes text, token by token", "generation is not served"),
    ("ForTokenClassification", "gives a class for every token", "answers of one value a token are not served"),
    ("ForQuestionAnswering", "marks answers in a text", "answers of one value a token are not served"),
    ("ForMultipleChoice", "chooses between several texts", "rows of several choices are not served"),
    ("ForNextSentencePrediction", "compares two sentences", "train it as a sequence classifier instead"),
)


@dataclass(frozen=True, slots=True)
class Task:
    """What is exported.

    Attributes:
        loader: The class of transformers that loads the model.
    """

    kind: Kind
    loader: str


def task_of(folder: ModelFolder, chosen: object) -> Task:
    """The task by the class that the model was saved from, or by ``--class``.

    Args:
        chosen: ``transformers:NAME``, or None.

    Raises:
        ConverterMissing: The class does something that is not served.
        UsageError: ``--class`` names something else.
    """
    if folder.modules:
        return _of_sentences(folder)
    name = folder.architecture or "AutoModel"
    if chosen is not None:
        module, _, name = str(chosen).partition(":")
        if module != "transformers" or not name.isidentifier():
            raise UsageError(
                f"--class names {str(chosen)!r}, and this folder is of transformers",
                hint="write --class transformers:AutoModel, or transformers:AutoModelForSequenceClassification",
            )
    for end, does, hint in _REFUSED:
        if name.endswith(end):
            raise ConverterMissing(f"{name} {does}, which is not served", hint=hint, detail={"class": name})
    if name.endswith(_CLASSIFIER):
        return Task("classification", name)
    own = folder.config.get("auto_map")
    if isinstance(own, dict) and f"AutoModel{_CLASSIFIER}" in own:
        return Task("classification", f"AutoModel{_CLASSIFIER}")
    if name.endswith("Model") or (isinstance(own, dict) and "AutoModel" in own):
        return Task("embedding", name)
    raise ConverterMissing(
        f"{name} is neither an encoder of texts nor a sequence classifier",
        hint="other models are not served from texts",
    )


def _of_sentences(folder: ModelFolder) -> Task:
    """What sentence-transformers asks of the transformer; until its version 6 there was one answer."""
    asked = folder.sentences.get("transformer_task", "feature-extraction")
    if asked == "sequence-classification" and len(folder.modules) == 1:
        return Task("classification", f"AutoModel{_CLASSIFIER}")
    if asked == "feature-extraction" and folder.about.get("model_type") in (None, "SentenceTransformer"):
        return Task("embedding", "T5EncoderModel" if folder.config.get("model_type") in ("t5", "mt5") else "AutoModel")
    raise ConverterMissing(
        f"{folder.path.name!r} is a {folder.about.get('model_type') or 'model'} of sentence-transformers for {asked}",
        hint="embeddings of one vector a text are served, and cross-encoders of sequence classifiers",
    )
