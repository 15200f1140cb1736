"""The telemetry collector: what is chosen of an endpoint, and a real agent beside a real application."""

from __future__ import annotations

import asyncio
import urllib.request
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from support.agents import agent_process, watching
from support.programs import free_port
from support.wait import until

from fleetview_agent.http import Answer as Served
from fleetview_agent.http import Request, Server
from fleetview_agent.plain_http import HttpError, page
from fleetview_agent.telemetry.counters import MOST_SERIES, Counter, Counters
from fleetview_agent.telemetry.exposition import CONTENT_TYPE, Exhibit, Scraped
from fleetview_agent.telemetry.machine import Sensor, Traffic, Usage
from fleetview_agent.telemetry.scrape import MOST_METRICS, Choice, ScrapeError, figures
from fleetview_agent.telemetry.spec import Scrape, Selection, Telemetry
from fleetview_agent.wire import ModuleInfo, Resources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.broker import Broker

TEXT = """\
# HELP orders_total Orders.
# TYPE orders_total counter
orders_total{kind="new",shop="a b"} 10
orders_total{kind="old",shop="a\\"b}"} 5
depth{queue="in"} 3
depth{queue="out"} 4
temperature NaN
duration_seconds{quantile="0.5"} 0.1
duration_seconds{quantile="0.95"} 0.4
duration_seconds_sum 9
duration_seconds_count 20
this is { not a line that anybody chose
http_requests_total{code="200"} 7 1700000000000
http_errors_total 1
"""


def chosen(*metrics: str, prefix: str | None = None, text: str = TEXT) -> dict[str, float]:
    scrape = Scrape(url="http://127.0.0.1:1/metrics", metrics=list(metrics), prefix=prefix)
    return dict(figures(Choice(scrape).of(text), scrape.url, Counters()))


@pytest.mark.parametrize(
    ("metrics", "found"),
    [
        (["orders_total"], {"orders_total": 15}),
        (['orders_total{kind="new"}'], {"orders_total": 10}),
        (['orders_total{kind="n*"} as new_orders_total'], {"new_orders_total": 10}),
        (['orders_total{shop="a\\"b}"}'], {"orders_total": 5}),
        (["http_*_total"], {"http_requests_total": 7, "http_errors_total": 1}),
        (["depth{queue='in'} as depth_in", "depth{queue='out'} as depth_out"], {"depth_in": 3, "depth_out": 4}),
        (["depth"], {"depth": 7}),
        (["temperature"], {}),
        (["duration_*"], {"duration_seconds_sum": 9, "duration_seconds_count": 20}),
        (["duration_seconds{quantile='0.95'} as p95_seconds"], {"p95_seconds": 0.4}),
        (["order"], {}),
        (["nothing"], {}),
    ],
)
def test_what_is_chosen_of_an_endpoint(metrics: list[str], found: dict[str, float]) -> None:
    assert chosen(*metrics) == found


def test_a_prefix_stands_before_all_but_an_alias() -> None:
    assert chosen("depth", "temperature", 'orders_total{kind="new"} as orders', prefix="shop_") == {
        "shop_depth": 7,
        "orders": 10,
    }


def test_a_line_that_was_chosen_and_is_none_is_an_error_and_others_are_not() -> None:
    with pytest.raises(ScrapeError, match="not the text format"):
        chosen("this")


def test_too_many_names_are_left_out() -> None:
    text = "".join(f"m_{number} 1\n" for number in range(MOST_METRICS + 3))
    scrape = Scrape(url="http://h", metrics=["m_*"])
    found = Choice(scrape).of(text)
    assert (len(found.series), found.left_out) == (MOST_METRICS, 3)


@pytest.mark.parametrize(
    "text", ["", "a b", "a{", 'a{x="1"', "a{x=1}", "a as", "a* as b", "a as 1b", "1", 'a{x="1" y="2"}', "a-b", "a b c"]
)
def test_what_is_no_selection(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Selection.parse(text)


@given(st.text(st.sampled_from("abt_*?{}=\",'as 1\\-"), max_size=30))
def test_a_selection_is_refused_in_words_or_taken(text: str) -> None:
    try:
        Selection.parse(text)
    except ValueError:
        return
    Choice(Scrape(url="http://h", metrics=[text])).of(TEXT.replace("this is", "#"))


STEPS = st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 50).map(float), max_size=3), max_size=20)


@given(STEPS)
def test_a_total_never_falls_and_adds_up_as_prometheus_reads_it(steps: list[dict[str, float]]) -> None:
    counter, last, expected = Counter(), dict[str, float](), 0.0
    for series in steps:
        before = counter.total
        total = counter.take(series.items())
        for name, value in series.items():
            expected += value - last.get(name, 0.0) if value >= last.get(name, 0.0) else value
            last[name] = value
        assert total == expected >= before


def test_a_total_of_too_many_series_is_none() -> None:
    assert Counter().take((number, 1.0) for number in range(MOST_SERIES + 1)) is None


def test_processor_time_that_falls_is_not_counted_again() -> None:
    counter = Counter()
    assert [counter.take([("group", value)], resets=False) for value in (5.0, 3.0, 4.0, 6.0)] == [5.0, 5.0, 5.0, 6.0]


