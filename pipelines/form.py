"""The form of a compiled pipeline: its parameters, and texts from a command line as their values."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gream.errors import ConfigError


def fill_form(spec: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Values for a run.

    Args:
        spec: of a compiled pipeline.
        assignments: texts `NAME=VALUE`; lists and structures in JSON.

    Returns:
        Value by name, for the parameters that are assigned; KFP knows the defaults of the others.

    Raises:
        ConfigError: a name that the form does not have, a value of another type, or a field without default left empty.
    """
    fields: Mapping[str, Mapping[str, Any]] = spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator or name not in fields:
            allowed = ", ".join(sorted(fields)) or "none"
            raise ConfigError(f"parameter {assignment!r} must look like NAME=VALUE; allowed names are {allowed}.")
        values[name] = _value(name, text, fields[name]["parameterType"])
    for name, described in fields.items():
        if name not in values and "defaultValue" not in described and not described.get("isOptional"):
            raise ConfigError(f"parameter {name!r} has no default: give it with --param {name}=VALUE.")
    return values


def _value(name: str, text: str, kind: str) -> Any:
    try:
        match kind:
            case "STRING":
                return text
            case "NUMBER_INTEGER":
                return int(text)
            case "NUMBER_DOUBLE":
                return float(text)
            case "BOOLEAN":
                return {"true": True, "false": False}[text.lower()]
            case _:
                value = json.loads(text)
                wanted = list if kind == "LIST" else dict
                if not isinstance(value, wanted):
                    raise ValueError(f"not a {wanted.__name__}")
                return value
    except (ValueError, KeyError) as error:
        raise ConfigError(f"parameter {name} = {text!r} is not allowed: a {kind} is needed.") from error
