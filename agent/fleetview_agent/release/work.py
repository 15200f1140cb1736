"""The parts of an update that block: what `updater` does in threads, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from pathlib import Path

from fleetview_agent.release import inventory, manifest, signing, unpack
from fleetview_agent.release.errors import BrokenOffError, RefusedError, ReleaseError
from fleetview_agent.release.fetch import Download, Way, small
from fleetview_agent.release.model import Offer
from fleetview_agent.release.settings import Ota
from fleetview_agent.release.shelf import Shelf

_UNPACKED_RATIO = 2
"""Of an archive's size: a guess, so that what cannot fit is not fetched at all. While unpacking it is measured."""


class Work:
    """On one offer at a time. Everything raises RefusedError, BrokenOffError, and OSError for the disk."""

    def __init__(self, settings: Ota, shelf: Shelf) -> None:
        self._settings = settings
        self._shelf = shelf
        self._way = Way(settings.timeout_s, settings.rate_bytes_s, settings.max_bytes, settings.ca)
        self._vouched: tuple[Offer, signing.Signature | None] | None = None
        self._download: Download | None = None
        self._most_arrived = 0
        self._stop = threading.Event()

    def begin(self) -> None:
        """A new effect."""
        self._stop = threading.Event()

    def call_off(self) -> None:
        """End what is under way, soon."""
        self._stop.set()

    def _go_on(self) -> None:
        if self._stop.is_set():
            words = "it was called off"
            raise BrokenOffError(words)

    def admit(self, offer: Offer, in_use: Collection[str]) -> bool:
        """Whether the release is on the disk already, whole. What is not wanted is refused before a byte is fetched."""
        if self._is_installed(offer, in_use):
            return True
        self._vouched = offer, self._signature(offer)
        self._most_arrived = 0
        arrived = self._new_download(offer).arrived
        self._room((offer.size or 0) * (1 + _UNPACKED_RATIO) - arrived)
        return False

    def _is_installed(self, offer: Offer, in_use: Collection[str]) -> bool:
        try:
            found = self._shelf.sha256_of(offer.version)
            if found == offer.sha256:
                self._shelf.prove(offer.version)
        except RefusedError:
            if offer.version in in_use:
                raise
        else:
            if found in {None, offer.sha256}:
                return found is not None
            if offer.version in in_use:
                words = f"version {offer.version} is installed with sha256 {found}: another content needs another version"
                raise RefusedError(words)
        self._shelf.drop(offer.version)
        return False

    def _signature(self, offer: Offer) -> signing.Signature | None:
        if not self._settings.keys:
            return None  # `allow_unsigned`, or the offer would not have come so far
        text = offer.signature
        if text is None:
            data = small(f"{offer.url}.sig", self._way, signing.MOST_BYTES)
            text = None if data is None else data.decode(errors="replace")
        signature = signing.check(text, offer.version, offer.sha256, self._settings.keys)
        self._has_name(signature.name)
        return signature

    def _has_name(self, name: str) -> None:
        if self._settings.name is not None and name != self._settings.name:
            words = f"it is a release of {name!r}, and ota.name takes those of {self._settings.name!r} only"
            raise RefusedError(words)

    def _room(self, count: int) -> None:
        free = self._shelf.free_bytes()
        if free < count + self._settings.reserve_bytes:
            words = (
                f"the disk has no room for it: {free:,} bytes are free in {self._shelf.folder}, and {count:,} are needed"
                f" beside the {self._settings.reserve_bytes:,} of ota.reserve_mib"
            )
            raise RefusedError(words)

    def _new_download(self, offer: Offer) -> Download:
        part = self._part(offer)
        self._download = Download(offer.url, part, self._way, size=offer.size, stop=self._stop)
        return self._download

    def _part(self, offer: Offer) -> Path:
        return self._shelf.download / offer.sha256

    def fetch(self, offer: Offer, on_progress: Callable[[float], None]) -> None:
        """Download what is missing."""
        self._new_download(offer).fetch(on_progress)

    def gained(self) -> bool:
        """Whether more has arrived than ever before."""
        arrived = 0 if self._download is None else self._download.arrived
        gained = arrived > self._most_arrived
        self._most_arrived = max(arrived, self._most_arrived)
        return gained

    def verify(self, offer: Offer) -> None:
        """Hold what has arrived to what was promised, and put it beside the other releases."""
        self._is_promised(offer)
        part, folder = self._part(offer), self._shelf.staging
        self._shelf.drop_staging()
        bounds = unpack.Bounds(self._settings.max_unpacked_bytes, self._room, self._go_on)
        entries = unpack.unpack(part, folder, bounds)
        found = manifest.read(folder, at=self._shelf.path(offer.version))
        self._says(found, offer)
        signature = self._vouched[1] if self._vouched is not None else None
        facts = {"name": found.name, "version": found.version, "sha256": offer.sha256}
        inventory.write(folder, facts | {"key": None if signature is None else signature.key_id}, entries)
        self._go_on()
        self._shelf.place(offer.version)
        self._shelf.forget_arrived()

    def _is_promised(self, offer: Offer) -> None:
        part = self._part(offer)
        size, found = part.stat().st_size, inventory.sha256_of(part)
        if found == offer.sha256 and offer.size in {None, size}:
            return
        in_pieces = self._download is not None and self._download.resumed_at > 0
        self._shelf.forget_arrived()
        if in_pieces:
            words = "what arrived in several pieces is not what was promised; from the beginning"
            raise BrokenOffError(words)
        if offer.size not in {None, size}:
            words = f"it is of {size:,} bytes, and the offer says {offer.size:,}"
            raise RefusedError(words)
        words = f"its sha256 is {found}, and the offer says {offer.sha256}: it was altered or damaged"
        raise RefusedError(words)

    def _says(self, found: manifest.Manifest, offer: Offer) -> None:
        if found.version != offer.version:
            words = f"{manifest.FILE} says version {found.version!r}, and the offer {offer.version!r}"
            raise RefusedError(words)
        self._has_name(found.name)
        if self._vouched is not None and (signature := self._vouched[1]) is not None and signature.name != found.name:
            words = f"{manifest.FILE} says name {found.name!r}, and the signature is for {signature.name!r}"
            raise RefusedError(words)

    def prove(self, version: str, back_to: str | None) -> manifest.Manifest:
        """The manifest of what comes next, which can be started, while there is what can be gone back to."""
        if back_to is not None:
            try:
                self._shelf.prove(back_to)
            except ReleaseError as err:
                words = f"there would be nothing to go back to: {err}"
                raise RefusedError(words) from None
        found = self._shelf.manifest(version)
        manifest.startable_all(found)
        return found
