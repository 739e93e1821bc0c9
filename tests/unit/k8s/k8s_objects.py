"""What the tests ask of rendered manifests."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Pod:
    """A pod template and who makes pods of it.

    Attributes:
        owner: `Kind/name`.
        labels: of the pods.
        spec: of the pods.
    """

    owner: str
    labels: dict
    spec: dict

    @property
    def containers(self):
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def gpus(self):
        return sum(int(c["resources"]["limits"].get("nvidia.com/gpu", 0)) for c in self.containers)


def of_kind(objects, *kinds):
    return [thing for thing in objects if thing["kind"] in kinds]


def name(thing):
    return f"{thing['kind']}/{thing['metadata']['name']}"


def pods(objects):
    """Every pod template."""
    found = []
    for thing in of_kind(objects, "Deployment", "StatefulSet", "Job", "CronJob"):
        spec = thing["spec"]["jobTemplate"]["spec"] if thing["kind"] == "CronJob" else thing["spec"]
        template = spec["template"]
        found.append(Pod(name(thing), template["metadata"]["labels"], template["spec"]))
    return found


def maps(objects):
    """ConfigMaps by their name without the hash of their content."""
    return {re.sub(r"-[a-z0-9]{10}$", "", one["metadata"]["name"]): one for one in of_kind(objects, "ConfigMap")}


def settings(objects):
    """What pods read from ConfigMaps; the later one wins."""
    held = maps(objects)
    return held["components"]["data"] | held["settings"]["data"]


def environment(objects, container):
    """Variables as a kubelet makes them: the ConfigMaps' in their order, then the container's own that have a value."""
    held = {one["metadata"]["name"]: one["data"] for one in of_kind(objects, "ConfigMap")}
    found = {}
    for source in container.get("envFrom", []):
        found |= held[source["configMapRef"]["name"]]
    for one in container.get("env", []):
        if "value" in one:
            found[one["name"]] = re.sub(r"\$\((\w+)\)", lambda match: found.get(match[1], match[0]), one["value"])
    return found


def selects(selector, labels):
    """Whether a label selector (of a Service, a policy, a budget) takes these labels; an empty one takes all."""
    matches = selector.get("matchLabels", {} if "matchExpressions" in selector else selector)
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in expressions)
    return all(labels.get(key) == value for key, value in matches.items()) and all(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )
