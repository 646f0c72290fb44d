"""Time-stamp tokens: each is verified over its checkpoint, and compared with its copy in the store."""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.catalogue.models import CheckpointRow, JobRow, TimestampTokenRow
from archive.errors import ConfigError, IntegrityError, NotFoundError
from archive.jobs import JobKind, JobState
from archive.store.port import Store
from archive.types import Finding, utc_text
from custody.findings import Found, differs, matches, unknown
from custody.publication import timestamp_name
from custody.timestamps import Authority, verify_token

_FOLDER = "log/timestamps/"


def check_tokens(
    session: Session, store: Store, authorities: Sequence[Authority], unusable: Mapping[str, ConfigError]
) -> Iterator[Found]:
    """Verify every token, and say which authority has not yet attested the newest checkpoint.

    Of one that is `unusable` the tokens are checked as far as that goes without its roots, and one finding says so.
    """
    known = {authority.name: authority for authority in authorities}
    token = TimestampTokenRow
    good = 0
    in_store = set(store.list(_FOLDER))
    statement = (
        select(token.size, token.authority, token.token, token.chain, token.attested_time, CheckpointRow.note)
        .join(CheckpointRow, CheckpointRow.size == token.size, isouter=True)
        .order_by(token.size, token.authority)
    )
    for size, name, octets, chain, attested_time, note in session.execute(statement):
        subject = f"time-stamp {name} of checkpoint {size}"
        in_store -= {timestamp_name(size, name, suffix) for suffix in ("tsr", "pem")}
        if note is None:
            words = "The catalogue lacks the checkpoint that this time-stamp is over."
            yield differs("custody/checkpoint-missing", words, subject=subject)
            continue
        found = list(_verify(known.get(name), octets, note, chain, utc_text(attested_time), subject))
        if name in unusable:  # Said once for all of them, below.
            found = [each for each in found if each.finding is not Finding.CANNOT_TELL]
        found += _copies(store, size, name, octets, chain, subject)
        good += not found and name not in unusable
        yield from found
    for name, error in unusable.items():
        words = (
            "The settings' word of this authority cannot be used (its root certificate is not there, or its section "
            "is wrong). Its time-stamps were checked without it, so who signed them is not proved; nor is it asked for "
            "new ones. `testigo doctor` says what to correct."
        )
        yield unknown(error.code, words, subject=f"time-stamp authority {name}", **error.evidence)
    yield from _unrecorded(session, sorted(in_store))
    yield from _pending(session, authorities)
    if good:
        one = "time-stamp stands over its checkpoint"
        yield matches("time-stamps", "time-stamps stand over their checkpoints", good, one=one)


def _unrecorded(session: Session, names: Sequence[str]) -> Iterator[Found]:
    """Name what the store has and the catalogue has no row of: a crash leaves it only while its work still waits."""
    for name in names:
        size, _, file = name.removeprefix(_FOLDER).partition("/")
        authority, _, suffix = file.rpartition(".")
        if suffix == "pem" and name.removesuffix("pem") + "tsr" in names:
            continue  # Named by its token.
        subject = f"time-stamp {authority} of checkpoint {int(size)}" if size.isdecimal() and authority else name
        job = select(JobRow.state).where(
            JobRow.kind == JobKind.TIMESTAMP, JobRow.subject == f"{size.lstrip('0')}/{authority}"
        )
        if session.execute(job).scalar() in (JobState.NEW, JobState.RUNNING):
            words = (
                "The store holds this one and the catalogue has no row of it yet, as a crash may leave it; "
                "`testigo worker` asks for it again and writes the row."
            )
            yield unknown("custody/timestamp-unrecorded", words, subject=subject)
            continue
        words = (
            "The store holds this one and the catalogue has no row of it: the row was removed. `testigo rebuild` gives "
            "it back."
        )
        yield differs("custody/timestamp-unrecorded", words, subject=subject)


def _verify(
    authority: Authority | None, token: bytes, note: bytes, chain: bytes, stated: str, subject: str
) -> Iterator[Found]:
    roots, policy = (authority.roots, authority.policy) if authority is not None else ((), None)
    try:
        attested = verify_token(token, note, roots, request_nonce=None, policy=policy, chain=chain)
    except IntegrityError as error:
        evidence = {"reason": str(error.evidence.get("reason", "")), "detail": str(error.evidence.get("detail", ""))}
        yield differs(error.code, error.message, subject=subject, **evidence)
        return
    if utc_text(attested.gen_time) != stated:
        yield differs(
            "custody/time-differs",
            "The catalogue gives it another time than the token states.",
            subject=subject,
            catalogue=stated,
            token=utc_text(attested.gen_time),
        )
    if attested.trust is not Finding.MATCHES:
        yield unknown(
            "custody/authority-unknown",
            "It is rightly signed, but the settings name no root certificate for this authority, so who signed it is "
            "not proved.",
            subject=subject,
        )


def _copies(store: Store, size: int, name: str, token: bytes, chain: bytes, subject: str) -> Iterator[Found]:
    for suffix, octets in (("tsr", token), ("pem", chain)):
        try:
            stored = store.read(timestamp_name(size, name, suffix))
        except NotFoundError:
            stored = None
        if stored != octets:
            yield differs(
                "custody/copies-differ",
                f"The store's copy ({suffix}) is {'missing' if stored is None else 'another'}.",
                subject=subject,
            )


def _pending(session: Session, authorities: Sequence[Authority]) -> Iterator[Found]:
    newest = session.execute(select(func.max(CheckpointRow.size))).scalar()
    statement = select(TimestampTokenRow.authority).where(TimestampTokenRow.size == newest)
    have = set(session.execute(statement).scalars())
    for authority in authorities:
        if newest is not None and authority.name not in have:
            yield unknown(
                "custody/timestamp-pending",
                "The authority has not attested the newest checkpoint yet; `testigo worker` asks again.",
                subject=f"time-stamp {authority.name} of checkpoint {newest}",
            )
