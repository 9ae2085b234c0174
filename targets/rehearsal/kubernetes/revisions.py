"""What tells the revisions of a Deployment apart."""

import hashlib
from typing import Final

import orjson

from targets.rehearsal.kubernetes.store import Key, Object

REVISION: Final = "deployment.kubernetes.io/revision"
HASH: Final = "pod-template-hash"
_HASH_LENGTH: Final = 10


def revision_of(replica_set: Object) -> int:
    """The number of a ReplicaSet's."""
    return int(replica_set["metadata"].get("annotations", {}).get(REVISION, 0))


def template_hash(found: Object) -> str:
    """What tells the template of a Deployment from its others."""
    content = orjson.dumps(found["spec"]["template"], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()[:_HASH_LENGTH]


def set_key(found: Object) -> Key:
    """Of the ReplicaSet that a Deployment's template has, whether it is there or not."""
    metadata = found["metadata"]
    return metadata.get("namespace", ""), f"{metadata['name']}-{template_hash(found)}"
