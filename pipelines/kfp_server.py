"""A KFP server over its REST API: what is uploaded there, and runs. Every failure comes out as one sentence.

Not `kfp.Client`: it prints, keeps a context file in the home directory, and asks a server that refuses it five times.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import kfp_server_api as api
from urllib3 import Retry
from urllib3.exceptions import HTTPError

from gream.errors import GreamError
from pipelines.kfp_connection import NAMESPACE, TOKEN, Connection

TIMEOUT_S: Final = 30
EQUALS: Final = "EQUALS"
NAMED_VERSIONS: Final = 5
"""How many a message names where the one that was asked for is not there."""


class KfpError(GreamError):
    """The KFP server does not answer, refuses, or does not know what was asked for."""


@dataclass(frozen=True)
class Version:
    """A version of a pipeline on the server.

    Attributes:
        pipeline_id: of the pipeline.
        version_id: of the version.
        name: see `pipelines.compile.version_name`.
        spec: the pipeline's specification, as compiled.
    """

    pipeline_id: str
    version_id: str
    name: str
    spec: Mapping[str, Any]


class KfpServer:
    """The server of a connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        configuration = api.Configuration(host=connection.endpoint)
        # Only what was not sent: asking twice for a run would start two.
        configuration.retries = Retry(connect=3, read=False, status=False, other=False, backoff_factor=0.5)
        if connection.ca_bundle:
            configuration.ssl_ca_cert = connection.ca_bundle
        if connection.token:
            configuration.api_key["authorization"] = connection.token
            configuration.api_key_prefix["authorization"] = "Bearer"
        self._client = api.ApiClient(configuration)

    def check(self) -> None:
        """Find out whether the server answers and lets us in.

        Raises:
            KfpError: it does not.
        """
        with self._readable("its pipelines"):
            api.PipelineServiceApi(self._client).pipeline_service_list_pipelines(
                page_size=1, namespace=self._namespace, _request_timeout=TIMEOUT_S
            )

    def upload(self, pipeline: str, version: str, file: Path) -> tuple[Version, bool]:
        """Make a compiled pipeline a version on the server, unless it is one already.

        Args:
            pipeline: name of the pipeline; it is created if the server does not know it.
            version: name of the version.
            file: the YAML.

        Returns:
            The version, and whether it is new.

        Raises:
            KfpError: the server does not answer or refuses.
        """
        pipeline_id = self._pipeline_id(pipeline) or self._create(pipeline)
        for known in self._versions(pipeline_id):
            if known.name == version:
                return known, False
        with self._readable(f"pipeline {pipeline!r}"):
            made = api.PipelineUploadServiceApi(self._client).upload_pipeline_version(
                str(file), name=version, pipelineid=pipeline_id, _request_timeout=TIMEOUT_S
            )
        return _version(made), True

    def newest(self, pipeline: str) -> Version:
        """The version of a pipeline that was uploaded last.

        Raises:
            KfpError: there is none, or the server does not answer or refuses.
        """
        return self._known(pipeline)[0]

    def version(self, pipeline: str, name: str) -> Version:
        """The version of a pipeline that has a name.

        Raises:
            KfpError: there is none of this name, or the server does not answer or refuses.
        """
        known = self._known(pipeline)
        for version in known:
            if version.name == name:
                return version
        newest = ", ".join(version.name for version in known[:NAMED_VERSIONS])
        raise KfpError(
            f"{self.connection.endpoint} has no version {name!r} of pipeline {pipeline!r}; the newest are {newest}."
        )

    def start(self, version: Version, name: str, experiment: str, parameters: Mapping[str, Any]) -> str:
        """Start a run.

        Args:
            version: what runs.
            name: of the run.
            experiment: the group of runs that it belongs to; created if the server does not know it.
            parameters: those that differ from the form's defaults.

        Returns:
            Its id.

        Raises:
            KfpError: the server does not answer or refuses.
        """
        reference = api.V2beta1PipelineVersionReference(version.pipeline_id, version.version_id)
        run = api.V2beta1Run(
            experiment_id=self._experiment_id(experiment),
            display_name=name,
            pipeline_version_reference=reference,
            runtime_config=api.V2beta1RuntimeConfig(parameters=dict(parameters)),
        )
        with self._readable(f"experiment {experiment!r}"):
            created = api.RunServiceApi(self._client).run_service_create_run(run, _request_timeout=TIMEOUT_S)
        return str(created.run_id)

    def find_run(self, name: str) -> str | None:
        """The id of the run that was started under a name, of several the first; None where there is none.

        Raises:
            KfpError: the server does not answer or refuses.
        """
        with self._readable(f"run {name!r}"):
            found = api.RunServiceApi(self._client).run_service_list_runs(
                namespace=self._namespace,
                filter=_equals("display_name", name),
                sort_by="created_at asc",
                _request_timeout=TIMEOUT_S,
            )
        return str(found.runs[0].run_id) if found.runs else None

    def run(self, run_id: str) -> Any:
        """A run as the server describes it (`V2beta1Run`).

        Raises:
            KfpError: there is none, or the server does not answer or refuses.
        """
        with self._readable(f"run {run_id!r}"):
            return api.RunServiceApi(self._client).run_service_get_run(run_id, _request_timeout=TIMEOUT_S)

    def log(self, run_id: str, pod: str) -> str:
        """What a pod of a run has printed.

        Raises:
            KfpError: the server has no such log, does not answer or refuses.
        """
        with self._readable(f"the log of pod {pod!r}"):
            # The API server has this route, but not in the description that its client is made from.
            response = self._client.call_api(
                "/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log",
                "GET",
                path_params={"run_id": run_id, "node_id": pod},
                auth_settings=["Bearer"],
                _return_http_data_only=True,
                _preload_content=False,
                _request_timeout=TIMEOUT_S,
            )
            return str(response.data.decode("utf-8", errors="replace"))

    @property
    def _namespace(self) -> str | None:
        return self.connection.namespace or None

    def _pipeline_id(self, name: str) -> str | None:
        with self._readable(f"pipeline {name!r}"):
            found = api.PipelineServiceApi(self._client).pipeline_service_list_pipelines(
                filter=_equals("name", name), namespace=self._namespace, _request_timeout=TIMEOUT_S
            )
        return str(found.pipelines[0].pipeline_id) if found.pipelines else None

    def _create(self, name: str) -> str:
        pipeline = api.V2beta1Pipeline(name=name, display_name=name, namespace=self._namespace)
        with self._readable(f"pipeline {name!r}"):
            made = api.PipelineServiceApi(self._client).pipeline_service_create_pipeline(
                pipeline, _request_timeout=TIMEOUT_S
            )
        return str(made.pipeline_id)

    def _known(self, pipeline: str) -> list[Version]:
        """All versions of a pipeline, newest first; at least one."""
        pipeline_id = self._pipeline_id(pipeline)
        versions = self._versions(pipeline_id) if pipeline_id else []
        if not versions:
            raise KfpError(
                f"{self.connection.endpoint} has no pipeline {pipeline!r}: upload it with `gream pipelines upload`."
            )
        return versions

    def _versions(self, pipeline_id: str) -> list[Version]:
        """Newest first."""
        with self._readable("the pipeline's versions"):
            found = api.PipelineServiceApi(self._client).pipeline_service_list_pipeline_versions(
                pipeline_id, page_size=100, sort_by="created_at desc", _request_timeout=TIMEOUT_S
            )
        return [_version(version) for version in found.pipeline_versions or []]

    def _experiment_id(self, name: str) -> str:
        experiments = api.ExperimentServiceApi(self._client)
        with self._readable(f"experiment {name!r}"):
            found = experiments.experiment_service_list_experiments(
                filter=_equals("display_name", name), namespace=self._namespace, _request_timeout=TIMEOUT_S
            ).experiments
            if found:
                return str(found[0].experiment_id)
            wanted = api.V2beta1Experiment(display_name=name, namespace=self._namespace)
            made = experiments.experiment_service_create_experiment(wanted, _request_timeout=TIMEOUT_S)
        return str(made.experiment_id)

    @contextmanager
    def _readable(self, thing: str) -> Iterator[None]:
        try:
            yield
        except api.ApiException as error:
            raise KfpError(f"{self.connection.endpoint}: {thing}: {_reason(error)}") from error
        except HTTPError as error:
            raise KfpError(
                f"{self.connection.endpoint} does not answer ({_innermost(error)}); is it up, and is this its URL?"
            ) from error


