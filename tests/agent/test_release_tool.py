"""`fleetview-agent release`, and what the configuration says of releases."""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from fleetview_agent.cli import main
from fleetview_agent.configload import ConfigError, load
from fleetview_agent.release import signing

if TYPE_CHECKING:
    from pathlib import Path


def application(folder: Path, version: str = "1.1") -> Path:
    (folder / "app" / "bin").mkdir(parents=True)
    (folder / "app" / "bin" / "bridge").write_text("#!/bin/sh\n")
    (folder / "app" / "bin" / "bridge").chmod(0o700)
    (folder / "app" / "bin" / "latest").symlink_to("bridge")
    text = f'name = "gateway"\nversion = "{version}"\n[modules.bridge]\ncommand = ["bin/bridge"]\ndepends_on = ["db"]\n'
    (folder / "app" / "release.toml").write_text(text)
    return folder / "app"


def release(*arguments: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["release", *(str(argument) for argument in arguments)])
    return code, out.getvalue().strip(), err.getvalue().strip()


def test_from_a_folder_to_an_offer_that_devices_take(tmp_path: Path) -> None:
    app = application(tmp_path)
    key, archive = tmp_path / "key", tmp_path / "out.tar.gz"
    code, public, _ = release("keygen", key)
    assert code == 0
    assert len(signing.public_key(public)) == 32
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert release("build", app, "--out", archive) == (0, str(archive), "")
    code, text, _ = release("sign", archive, "--key", key, "--url", "https://x/out.tar.gz")
    offer: dict[str, Any] = json.loads(text)
    assert (offer["version"], offer["url"], offer["size"]) == ("1.1", "https://x/out.tar.gz", archive.stat().st_size)
    assert offer["signature"] + "\n" == (tmp_path / "out.tar.gz.sig").read_text()
    code, words, _ = release("verify", archive, "--key", public)
    assert (code, words.partition(":")[0]) == (0, "gateway 1.1")


def test_the_same_folder_is_the_same_archive_whoever_builds_it_and_when(tmp_path: Path) -> None:
    app = application(tmp_path)
    release("build", app, "--out", tmp_path / "a")
    os.utime(app / "bin" / "bridge", (1, 1))
    release("build", app, "--out", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with tarfile.open(tmp_path / "a") as tar:
        assert [(entry.name, entry.mode, entry.uid, entry.mtime) for entry in tar][2] == ("bin/bridge", 0o755, 0, 0)


def test_a_second_key_signs_beside_the_first(tmp_path: Path) -> None:
    archive = tmp_path / "out.tar.gz"
    release("build", application(tmp_path), "--out", archive)
    keys = [release("keygen", tmp_path / name)[1] for name in "ab"]
    for name in "aab":
        release("sign", archive, "--key", tmp_path / name)
    assert len((tmp_path / "out.tar.gz.sig").read_text().splitlines()) == 2
    assert [release("verify", archive, "--key", key)[0] for key in keys] == [0, 0]


def test_what_no_device_would_take_is_not_built(tmp_path: Path) -> None:
    app = application(tmp_path)
    (app / "out").symlink_to("/etc/passwd")
    code, _, words = release("build", app, "--out", tmp_path / "a")
    assert (code, words) == (1, '"out" is a link out of the release, to "/etc/passwd"')
    (app / "out").unlink()
    (app / "bin" / "bridge").chmod(0o4755)
    assert release("build", app, "--out", tmp_path / "a")[2] == '"bin/bridge" is setuid or setgid'
    (app / "release.toml").write_text('name = "g"\n')
    assert release("build", app, "--out", tmp_path / "a")[2] == "release.toml: version: missing: add it"
    assert release("build", tmp_path, "--out", tmp_path / "a")[2] == "there is no release.toml at the top of it"
    assert sorted(os.listdir(tmp_path)) == ["app"], "nothing is left behind"  # noqa: PTH208


def test_usage_that_cannot_be_is_named(tmp_path: Path) -> None:
    archive = tmp_path / "out.tar.gz"
    release("build", application(tmp_path), "--out", archive)
    (tmp_path / "key").write_text("not a key")
    code, _, words = release("keygen", tmp_path / "key")
    assert (code, "is there already" in words) == (2, True)
    code, _, words = release("sign", archive, "--key", tmp_path / "key")
    assert (code, "is no private key" in words) == (2, True)
    code, _, words = release("sign", archive, "--key", tmp_path / "none")
    assert (code, words) == (2, f"{tmp_path}/none: No such file or directory")
    code, _, words = release("verify", archive, "--key", "abc")
    assert (code, "an Ed25519 public key expected" in words) == (2, True)
    public = release("keygen", tmp_path / "other")[1]
    code, _, words = release("verify", archive, "--key", public)
    assert (code, "it is not signed" in words) == (1, True)
    archive.write_bytes(archive.read_bytes()[:-20])
    code, _, words = release("sign", archive, "--key", tmp_path / "other")
    assert (code, "not a whole .tar.gz" in words) == (1, True)


def configured(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "agent.toml"
    path.write_text(f'agent_id = "gw-1"\nbroker_url = "mqtt://h"\nmodules = ["ota_updater"]\n[ota]\n{text}\n')
    return load(path, environ={}, root=False).config.ota


def test_what_is_configured(tmp_path: Path) -> None:
    public = release("keygen", tmp_path / "key")[1]
    found = configured(tmp_path, f'keys = ["{public}"]\nca = "ca.crt"\nfolder = "rel"\nrate_kib_s = 10')
    assert found.key_ids == [signing.key_id(signing.public_key(public))]
    assert found.standing() == ("ok", f"taken when signed by {found.key_ids[0]}")
    assert configured(tmp_path, "keep = 3").standing()[0] == "warning"
    assert "anybody" in configured(tmp_path, "allow_unsigned = true").standing()[1]
    assert (found.ca, found.folder, found.rate_bytes_s) == (tmp_path / "ca.crt", tmp_path / "rel", 10240)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('keys = ["abc"]', "ota.keys[0]: an Ed25519 public key expected"),
        ("keep = 1", "ota.keep: at least 2 expected"),
        ("verifys = 1", "ota.verifys: unknown key (value 1); did you mean verify_s?"),
        ("verify_s = 0", "ota.verify_s: at least 0.1 expected"),
        ("max_mib = 1.5", "ota.max_mib: a whole number expected"),
    ],
)
def test_what_is_configured_wrongly_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, text)
    assert words in str(caught.value)
