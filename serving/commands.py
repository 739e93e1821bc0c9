"""`gream serve`: the whole online path on this machine."""

import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from serving.settings import ServingSettings


@click.command()
@click.option(
    "--policy",
    default="runs/latest/policy",
    envvar="GREAM_POLICY",
    show_default=True,
    show_envvar=True,
    help="The policy bundle: a folder, file://... or s3://bucket/prefix.",
)
@click.option("--engine", type=click.Choice(["transformers", "vllm"]), help="What computes.  [default: transformers]")
@click.option(
    "--catalog",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The catalog that the users' histories come from.  [default: the folder `catalog` beside the policy]",
)
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65_535))
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; the default is not reachable from outside.",
)
def serve(policy: str, engine: str | None, catalog: Path | None, port: int, host: str) -> None:
    """Serve a policy: histories from Feast, the engine, the HTTP API and the page.

    Everything else is set by environment variables (GREAM_...), see docs/serving.md. Ctrl-C finishes what the engine
    is computing and stops.
    """
    from serving.api.keys import ApiKeys
    from serving.engine.policy_source import CACHE, PolicySource
    from serving.evidence.pusher import require_store
    from serving.feedback.feedback import hold
    from serving.launch import require_port, serve_until_stopped
    from serving.settings import SETTINGS, load_settings
    from serving.variables import PREFIX, unread

    settings = load_settings()
    for name in unread(os.environ, SETTINGS):
        click.echo(f"{name} is no setting of GREAM: nothing reads it.", err=True)
    source = PolicySource(policy, settings.state / CACHE)
    if source.folder is not None:  # Before the long start; a store is asked by the engine.
        source.digest()
    keys = ApiKeys.parse(settings.api_keys.get_secret_value())
    if settings.evidence_store:
        require_store(settings.evidence_store)
    require_port(host, port)
    # BentoML keeps its metrics in its home, and empties them when it starts: one home for each state folder.
    home = {"BENTOML_HOME": str(settings.state.resolve() / "bentoml"), "BENTOML_DO_NOT_TRACK": "true"}
    given = {name: value for name, value in os.environ.items() if value or not name.startswith(PREFIX)}
    environment = home | given | {"GREAM_POLICY": policy} | ({} if engine is None else {"GREAM_ENGINE": engine})
    if not keys.digests and _is_loopback(host):
        # Pages of the web are not to ask, which browsers let them do by names of their own that lead here.
        environment.setdefault("GREAM_ALLOWED_HOSTS", f"localhost,127.0.0.1,[::1],{host}")
    elif not keys.digests:
        click.echo(f"Whoever reaches {host}:{port} may ask for recommendations: GREAM_API_KEYS is not set.", err=True)
    with hold(settings.state):  # Nothing is written beside another server; ours takes the lock when it starts.
        catalog = catalog or _catalog_beside(source.folder)
        if catalog is None:
            click.echo("No catalog beside the policy: histories begin with the feedback that comes in.", err=True)
        else:
            _fill_feature_store(catalog, source.folder, settings)
            if _is_loopback(host):
                environment.setdefault("GREAM_SAMPLE_USERS", str(catalog.resolve() / "interactions.parquet"))
    serve_until_stopped(host, port, environment)


def _catalog_beside(policy: Path | None) -> Path | None:
    from gream.data.catalog import is_catalog

    if policy is None:
        return None
    beside = policy.absolute().parent / "catalog"
    return beside if is_catalog(beside) else None


def _fill_feature_store(catalog: Path, policy: Path | None, settings: "ServingSettings") -> None:
    from gream.data.catalog import Catalog
    from gream.policy.catalog_fit import require_fit
    from serving.contracts import FeatureStoreError
    from serving.features.build import build_features

    loaded = Catalog.load(catalog)
    if policy is not None:  # A store's policy comes here with the engine.
        require_fit(policy, loaded)
    click.echo(f"Filling the feature store with the histories of {loaded.facts.dataset}.")
    try:
        build_features(loaded, settings)
    except FeatureStoreError as error:
        raise click.ClickException(str(error)) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
