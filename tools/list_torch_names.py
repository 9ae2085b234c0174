"""Print the names that files of torch.save may refer to, one module a line.

    python tools/list_torch_names.py > packager/convert/safety/lists/torch.txt

Runs in any environment with PyTorch, without dray. Three sources: what ``torch.save`` writes of tensors (written out
here, each of them read), the layers of ``torch.nn.modules``, and the functions of tensors that layers hold. Never here:
what loads other pickles (``torch.storage._load_from_bytes``), runs text (``torch.fx``, ``torch.jit``), imports modules,
or reads files; nor sparse and nested tensors, whose indices nothing checks. Look at what is new before it goes into the list.
"""

import importlib
import inspect
import pkgutil
import sys
from collections import defaultdict

import torch

REBUILDS = {
    "collections": ["OrderedDict", "Counter", "defaultdict", "deque"],
    "argparse": ["Namespace"],
    "pathlib": ["Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath", "PureWindowsPath"],
    "pathlib._local": ["Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath", "PureWindowsPath"],
    "torch": ["Size", "Tensor", "device", "per_channel_affine", "per_tensor_affine"],
    "torch._C": ["Generator"],
    "torch._C._nn": ["gelu", "silu", "softplus", "leaky_relu", "hardtanh", "log_sigmoid", "elu_", "hardswish", "mish"],
    "torch._tensor": ["_rebuild_from_type_v2"],
    "torch._utils": [
        "_rebuild_meta_tensor_no_storage", "_rebuild_parameter", "_rebuild_parameter_with_state", "_rebuild_qtensor",
        "_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3",
    ],
    "torch.nn.parameter": ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter"],
    "torch.nn.parallel.data_parallel": ["DataParallel"],
    "torch.nn.utils.weight_norm": ["WeightNorm"],
    "torch.storage": ["TypedStorage", "UntypedStorage"],
}  # fmt: skip
# Layers that make others from what they are given, or move data between processes.
UNWANTED = {"Callable", "_WrappedHook", "SyncBatchNorm", "LazyModuleMixin", "_IncompatibleKeys"}


def main():
    modules = defaultdict(set)
    for module, names in REBUILDS.items():
        modules[module] |= set(names)
    for module, name in (*data_types(), *layers(), *functions()):
        modules[module].add(name)
    sys.stdout.write("# Made by tools/list_torch_names.py: tensors, layers, and functions of tensors.\n")
    for module in sorted(modules):
        sys.stdout.write(f"{module}: {' '.join(sorted(modules[module]))}\n")


def data_types():
    for name, value in vars(torch).items():
        if isinstance(value, torch.dtype) or (name.endswith("Storage") and inspect.isclass(value)):
            yield "torch", name


def layers():
    for info in pkgutil.iter_modules(torch.nn.modules.__path__, "torch.nn.modules."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            own = inspect.isclass(value) and value.__module__ == info.name and name not in UNWANTED
            if own and issubclass(value, torch.nn.Module):
                yield info.name, name


def functions():
    for name, value in vars(torch.nn.functional).items():
        if inspect.isfunction(value) and value.__module__ == "torch.nn.functional" and not name.startswith("_"):
            yield "torch.nn.functional", name


if __name__ == "__main__":
    main()
