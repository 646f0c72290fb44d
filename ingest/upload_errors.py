"""What an upload is refused for: the words of each refusal, in one place."""

from archive.errors import ConflictError, InputError, IntegrityError

LARGER = "uploads/larger-than-form"


def damaged() -> ConflictError:
    return ConflictError(
        "uploads/damaged",
        "Part of what arrived of this file does not open any more. What is left is kept. Send the file again.",
    )


def expired() -> ConflictError:
    return ConflictError("uploads/expired", "This upload has ended. What arrived is kept. Send the file again.")


def wrong_offset(have: int, said: int) -> ConflictError:
    return ConflictError(
        "uploads/wrong-offset",
        "The archive has another number of octets than was said. Nothing was changed. Ask for the offset first.",
        evidence={"have": have, "said": said},
    )


def larger() -> InputError:
    return InputError(
        LARGER,
        "The file is larger than a form without scripts brings. Its first part is kept, marked as incomplete. Send it "
        "with scripts, or in parts.",
    )


def too_long() -> InputError:
    return InputError(
        "uploads/beyond-length", "More octets came than were declared. Those declared are kept, the rest was not taken."
    )


def is_damage(error: IntegrityError) -> bool:
    """Tell whether it is the upload's own octets that are not what they were; not keys, store or log."""
    return error.code in {"uploads/segment-changed", "uploads/octets-lost"}
