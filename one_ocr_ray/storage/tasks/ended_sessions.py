"""`sessions/<expiry>-<digest>` in the service's store: browser sessions that were ended before they expired."""

from __future__ import annotations

from one_ocr_ray.storage.store.objects import Objects

FOLDER = "sessions"


class EndedSessions:
    """The ended sessions of the store at `root`. Its calls block; safe to use from several threads."""

    def __init__(self, root: str) -> None:
        self._objects = Objects(root)

    def add(self, digest: str, expires_at: int) -> None:
        """Store that a session was ended, until it would have expired."""
        self._objects.put(f"{FOLDER}/{expires_at}-{digest}", b"")

    def digests(self, now: float) -> frozenset[str]:
        """The digests of ended sessions that have not expired; deletes the others."""
        found = set()
        for info in list(self._objects.list(FOLDER)):
            expiry, _, digest = info.path.rpartition("/")[2].partition("-")
            if not (digest and expiry.isascii() and expiry.isdecimal()):
                continue
            if int(expiry) > now:
                found.add(digest)
            else:
                self._objects.delete(info.path)
        return frozenset(found)
