"""Profiles as files: `gream/profiles/NAME.toml`, or the path of one of the same shape.

Single values are overridden with `section.key=value` (the value in TOML syntax). A wrong key or value names itself, the
file or the override that it stands in, and what is allowed.
"""

import difflib
import operator
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from gream.config import Profile, Section
from gream.errors import ConfigError

PROFILES: Final = Path(__file__).parent / "profiles"


def profile_names() -> list[str]:
    """The profiles that come with GREAM."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def load_profile(name_or_path: str, overrides: Sequence[str] = ()) -> Profile:
    """Read and check a profile.

    Args:
        name_or_path: one of `profile_names()`, or the path of a TOML file.
        overrides: `section.key=value` texts, the value in TOML syntax (a bare word is taken as a string).

    Raises:
        ConfigError: no such profile, a wrong key, or a value outside what is allowed.
    """
    path = PROFILES / f"{name_or_path}.toml" if name_or_path in profile_names() else Path(name_or_path)
    if not path.is_file():
        raise ConfigError(
            f"profile {name_or_path!r} is neither one of {', '.join(profile_names())} nor the path of a TOML file."
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error
    values.setdefault("name", path.stem)
    set_by = {_apply_override(values, override): override for override in overrides}
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, path, set_by)) from error


def _apply_override(values: dict[str, Any], override: str) -> tuple[str, str]:
    """Set a value, and give its section and key."""
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or len(parts) != 2:
        raise ConfigError(f"override {override!r} must look like section.key=value, e.g. sft.learning_rate=1e-3.")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    section, name = parts
    if not isinstance(values.setdefault(section, {}), dict):
        raise ConfigError(f"override {override!r}: {section!r} is a value, not a section of a profile.")
    values[section][name] = value
    return section, name


def _explain(error: ValidationError, path: Path, set_by: Mapping[tuple[str, str], str]) -> str:
    """The first problem of a validation error, in words."""
    problem = error.errors()[0]
    source = _source(problem["loc"], path, set_by)
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        *parents, wrong = [str(part) for part in problem["loc"]]
        fields = Profile.model_fields if not parents else _section_fields(parents[0])
        near = difflib.get_close_matches(wrong, fields, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"{source}: unknown key {where!r}; allowed are {', '.join(sorted(fields))}.{hint}"
    if problem["type"] == "value_error":  # Values that do not fit together; the message names them.
        return f"{source}: [{where}] {problem['ctx']['error']}."
    hint = ' Write it as {timestamp = "when"}.' if problem["type"] == "dict_type" else ""
    return f"{source}: {where or 'profile'} = {problem['input']!r} is not allowed: {problem['msg']}.{hint}"


def _source(place: Sequence[int | str], path: Path, set_by: Mapping[tuple[str, str], str]) -> str:
    """Where a problem comes from: an override, the file, or, where values of a section do not fit together, both."""
    told = [f"override {override!r}" for key, override in set_by.items() if all(map(operator.eq, key, place))]
    if not told:
        return str(path)
    return told[0] if len(place) > 1 else f"{path} with {', '.join(told)}"


def _section_fields(section: str) -> dict[str, Any]:
    annotation = Profile.model_fields[section].annotation
    if not (isinstance(annotation, type) and issubclass(annotation, Section)):
        raise ConfigError(f"{section!r} is a value, not a section of a profile.")
    return dict(annotation.model_fields)
