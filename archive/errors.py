"""The one error tree of Testigo, classed by what whoever catches an error must do.

    TestigoError
    ├── ConfigError        fix the settings; at start-up only           exit 2
    ├── InputError         send something else                          exit 1   web 422
    ├── NotFoundError      look elsewhere (also hides existence)        exit 5   web 404
    ├── AccessError        be someone else, or get approval             exit 6   web 403
    ├── DisclosureError    change the plan; nothing was written         exit 7   web 409
    ├── ConflictError      reload and decide                            exit 8   web 409
    ├── LockedError        unlock with a key or passphrase              exit 12  web 423
    ├── UnavailableError   try again                                    exit 9   web 503
    └── IntegrityError     stop, record, show a human                   exit 4   web 500

A message says what happened, what is kept and what to do, and is safe to log and to show: it holds no name, file
name, place or digest. Raw values travel apart, in `evidence`, which goes to the ledger or to the operator, never to a
page. Codes are stable, `room/what-happened`, and listed in `docs/formats.md`. No I/O.
"""

from collections.abc import Mapping
from types import MappingProxyType


class TestigoError(Exception):
    """Something went wrong that a person can act on."""

    __test__ = False

    def __init__(self, code: str, message: str, *, evidence: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.evidence: Mapping[str, object] = MappingProxyType(dict(evidence or {}))

    def __str__(self) -> str:
        return self.message


class ConfigError(TestigoError):
    """The settings or the machine must be changed before anything can start."""


class InputError(TestigoError):
    """What was given cannot be taken; something else must be sent."""


class NotFoundError(TestigoError):
    """There is no such thing, or this person may not know that there is."""


class AccessError(TestigoError):
    """This person may not do this, or may not do it alone."""


class DisclosureError(TestigoError):
    """What was about to leave would disclose what must stay; nothing was written."""


class ConflictError(TestigoError):
    """Something changed in between; reload and decide."""


class LockedError(TestigoError):
    """A key is needed that is not here now."""


class UnavailableError(TestigoError):
    """A disk, a tool or an authority does not answer; the same call may succeed later."""


class IntegrityError(TestigoError):
    """Bytes are not what the record says; stop, record it, show it to a human."""
