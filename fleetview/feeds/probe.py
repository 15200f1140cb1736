"""Short questions to the servers beside the broker: whether they are there, and answer as they should.

Blocking, so to be asked in a thread. Each takes a few seconds at most: the library's own three retries would hold one
answer of 503 for six (prometheus-api-client 0.7.2), and it has no timeout unless told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fleetview.config import masked

if TYPE_CHECKING:
    import requests

TIMEOUT_S = 3
_OK = 200
_UNAUTHORISED = {401, 403}
_NOT_FOUND = 404


class Answer(NamedTuple):
    """Whether a server answers as it should."""

    ok: bool
    words: str
    """What was found, or what is wrong and how to mend it. Names the URL, never a password."""


def ask_prometheus(url: str, timeout_s: int = TIMEOUT_S) -> Answer:
    """Whether a query can be run. Asks the query API, for `/` tells nothing behind a path prefix."""
    # Late, and from the submodule: 0.1 s that no other question pays.
    import requests  # noqa: PLC0415
    from prometheus_api_client.exceptions import PrometheusApiClientException  # noqa: PLC0415
    from prometheus_api_client.prometheus_connect import PrometheusConnect  # noqa: PLC0415
    from urllib3.util.retry import Retry  # noqa: PLC0415

    seen: list[requests.Response] = []
    with requests.Session() as session:
        session.hooks["response"].append(lambda response, *_args, **_options: seen.append(response))
        # read=False: or a timeout would come as a ConnectionError like any other.
        client = PrometheusConnect(url=url.rstrip("/"), retry=Retry(total=0, read=False), session=session)
        try:
            targets = client.custom_query("count(up)", timeout=timeout_s)
        except requests.RequestException as err:
            return Answer(ok=False, words=_unreachable("Prometheus", url, err, timeout_s))
        except PrometheusApiClientException:
            return Answer(ok=False, words=_status("Prometheus", url, seen[-1].status_code))
        except (ValueError, KeyError, TypeError):
            return Answer(ok=False, words=f"{masked(url)} answers, but not as Prometheus does: is a path prefix missing?")
    count = _first_value(targets)
    words = f"Prometheus at {masked(url)} answers, with {count} scrape targets"
    if warnings := _warnings(seen[-1]):
        words += f"; it warns: {warnings}"
    return Answer(ok=True, words=words)


def ask_alertmanager(url: str, timeout_s: int = TIMEOUT_S) -> Answer:
    """Whether the API, version 2, tells its status."""
    import requests  # noqa: PLC0415

    try:
        response = requests.get(f"{url.rstrip('/')}/api/v2/status", timeout=timeout_s)
    except requests.RequestException as err:
        return Answer(ok=False, words=_unreachable("Alertmanager", url, err, timeout_s))
    if response.status_code != _OK:
        return Answer(ok=False, words=_status("Alertmanager", url, response.status_code))
    try:
        version = response.json()["versionInfo"]["version"]
    except (ValueError, KeyError, TypeError):
        return Answer(ok=False, words=f"{masked(url)} answers, but not as Alertmanager does: is a path prefix missing?")
    return Answer(ok=True, words=f"Alertmanager {version} at {masked(url)} answers")


def _first_value(result: Any) -> str:  # noqa: ANN401 (as the library returns it)
    try:
        return str(result[0]["value"][1])
    except (IndexError, KeyError, TypeError):
        return "0"


def _warnings(response: requests.Response) -> str:
    """What the library throws away: warnings, and that the answer is partial (Thanos, VictoriaMetrics)."""
    body = response.json()
    partial = ["the answer is partial"] if body.get("isPartial") else []
    return "; ".join([*partial, *map(str, body.get("warnings") or [])])


def _unreachable(name: str, url: str, err: requests.RequestException, timeout_s: int) -> str:
    import requests  # noqa: PLC0415

    where = masked(url)
    if isinstance(err, requests.exceptions.SSLError):
        return f"the certificate of {name} at {where} is not accepted here"
    if isinstance(err, requests.Timeout):
        return f"{name} at {where} did not answer within {timeout_s} s"
    if isinstance(err, requests.exceptions.JSONDecodeError):
        return f"{where} answers, but not as {name} does: is a path prefix missing?"
    return f"{name} at {where} cannot be reached: is the address right, and is it running?"


def _status(name: str, url: str, status: int) -> str:
    where = masked(url)
    if status in _UNAUTHORISED:
        return f"{name} at {where} does not let us in (HTTP {status}): put user and password into the URL"
    if status == _NOT_FOUND:
        return f"{where} has no API of {name} (HTTP 404): is a path prefix missing, such as /prometheus?"
    return f"{name} at {where} answered HTTP {status}"
