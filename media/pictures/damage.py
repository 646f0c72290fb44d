"""The refusal of a picture that cannot be walked. No I/O."""

from archive.errors import InputError


def damaged(how: str) -> InputError:
    """Make the refusal; `how` ends the sentence."""
    return InputError(
        "media/cannot-clean",
        f"This picture cannot be cleaned: it is damaged or unusual, {how}. The original is kept as it is.",
    )
