"""What Azure Resource Manager itself refuses, before a provider sees the request."""

from targets.rehearsal.arm.errors import GROUP_TYPE, PROVIDER, ArmError


def unauthenticated(code: str, message: str) -> ArmError:
    """Without a token, or with one that is not taken; says where one is had, as ARM does."""
    challenge = (
        'Bearer authorization_uri="https://login.windows.net/", error="invalid_token", '
        'error_description="The access token is missing or invalid."'
    )
    return ArmError(401, code, message, headers={"WWW-Authenticate": challenge})


def no_token() -> ArmError:
    """No ``Authorization`` header."""
    return unauthenticated("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")


def wrong_token() -> ArmError:
    """A token of another stand-in, or of Azure itself."""
    return unauthenticated("InvalidAuthenticationToken", "The access token is invalid.")


def expired_token(now: str) -> ArmError:
    """A token whose time is over."""
    message = f"The access token expiry UTC time '{now}' is earlier than current UTC time '{now}'."
    return unauthenticated("ExpiredAuthenticationToken", message)


def forbidden(action: str, scope: str) -> ArmError:
    """A principal without the role."""
    client = "00000000-0000-0000-0000-0000000000aa"
    message = (
        f"The client '{client}' with object id '{client}' does not have authorization to perform action '{action}' "
        f"over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your "
        "credentials."
    )
    return ArmError(403, "AuthorizationFailed", message)


def throttled(subscription: str, kind: str, retry_after_s: int) -> ArmError:
    """Too many requests of one kind (``read``, ``write`` or ``delete``).

    Source: Microsoft's page "Understand how Azure Resource Manager throttles requests".
    """
    message = (
        f"Number of '{kind}' requests for subscription '{subscription}' exceeded. Please try again after "
        f"'{retry_after_s}' seconds after additional tokens are available. Refer to https://aka.ms/arm-throttling "
        "for additional information."
    )
    headers = {"Retry-After": str(retry_after_s), f"x-ms-ratelimit-remaining-subscription-{kind}s": "0"}
    return ArmError(429, "SubscriptionRequestsThrottled", message, headers=headers)


def no_version() -> ArmError:
    """A request without ``?api-version=``."""
    message = "The api-version query parameter (?api-version=) is required for all requests."
    return ArmError(400, "MissingApiVersionParameter", message)


def unknown_version(version: str, known: tuple[str, ...]) -> ArmError:
    """A version that the type does not have."""
    message = f"The api-version '{version}' is invalid. The supported versions are '{','.join(known)}'."
    return ArmError(400, "InvalidApiVersionParameter", message)


def malformed_subscription(subscription: str) -> ArmError:
    """Not a GUID."""
    message = f"The provided subscription identifier '{subscription}' is malformed or invalid."
    return ArmError(400, "InvalidSubscriptionId", message)


def no_resource_group(name: str) -> ArmError:
    """As ``az group show`` prints it."""
    return ArmError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")


def no_resource(name: str, resource_group: str) -> ArmError:
    """As ``az container show`` prints it."""
    message = (
        f"The Resource '{GROUP_TYPE}/{name}' under resource group '{resource_group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    )
    return ArmError(404, "ResourceNotFound", message)


def unknown_type(kind: str, version: str) -> ArmError:
    """A path under the provider that names nothing it has."""
    message = (
        f"The resource type '{kind}' could not be found in the namespace '{PROVIDER}' for api version '{version}'."
    )
    return ArmError(404, "InvalidResourceType", message)


def unknown_path(path: str) -> ArmError:
    """A path that ARM does not route."""
    message = f"No HTTP resource was found that matches the request URI '{path}'."
    return ArmError(404, "NotFound", message)


def wrong_method(method: str) -> ArmError:
    """A verb that the path does not take."""
    message = f"The requested resource does not support http method '{method}'."
    return ArmError(405, "HttpMethodNotSupported", message)


def no_location() -> ArmError:
    """A tracked resource without a region."""
    return ArmError(400, "LocationRequired", "The location property is required for this definition.")


def unknown_location(location: str, known: tuple[str, ...]) -> ArmError:
    """A region that the type is not in."""
    message = (
        f"The provided location '{location}' is not available for resource type '{GROUP_TYPE}'. "
        f"List of available regions for the resource type is '{','.join(known)}'."
    )
    return ArmError(400, "LocationNotAvailableForResourceType", message)


def other_location(name: str, resource_group: str, *, old: str, new: str) -> ArmError:
    """A resource stays in its region."""
    message = (
        f"The resource '{name}' already exists in location '{old}' in resource group '{resource_group}'. A resource "
        f"with the same name cannot be created in location '{new}'. Please select a new resource name."
    )
    return ArmError(409, "InvalidResourceLocation", message)