def _version(version: Any) -> Version:
    spec = version.pipeline_spec or {}
    return Version(
        pipeline_id=version.pipeline_id,
        version_id=version.pipeline_version_id,
        name=version.name or version.display_name,
        # With pods of its own a pipeline is two documents, of which this is the first.
        spec=spec.get("pipeline_spec", spec),
    )


def _equals(key: str, value: str) -> str:
    return json.dumps({"predicates": [{"operation": EQUALS, "key": key, "string_value": value}]})


def _reason(error: Any) -> str:
    """Why the server refused, in one sentence."""
    if error.status == 401:
        return f"the server asks for a token that it knows; set {TOKEN}."
    if error.status == 403:
        return f"the owner of {TOKEN} may not do this; ask for the role, or set {NAMESPACE}."
    if error.status == 404:
        return "the server does not know it."
    try:
        body = json.loads(error.body or "{}")
        told = body.get("message") or body.get("error_message") or body.get("error") or error.reason
    except (json.JSONDecodeError, AttributeError):  # A proxy's page, not the server's own words.
        told = error.reason
    return f"{error.status}, {str(told).splitlines()[0]}"


def _innermost(error: BaseException) -> str:
    cause = getattr(error, "reason", None)
    return type(cause if isinstance(cause, BaseException) else error).__name__
