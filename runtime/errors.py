"""Everything the server can refuse or fail at. What each is over HTTP is decided in ``runtime.app`` alone."""

from runtime.contract.errors import DrayError


class ServerError(DrayError):
    """The server cannot do what it was asked or started for."""

    code = "E-SERVER"


class InvalidInput(ServerError):
    """A request does not follow the protocol or does not fit the model's signature."""

    code = "E-INPUT"


class RefusedByModel(ServerError):
    """The request fits the signature, and the model itself stops at its values."""

    code = "E-MODEL-REFUSED"


class NonFiniteOutput(ServerError):
    """An answer holds infinity, for which JSON has no word."""

    code = "E-NON-FINITE"


class UnknownModel(ServerError):
    """No model of this name and version is served here."""

    code = "E-NO-MODEL"


class RouteMissing(ServerError):
    """Nothing is served at this path."""

    code = "E-NO-ROUTE"


class MethodRefused(ServerError):
    """The path is served, by another HTTP method."""

    code = "E-METHOD"


class EncodingRefused(ServerError):
    """The body is in a form that this server does not read."""

    code = "E-ENCODING"


class BodyTooLarge(ServerError):
    """The body is above DRAY_MAX_BODY_MIB."""

    code = "E-TOO-LARGE"


class BodyTimeout(ServerError):
    """The body did not arrive within DRAY_REQUEST_TIMEOUT_S."""

    code = "E-BODY-TIMEOUT"


class HeadTimeout(ServerError):
    """The head of a request did not arrive within DRAY_REQUEST_TIMEOUT_S."""

    code = "E-HEAD-TIMEOUT"


class HeadTooLarge(ServerError):
    """The head of a request, or what frames its body, is larger than any client needs."""

    code = "E-HEAD-TOO-LARGE"


class RunTimeout(ServerError):
    """The model did not answer within DRAY_REQUEST_TIMEOUT_S; its run was stopped."""

    code = "E-TIMEOUT"


class Overloaded(ServerError):
    """As many requests as DRAY_MAX_QUEUE allows are here already."""

    code = "E-OVERLOADED"


class ControlRefused(ServerError):
    """Models are loaded and unloaded over HTTP only where DRAY_MODEL_CONTROL allows it."""

    code = "E-CONTROL"


class Unauthorised(ServerError):
    """API keys are set, and the request carries none of them."""

    code = "E-UNAUTHORISED"


class ModelNotReady(ServerError):
    """The model is not loaded and tested yet, or never will be."""

    code = "E-NOT-READY"


class Draining(ModelNotReady):
    """The process was told to stop: it finishes what it has and takes nothing new."""

    code = "E-DRAINING"


class ModelLoadFailed(ServerError):
    """ONNX Runtime cannot make a session of the package's model."""

    code = "E-LOAD"


class CircuitPlatformMissing(ModelLoadFailed):
    """The package's circuit has no simulation for this platform."""

    code = "E-CIRCUIT-PLATFORM"


class CircuitStalled(ServerError):
    """A simulated circuit gave no answer where it has to give one."""

    code = "E-CIRCUIT-STALLED"


class SelfTestFailed(ServerError):
    """The model answers its own test data differently from the source it was converted from."""

    code = "E-SELF-TEST"


class ProviderMissing(ServerError):
    """An execution provider that has to be used cannot be."""

    code = "E-PROVIDER"


class ProviderFellBack(ProviderMissing):
    """Nodes that compute ran on the CPU, and the CPU is not allowed to stand in."""

    code = "E-PROVIDER-FALLBACK"


class DuplicateModel(ServerError):
    """Two packages claim one model name and version."""

    code = "E-DUPLICATE-MODEL"


class PortInUse(ServerError):
    """Something else listens on the port."""

    code = "E-PORT-IN-USE"


class AddressRefused(ServerError):
    """The operating system does not let this process listen on the address."""

    code = "E-ADDRESS"


class EdgeFailed(ServerError):
    """The edge hub cannot be reached, or refuses this module."""

    code = "E-EDGE"


class MessageTooLarge(ServerError):
    """A message, or the answer to it, is larger than the hub takes."""

    code = "E-MESSAGE-TOO-LARGE"


class PoisonMessage(ServerError):
    """The process ended each time that it answered this message."""

    code = "E-POISON-MESSAGE"


class PackageRefused(ServerError):
    """A package that this device was told to serve is not one that it may."""

    code = "E-PACKAGE-REFUSED"


class PackageUnfetched(PackageRefused):
    """A package cannot be had from where it is said to be."""

    code = "E-PACKAGE-FETCH"


class FetchInterrupted(PackageUnfetched):
    """A package cannot be had now, for the network or the server: it may be otherwise in a while."""

    code = "E-PACKAGE-NETWORK"


class PackageSizeDiffers(PackageRefused):
    """An archive is larger or smaller than it was said to be."""

    code = "E-PACKAGE-SIZE"


class ArchiveDiffers(PackageRefused):
    """An archive is not the file whose SHA-256 was named."""

    code = "E-PACKAGE-CHECKSUM"


class ArchiveUnsafe(PackageRefused):
    """An archive, or a folder, holds what no package holds: links, paths that lead out of it, far too much."""

    code = "E-PACKAGE-ARCHIVE"


class PackageOfOtherModel(PackageRefused):
    """A package holds another model than the one that it shall replace."""

    code = "E-PACKAGE-MODEL"


class SignatureDiffers(PackageRefused):
    """A package takes or gives other tensors than the one that it shall replace."""

    code = "E-PACKAGE-SIGNATURE"


class PackageOlder(PackageRefused):
    """A package has an older version than the one that it shall replace."""

    code = "E-PACKAGE-OLDER"


class PackageDeadly(PackageRefused):
    """The process ended each time that it loaded this package."""

    code = "E-PACKAGE-CRASH"


class NoRoom(PackageRefused):
    """The device's disk has no room for a package."""

    code = "E-DISK-FULL"


class FolderRefused(PackageRefused):
    """The folder for what outlives the container cannot be written."""

    code = "E-NOT-WRITABLE"
