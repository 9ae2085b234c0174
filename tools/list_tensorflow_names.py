"""Write the names that Keras files and SavedModels may use, from an installed TensorFlow.

    python tools/list_tensorflow_names.py keras > packager/converters/tensorflow/lists/keras.txt
    python tools/list_tensorflow_names.py operations > packager/converters/tensorflow/lists/operations.txt

Runs in an environment with tensorflow, without dray. For Keras: every class that its files may name, in its public place
and its own module, and the functions of activations, losses, metrics and so on; not what loads code or files by itself
(``UNWANTED``). For TensorFlow: every operation but those that touch files, the network, other devices, Python or the
process (``TOUCHES``). Look at what is new before it goes into a list.
"""

import inspect
import os
import re
import sys
from collections import defaultdict

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

# Code or files of others: a marshalled function, a pickled torch module, a SavedModel at a path, serialised JAX calls.
UNWANTED = {
    "Lambda",
    "TorchModuleWrapper",
    "TFSMLayer",
    "JaxLayer",
    "FlaxLayer",
    "FeatureSpace",
    "Distiller",
    "TFOptimizer",
}
PLACES = (
    "keras", "keras.activations", "keras.constraints", "keras.dtype_policies", "keras.initializers", "keras.layers",
    "keras.losses", "keras.metrics", "keras.models", "keras.optimizers", "keras.optimizers.schedules", "keras.quantizers",
    "keras.regularizers",
)  # fmt: skip
FUNCTIONS = (
    "keras.activations",
    "keras.constraints",
    "keras.initializers",
    "keras.losses",
    "keras.metrics",
    "keras.regularizers",
)
NO_FUNCTIONS = {"get", "serialize", "deserialize"}
TOUCHES = re.compile(
    r"Py|File|Save|Restore|Checkpoint|Dataset|Iterator|Reader|Write|Print|Summary|Rpc|Send|Recv|Collective|TPU|Tpu|Xla"
    r"|Configure|Shutdown|Nccl|Infeed|Outfeed|Sql|Lmdb|BigQuery|GenerateVocab|LoadAndRemap|Stage|Queue|Barrier|Generator"
    r"|Session|Symbolic|Gpu|Gather.*Remote|Remote|Distributed|AnonymousMem|Host|HTTP|Http|^_|Execute|Compile|Abort|Conditional.*Accum"
    r"|Shard|Debug|Thread|Worker|Timestamp|Mlir|DTensor|Store|RecordInput|ImmutableConst|ImportEvent|Proto|Stats|MemoryCache"
    r"|SparseCore|Prelinearize|PhysicalReplica|^Fact$|^Copy$|^Batch$|BatchFunction|SyncDevice"
)  # fmt: skip
# Caught by the pattern, and harmless: they only have the word in their name.
# The tables of lookups are read from the assets of a SavedModel, which is all that the process can read.
KEPT = {
    "TensorArrayWriteV3",
    "TensorArrayWriteV2",
    "TensorArrayWrite",
    "CompareAndBitpack",
    "InitializeTableFromTextFileV2",
    "InitializeTableFromTextFile",
}


def keras_names():
    import importlib

    import keras
    from keras.src.saving.keras_saveable import KerasSaveable

    names = defaultdict(set)
    for place in PLACES:
        module = importlib.import_module(place)
        for name, thing in vars(module).items():
            if name in UNWANTED or name.startswith("_"):
                continue
            is_class = inspect.isclass(thing) and hasattr(thing, "from_config")
            is_function = inspect.isfunction(thing) and place in FUNCTIONS and name not in NO_FUNCTIONS
            if is_class or is_function:
                names[place].add(name)
                if thing.__module__.startswith("keras."):
                    names[thing.__module__].add(thing.__name__)
    for kind in subclasses(KerasSaveable):
        if (
            kind.__module__.startswith("keras.src.")
            and kind.__name__ not in UNWANTED
            and not kind.__name__.startswith("_")
        ):
            names[kind.__module__].add(kind.__name__)
    del keras
    return names


def subclasses(kind):
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def operations():
    import tensorflow as tf

    names = [name for name in dir(tf.raw_ops) if not name.startswith("_")]
    # Nodes of graphs that have no Python function of their own.
    names += [
        "_Arg",
        "_Retval",
        "While",
        "StatelessWhile",
        "If",
        "StatelessIf",
        "PartitionedCall",
        "StatefulPartitionedCall",
        "NoOp",
    ]
    return sorted({name for name in names if name in KEPT or name in {"_Arg", "_Retval"} or not TOUCHES.search(name)})


def main():
    if sys.argv[1:] == ["operations"]:
        print(
            "# Operations of TensorFlow that touch nothing outside the graph; tools/list_tensorflow_names.py writes it."
        )
        print("\n".join(operations()))
        return
    print("# Classes and functions that a Keras file may name; tools/list_tensorflow_names.py writes it.")
    for module, found in sorted(keras_names().items()):
        if found:
            print(f"{module}: {' '.join(sorted(found))}")


if __name__ == "__main__":
    main()
