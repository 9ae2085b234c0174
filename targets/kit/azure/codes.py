"""Codes of Azure's answers that we know the meaning of, and words where the code says too little.

Sources: learn.microsoft.com, "Troubleshoot common issues in Azure Container Instances" and "Resource Manager error
codes"; codes seen in answers of the service, and close relatives of them, which do no harm where they never come.
"""

import re
from dataclasses import dataclass
from typing import Final

from packager.core.errors import (
    ArchitectureMissing,
    CapacityMissing,
    CloudFailed,
    DeploymentMissing,
    DrayError,
    Forbidden,
    ImageMissing,
    NameTaken,
    NotSignedIn,
    PullDenied,
    QuotaReached,
    RegistryUnavailable,
    RequestRefused,
    ResourceGroupMissing,
    Throttled,
    Transitioning,
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code comes to, and what its reader does next."""

    kind: type[DrayError]
    hint: str


_QUOTA = Meaning(
    QuotaReached,
    "delete what is not needed, choose another region, or ask for more: portal, Quotas, Container Instances",
)
_ROOM = Meaning(CapacityMissing, "ask for less CPU or memory, choose another region, or try again later")
_PULL = Meaning(
    PullDenied,
    "does the image exist, and may Azure read it? --set registry_identity=RESOURCE_ID with the role AcrPull, or"
    " registry_username and registry_password by reference",
)
_NO_IMAGE = Meaning(ImageMissing, "push it: dray image PACKAGE --push")
_REGISTRY = Meaning(RegistryUnavailable, "the registry failed, not Azure: try again in some minutes")
_PLATFORM = Meaning(ArchitectureMissing, "build it for Azure: dray image PACKAGE --platform linux/amd64 --push")
_LOGIN = Meaning(NotSignedIn, "az login, or a fresh token in AZURE_ACCESS_TOKEN; to try without an account: --rehearse")
_SUBSCRIPTION = Meaning(NotSignedIn, "az account list shows yours; AZURE_SUBSCRIPTION_ID or --set subscription=ID")
_ROLE = Meaning(Forbidden, "ask for the role Contributor on the resource group; a new role takes some minutes to work")
_POLICY = Meaning(Forbidden, "a policy of the organisation forbids it: its name is in the message")
_LOCK = Meaning(Forbidden, "a lock forbids it: az lock list -g GROUP")
_REGISTER = Meaning(Forbidden, "once for the subscription: az provider register -n Microsoft.ContainerInstance")
_GROUP = Meaning(ResourceGroupMissing, "az group create -n NAME -l REGION, or another --set resource_group=NAME")
_GONE = Meaning(DeploymentMissing, "`dray status` lists what there is")
_LABEL = Meaning(NameTaken, "choose another: --set dns_label=NAME")
_BUSY = Meaning(Transitioning, "wait until the earlier change has ended, then the same command again")
_SLOW_DOWN = Meaning(Throttled, "again in some minutes")
_BODY = Meaning(RequestRefused, "Azure's words name the field; `dray plan -o json` shows the body")
_REGION = Meaning(RequestRefused, "choose a region that has it: --set region=NAME")
_REPLACE = Meaning(RequestRefused, "Azure cannot change that in place: --set update=replace")
_AZURE = Meaning(CloudFailed, "again later; the detail has the request's id")

_CODES: Final[dict[Meaning, str]] = {
    _QUOTA: "ContainerGroupQuotaReached QuotaExceeded ResourceQuotaExceeded SubscriptionQuotaExceeded"
    " ContainerGroupsQuotaReached CoreQuotaExceeded",
    _ROOM: "ServiceUnavailable NoCapacity SkuNotAvailable AllocationFailed ResourcesNotAvailable"
    " RegionalCapacityUnavailable InsufficientCapacity",
    _PULL: "InaccessibleImage ImagePullFailure RegistryUnauthorized ManagedIdentityImagePullFailed"
    " UnauthorizedImageRegistry InvalidImageRegistryCredential",
    _NO_IMAGE: "ImageNotFound ManifestUnknown InvalidImageName",
    _REGISTRY: "RegistryErrorResponse RegistryUnavailable RegistryTimeout",
    _PLATFORM: "ImageOsTypeNotMatchContainerGroup OsVersionNotSupported UnsupportedImage",
    _LOGIN: "InvalidAuthenticationToken ExpiredAuthenticationToken AuthenticationFailed"
    " InvalidAuthenticationTokenTenant AuthenticationFailedMissingToken InvalidAuthenticationTokenAudience",
    _SUBSCRIPTION: "SubscriptionNotFound InvalidSubscriptionId ReadOnlyDisabledSubscription DisallowedProvider",
    _ROLE: "AuthorizationFailed LinkedAuthorizationFailed Forbidden AuthorizationPermissionMismatch"
    " LinkedAccessCheckFailed",
    _POLICY: "RequestDisallowedByPolicy RequestDisallowedByAzure PolicyViolation",
    _LOCK: "ScopeLocked",
    _REGISTER: "MissingSubscriptionRegistration SubscriptionNotRegistered",
    _GROUP: "ResourceGroupNotFound",
    _GONE: "ResourceNotFound ContainerGroupNotFound ContainerNotFound",
    _LABEL: "DnsNameLabelNotAvailable DnsNameLabelAlreadyTaken DnsRecordInUse DnsNameLabelConflict",
    _BUSY: "ContainerGroupTransitioning ContainerGroupDeploymentNotComplete ResourceGroupBeingDeleted"
    " AnotherOperationInProgress OperationNotAllowedInCurrentState",
    _SLOW_DOWN: "TooManyRequests SubscriptionRequestsThrottled RequestsThrottled RateLimitExceeded"
    " ResourceRequestsThrottled",
    _BODY: "InvalidRequestContent InvalidRequestFormat InvalidTemplate InvalidParameter InvalidResourceRequest"
    " InvalidContainerGroupProperties InvalidApiVersionParameter InvalidResourceName MissingApiVersionParameter"
    " ResourceSomeRequestsNotSpecified ResourceRequestsNotSpecified InvalidDnsNameLabel",
    _REGION: "LocationNotAvailableForResourceType InvalidLocation NoRegisteredProviderFound LocationRequired"
    " InvalidResourceLocation",
    _REPLACE: "InvalidContainerGroupUpdate ContainerGroupImmutableProperty",
    _AZURE: "InternalServerError ServerError OperationTimedOut GatewayTimeout ServerTimeout InternalError"
    " ContainerGroupInternalError",
}  # fmt: skip

# By code in lower case.
KNOWN: Final[dict[str, Meaning]] = {
    code.lower(): meaning for meaning, codes in _CODES.items() for code in codes.split()
}

# What words say more exactly than a code, or without one, as events of a container do; the first that fits.
_WORDS: Final[tuple[tuple[re.Pattern[str], Meaning], ...]] = (
    (re.compile(r"dns name label .* not available", re.IGNORECASE), _LABEL),
    (re.compile(r"updates on container group .* are invalid", re.IGNORECASE), _REPLACE),
    (
        re.compile(
            r"failed to pull image .*(unauthorized|denied|authentication required|forbidden|\b40[13]\b)", re.IGNORECASE
        ),
        _PULL,
    ),
    (re.compile(r"manifest unknown|image .* (was )?not found|no such image", re.IGNORECASE), _NO_IMAGE),
)


def in_words(text: str) -> Meaning | None:
    """What a sentence of Azure's means by itself; None where it says nothing certain."""
    return next((meaning for pattern, meaning in _WORDS if pattern.search(text)), None)
