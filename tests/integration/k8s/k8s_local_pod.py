"""Containers of the rendered manifests as processes of this machine: same commands, same variables, other addresses.

What a cluster does for them is done here: Services become ports of the loopback interface, volumes become folders,
Secrets become variables and files. What only a cluster has is left out: probes, limits, policies, restarts.
"""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
DOCKERFILES = {"gream/api": "serving/Dockerfile", "gream/engine": "serving/engine/Dockerfile"}
PROGRAMS = Path(sys.executable).parent


class LocalCluster:
    """The objects of an overlay, and where on this machine its Services are.

    Attributes:
        ports: by `SERVICE:PORT`, as the manifests name it.
    """

    def __init__(self, objects, folder, ports):
        self.objects = {
            (thing["kind"], re.sub(r"-[a-z0-9]{10}$", "", thing["metadata"]["name"])): thing for thing in objects
        }
        self.folder = folder
        self.ports = ports
        self._processes = []

    def start(self, kind, name, extra=(), **environment):
        """Start the one container of a workload; its process."""
        process = subprocess.Popen(**self._call(kind, name, extra, environment))
        self._processes.append(process)
        return process

    def run(self, kind, name):
        """Run a job to its end; what it wrote."""
        call = self._call(kind, name, (), {})
        code = subprocess.run(**call, check=False).returncode
        text = self.log(name)
        assert code == 0, text
        return text

    def log(self, name):
        return (self.folder / f"{name}.log").read_text()

    def stop(self, *processes):
        for process in processes or reversed(self._processes):
            process.terminate()
            process.wait(timeout=60)

    def secret(self, name, key):
        return base64.b64decode(self.objects["Secret", name]["data"][key]).decode()

    def _call(self, kind, name, extra, more):
        spec = self.objects[kind, name]["spec"]
        spec = spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        command = [*container.get("command", []), *container.get("args", [])] or image_command(container["image"])
        variables = self._variables(container)
        paths = self._mounts(name, spec, container)
        here = [self._moved(expand(word, variables), paths) for word in command]
        program = shutil.which(here[0], path=f"{PROGRAMS}:{os.environ['PATH']}")
        assert program, f"{here[0]} is not installed"
        environment = {key: self._moved(value, paths) for key, value in variables.items()}
        log = (self.folder / f"{name}.log").open("ab")
        return {
            "args": [program, *here[1:], *extra],
            "env": os.environ
            | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "true"}
            | {"BENTOML_HOME": str(self.folder / name / "bentoml")}
            | environment
            | more,
            "cwd": self.folder,
            "stdout": log,
            "stderr": log,
        }

    def _variables(self, container):
        found = {}
        for source in container.get("envFrom", []):
            name = re.sub(r"-[a-z0-9]{10}$", "", source["configMapRef"]["name"])
            found |= self.objects["ConfigMap", name]["data"]
        for variable in container.get("env", []):
            if "value" in variable:
                found[variable["name"]] = expand(variable["value"], found)
            else:
                reference = variable["valueFrom"]["secretKeyRef"]
                found[variable["name"]] = self.secret(
                    re.sub(r"-[a-z0-9]{10}$", "", reference["name"]), reference["key"]
                )
        return found

    def _mounts(self, name, spec, container):
        """Folders by mount path; those of Secrets hold their files."""
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        paths = {}
        for mount in container["volumeMounts"]:
            if mount["mountPath"] == "/tmp":
                continue
            folder = self.folder / name / mount["name"]
            folder.mkdir(parents=True, exist_ok=True)
            paths[mount["mountPath"]] = str(folder)
            secret = volumes.get(mount["name"], {}).get("secret")
            if secret:
                made = re.sub(r"-[a-z0-9]{10}$", "", secret["secretName"])
                for key in self.objects["Secret", made]["data"]:
                    (folder / key).write_text(self.secret(made, key))
        return paths

    def _moved(self, text, paths):
        for place, folder in paths.items():
            text = re.sub(rf"(?<![\w.-]){re.escape(place)}(?![\w-])", folder, text)
        for service, port in self.ports.items():
            text = re.sub(rf"(?<![\w.-]){re.escape(service)}\b", f"127.0.0.1:{port}", text)
        return text.replace("0.0.0.0", "127.0.0.1")


def image_command(image):
    """What an image of this repository starts by itself."""
    dockerfile = (REPOSITORY / DOCKERFILES[image.partition(":")[0]]).read_text()
    return json.loads(re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)[0])


def expand(text, variables):
    """`$(NAME)` as Kubernetes expands it."""
    return re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], text)


def free_ports(count):
    """Ports of the loopback interface that nothing listens on."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