@pytest.mark.parametrize("listen", ["0.0.0.0:9100", "example.com:80", "192.168.1.1:80", "127.0.0.1:0", "x"])
def test_it_listens_on_this_machine_only(listen: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Telemetry(listen=listen)


def test_the_own_metrics_are_the_text_format() -> None:
    exhibit = Exhibit(
        Resources(cpu=0.5, memory=0.25),
        1.5,
        {"eth0": Traffic(1, 2, 3, 4)},
        [Sensor("coretemp", "Core 0", 51.5)],
        [ModuleInfo(name="app", state="running", restarts=2)],
        {"app": Usage(1.0, 4096)},
        {"app": 9.0},
        {"http://h/": Scraped(False, 0.1)},
    )
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(exhibit.text())
        for sample in family.samples
    }
    assert found["device_cpu_ratio",] == 0.5
    assert ("device_disk_ratio",) not in found, "no data is no data"
    assert found["network_receive_bytes_total", "eth0"] == 1
    assert found["device_sensor_celsius", "Core 0", "coretemp"] == 51.5
    assert (found["module_state", "app", "running"], found["module_state", "app", "failed"]) == (1, 0)
    assert (found["module_restarts_total", "app"], found["module_cpu_seconds_total", "app"]) == (2, 9)
    assert found["telemetry_scrape_up", "http://h/"] == 0


class Application:
    """Shows what the test says."""

    def __init__(self) -> None:
        self.text = ""
        self.asked = 0

    def answer(self, request: Request) -> Served:
        self.asked += 1
        return Served(_ok(), CONTENT_TYPE, iter([self.text]))


def _ok() -> Any:
    from http import HTTPStatus

    return HTTPStatus.OK


@asynccontextmanager
async def application() -> AsyncIterator[tuple[Application, str, Server]]:
    found = Application()
    server = Server(found.answer)
    host, port = await server.start("127.0.0.1", 0)
    try:
        yield found, f"http://{host}:{port}/metrics", server
    finally:
        await server.close()


async def test_a_page_is_bounded() -> None:
    async with application() as (app, url, _):
        app.text = "x" * 5000
        assert await page(url, accept="*/*", max_bytes=5000) == b"x" * 5000
        with pytest.raises(HttpError, match="larger than 4999 bytes"):
            await page(url, accept="*/*", max_bytes=4999)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "which was not asked for"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", "it answered 503"),
        (b"nonsense\r\n", "did not answer in HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, "more than 100 headers"),
    ],
)
async def test_what_servers_answer_that_leave_the_connection_open(answer: bytes, found: bytes | str) -> None:
    left = asyncio.Event()

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        with suppress(OSError):
            while await reader.read(1024):  # until the other side has enough
                pass
        writer.transport.abort()
        left.set()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
    async with asyncio.timeout(20), server:
        if isinstance(found, bytes):
            assert await page(url, accept="*/*", max_bytes=1000) == found
        else:
            with pytest.raises(HttpError, match=found):
                await page(url, accept="*/*", max_bytes=1000)
        await left.wait()


async def test_an_agent_folds_an_application_into_its_heartbeats_and_shows_its_own(tmp_path: Path, broker: Broker) -> None:
    port = free_port()
    async with application() as (app, url, server), watching(broker.url) as watch:
        app.text = (
            'orders_total{shop="a"} 10\norders_total{shop="b"} 5\ndepth 3\nprocess_cpu_seconds_total 9999999\nother 1\n'
        )
        scrape = {"url": url, "metrics": ["orders_total", "depth", "process_*"], "interval_s": 0.1, "timeout_s": 5}
        keys = {
            "modules": {"telemetry_collector": {}, "my-app": {"command": ["sleep", "1000"]}},
            "telemetry": {"interval_s": 0.2, "listen": f"127.0.0.1:{port}", "scrape": [scrape]},
        }

        def metrics() -> dict[str, float | None]:
            return watch.heartbeats[-1].metrics if watch.heartbeats else {}

        with agent_process(tmp_path, broker_url=broker.url, **keys) as agent:
            await until(lambda: metrics().get("orders_total") == 15 and metrics().get("depth") == 3)
            assert "other" not in metrics()
            assert (metrics()["process_cpu_seconds_total"] or 0) < 9999, "the agent's own, not the application's"
            await until(lambda: [entry for entry in agent.journal if "is left out: the name is taken" in entry["message"]])
            assert metrics().keys() >= {"network_receive_bytes_total", "network_transmit_bytes_total"}
            await until(lambda: metrics().get("module_my_app_resident_memory_bytes"))
            states = {info.name: info.state for info in watch.heartbeats[-1].modules}
            assert states == {"telemetry_collector": "running", "my-app": "running"}
            app.text = 'orders_total{shop="a"} 2\norders_total{shop="b"} 5\ndepth 1\n'  # one shop began anew
            await until(lambda: metrics().get("orders_total") == 17 and metrics().get("depth") == 1)
            text = await asyncio.to_thread(_read, f"http://127.0.0.1:{port}/metrics")
            assert 'module_state{module="telemetry_collector",state="running"} 1.0' in text
            assert f'telemetry_scrape_up{{url="{url}"}} 1.0' in text
            assert list(text_string_to_metric_families(text))
            await server.close()
            await until(lambda: "depth" not in metrics())
            words = f"metrics of {url} cannot be read: Connection refused"
            await until(lambda: words in watch.heartbeats[-1].reasons)
            assert not [entry for entry in agent.journal if "defect" in entry["message"]]


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return str(answer.read().decode())


async def test_a_port_that_is_taken_is_said_and_the_module_comes_up_once_it_is_free(tmp_path: Path, broker: Broker) -> None:
    async with application() as (_, url, server), watching(broker.url) as watch:
        port = url.split(":")[2].split("/")[0]
        with agent_process(
            tmp_path, broker_url=broker.url, modules=["telemetry_collector"], telemetry={"listen": port, "interval_s": 0.2}
        ):
            await until(lambda: watch.heartbeats and watch.heartbeats[-1].modules[0].state == "backoff")
            reason = watch.heartbeats[-1].modules[0].reason
            assert reason == f"cannot listen on {port}: Address already in use; set telemetry.listen to another"
            await server.close()
            await until(lambda: watch.heartbeats[-1].modules[0].state == "running", 40)
