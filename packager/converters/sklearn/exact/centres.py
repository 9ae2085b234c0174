"""Clusters by the nearest of some centres, and hierarchies of them."""

from typing import Any

import numpy as np
from onnx import TensorProto

from packager.converters.sklearn.emission import Emitter, Frame
from packager.converters.sklearn.exact.answer import Answer
from packager.converters.sklearn.exact.distances import nearest


def emit_centres(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """KMeans, MiniBatchKMeans, MeanShift and AffinityPropagation."""
    rows, centres = emitter.matrix(frame, path), np.asarray(model.cluster_centers_, np.float64)
    if len(centres):
        return Answer(index=nearest(emitter, rows, centres))
    # AffinityPropagation that did not converge answers -1 to every row.
    count = emitter.add("Shape", rows, start=0, end=1)
    return Answer(index=emitter.add("Expand", emitter.constant(np.array([-1])), count))


def emit_bisecting(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """BisectingKMeans: at each branch, the nearer of two centres."""
    rows = emitter.matrix(frame, path)
    moved = np.asarray(getattr(model, "_X_mean", 0.0), np.float64)

    def label_of(node: Any) -> str:
        if node.left is None:
            return emitter.constant(np.int64(node.label))
        centres = np.vstack([node.left.center, node.right.center]) + moved
        right = emitter.cast(nearest(emitter, rows, centres), TensorProto.BOOL)
        return emitter.add("Where", right, label_of(node.right), label_of(node.left))

    label = label_of(model._bisecting_tree)
    count = emitter.add("Shape", rows, start=0, end=1)
    return Answer(index=emitter.add("Expand", label, count))


def emit_birch(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """Birch: the cluster that the nearest of its subclusters belongs to."""
    place = nearest(emitter, emitter.matrix(frame, path), model.subcluster_centers_)
    labels = emitter.constant(np.asarray(model.subcluster_labels_, np.int64))
    return Answer(index=emitter.add("Gather", labels, place, axis=0))
