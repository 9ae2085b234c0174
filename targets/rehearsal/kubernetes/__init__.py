"""The stand-in of a Kubernetes cluster: its API, its controllers, and pods that run on this machine."""
