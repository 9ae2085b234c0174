"""Everything the builder can refuse or fail at: one family a step, one class a reason."""

from packager.core.cloud_errors import (
    CapacityMissing,
    CloudFailed,
    CloudUnreachable,
    Forbidden,
    NameTaken,
    NotSignedIn,
    QuotaReached,
    RequestRefused,
    ResourceGroupMissing,
    Throttled,
    Transitioning,
)
from packager.core.cluster_errors import (
    AdmissionDenied,
    ContainerConfig,
    FieldConflict,
    KindMissing,
    LivenessFailed,
    Unschedulable,
)
from packager.core.deployment_errors import (
    DeploymentBusy,
    DeploymentDeclined,
    DeploymentError,
    DeploymentFailed,
    DeploymentMissing,
    InvocationError,
    NoPreviousRelease,
    NotReady,
    OutOfMemory,
    PortInUse,
    ProcessCrash,
)
from packager.core.device_errors import (
    AcceleratorMissing,
    CardToolsMissing,
    CircuitAbsent,
    DeviceMissing,
    DeviceOffline,
    ManifestRefused,
    ProviderAbsent,
    SimulationAbsent,
)
from packager.core.image_errors import (
    ArchitectureMissing,
    BaseUnusable,
    CompilerMissing,
    EngineUnavailable,
    ImageError,
    ImageExists,
    ImageInvalid,
    ImageMissing,
    ImageReferenceInvalid,
    ImageUnfaithful,
    WheelsUnavailable,
)
from packager.core.registry_errors import (
    CredentialsUnusable,
    PullDenied,
    PushDenied,
    RegistryCut,
    RegistryError,
    RegistryThrottled,
    RegistryUnavailable,
    RegistryUnreachable,
    RegistryUntrusted,
)
from runtime.contract.errors import (
    DrayError,
    PackageDamaged,
    PackageError,
    PackageInvalid,
    PackageMissing,
)

__all__ = [
    "AcceleratorMissing",
    "CardToolsMissing",
    "ProviderAbsent",
    "AdmissionDenied",
    "ContainerConfig",
    "FieldConflict",
    "KindMissing",
    "LivenessFailed",
    "Unschedulable",
    "Transitioning",
    "Throttled",
    "ResourceGroupMissing",
    "RequestRefused",
    "QuotaReached",
    "NotSignedIn",
    "NameTaken",
    "Forbidden",
    "CloudUnreachable",
    "CloudFailed",
    "CapacityMissing",
    "RegistryUntrusted",
    "RegistryUnreachable",
    "RegistryUnavailable",
    "RegistryThrottled",
    "RegistryError",
    "RegistryCut",
    "PushDenied",
    "PullDenied",
    "CredentialsUnusable",
    "ArchitectureMissing",
    "BaseUnusable",
    "BatchSafetyError",
    "BoundToHardware",
    "CircuitAbsent",
    "CircuitRefused",
    "CircuitTooLarge",
    "CircuitUnfaithful",
    "CompilerMissing",
    "ConfigurationError",
    "ConversionError",
    "ConversionTimeout",
    "ConverterMissing",
    "DeploymentBusy",
    "DeploymentDeclined",
    "DeploymentError",
    "DeploymentFailed",
    "DeploymentMissing",
    "DeviceMissing",
    "DeviceOffline",
    "DiskFull",
    "DrayError",
    "EngineUnavailable",
    "EnvironmentFailed",
    "EnvironmentMissing",
    "FAMILIES",
    "GateFailed",
    "ImageError",
    "ImageExists",
    "ImageInvalid",
    "ImageMissing",
    "ImageReferenceInvalid",
    "ImageUnfaithful",
    "InterruptedByUser",
    "InvocationError",
    "ManifestRefused",
    "ModelInvalid",
    "ModelMissing",
    "NoPreviousRelease",
    "NotReady",
    "NotWritable",
    "NothingToQuantize",
    "OutOfMemory",
    "PackageDamaged",
    "PackageError",
    "PackageExists",
    "PackageInvalid",
    "PackageMissing",
    "ParityError",
    "PluginBroken",
    "PortInUse",
    "ProcessCrash",
    "SampleError",
    "SimulationAbsent",
    "SmokeTestFailed",
    "UnsafeModel",
    "UnverifiedPackage",
    "UsageError",
    "WheelsUnavailable",
]


