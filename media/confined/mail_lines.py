"""The lines of a mail's head: which are shown, which belong to its way, and what each says as it stands. No I/O.

Standard: RFC 5322, RFC 2047, and the registry of message headers (IANA). A line that is in no list is nobody's to drop:
people type notes that begin like a mail, and what they wrote on such a line is what they saw.
"""

import re
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import parsedate_to_datetime

SHOWN_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_OF_THE_WAY = frozenset(
    "accept-language alternate-recipient amq-delivery-message-id apparently-from apparently-to archived-at "
    "authentication-results auto-submitted autoforwarded autosubmitted bcc bounces-to cancel-lock comments "
    "content-alternative content-base content-class content-description content-disposition content-duration "
    "content-features content-id content-language content-length content-location content-md5 "
    "content-transfer-encoding content-type control conversion deferred-delivery delivered-to delivery-date "
    "discarded-x400-ipms-extensions disposition-notification-options disposition-notification-to dkim-signature "
    "domainkey-signature domainkey-status downgraded-from eesst-version encoding encrypted envelope-to errors-to "
    "expires expiry-date feedback-id followup-to generate-delivery-report importance in-reply-to incomplete-copy "
    "injection-date injection-info jabber-id keywords latest-delivery-time lines mail-followup-to "
    "mail-reply-requested-by mail-reply-to message-context message-id message-type mime-version msip_labels "
    "mt-priority newsgroups nntp-posting-date nntp-posting-host obsoletes old-received organisation organization "
    "original-encoded-information-types original-from original-message-id original-recipient original-sender "
    "originator-return-address path pics-label precedence prevent-nondelivery-report priority received "
    "received-spf references reply-by reply-to require-recipient-valid-since return-path return-receipt-to "
    "savedfromemail sender sensitivity snapshot-content-location solicitation spamdiagnosticmetadata "
    "spamdiagnosticoutput status supersedes thread-index thread-topic tls-report-domain tls-report-submitter "
    "tls-required ui-outboundreport user-agent vbr-info warnings-to xref".split()
)
_FAMILIES = re.compile(
    r"x-.+|arc-.+|list-.+|resent-.+|dkim-.+|ironport-.+|bimi-.+|cfbl-.+|autocrypt.*|mmhs-.+|p1-.+|authentication-.+"
    r"|chat-.+|secure-join.*",
    re.I,
)


def is_of_the_way(name: str) -> bool:
    """Tell whether a line that is not shown is one that programs write, or that mail programs pass over."""
    return name.lower() in _OF_THE_WAY or _FAMILIES.fullmatch(name) is not None


def as_read(raw: str) -> str:
    """Give what a line says to who reads it. Raises: ValueError where it cannot be read."""
    try:
        text = str(make_header(decode_header(raw.replace("\r", "").replace("\n", ""))))
    except (HeaderParseError, LookupError, UnicodeError) as error:
        raise ValueError("a line of a mail's head cannot be read") from error
    return " ".join(text.split())


def says_the_same(name: str, before: str, after: str) -> bool:
    """Tell whether a shown line says after cleaning what it said before: the same moment, the same words."""
    if name.lower() == "date":
        moments = moment_of(before), moment_of(after)
        return moments[0] is not None and moments[0] == moments[1]
    try:
        return _words(as_read(before)) == _words(as_read(after))
    except ValueError:
        return False


def moment_of(raw: str) -> datetime | None:
    """Read a mail's date; None where it is none."""
    try:
        return parsedate_to_datetime(" ".join(raw.split()))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _words(text: str) -> str:
    """Spaces and the marks around a name may be set in another way."""
    return re.sub(r'[\s"\\]+', "", text)
