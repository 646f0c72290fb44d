"""Fixity without a key: an object's name is the BLAKE3 of its octets, so whoever can read the store can check it.

The same check with common tools is `b3sum` over `objects/`. What this module finds says nothing about the plaintext.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from archive.errors import ConfigError, IntegrityError, NotFoundError, UnavailableError
from archive.store.port import Store, named_digest
from archive.types import Digest, Finding

_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFinding:
    """What the check of one object found; `reason` says in a few words why, except where it matches."""

    name: str
    finding: Finding
    reason: str | None


def check_object(store: Store, name: str) -> Finding:
    """Compare the octets of an object with the digest in its name."""
    return _check(store, name).finding


def check_all(store: Store, threads: int) -> Iterator[ObjectFinding]:
    """Check every object, in the order of names, several at once. Damage never ends the check."""
    names = store.list("objects/")
    batches = iter(lambda: tuple(islice(names, _BATCH)), ())
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="fixity") as pool:
        # A batch is one task: small objects are checked faster than tasks can be handed over one by one. No more are
        # queued than keep the threads busy, so that an archive of millions needs no more memory than a small one.
        queue: deque[Future[tuple[ObjectFinding, ...]]] = deque()
        for batch in batches:
            queue.append(pool.submit(_check_batch, store, batch))
            if len(queue) > 2 * threads:
                yield from queue.popleft().result()
        while queue:
            yield from queue.popleft().result()


def verify_object(store: Store, name: str) -> Digest:
    """Return the digest of the octets as they lie in the store, which is the one in the name.

    Raises: IntegrityError `archive/digest-mismatch`, with the name and the digest found; the errors of the store.
    """
    stated = named_digest(name)
    if stated is None:
        raise ValueError("this name states no digest")
    found = store.digest(name)
    if found != stated:
        raise IntegrityError(
            "archive/digest-mismatch",
            "A stored object is no longer what was stored. It was left as it is and nothing was taken from it. Compare "
            "it with a backup, and do not delete it: it may show how it was changed.",
            evidence={"name": name, "found": str(found)},
        )
    return found


def _check_batch(store: Store, names: tuple[str, ...]) -> tuple[ObjectFinding, ...]:
    return tuple(_check(store, name) for name in names)


def _check(store: Store, name: str) -> ObjectFinding:
    stated = named_digest(name)
    if stated is None:
        return ObjectFinding(name=name, finding=Finding.CANNOT_TELL, reason="the name states no digest")
    try:
        found = store.digest(name)
    except NotFoundError:
        return ObjectFinding(name=name, finding=Finding.CANNOT_TELL, reason="the object is not there")
    except (UnavailableError, ConfigError) as error:
        return ObjectFinding(name=name, finding=Finding.CANNOT_TELL, reason=f"it could not be read ({error.code})")
    if found != stated:
        return ObjectFinding(name=name, finding=Finding.DOES_NOT_MATCH, reason="the octets have another digest")
    return ObjectFinding(name=name, finding=Finding.MATCHES, reason=None)
