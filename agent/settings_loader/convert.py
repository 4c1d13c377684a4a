"""Converts what was set to the type of the setting. The annotation of its field in `agent/settings.py` decides."""

import json
from dataclasses import Field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from agent.model.secret_fields import FLAGS
from agent.model.setting_rules import ARGUMENT, LINE, Limit, SettingFault
from agent.settings_loader.sources import Given


def convert(field: Field[Any], given: Given, default: Any, home: Path) -> Any:
    """Return the value for the setting, or raise a SettingFault. `default` is what applies without it."""
    kind, rule = _parts(field.type)
    value = given.value if given.typed else _parsed(kind, str(given.value))
    if kind is bool:
        if not isinstance(value, bool):
            raise SettingFault("must be true or false", "write true or false, without quotes in the file")
        return value
    if isinstance(rule, Limit):
        return rule.check(value, default)
    check = partial(_path, home=home) if Path in (kind, *get_args(kind)) else (rule or LINE).check
    if get_origin(kind) is not tuple:
        return check(value)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        example = rule.example if rule else "/run/secrets/registries"
        raise SettingFault("must be a list of strings", f'write a list, such as ["{example}"], also in a variable')
    # Templates write an empty item for a variable that is not set. In a command, every item counts.
    items = value if rule is ARGUMENT else [item for item in value if item.strip()]
    try:
        return tuple(map(check, items)) if items or not value else default
    except SettingFault as fault:
        raise SettingFault(f"has an item that {fault}", fault.hint) from None


def _parts(annotation: Any) -> tuple[Any, Any]:
    """Split the annotation into its type and its rule, which may be missing."""
    if get_origin(annotation) is Annotated:
        return annotation.__origin__, annotation.__metadata__[0]
    return annotation, None


def _parsed(kind: Any, text: str) -> object:
    """Return what the file would contain for this variable or flag. If there is no such value, return the text."""
    try:
        if kind is float:
            return float(text)
        if kind is bool:
            return FLAGS[text.strip().lower()]
        return json.loads(text) if get_origin(kind) is tuple else text
    except (ValueError, KeyError, RecursionError):
        return text


def _path(value: object, home: Path) -> Path:
    if not isinstance(value, str) or "\0" in value or not (value == "~" or value.startswith(("/", "~/"))):
        raise SettingFault("must be an absolute path", "write an absolute path, or one that begins with ~/")
    return home / value[2:] if value.startswith("~") else Path(value)
