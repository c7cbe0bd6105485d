"""Households: the values for the slots of home commands, such as rooms, devices and shopping lists.

`households/<language>.yaml` is shipped for some languages. A list that a household lacks is taken from the English one: rooms
and devices have proper names, which people choose themselves.
"""

from pathlib import Path
from typing import Any

import yaml

from fineline.errors import InputError
from fineline.sources import local

SHIPPED = Path(__file__).with_name("households")


def load(language: str, own: str | None, root: Path) -> dict[str, Any]:
    """Return list name -> values, and `name` -> domain -> values.

    Args:
        own: A YAML file below `root` (`source.path`), whose lists replace the shipped ones.

    Raises:
        InputError: The file is missing, outside `root`, or not a valid household.
    """
    household: dict[str, Any] = {"name": {}}
    shipped = [SHIPPED / f"{code}.yaml" for code in ("en", language)]
    files = [*(file for file in shipped if file.is_file()), *([local.below(own, root)] if own else [])]
    for file in files:
        content = _checked(file)
        names = household["name"] | content.get("name", {})
        household = household | content | {"name": names}
    return household


def _checked(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file.name}: not YAML in UTF-8; see `household` in docs/sources.md") from error
    if not isinstance(content, dict):
        raise InputError(f"{file.name}: list names with their values are needed; see `household` in docs/sources.md")
    names = content.get("name", {})
    if not isinstance(names, dict):
        raise InputError(f"{file.name}: `name` needs lists by domain, such as `light: [desk lamp]`")
    lists = {key: values for key, values in content.items() if key != "name"} | {f"name.{key}": names[key] for key in names}
    for key, values in lists.items():
        if not isinstance(values, list) or not values or not all(isinstance(value, str) and value for value in values):
            raise InputError(f"{file.name}: {key} must be a list of words; quote words that YAML reads as another type")
    return content
