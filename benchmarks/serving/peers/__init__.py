"""All that is measured, in the order of the tables."""

from typing import Final

from benchmarks.serving.peers.base import Peer
from benchmarks.serving.peers.dray import Dray, DrayWorkers
from benchmarks.serving.peers.limits import Nginx, Uvicorn
from benchmarks.serving.peers.python_servers import (
    AzureML,
    BentoML,
    BentoMLBatching,
    KServe,
    LitServe,
    MLflow,
    MLServer,
)
from benchmarks.serving.peers.triton import Triton, TritonBatching

PEERS: Final[tuple[Peer, ...]] = (
    Dray(),
    DrayWorkers(),
    Triton(),
    TritonBatching(),
    MLServer(),
    BentoML(),
    BentoMLBatching(),
    LitServe(),
    KServe(),
    MLflow(),
    AzureML(),
    Nginx(),
    Uvicorn(),
)
