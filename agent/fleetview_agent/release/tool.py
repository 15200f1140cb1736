"""`fleetview-agent release`: makes what devices take. For the machine that builds, not for the device."""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import os
import stat
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fleetview_agent.modules.spec import ModuleSpec
from fleetview_agent.release import manifest, signing, unpack
from fleetview_agent.release.errors import RefusedError
from fleetview_agent.release.inventory import sha256_of

DONE, NO, WRONG_USAGE = 0, 1, 2

_MOST_BYTES = 1 << 40
"""How large a release may be is a matter of each device."""


class _UsageError(Exception):
    """Something cannot be done as it was asked for. Says what, and the way out."""


def run(options: argparse.Namespace) -> int:
    """Do it; the exit code."""
    try:
        match options.about:
            case "build":
                print(build(options.folder, options.out))
            case "keygen":
                print(keygen(options.key))
            case "sign":
                print(json.dumps(sign(options.archive, options.key, options.url)))
            case _:
                print(verify(options.archive, options.key))
    except RefusedError as err:
        print(err, file=sys.stderr)
        return NO
    except (_UsageError, OSError) as err:
        where = f"{err.filename}: " if isinstance(err, OSError) and isinstance(err.filename, str) else ""
        words = err.strerror if isinstance(err, OSError) else None
        print(f"{where}{words or err}", file=sys.stderr)
        return WRONG_USAGE
    return DONE


def build(folder: Path, out: Path | None = None) -> Path:
    """Make the archive of a folder: the same bytes for the same contents. Raises RefusedError for what no device takes."""
    found = manifest.read(folder)
    manifest.together(_elsewhere(found), found)
    target = out or Path(f"{found.name}-{found.version}.tar.gz")
    contents = [path for path in _contents(folder) if path.resolve() != target.resolve()]
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
                for path in contents:
                    _add(tar, path, path.relative_to(folder).as_posix())
            file.flush()
            _try(temporary)
            temporary.chmod(0o644)
            temporary.replace(target)
        except BaseException:
            temporary.unlink()
            raise
    return target


def _elsewhere(found: manifest.Manifest) -> dict[str, ModuleSpec]:
    """Modules that it depends on and does not have itself: the configuration of each device has to."""
    names = {name for spec in found.modules.values() for name in spec.depends_on}
    return {name: ModuleSpec(command=["true"]) for name in names - set(found.modules)}


def _contents(folder: Path) -> Iterator[Path]:
    yield folder / manifest.FILE
    yield from (path for path in sorted(folder.rglob("*")) if path != folder / manifest.FILE)


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    entry: tarfile.TarInfo | None = tar.gettarinfo(path, name)
    if entry is None:
        words = f"{path} is a socket; only files, folders and links are taken"
        raise RefusedError(words)
    if entry.islnk():  # to the file of another name that is in it already; devices take no hard links
        entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", path.stat().st_size
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    entry.mode = (0o755 if entry.mode & 0o111 or entry.isdir() else 0o644) | entry.mode & (stat.S_ISUID | stat.S_ISGID)
    if entry.isreg():
        with path.open("rb") as file:
            tar.addfile(entry, file)
    else:
        tar.addfile(entry)


def _try(archive: Path) -> manifest.Manifest:
    """As a device does. Raises RefusedError."""
    with tempfile.TemporaryDirectory() as folder:
        unpack.unpack(archive, Path(folder) / "release", unpack.Bounds(_MOST_BYTES))
        return manifest.read(Path(folder) / "release")


def keygen(path: Path) -> str:
    """Make a private key at this path, readable for its owner only; the public key."""
    crypto = _library()
    key = crypto.Ed25519PrivateKey.generate()
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        words = f"{path} is there already: a key that is overwritten is lost; name another file"
        raise _UsageError(words) from None
    with os.fdopen(fd, "wb") as file:
        file.write(
            key.private_bytes(
                crypto.serialization.Encoding.PEM,
                crypto.serialization.PrivateFormat.PKCS8,
                crypto.serialization.NoEncryption(),
            )
        )
    return _as_text(key.public_key().public_bytes_raw())


def sign(archive: Path, key: Path, url: str | None = None) -> dict[str, object]:
    """Sign an archive into a file beside it, where that of another key may stand already; what to offer."""
    crypto = _library()
    try:
        private = crypto.serialization.load_pem_private_key(key.read_bytes(), None)
    except (ValueError, TypeError) as err:
        words = f"{key} is no private key without a password: {err}"
        raise _UsageError(words) from None
    if not isinstance(private, crypto.Ed25519PrivateKey):
        words = f"{key} is no Ed25519 key; make one with `fleetview-agent release keygen`"
        raise _UsageError(words)
    found = _try(archive)
    sha256 = sha256_of(archive)
    public = private.public_key().public_bytes_raw()
    line = signing.line(found.name, public, private.sign(signing.message(found.name, found.version, sha256)))
    beside = archive.with_name(f"{archive.name}.sig")
    others = beside.read_text(encoding="utf-8").splitlines() if beside.exists() else []
    others = [other for other in others if _is_of_another_key(other, public)]
    beside.write_text("".join(f"{each}\n" for each in [*others, line]), encoding="utf-8")
    return {
        "version": found.version,
        "url": url or archive.absolute().as_uri(),
        "sha256": sha256,
        "size": archive.stat().st_size,
        "signature": line,
    }


def _is_of_another_key(line: str, public: bytes) -> bool:
    try:
        return any(signature.key_id != signing.key_id(public) for signature in signing.parse(line))
    except RefusedError:
        return False


def verify(archive: Path, key: str) -> str:
    """Whether a device with this key would take it, in words. Raises RefusedError."""
    try:
        signing.public_key(key)
    except ValueError as err:
        words = f"--key: {err}"
        raise _UsageError(words) from None
    found = _try(archive)
    beside = archive.with_name(f"{archive.name}.sig")
    text = beside.read_text(encoding="utf-8") if beside.exists() else None
    signature = signing.check(text, found.version, sha256_of(archive), [key])
    if signature.name != found.name:
        words = f"{manifest.FILE} says name {found.name!r}, and the signature is for {signature.name!r}"
        raise RefusedError(words)
    return f"{found.name} {found.version}: signed by the key {signature.key_id}, modules {', '.join(found.modules)}"


def _as_text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _library() -> Any:  # noqa: ANN401  (two modules of the library as one)
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  (its absence is to be told in words)
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError:
        words = "the Python package cryptography is needed for this: pip install cryptography"
        raise _UsageError(words) from None
    return argparse.Namespace(serialization=serialization, Ed25519PrivateKey=ed25519.Ed25519PrivateKey)
