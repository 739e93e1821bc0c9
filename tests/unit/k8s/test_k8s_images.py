"""What the Dockerfiles promise, and that manifests and images fit together."""

import json
import re
from fnmatch import fnmatch

import click
import pytest
from k8s_objects import of_kind, pods, settings

import gream
from gream import cli
from gream.objectstore import settings as objectstore
from pipelines import kfp_connection
from pipelines.monitor.commands import monitor
from serving.settings import ServingSettings

pytestmark = pytest.mark.unit

DOCKERFILES = {
    "gream/api": "serving/Dockerfile",
    "gream/engine": "serving/engine/Dockerfile",
    "gream/data": "components/Dockerfile",
    "gream/train": "components/train.Dockerfile",
}
NOT_OURS = {"GREAM_FEATURES", "GREAM_FEATURES_ONLINE"}
"""Read by feature_repo/ itself."""


@pytest.fixture(params=list(DOCKERFILES))
def dockerfile(request, repository):
    return (repository / DOCKERFILES[request.param]).read_text()


def stages(dockerfile):
    """Each stage's instructions."""
    return re.split(r"^FROM ", re.sub(r"\\\n\s*", " ", dockerfile), flags=re.MULTILINE)[1:]


def test_the_last_stage_copies_what_was_installed_and_installs_no_python(dockerfile):
    *_, last = stages(dockerfile)
    removal, *others = [line for line in last.splitlines() if re.search(r"\bpip\b", line) and not line.startswith("#")]
    assert removal.startswith("RUN pip=$(python3 -c 'import pip;"), "what the base brings is removed"
    assert '&& rm -rf "$pip"*' in removal
    assert not others
    assert last.index("COPY --from=code") < last.index("ARG REVISION"), "what differs with each commit spoils no layer"
    assert "COPY --from=packages /opt/gream /opt/gream" in last
    assert last.index("COPY --from=packages") < last.index("COPY --from=code"), "what changes most comes last"
    assert not re.search(r"apt-get install(?!.*gcc libc6-dev)", last)
    assert "gcc" not in last or 'if [ "$ACCELERATOR" = cuda ]' in last


def test_packages_are_a_layer_that_code_does_not_touch(dockerfile):
    packages, code, _ = stages(dockerfile)
    (pins,) = re.findall(r"^COPY (.*)$", packages, re.MULTILINE)
    assert set(pins.split()) - {"constraints-cuda.txt"} == {"pyproject.toml", "constraints.txt", "./"}
    assert "-c constraints.txt" in packages
    assert "--no-deps" in code


def test_users_labels_and_health(dockerfile):
    *_, last = stages(dockerfile)
    assert re.search(r"^USER \d+:\d+$", last, re.MULTILINE)
    for label in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in last
    assert "HEALTHCHECK" in last
    assert f"ARG VERSION={gream.__version__}\n" in last


def test_no_weights_no_secrets_and_a_base_that_can_be_pinned(dockerfile):
    assert "ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm\n" in dockerfile
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${PYTHON_IMAGE}", "packages"}
    assert not re.search(r"safetensors|PASSWORD|SECRET|ACCESS_KEY", dockerfile)


def test_what_is_copied_exists_and_reaches_the_build(dockerfile, repository):
    kept = re.findall(r"^!(.*)$", (repository / ".dockerignore").read_text(), re.MULTILINE)
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE):
        for source in sources.split():
            assert (repository / source).exists()
            assert any(fnmatch(source, k) or source.startswith(f"{k}/") for k in kept), source


def test_manifests_take_images_of_this_release(objects):
    for pod in pods(objects):
        for container in pod.containers:
            repository, _, tag = container["image"].removeprefix("registry.example.com/").partition(":")
            if repository in DOCKERFILES:
                assert tag == gream.__version__
    for store in of_kind(objects, "FeatureStore"):
        images = {store["spec"]["feastProjectDir"]["packaged"]["image"]}
        images.add(store["spec"]["services"]["onlineStore"]["server"]["image"])
        assert images == {f"registry.example.com/gream/api:{gream.__version__}"}


def test_a_private_registry_s_secret_goes_to_every_pod_as_the_page_says(with_the_pages_lines):
    objects = with_the_pages_lines("gpu", "patches")
    given = {one["metadata"]["name"]: one["imagePullSecrets"] for one in of_kind(objects, "ServiceAccount")}
    for pod in pods(objects):
        assert given[pod.spec["serviceAccountName"]] == [{"name": "registry"}]


def test_pods_run_as_their_image_does_and_reach_its_port(objects, repository):
    for pod in pods(objects):
        for container in pod.containers:
            image = re.sub(r"^registry.example.com/|:.*", "", container["image"])
            if image in DOCKERFILES:
                text = (repository / DOCKERFILES[image]).read_text()
                assert re.findall(r"^USER (\d+):", text, re.MULTILINE) == [
                    str(pod.spec["securityContext"]["runAsUser"])
                ]
                if "command" not in container:
                    command = json.loads(re.findall(r"^CMD (.*)$", text, re.MULTILINE)[0])
                    served = command[command.index("--port") + 1]
                    assert [str(port["containerPort"]) for port in container["ports"]] == [served]


def test_every_variable_is_one_that_the_code_reads(objects):
    given = set(settings(objects))
    for pod in pods(objects):
        for container in pod.containers:
            given |= {
                variable["name"] for variable in container.get("env", []) if variable["name"].startswith("GREAM_")
            }
    read = {f"GREAM_{field}".upper() for field in ServingSettings.model_fields}
    read |= {value for value in vars(objectstore).values() if isinstance(value, str) and value.startswith("GREAM_")}
    read |= {option.envvar for option in monitor.params if option.envvar}
    read |= {kfp_connection.ENDPOINT}
    assert given <= read | NOT_OURS, given - read


def test_the_settings_are_ones_that_the_server_takes(objects, monkeypatch):
    for variable, value in settings(objects).items():
        monkeypatch.setenv(variable, value)
    taken = ServingSettings()
    assert taken.engine_url == "http://engine:3000"
    assert taken.policy.startswith("s3://")


def test_the_commands_of_jobs_exist(objects):
    known = set(cli.main.list_commands(click.Context(cli.main)))
    for job in of_kind(objects, "CronJob"):
        (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        script = " ".join([*container["command"], *container.get("args", [])])
        commands = set(re.findall(r"\bgream (\w+)", script))
        assert commands
        assert commands <= known, commands - known
