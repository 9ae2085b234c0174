"""What an image is made of: a bill of materials in CycloneDX, the same for the same wheels."""

import json
from email.parser import HeaderParser
from pathlib import Path
from typing import Final

from packager.core.errors import EnvironmentMissing

SBOM_PATH: Final = "opt/dray/sbom.cdx.json"
SBOM_TYPE: Final = "application/vnd.cyclonedx+json"


def bill_of_materials(folder: Path) -> bytes:
    """The distributions that are installed in a folder, as a CycloneDX 1.6 document without time or serial number.

    Raises:
        EnvironmentMissing: The library that writes it is not installed.
    """
    try:
        from cyclonedx.model.bom import Bom
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.output.json import JsonV1Dot6
        from packageurl import PackageURL
    except ImportError as error:
        raise EnvironmentMissing(
            "building an image needs cyclonedx-python-lib", hint='pip install "dray[image]"'
        ) from error

    components = []
    for metadata in sorted(folder.glob("*.dist-info/METADATA")):
        headers = HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
        name, version = str(headers["Name"]), str(headers["Version"])
        url = PackageURL("pypi", name=name.lower().replace("_", "-"), version=version)
        components.append(Component(type=ComponentType.LIBRARY, name=name, version=version, purl=url, bom_ref=str(url)))
    document = JsonV1Dot6(Bom(components=components)).output_as_string(indent=2)
    return _without_chance(document)


def _without_chance(document: str) -> bytes:
    """The document without what differs from run to run: its serial number and the time at which it was made."""
    content = json.loads(document)
    content.pop("serialNumber", None)
    metadata = content.get("metadata", {})
    metadata.pop("timestamp", None)
    if not metadata:
        content.pop("metadata", None)
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()
