"""Feast's registry in a file that is whole at any time.

Feast's own class writes the file in place, three times until the first definitions are in it, and later whenever
something is materialised: a kill in between, or a full disk, would leave a piece of it, with which nothing starts. The
class is named in the configuration, which is how Feast finds stores that are not its own.
"""

import os
import uuid
from datetime import UTC, datetime

from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry
from google.protobuf.message import DecodeError

from gream.monitoring.durable import write_durably


class WholeRegistryStore(FileRegistryStore):
    """`FileRegistryStore` that replaces its file, and takes a piece of one for none."""

    def get_registry_proto(self) -> Registry:
        """What is in the file.

        Raises:
            FileNotFoundError: it is not there, or not whole. Feast then begins with an empty one.
        """
        try:
            return super().get_registry_proto()
        except DecodeError as error:
            raise FileNotFoundError(f"{self._filepath} is not whole") from error

    def update_registry_proto(self, registry_proto: Registry) -> None:
        """Write all of it.

        Raises:
            OSError: the disk refuses; what was there before still is.
        """
        registry_proto.version_id = str(uuid.uuid4())
        registry_proto.last_updated.FromDatetime(datetime.now(UTC))
        self._filepath.parent.mkdir(exist_ok=True)
        partial = self._filepath.with_name(f".{self._filepath.name}.{os.getpid()}.partial")
        write_durably(self._filepath, partial, registry_proto.SerializeToString())