class InterruptedByUser(DrayError):
    """The user stopped the command."""

    code = "E-INTERRUPTED"


class UsageError(DrayError):
    """The command line asks for something that cannot be meant."""

    code = "E-USAGE"


class ConfigurationError(UsageError):
    """dray.yaml, a ``--set`` or the environment does not follow its schema."""

    code = "E-CONFIG"


class PluginBroken(UsageError):
    """An installed converter or target cannot be loaded, or two claim one name."""

    code = "E-PLUGIN"


class EnvironmentMissing(UsageError):
    """A package or tool that this command needs is not installed here."""

    code = "E-NOT-INSTALLED"


class ConversionError(DrayError):
    """The model could not be turned into ONNX that answers as it does."""

    code = "E-CONVERSION"


class ModelMissing(ConversionError):
    """There is no file or folder at the model's path."""

    code = "E-MODEL-MISSING"


class ModelInvalid(ConversionError):
    """The file is not a model that can be used: empty, truncated, of another kind, or not fitted."""

    code = "E-MODEL-INVALID"


class ConverterMissing(ConversionError):
    """No installed converter recognises the model, or the converter knows no rule for a part of it."""

    code = "E-NO-CONVERTER"


class UnsafeModel(ConversionError):
    """Loading the file would run code that is on no list of harmless calls, and nobody said to trust it."""

    code = "E-UNSAFE"


class SampleError(ConversionError):
    """The samples do not fit the model: columns, shape, type, or a value that the model refuses."""

    code = "E-SAMPLES"


class ConversionTimeout(ConversionError):
    """The conversion took longer than it was given."""

    code = "E-CONVERSION-TIMEOUT"


class EnvironmentFailed(ConversionError):
    """The Python environment that the model needs could not be made, or does not run."""

    code = "E-ENV"


class ParityError(ConversionError):
    """The ONNX model answers differently from its source."""

    code = "E-PARITY"


class BatchSafetyError(ConversionError):
    """The ONNX model answers differently at another batch size, so its answers cannot be vouched for."""

    code = "E-BATCH"


class NothingToQuantize(ConversionError):
    """The model has no weights that integers or half floats could stand for."""

    code = "E-QUANTIZE"


class BoundToHardware(ConversionError):
    """An optimised graph holds operators that only a processor like this one runs."""

    code = "E-HARDWARE-GRAPH"


class CircuitRefused(ConversionError):
    """The model holds something that has no circuit here, or that no width of numbers can carry."""

    code = "E-CIRCUIT"


class CircuitTooLarge(CircuitRefused):
    """By the estimate, the circuit needs more of the device than it may."""

    code = "E-CIRCUIT-SIZE"


class CircuitUnfaithful(ConversionError):
    """The simulated circuit differs from the integer reference, or a broken one would not have been noticed."""

    code = "E-CIRCUIT-SIMULATION"


class CircuitTimeout(ConversionError):
    """What builds or synthesises a circuit did not end in its time, which says nothing of the circuit."""

    code = "E-CIRCUIT-TIMEOUT"


class UnverifiedPackage(PackageError):
    """Nothing says that this package's answers are right, and nobody said to go on without."""

    code = "E-UNVERIFIED"


class PackageExists(PackageError):
    """There is something at the package's path already."""

    code = "E-PACKAGE-EXISTS"


class NotWritable(PackageError):
    """A file or folder cannot be written with these permissions."""

    code = "E-NOT-WRITABLE"


class DiskFull(PackageError):
    """The file system has no room left; what was begun has been removed."""

    code = "E-DISK-FULL"


class GateFailed(DrayError):
    """A gate that the user set, or that dray always keeps, was not passed."""

    code = "E-GATE"


class SmokeTestFailed(GateFailed):
    """The running thing answers differently from the original."""

    code = "E-SMOKE"


# The roots of the builder's families; each has an exit status of its own (packager.cli.run).
FAMILIES: tuple[type[DrayError], ...] = (
    UsageError,
    ConversionError,
    PackageError,
    ImageError,
    DeploymentError,
    GateFailed,
)
