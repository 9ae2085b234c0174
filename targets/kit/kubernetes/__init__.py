"""Deployments as objects of a Kubernetes API: what is asked for, and how it is asked."""
