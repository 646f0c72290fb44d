"""The packet verifier's judgement of a bag alone, as a value or an error, for tests of bags that are no packets."""

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from archive.errors import IntegrityError
from archive.types import Finding
from export.packet_verifier import CannotTell, DoesNotMatch, Folder, Report, check_bag


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedBag:
    """A bag that was found to be whole and valid."""

    files: tuple[str, ...]
    warnings: tuple[str, ...]


def verify_bag(folder: Path, *, strict: bool = True) -> CheckedBag:
    """Prove that a folder is a whole and valid bag; `strict` asks for the form of a packet too.

    Standard: RFC 8493; versions 0.93 to 0.97 by their own rules where not strict. Nothing is ever fetched.
    Raises: IntegrityError `export/bag-differs`, `export/bag-unclear`, with all findings.
    """
    report = Report()
    try:
        found = Folder(folder)
    except (DoesNotMatch, CannotTell, OSError) as trouble:
        raise IntegrityError(
            "export/bag-unclear", "The bag could not be read.", evidence={"reason": str(trouble)}
        ) from trouble
    bag = check_bag(found, report, strict)
    findings = tuple((finding.verdict, finding.subject, finding.words) for finding in report.findings)
    match Finding(report.verdict):
        case Finding.MATCHES:
            return CheckedBag(files=tuple(sorted(found.files)), warnings=tuple(bag.warnings))
        case Finding.DOES_NOT_MATCH:
            code, message = (
                "export/bag-differs",
                "The files are not those that the bag lists. Do not send it; build it again.",
            )
        case Finding.CANNOT_TELL:
            code, message = "export/bag-unclear", "Not every file of the bag could be checked."
    raise IntegrityError(code, message, evidence=MappingProxyType({"findings": findings}))
