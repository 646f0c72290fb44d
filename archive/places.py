"""Where the parts of one archive lie, resolved once from its home and its settings.

Whoever sets up, reads, copies, checks or writes something out asks here. Knows paths and whether something stands
there, nothing of what it holds.

    <home>/catalogue.sqlite, config.toml, secrets/, run/, uploads/      always here
    store, keys          where the settings say, relative to the home unless absolute
    roots, known         files that the settings name; they stay where they are and are copied with a backup
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from archive.errors import ConfigError, InputError, UnavailableError
from archive.settings import Settings

OWN = ("catalogue.sqlite", "config.toml", "secrets", "run", "uploads")
"""The names in the home that are never a store nor a folder of key files."""

_STORE_MARKS = ("log", "objects")
_KEY_MARKS = ("generation.json", "staff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The places of one archive. Shapes: all paths are absolute; `store` and `keys` have no symbolic link in them."""

    home: Path
    settings_file: Path
    store: Path
    keys: Path
    roots: tuple[Path, ...] = ()
    known: Path | None = None

    @classmethod
    def of(cls, home: Path, settings: Settings, settings_file: Path) -> Self:
        """Resolve what the settings name.

        Raises: ConfigError `config/keys-inside-store`, `config/place-not-its-own`.
        """
        home = home.absolute()
        places = cls(
            home=home,
            settings_file=settings_file.absolute(),
            store=_real(home / settings.archive.store),
            keys=_real(home / settings.archive.keys),
            roots=tuple(root.absolute() for each in settings.custody.authorities for root in each.roots),
            known=home / settings.media.places if settings.media.places else None,
        )
        _check_apart(places)
        return places

    @property
    def catalogue(self) -> Path:
        return self.home / "catalogue.sqlite"

    @property
    def signing_keys(self) -> Path:
        return self.home / "secrets" / "log-signing-keys"

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that are the archive's own."""
        return (self.home, self.store, self.keys)

    def has_begun(self) -> bool:
        """Tell whether anything of an archive is here, with or without its catalogue.

        A folder in the home was made by an archive, be it empty now; elsewhere, or where a disk is mounted, an empty
        one may be waiting for a new archive.
        """
        marks = [self.store / mark for mark in _STORE_MARKS] + [self.keys / mark for mark in _KEY_MARKS]
        made = [each for each in (self.store, self.keys) if lies_in(each, self.home) and not each.is_mount()]
        return any(mark.exists() for mark in (self.catalogue, self.signing_keys, *marks, *made))

    def refuse_none(self) -> None:
        """Make sure that the catalogue is here, or tell a lost one from an archive that never was.

        Raises: ConfigError `archive/catalogue-missing`, `archive/no-archive`.
        """
        if self.catalogue.is_file():
            return
        self.refuse_lost()
        raise ConfigError(
            "archive/no-archive",
            f"There is no archive in {self.home}. Set one up with `testigo init`, or name another with --home.",
        )

    def refuse_lost(self) -> None:
        """Raises: ConfigError `archive/catalogue-missing`: of an archive all but the catalogue, or a part, is here."""
        if self.has_begun():
            raise ConfigError(
                "archive/catalogue-missing",
                "There is an archive's store, key files or signing keys without its catalogue. Nothing was changed. "
                "Run `testigo rebuild`.",
            )

    def refuse_absent(self) -> None:
        """Make sure that store and key files are where the settings say.

        Raises: UnavailableError `archive/folder-missing`.
        """
        for what, place, marks in (("store", self.store, _STORE_MARKS), ("key files", self.keys, _KEY_MARKS)):
            if not any((place / mark).exists() for mark in marks):
                raise UnavailableError(
                    "archive/folder-missing",
                    f"The folder of the {what} is not there, or is empty. Nothing was changed. See that its disk is "
                    "mounted, then do the same again.",
                    evidence={"place": str(place)},
                )

    def hold(self, place: Path) -> bool:
        """Tell whether a place lies in one of the archive's own folders, or is one."""
        return any(lies_in(place, folder) for folder in self.folders)

    def refuse_output(self, place: Path) -> None:
        """Refuse to put there what leaves the archive: nothing in clear rests in it, and nothing replaces its files.

        Raises: InputError `export/inside-archive`, `export/over-settings`.
        """
        if self.hold(place.absolute().parent) or self.hold(place):
            raise InputError(
                "export/inside-archive",
                "That place lies inside the archive's own folders, where nothing may rest in clear. Nothing was "
                "written. Name a place outside them.",
            )
        named = [self.settings_file, *self.roots, *((self.known,) if self.known is not None else ())]
        if _real(place) in map(_real, named):
            raise InputError(
                "export/over-settings",
                "That is the settings file, or a file that the settings name. Nothing was written. Name another place.",
            )


def lies_in(place: Path, folder: Path) -> bool:
    """Tell whether a place is a folder or lies in it, by whichever path, link or mount both were named."""
    real, ours = _real(place), _real(folder)
    if real.is_relative_to(ours):
        return True
    mark = _mark(ours)
    return mark is not None and any(_mark(each) == mark for each in (real, *real.parents))


def _real(place: Path) -> Path:
    """Resolve a path; unlike `Path.resolve` also one whose links lead in a ring, which then is nobody's folder."""
    return Path(os.path.realpath(place))


def _mark(place: Path) -> tuple[int, int] | None:
    try:
        status = place.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _check_apart(places: Places) -> None:
    # formats 2.4: destroying a key must not be stopped by the retention of the objects beside it.
    if lies_in(places.keys, places.store) or lies_in(places.store, places.keys):
        raise ConfigError(
            "config/keys-inside-store",
            "archive.keys and archive.store must lie apart, neither in the other, however their paths are written. "
            "Nothing was started.",
            evidence={"store": str(places.store), "keys": str(places.keys)},
        )
    for name, place in (("archive.store", places.store), ("archive.keys", places.keys)):
        if lies_in(places.home, place) or any(lies_in(place, places.home / own) for own in OWN):
            raise ConfigError(
                "config/place-not-its-own",
                f"{name} must be a folder of its own: neither the archive's home nor a folder that holds it, nor one "
                "in which other parts of it lie. Nothing was started.",
                evidence={"place": str(place), "home": str(places.home)},
            )
