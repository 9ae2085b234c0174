import pytest

from runtime import errors
from runtime.app import error_response
from runtime.contract.errors import DrayError, PackageDamaged, PackageInvalid, PackageMissing

NEVER_OVER_HTTP = {errors.ServerError, errors.PortInUse, errors.AddressRefused, errors.EdgeFailed}
FAMILY = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ServerError)]


def test_codes_are_stable_names_of_their_own() -> None:
    codes = [kind.code for kind in FAMILY]
    assert len(set(codes)) == len(codes)
    assert all(code.startswith("E-") and code == code.upper() for code in codes)


@pytest.mark.parametrize(
    "kind", [*(each for each in FAMILY if each not in NEVER_OVER_HTTP), PackageMissing, PackageInvalid, PackageDamaged]
)
def test_every_foreseen_error_has_a_status_that_is_no_500(kind: type[DrayError]) -> None:
    response = error_response(kind("what happened", hint="what to do"), "r1")
    assert 400 <= response.status_code < 600
    assert response.status_code != 500
    assert ("retry-after" in response.headers) == (response.status_code == 503)
