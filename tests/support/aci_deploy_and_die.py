"""Deploys to a stand-in and kills itself after the n-th request: `aci_deploy_and_die.py URL CA PACKAGE IMAGE N`."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from azure.core.pipeline.transport import RequestsTransport

from packager.core.artifact import Release
from packager.core.credentials import Anonymous
from packager.core.image import ImageRef
from packager.core.progress import SilentProgress
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.deploy import deploy
from runtime.contract.package import read_package
from targets.aci import AciSettings, AciTarget
from targets.kit.azure.access import AzureAccess, FixedToken

NAME, TOKEN = "suite-churn", "t0ken-of-a-rehearsal"


def main(url: str, ca: str, subscription: str, package: str, image: str, last: str) -> None:
    sent = 0

    class Deadly(RequestsTransport):
        def send(self, request: Any, **options: Any) -> Any:
            nonlocal sent
            answer = super().send(request, **options)
            sent += 1
            if sent == int(last):
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

    access = AzureAccess(
        url, subscription, FixedToken(TOKEN), ca_file=Path(ca), poll_s=0.1, reach="ip", resource_group="rehearsal",
        transport=lambda: Deadly(connection_verify=ca),
    )  # fmt: skip
    passed = SmokeReport((SmokeCheck("ready", True, "", 1.0),))
    deploy(
        AciTarget(access, Anonymous()), NAME, Release(read_package(Path(package)), ImageRef.parse(image)),
        AciSettings(port=18080), smoke=lambda client, package: passed, confirm=lambda plan: True, secrets={},
        progress=SilentProgress(), timeout_s=30,
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
