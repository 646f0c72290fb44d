"""What an operator may change, one frozen section a room, read from TOML once at start-up.

An unknown key stops the program, and so does a value of the wrong type or outside its range: a misspelt safeguard must
not be a missing one. Every key has a default here and a paragraph in `config.example.toml` that says what whoever
changes it can do.
"""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints
from zoneinfo import available_timezones

from archive.errors import ConfigError
from archive.types import AtIngest, Audience, EvidenceKind, Handling, Uncleanable

_GIB = 1 << 30
_MIB = 1 << 20


class KeyKind(StrEnum):
    """What kind of age recipient the vault keyring and every owner key are; one archive never mixes them."""

    HYBRID = "hybrid"
    X25519 = "x25519"


class Confinement(StrEnum):
    """How a media tool is held: its own namespaces and limits, or limits alone."""

    BUBBLEWRAP = "bubblewrap"
    RLIMITS_ONLY = "rlimits-only"


def _between(least: int, most: int) -> Mapping[str, int]:
    return MappingProxyType({"least": least, "most": most})


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSettings:
    """The strongroom. `store` and `keys` are relative to the archive's home unless absolute."""

    organisation: str = "Testigo archive"
    origin: str = "testigo.example/archive"
    store: Path = Path("store")
    keys: Path = Path("keys")
    key_kind: KeyKind = KeyKind.HYBRID
    intake_equality: bool = True
    backup_days_max: int = field(default=35, metadata=_between(1, 35))


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthoritySettings:
    """One RFC 3161 time-stamp authority; relative `roots` are resolved against the settings file's folder."""

    name: str
    url: str
    roots: tuple[Path, ...]
    policy: str | None = None
    timeout_s: int = field(default=20, metadata=_between(1, 120))


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodySettings:
    """The register."""

    authorities: tuple[AuthoritySettings, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSettings:
    """The workbench and the limits of its tools."""

    workers: int = field(default=2, metadata=_between(1, 64))
    memory_mib: int = field(default=768, metadata=_between(128, 65536))
    wall_seconds: int = field(default=30, metadata=_between(1, 3600))
    small_file_mib: int = field(default=32, metadata=_between(1, 1024))
    confinement: Confinement = Confinement.BUBBLEWRAP
    run_as: str = "nobody"
    places: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """The way in."""

    group_files: int = field(default=64, metadata=_between(1, 4096))
    group_octets: int = field(default=256 * _MIB, metadata=_between(1, 64 * _GIB))
    reserve_mib: int = field(default=512, metadata=_between(16, 1 << 20))
    max_file_octets: int = field(default=256 * _GIB, metadata=_between(1, 1 << 52))
    unfinished_hours: int = field(default=24, metadata=_between(1, 24 * 30))
    open_uploads: int = field(default=2000, metadata=_between(1, 100_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysSettings:
    """The key agent and passphrases."""

    unlock_minutes: int = field(default=60, metadata=_between(1, 24 * 60))
    scrypt_work_factor: int = field(default=18, metadata=_between(15, 22))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """The way out."""

    contact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """One departure from the policy's defaults. `metadata` is a class, as `testigo policy show` names it."""

    kind: EvidenceKind
    audience: Audience
    metadata: str
    handling: Handling


@dataclass(frozen=True, slots=True, kw_only=True)
class AtIngestSettings:
    """What happens to each kind of evidence at intake."""

    photo: AtIngest = AtIngest.KEEP
    video: AtIngest = AtIngest.KEEP
    audio: AtIngest = AtIngest.KEEP
    document: AtIngest = AtIngest.KEEP
    statement: AtIngest = AtIngest.KEEP
    web_capture: AtIngest = AtIngest.KEEP
    other: AtIngest = AtIngest.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """The metadata policy: intake, departures from the default matrix, and how far a place is rounded."""

    at_ingest: AtIngestSettings = field(default_factory=AtIngestSettings)
    uncleanable: Uncleanable = Uncleanable.REFUSE
    place_decimals: int = field(default=1, metadata=_between(0, 3))
    rules: tuple[PolicyRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """The doors for people. `proxies` is how many of our own stand in front and are believed about who calls.
    `time_zone` is an IANA name."""

    listen: str = "127.0.0.1:8080"
    public_url: str = ""
    time_zone: str = "America/Los_Angeles"
    threads: int = field(default=256, metadata=_between(4, 1024))
    proxies: int = field(default=0, metadata=_between(0, 3))
    leave_url: str = "https://www.weather.gov/"
    form_file_mib: int = field(default=500, metadata=_between(1, 1 << 20))
    seal_waiting_copies: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that an operator may change."""

    archive: ArchiveSettings = field(default_factory=ArchiveSettings)
    custody: CustodySettings = field(default_factory=CustodySettings)
    media: MediaSettings = field(default_factory=MediaSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    keys: KeysSettings = field(default_factory=KeysSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    web: WebSettings = field(default_factory=WebSettings)


def load_settings(path: Path | None) -> Settings:
    """Read the settings file; a path of None, or one where nothing lies, gives the defaults.

    Raises: ConfigError `config/unreadable`, `config/not-toml`, `config/unknown-key`, `config/missing-key`,
    `config/wrong-type`, `config/out-of-range`, `config/bad-origin`, `config/two-authorities-one-name`,
    `config/no-such-time-zone`.
    """
    if path is None:
        return Settings()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "config/unreadable",
            "The settings file cannot be read. Nothing was started. It must be UTF-8 text that this account may read.",
            evidence={"path": str(path)},
        ) from error
    try:
        return parse_settings(text, folder=path.parent)
    except ConfigError as error:  # Said again with its file: there may be several on a machine.
        raise ConfigError(error.code, error.message, evidence={"file": str(path), **error.evidence}) from error


def parse_settings(text: str, *, folder: Path) -> Settings:
    """Read settings from TOML text; relative certificate paths count from `folder`."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            "config/not-toml",
            f"The settings file is not valid TOML: {error}. Nothing was started.",
        ) from error
    settings = _section(Settings, table, "", folder)
    _check_together(settings)
    return settings


_Section = TypeVar("_Section")


def _section(kind: type[_Section], table: Mapping[str, Any], where: str, folder: Path) -> _Section:
    """Build one frozen section from one TOML table, refusing whatever it does not know."""
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            raise _unknown_key(where, key, tuple(hints))
    values: dict[str, object] = {}
    for known in fields(kind):  # type: ignore[arg-type]  # every section is a dataclass
        name = f"{where}.{known.name}" if where else known.name
        if known.name in table:
            value = _value(name, hints[known.name], table[known.name], folder)
            _check_range(name, value, known.metadata)
            values[known.name] = value
        elif known.name in _REQUIRED.get(kind, ()):
            raise ConfigError("config/missing-key", f"The settings need a value for {name}. Nothing was started.")
    return kind(**values)


_REQUIRED: Mapping[type, tuple[str, ...]] = MappingProxyType(
    {AuthoritySettings: ("name", "url", "roots"), PolicyRule: ("kind", "audience", "metadata", "handling")}
)


def _value(name: str, hint: Any, raw: object, folder: Path) -> object:
    """Turn one TOML value into the type its field declares, or refuse it."""
    if is_dataclass(hint) and isinstance(hint, type) and isinstance(raw, dict):
        return _section(hint, raw, name, folder)
    if get_origin(hint) is tuple and isinstance(raw, list):
        inner = get_args(hint)[0]
        values = tuple(_value(f"{name}[{place}]", inner, each, folder) for place, each in enumerate(raw))
        return tuple(folder / each if isinstance(each, Path) else each for each in values)
    if get_origin(hint) is UnionType:
        return _value(name, get_args(hint)[0], raw, folder)
    if isinstance(hint, type) and issubclass(hint, StrEnum) and isinstance(raw, str):
        if raw not in tuple(hint):
            raise ConfigError("config/out-of-range", f"{name} must be one of: {', '.join(hint)}. Nothing was started.")
        return hint(raw)
    if hint is Path and isinstance(raw, str) and raw:
        return Path(raw)
    if hint in (str, bool, int) and type(raw) is hint:
        return raw
    raise ConfigError("config/wrong-type", f"{name} must be {_in_words(hint)}. Nothing was started.")


def _in_words(hint: Any) -> str:
    if get_origin(hint) is tuple:
        return "a list"
    if is_dataclass(hint):
        return "a table"
    if hint is Path:
        return "a path in quotes"
    return {bool: "true or false", int: "a whole number"}.get(hint, "text in quotes")


def _check_range(name: str, value: object, limits: Mapping[Any, Any]) -> None:
    if isinstance(value, int) and limits and not limits["least"] <= value <= limits["most"]:
        raise ConfigError(
            "config/out-of-range",
            f"{name} must be from {limits['least']} to {limits['most']}. Nothing was started.",
        )


def _unknown_key(where: str, key: str, known: tuple[str, ...]) -> ConfigError:
    place = f"in [{where}]" if where else "at the top level"
    near = difflib.get_close_matches(key, known, n=1)
    advice = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."
    return ConfigError(
        "config/unknown-key",
        f"The settings have an unknown key {place}: {key}. {advice} Nothing was started.",
        evidence={"section": where, "key": key},
    )


def _check_together(settings: Settings) -> None:
    """Refuse what is right key by key and wrong as a whole."""
    archive = settings.archive
    # C2SP signed-note: a key name must be non-empty and hold neither spaces nor plus signs.
    if not archive.origin or any(mark.isspace() or mark == "+" for mark in archive.origin):
        raise ConfigError("config/bad-origin", "archive.origin must be non-empty, without spaces and plus signs.")
    names = [authority.name for authority in settings.custody.authorities]
    if len(names) != len(set(names)):
        raise ConfigError("config/two-authorities-one-name", "Each time-stamp authority needs a name of its own.")
    _check_time_zone(settings.web.time_zone)


def _check_time_zone(name: str) -> None:
    if name == WebSettings().time_zone:
        return  # Most settings say nothing of it, and loading the names takes longer than the rest of them.
    from babel.dates import get_timezone  # What pages will ask: a machine's own list may be missing, or another.

    try:
        get_timezone(name)
    except LookupError as error:
        near = difflib.get_close_matches(name, available_timezones(), n=1)
        advice = f"Did you mean {near[0]}?" if near else "Write a name such as America/Los_Angeles."
        raise ConfigError(
            "config/no-such-time-zone",
            f"web.time_zone is not the name of a time zone: {name}. {advice} Nothing was started.",
        ) from error
