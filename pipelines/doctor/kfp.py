"""KFP: does it answer, let us in, and know our pipelines?"""

from gream.errors import ConfigError
from pipelines.compile import PIPELINES, pipeline_name
from pipelines.doctor.examination import Check, NotAskedError
from pipelines.kfp_connection import Connection
from pipelines.kfp_server import KfpServer


def checks(endpoint: str) -> list[Check]:
    """The checks of a KFP server; an empty endpoint takes that of the environment."""

    def server() -> KfpServer:
        try:
            return KfpServer(Connection.from_environment(endpoint))
        except ConfigError as error:
            raise NotAskedError(str(error)) from error

    def answers() -> str:
        kfp = server()
        kfp.check()
        return f"{kfp.connection.endpoint} answers and lets us in."

    def knows() -> str:
        kfp = server()
        return "uploaded: " + ", ".join(kfp.newest(pipeline_name(name)).name for name in PIPELINES) + "."

    return [
        Check("kfp", answers, "check the URL and the network; from outside: kubectl -n kubeflow port-forward ..."),
        Check("pipelines", knows, "upload them: gream pipelines upload"),
    ]
