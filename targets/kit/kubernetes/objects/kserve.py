"""The same image under KServe: an InferenceService with the pods of its own that dray would make."""

from targets.kit.kubernetes.objects.pods import pod_spec
from targets.kit.kubernetes.objects.wanted import Object, Wanted, metadata


def inference_service(wanted: Wanted) -> Object:
    """KServe's own Deployment, Service and autoscaler stand behind it; raw pods, no Knative."""
    settings = wanted.settings
    scale = settings.autoscale
    numbers: Object = {}
    if scale:
        numbers = {
            "minReplicas": scale.min,
            "maxReplicas": scale.max,
            "scaleMetric": "cpu",
            "scaleTarget": scale.cpu_percent,
        }
    elif settings.replicas:
        numbers = {"minReplicas": settings.replicas, "maxReplicas": settings.replicas}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata(wanted, wanted.label, {"serving.kserve.io/deploymentMode": "RawDeployment"}),
        "spec": {"predictor": {**pod_spec(wanted), "serviceAccountName": wanted.label, **numbers}},
    }
