"""The operator's own list of places, read where the settings say that it lies."""

from archive.errors import ConfigError
from archive.places import Places
from media.places import Place, parse_places


def places_of(places: Places) -> tuple[Place, ...]:
    """Read the operator's list of places, where there is one. Raises: ConfigError `config/bad-places`."""
    if places.known is None:
        return ()
    try:
        return parse_places(places.known.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "config/bad-places",
            "The list of places that the settings name (media.places) cannot be read. Nothing was changed; put it "
            "there, or take the key out.",
        ) from error
