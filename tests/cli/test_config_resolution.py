"""Flag over environment over file over default; and everything that is wrong, in words, at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview import configfile
from fleetview.config import ConfigError, Flags, Scope, masked, resolve, resolve_display
from fleetview.paths import config_file
from fleetview_agent.endpoint import BrokerUrl, TlsFiles

if TYPE_CHECKING:
    from pathlib import Path

PLANT = """
default_context = "plant"
[contexts.plant]
broker = "mqtts://broker.plant.example:8883"
cafile = "ca.pem"
prometheus = "https://prom.example/prometheus/"
read_only = true
[contexts.lab]
broker = "mqtt://lab"
"""


def problems(file: Path, environ: dict[str, str] | None = None, **flags: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        resolve(Flags(**flags), environ=environ or {}, file=file)  # type: ignore[arg-type]
    return [problem.removeprefix(f"{file}: ") for problem in caught.value.problems]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(PLANT)
    return path


def test_without_anything_the_broker_is_here(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert config_file({"FLEETVIEW_CONFIG": "/x/y.toml"}).as_posix() == "/x/y.toml"
    context = resolve(environ=environ, file=_empty(tmp_path))
    assert (str(context.broker), context.tls, context.scope, context.root) == (
        "mqtt://localhost:1883",
        None,
        Scope(),
        "fleet/v1",
    )
    assert context.origins["broker"] == "default"


def _empty(folder: Path) -> Path:
    path = folder / "empty.toml"
    path.write_text("")
    return path


def test_the_default_context_of_the_file(file: Path) -> None:
    context = resolve(environ={}, file=file)
    assert context.name == context.title == "plant"
    assert context.tls == TlsFiles(file.parent / "ca.pem")
    assert (context.read_only, context.prometheus) == (True, "https://prom.example/prometheus")
    assert context.origins["cafile"] == f"{file}: contexts.plant.cafile"


def test_flag_over_environment_over_file(file: Path) -> None:
    environ = {
        "FLEETVIEW_CONTEXT": "plant",
        "FLEETVIEW_BROKER": "mqtt://env",
        "FLEETVIEW_READ_ONLY": "no",
        "FLEETVIEW_SCOPE": "a",
    }
    context = resolve(Flags(broker="mqtt://flag", scope="acme/plant-7"), environ=environ, file=file)
    assert (context.broker.host, context.scope, context.read_only) == ("flag", Scope("acme", "plant-7"), False)
    assert context.origins["broker"] == "--broker"
    assert context.origins["read_only"] == "FLEETVIEW_READ_ONLY"
    assert context.unused_files == ("cafile",)
    assert resolve(Flags(context="lab"), environ=environ, file=file).broker.host == "env"


def test_flags_after_the_command_win() -> None:
    assert Flags(broker="after").over(Flags(broker="before", root="r")) == Flags(broker="after", root="r")


def test_everything_wrong_at_once(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('default_contxt = 1\n[contexts.plant]\nbrokr = "x"\nread_only = "yes"\n')
    assert problems(path) == [
        "contexts.plant.read_only: true or false expected, not 'yes'",
        "contexts.plant.brokr: unknown key 'brokr'; did you mean 'broker'?",
        "default_contxt: unknown key 'default_contxt'; did you mean 'default_context'?",
    ]
    path.write_text('[contexts.plant]\nbroker = "http://u:secret@x"\nscope = "a/b/c"\nprometheus = "prom"\nroot = "a/+"\n')
    found = problems(path, {"FLEETVIEW_HISTORY": "x", "FLEETVIEW_READ_ONLY": "maybe"})
    assert [problem.partition(":")[0] for problem in found] == [
        "contexts.plant.broker",
        "contexts.plant.prometheus",
        "FLEETVIEW_HISTORY",
        "contexts.plant.scope",
        "FLEETVIEW_READ_ONLY",
        "contexts.plant.root",
    ]
    assert "secret" not in "".join(found)


def test_unknown_contexts(file: Path, tmp_path: Path) -> None:
    assert problems(file, context="plnt") == ["--context: unknown context 'plnt'; did you mean 'plant'?"]
    assert problems(file, {"FLEETVIEW_CONTEXT": "zzz"}) == ["FLEETVIEW_CONTEXT: unknown context 'zzz'; known: plant, lab"]
    assert "has no [contexts.NAME]" in problems(_empty(tmp_path), context="plant")[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert problems(path) == ["there is no such file"]
    path.write_text("[contexts.plant\n")
    assert "is not TOML" in problems(path)[0]
    path.write_bytes(b'x = "\xff"')
    assert "is not UTF-8" in problems(path)[0]
    assert "cannot be read" in problems(tmp_path)[0]


def test_the_only_context_needs_no_default(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[contexts.lab]\nbroker = "mqtt://lab"\n')
    context = resolve(environ={}, file=path)
    assert (context.name, context.origins["context"]) == ("lab", f"{path}: its only context")


# -- how the dashboard looks

SSH = {"SSH_CONNECTION": "192.0.2.1 5 192.0.2.2 22"}


@pytest.mark.parametrize(
    ("text", "flag", "environ", "link", "origin"),
    [
        ("", None, {}, "fast", "default"),
        ("", None, SSH, "slow", "SSH_CONNECTION"),
        ('link = "fast"', None, SSH, "fast", "{file}: link"),
        ('link = "fast"\n[contexts.a]\nlink = "slow"', None, {}, "slow", "{file}: contexts.a.link"),
        ('link = "slow"', None, {"FLEETVIEW_LINK": "fast"}, "fast", "FLEETVIEW_LINK"),
        ("", "fast", {"FLEETVIEW_LINK": "slow", **SSH}, "fast", "--link"),
    ],
)
def test_what_the_link_bears(
    tmp_path: Path, *, text: str, flag: str | None, environ: dict[str, str], link: str, origin: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    context = resolve(Flags(link=flag), environ=environ, file=path)
    assert (context.display.link, context.origins["link"]) == (link, origin.format(file=path))


def test_links_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('link = "slwo"\nno_mouse = "no"\n')
    assert problems(path) == ["no_mouse: true or false expected, not 'no'"]
    path.write_text('link = "slwo"\n')
    assert problems(path) == ["link: slow or fast expected, not 'slwo'"]


def test_looks_need_no_context(file: Path) -> None:
    file.write_text('theme = "nord"\nno_mouse = true\n' + PLANT)
    display = resolve_display(Flags(ascii=True), environ={"FLEETVIEW_CONTEXT": "none such"}, file=file)
    assert (display.theme, display.ascii, display.no_mouse) == ("nord", True, True)
    assert resolve(Flags(no_mouse=False), environ={}, file=file).display.no_mouse is False


def test_keys_and_aliases(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[keys]\nfleet.logs = "l,f2"\n"app.quit" = "Q"\n[aliases]\ncrit = "devices health:critical"\n')
    display = resolve(environ={}, file=path).display
    assert display.keys == {"fleet.logs": "l,f2", "app.quit": "Q"}
    assert display.aliases == {"crit": "devices health:critical"}
    assert display.file == path
    path.write_text('keys = "x"\naliases = 1\n')
    assert problems(path) == [
        "keys: a table of keys by the binding's name, [keys] expected, not 'x'",
        "aliases: a table of commands by name, [aliases] expected, not 1",
    ]
    path.write_text("[keys]\nfleet.logs = 1\n")
    assert problems(path) == ["keys.fleet.logs: a text in quotes expected, not 1"]


def test_schema_names_every_key() -> None:
    schema = json.loads(configfile.schema())
    assert set(schema["$defs"]["ContextTable"]["properties"]) == set(configfile.ContextTable.model_fields)
    assert all(entry.get("description") for entry in schema["$defs"]["ContextTable"]["properties"].values())


@given(st.text(max_size=40), st.text(max_size=20))
def test_urls_are_read_or_refused_in_words(text: str, rest: str) -> None:
    for candidate in (text, f"mqtt://{text}", f"mqtts://user:geheim@{text}{rest}", f"mqtt://h:{text}"):
        shown = _shown(candidate)
        assert shown
        assert "geheim" not in shown


def _shown(candidate: str) -> str:
    try:
        url = BrokerUrl.parse(candidate)
    except ValueError as err:
        return str(err)
    assert BrokerUrl.parse(str(url)).endpoint == url.endpoint
    return str(url) + repr(url)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mqtt://host", "mqtt://host:1883"),
        ("mqtts://host", "mqtts://host:8883"),
        ("mqtt://[::1]:1", "mqtt://[::1]:1"),
        (" mqtt://u:p@h:2/ ", "mqtt://u:***@h:2"),
        ("mqtt://u%40x:p%2F@h", "mqtt://u%40x:***@h:1883"),
    ],
)
def test_urls(text: str, expected: str) -> None:
    assert str(BrokerUrl.parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("host:1883", "begin it with mqtt://"),
        ("wss://host", "scheme 'wss' is not supported"),
        ("mqtt://", "names no host"),
        ("mqtt://h:99999", "is not a broker URL"),
        ("mqtt://h:0", "port 0 is not in 1..65535"),
        ("mqtt://h/path", "nothing may follow"),
        ("mqtt://u:se/cret@h", "%2F"),
    ],
)
def test_urls_that_are_none(text: str, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        BrokerUrl.parse(text)


def test_the_password_is_kept_although_it_is_not_shown() -> None:
    url = BrokerUrl.parse("mqtt://u:p%40w@h")
    assert (url.username, url.password) == ("u", "p@w")
    assert masked("see https://u:s3cret@prom/x") == "see https://u:***@prom/x"


@pytest.mark.parametrize(("text", "size"), [("256MB", 256_000_000), ("1GiB", 2**30), ("5000000", 5_000_000)])
def test_memory_for_logs_is_a_size(file: Path, text: str, size: int) -> None:
    assert resolve(Flags(log_bytes=text), environ={}, file=file).log_bytes == size
    assert resolve(Flags(), environ={"FLEETVIEW_LOG_BYTES": text}, file=file).log_bytes == size
    assert resolve(Flags(), environ={}, file=file).log_bytes is None


@pytest.mark.parametrize("text", ["much", "-5MB", "3", "99999TB", "nan"])
def test_what_is_no_size_for_logs_is_refused(file: Path, text: str) -> None:
    assert problems(file, log_bytes=text) == [f"--log-bytes: {text!r} is not a size between 1MB and 1TB, such as 256MB"]
