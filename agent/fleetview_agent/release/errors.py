"""Why a release is not taken.

ReleaseError
├── RefusedError      trying again would not help: a signature, an archive, an answer of the server
└── BrokenOffError    the network, or a server that has troubles: to be tried again
"""

from __future__ import annotations


class ReleaseError(Exception):
    """A release cannot be taken. Says why, in words for a person."""


class RefusedError(ReleaseError):
    """Trying again would not help."""


class BrokenOffError(ReleaseError):
    """The way to the release was interrupted. What has arrived is kept."""
