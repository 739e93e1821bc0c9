"""Every number that decides how a champion is watched, in one TOML file that may leave any of them out."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gream.errors import ConfigError
from gream.monitoring.calibration import CalibrationSettings
from gream.monitoring.canary import CanarySettings
from gream.monitoring.catalogue import CatalogueLimits
from gream.monitoring.decision import DAY, DecisionSettings
from gream.monitoring.skew import SkewLimits

HOUR = 3_600


class MonitoringSettings(BaseModel):
    """How a champion is watched. `[calibration]`, `[decision]`, `[catalogue]`, `[skew]` and `[canary]` are sections."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window_seconds: Annotated[int, Field(ge=1)] = DAY
    """Length of a window; windows begin at its multiples since 1970 (UTC)."""
    match_seconds: Annotated[int, Field(ge=0)] = 6 * HOUR
    """How long after a request its feedback counts."""
    grace_seconds: Annotated[int, Field(ge=0)] = 600
    """How long after its end a window is judged, so that its last evidence has arrived."""
    hold_out_seconds: Annotated[int, Field(ge=1)] = DAY
    """The latest evidence that a retraining does not train on, for the gate."""
    calibration: CalibrationSettings = CalibrationSettings()
    decision: DecisionSettings = DecisionSettings()
    catalogue: CatalogueLimits = CatalogueLimits()
    skew: SkewLimits = SkewLimits()
    canary: CanarySettings = CanarySettings()

    @classmethod
    def load(cls, path: Path | None) -> "MonitoringSettings":
        """Read a file; without one, everything is as it is by default.

        Raises:
            ConfigError: it cannot be read, or has a key or value that is not allowed.
        """
        if path is None:
            return cls()
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid TOML: {error}.") from error
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(map(str, problem["loc"])) or "the file"
            raise ConfigError(f"{path}: {where} is not allowed: {problem['msg']}.") from error
