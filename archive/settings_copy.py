"""The settings file as it must stand in another folder: with the files that it names, and with places that hold there.

A copy is checked and restored by its own settings file. One that went on naming the archive's own store would have the
archive looked at in the copy's stead. What need not change is copied octet for octet; where something must, the file is
written anew from its values, and the one with its comments lies beside it.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from archive.places import OWN, Places

SETTINGS = "config.toml"
AS_IT_WAS = "config-as-it-was.toml"
_NAMED = "named-by-settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsCopy:
    """What to write, by its path below the new folder; and which of the named files could not be read."""

    files: Mapping[str, bytes]
    lacking: tuple[Path, ...]


@dataclass(slots=True)
class _Gathered:
    keep_names: bool
    files: dict[str, bytes] = field(default_factory=dict)
    lacking: list[Path] = field(default_factory=list)

    def take(self, folder: Path, named: str) -> str:
        """Gather one file; return the name under which the copy's settings find it."""
        place = folder / named
        try:
            content = place.read_bytes()
        except OSError:
            self.lacking.append(place)
            return str(place)
        own = f"{_NAMED}/{hashlib.sha256(content).hexdigest()[:16]}{place.suffix}"
        name = named if self.keep_names and _stays_below(named) else own
        self.files[name] = content
        return name


def copy_settings(places: Places, *, to_itself: bool) -> SettingsCopy:
    """Gather the settings file and what it names; nothing where there is none.

    `to_itself` is for a copy of the whole archive, whose store and key files then lie in it, wherever they lie here.
    Without it the copy is for the archive's own home, whose files keep their names and are replaced by none.
    """
    try:
        original = places.settings_file.read_bytes()
    except FileNotFoundError:
        return SettingsCopy(files={}, lacking=())
    table = tomllib.loads(original.decode("utf-8"))  # It was read before, and found right.
    before = json.dumps(table)
    gathered, folder = _Gathered(keep_names=to_itself), places.settings_file.parent
    for authority in table.get("custody", {}).get("authorities", []):
        if to_itself or folder.resolve() != places.home.resolve():
            authority["roots"] = [gathered.take(folder, root) for root in authority["roots"]]
    if to_itself:
        if table.get("media", {}).get("places"):
            table["media"]["places"] = gathered.take(places.home, table["media"]["places"])
        for part in ("store", "keys"):
            if table.get("archive", {}).get(part, part) != part:
                table["archive"][part] = part
    if json.dumps(table) == before:
        return SettingsCopy(files={SETTINGS: original, **gathered.files}, lacking=tuple(gathered.lacking))
    written = f"# Written for the copy in this folder; {AS_IT_WAS} is the file that it was made from.\n{_toml(table)}"
    files = {SETTINGS: written.encode("utf-8"), AS_IT_WAS: original, **gathered.files}
    return SettingsCopy(files=files, lacking=tuple(gathered.lacking))


def _stays_below(named: str) -> bool:
    """Tell whether a path as the settings write it may be kept as it is below another folder."""
    path = PurePath(named)
    taken = {*OWN, "store", "keys", AS_IT_WAS}
    is_plain = not path.is_absolute() and ".." not in path.parts and bool(path.parts)
    return is_plain and path.parts[0] not in taken and not path.parts[0].startswith(".")


def _toml(table: Mapping[str, Any]) -> str:
    """Write settings as TOML: what stands at the top first, then a section each."""
    lines = [f"{key} = {_value(value)}" for key, value in table.items() if not isinstance(value, dict)]
    for name, section in table.items():
        if isinstance(section, dict):
            lines += ["", f"[{name}]", *(f"{key} = {_value(value)}" for key, value in section.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """Write a value of the kinds that settings have; a table within a section stands on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            # JSON's escapes are TOML's, which also wants the delete character escaped.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    raise TypeError(f"settings hold no {type(value).__name__}")
