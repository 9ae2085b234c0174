"""Hugging Face transformers: folders that ``save_pretrained`` or sentence-transformers wrote, served from texts."""

from pathlib import Path
from typing import ClassVar

from packager.converters.framework_environment import framework_environment
from packager.converters.huggingface.folder import brings_code, looks_like_transformers, pickled_weights
from packager.core.conversion import ConversionRequest, ModelSource, RawConversion
from packager.core.environment import EnvironmentSpec
from packager.core.progress import Progress

# With PyTorch for the CPU, measured on Linux.
_DOWNLOAD_MIB = 280
_DISK_MIB = 1000
_REQUIREMENTS = ("onnxscript>=0.5", "safetensors>=0.5", "tokenizers>=0.21", "torch>=2.9", "transformers>=4.50")


class HuggingFaceConverter:
    """Exports what a user asks for, embeddings or classes, through PyTorch; tokens are made outside of the graph."""

    name: ClassVar[str] = "transformers"
    requires: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "safetensors", "tokenizers", "torch", "transformers")
    needs_here: ClassVar[tuple[str, ...]] = ("tokenizers",)
    isolated: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("inputs", "class", "packages")

    def recognises(self, source: ModelSource) -> bool:
        """Whether the folder has a configuration of transformers, or modules of sentence-transformers."""
        return source.function is None and looks_like_transformers(source.path)

    def runs(self, source: Path) -> tuple[str, ...]:
        """The folder's own modules that its configurations name; see ``FolderConverter``."""
        return brings_code(source)

    def unpickled(self, source: Path) -> tuple[Path, ...]:
        """Weights that are no safetensors; see ``FolderConverter``."""
        return pickled_weights(source)

    def environment_for(self, source: ModelSource, samples: Path | None) -> EnvironmentSpec | None:
        """Of transformers, with PyTorch for the CPU, where they are not installed; see ``EnvironmentAware``."""
        # A CSV of texts needs no reader of tables.
        table = samples if samples is not None and samples.suffix.lower() != ".csv" else None
        return framework_environment(
            "transformers",
            _REQUIREMENTS,
            source,
            table,
            download_mib=_DOWNLOAD_MIB,
            disk_mib=_DISK_MIB,
            cpu_builds=("torch",),
        )

    def convert(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        """ONNX from tokens to answers, the tokenizer, texts, and the original's answers to them one by one.

        Raises:
            ModelInvalid: A file is damaged or absent.
            ConverterMissing: What the model does is not served; says what and why.
            SampleError: The samples hold no texts.
        """
        from packager.converters.huggingface.conversion import convert  # PyTorch takes seconds to import

        return convert(request, progress)
