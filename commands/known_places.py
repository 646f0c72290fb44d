"""The operator's own list of places, read where the settings say that it lies."""

from pathlib import Path

from archive.errors import ConfigError
from archive.settings import Settings
from media.places import Place, parse_places


def places_of(settings: Settings, home: Path) -> tuple[Place, ...]:
    """Read the operator's list of places, where there is one. Raises: ConfigError `config/bad-places`."""
    if not settings.media.places:
        return ()
    try:
        return parse_places((home / settings.media.places).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "config/bad-places",
            "The list of places that the settings name (media.places) cannot be read. Nothing was changed; put it "
            "there, or take the key out.",
        ) from error
