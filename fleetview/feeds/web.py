"""One HTTP exchange with a server that may be dead, hanging, endless or somebody else. Blocking: runs in a lane's thread.

requests has no bound on the bytes of an answer nor on its whole time, follows redirects into login pages, and takes
passwords from a netrc file that nobody thought of. All four are mended here, for both Prometheus and Alertmanager.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from fleetview.core.servers import Health, Seen, Service, Verdict, judge, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests

    from fleetview.access import Access

MAX_BYTES = 64 * 2**20
"""Of one answer: twenty thousand series of a whole screen's width."""
CONNECT_TIMEOUT_S = 3.0
TOKEN_KEPT_S = 300.0
"""How long the token of a command is used before the command runs again."""
MAX_TOKEN_BYTES = 65_536
_CHUNK_BYTES = 65_536
_UNAUTHORISED = 401


class AskError(Exception):
    """A question that got no answer; `verdict` says why, in words that name no secret."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.words)


class Reply(NamedTuple):
    """An HTTP answer, read to its end. Has what prometheus-api-client 0.7.2 looks at: `status_code`, `content`, `json()`."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes
    body: Any
    """The JSON; None when it is none."""
    is_json: bool
    took_s: float

    def json(self) -> Any:  # noqa: ANN401 (whatever the server sent)
        """The body, parsed once."""
        return self.body


class Web:
    """The way to one server. Threads share it."""

    def __init__(self, access: Access, service: Service, *, max_bytes: int = MAX_BYTES) -> None:
        """Raises TlsFileError for a file that cannot be used."""
        if any((access.files.cafile, access.files.cert, access.files.key)):
            access.files.context()
        self.access = access
        self.service = service
        self.where = access.url
        self._max_bytes = max_bytes
        self._session: requests.Session | None = None
        self._lock = threading.Lock()
        self._token: tuple[str, float] | None = None

    def get(self, path: str, *, within_s: float, params: Mapping[str, Any] | None = None) -> Reply:
        """The JSON below the URL. Raises AskError for everything else."""
        return self.accepted(self.exchange("GET", self.where + path, params=params, within_s=within_s))

    def send(self, method: str, path: str, *, within_s: float, body: object = None) -> Reply:
        """Likewise for what changes something; an empty answer is one too."""
        reply = self.exchange(method, self.where + path, json_body=body, within_s=within_s)
        return reply if reply.status_code in {200, 202, 204} and not reply.content else self.accepted(reply)

    def accepted(self, reply: Reply) -> Reply:
        """The reply, if it is an answer of this service. Raises AskError."""
        said, kind = None, None
        if isinstance(reply.body, dict):
            said = reply.body.get("error") or reply.body.get("message")
            kind = reply.body.get("errorType")
        elif reply.is_json and isinstance(reply.body, str):
            said = reply.body  # Alertmanager's way
        elif not reply.is_json and "html" not in reply.headers.get("content-type", ""):
            said = reply.content[:1000].decode(errors="replace").strip() or None
        seen = Seen(
            reply.status_code,
            reply.headers,
            reply.content,
            None if said is None else str(said),
            None if kind is None else str(kind),
            reply.is_json,
        )
        verdict = judge(seen, self.service, self.where)
        if verdict is not None:
            raise AskError(verdict)
        return reply

    def exchange(
        self,
        method: str,
        url: str,
        *,
        within_s: float,
        params: Mapping[str, Any] | None = None,
        json_body: object = None,
    ) -> Reply:
        """Whatever the server answers within the time. Raises AskError when nothing whole came."""
        import requests  # noqa: PLC0415 (0.1 s that those without such a server do not pay; in a thread)

        began = monotonic()
        deadline = began + within_s
        try:
            reply = self._once(method, url, params, json_body, deadline)
            if reply.status_code == _UNAUTHORISED and self.access.token_command and self._token is not None:
                self._token = None  # it ran out
                reply = self._once(method, url, params, json_body, deadline)
        except requests.Timeout as err:
            raise AskError(self._silent(within_s, connecting=isinstance(err, requests.ConnectTimeout))) from None
        except (requests.RequestException, OSError, ValueError) as err:
            if monotonic() >= deadline:
                raise AskError(self._silent(within_s, connecting=False)) from None
            raise AskError(self._failure(err)) from None
        return reply._replace(took_s=monotonic() - began)

    def _once(self, method: str, url: str, params: Mapping[str, Any] | None, json_body: object, deadline: float) -> Reply:
        left_s = max(0.05, deadline - monotonic())
        session = self._opened()
        headers = self._letting_in(deadline)
        with session.request(
            method,
            url,
            params=params,
            json=json_body,
            headers=headers,
            verify=session.verify,  # or REQUESTS_CA_BUNDLE would win over the session's (requests 2.34)
            timeout=(min(CONNECT_TIMEOUT_S, left_s), left_s),
            allow_redirects=False,
            stream=True,
        ) as response:
            content = self._read(response, deadline)
            return Reply(response.status_code, response.headers, content, *_parsed(content), took_s=0.0)

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        import requests  # noqa: PLC0415

        content = bytearray()
        for chunk in response.iter_content(_CHUNK_BYTES):
            content += chunk
            if len(content) > self._max_bytes:
                words = f"{self.where} answers with more than {self._max_bytes >> 20} MiB: narrow the query down"
                raise AskError(Verdict(None, words))
            if monotonic() > deadline:  # a byte now and then never runs into the timeout of a read
                raise requests.ReadTimeout
        return bytes(content)

    def _opened(self) -> requests.Session:
        import requests  # noqa: PLC0415
        from requests.adapters import HTTPAdapter  # noqa: PLC0415
        from urllib3.util.retry import Retry  # noqa: PLC0415

        with self._lock:
            if self._session is None:
                session, files = requests.Session(), self.access.files
                adapter = HTTPAdapter(max_retries=Retry(total=0, read=False))  # retrying is ours
                session.mount("http://", adapter)
                session.mount("https://", adapter)
                session.verify = True if files.cafile is None else str(files.cafile)
                if files.cert is not None:
                    session.cert = str(files.cert) if files.key is None else (str(files.cert), str(files.key))
                session.headers["Accept"] = "application/json"
                session.headers.update(self.access.headers)
                session.auth = _as_it_is  # or requests would send the password of a netrc file
                self._session = session
            return self._session

    def _letting_in(self, deadline: float) -> dict[str, str]:
        access = self.access
        if access.user is not None:
            from requests.auth import _basic_auth_str  # noqa: PLC0415

            password = access.password or ""
            if access.password_file is not None:
                password = access.password_file.read_text(encoding="utf-8").rstrip("\r\n")
            return {"Authorization": _basic_auth_str(access.user.encode(), password.encode())}
        token = access.token
        if access.token_file is not None:
            token = access.token_file.read_text(encoding="utf-8").strip()
        elif access.token_command is not None:
            token = self._from_command(access.token_command, deadline)
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    def _from_command(self, command: str, deadline: float) -> str:
        with self._lock:
            if self._token is not None and monotonic() - self._token[1] < TOKEN_KEPT_S:
                return self._token[0]
            program = shlex.split(command)
            try:
                done = subprocess.run(  # noqa: S603 (the user's own configuration names it; no shell)
                    program,
                    capture_output=True,
                    check=False,
                    timeout=max(0.05, deadline - monotonic()),
                    stdin=subprocess.DEVNULL,
                )
            except subprocess.TimeoutExpired:
                raise AskError(Verdict(Health.REFUSED, f"token_command ({program[0]}) did not end in time")) from None
            except (OSError, IndexError) as err:
                words = f"token_command cannot be run: {getattr(err, 'strerror', None) or 'it names no program'}"
                raise AskError(Verdict(Health.REFUSED, words)) from None
            token = done.stdout[:MAX_TOKEN_BYTES].decode(errors="replace").strip()
            if done.returncode or not token:
                complaint = told(done.stderr[:1000].decode(errors="replace")) or "without a word"
                words = f"token_command ({program[0]}) ended with {done.returncode} and no token: {complaint}"
                raise AskError(Verdict(Health.REFUSED, words))
            self._token = token, monotonic()
            return token

    def _silent(self, within_s: float, *, connecting: bool) -> Verdict:
        what = "takes no connection" if connecting else "did not answer"
        return Verdict(Health.UNREACHABLE, f"{self.service.name} at {self.where} {what} within {round(within_s, 1):g} s")

    def _failure(self, err: Exception) -> Verdict:
        import requests  # noqa: PLC0415

        name, where = self.service.name, self.where
        if isinstance(err, requests.exceptions.SSLError):
            return Verdict(Health.REFUSED, _tls_words(str(err), name, where, shown=self.access.files.cert is not None))
        if isinstance(err, requests.exceptions.InvalidHeader | UnicodeError):
            return Verdict(Health.REFUSED, "the token, password or a header holds characters that HTTP cannot carry")
        if isinstance(err, requests.RequestException):
            refused = "refused" in str(err)
            lost = any(part in str(err) for part in ("reset", "aborted", "IncompleteRead", "broken", "without response"))
            what = (
                "cannot be reached: nothing listens there"
                if refused
                else "broke the connection off"
                if lost
                else "cannot be reached: is the address right, and is it running?"
            )
            return Verdict(Health.UNREACHABLE, f"{name} at {where} {what}", again=lost)
        if isinstance(err, OSError) and err.filename:
            return Verdict(Health.REFUSED, f"{err.filename} cannot be read: {err.strerror}")
        return Verdict(Health.UNREACHABLE, f"{name} at {where} cannot be asked: {told(type(err).__name__)}")

    def close(self) -> None:
        """Gives the connections back."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _parsed(content: bytes) -> tuple[Any, bool]:
    try:
        return json.loads(content), True
    except (ValueError, RecursionError):
        return None, False


def _tls_words(text: str, name: str, where: str, *, shown: bool) -> str:
    text = text.lower()
    if not shown and any(part in text for part in ("certificate required", "alert bad certificate", "alert handshake")):
        return f"{name} at {where}: it asks for a client certificate: name it as cert and key"
    for part, words in _TLS_WORDS:
        if part in text:
            return f"{name} at {where}: {words}"
    return f"{name} at {where}: the TLS connection did not come about ({told(text[-120:])})"


_TLS_WORDS = (
    ("certificate has expired", "its certificate has expired"),
    ("self-signed", "its certificate is not accepted here: name its authority as cafile"),
    ("unable to get local issuer", "its certificate is not accepted here: name its authority as cafile"),
    ("hostname mismatch", "its certificate is for another name"),
    ("ip address mismatch", "its certificate is for another name"),
    ("not valid for", "its certificate is for another name"),
    ("doesn't match", "its certificate is for another name"),
    ("unknown ca", "it does not accept our certificate"),
    ("bad certificate", "it does not accept our certificate"),
    ("wrong version number", "it does not speak TLS: write http://"),
    ("record layer failure", "it does not speak TLS: write http://"),
    ("http_request", "it does not speak TLS: write http://"),
)


class Recording:
    """What prometheus-api-client 0.7.2 takes for its session: it has the Web do the work, and keeps the reply.

    The library hands back only `data.result`; warnings, `isPartial` and the type of the result stand beside it.
    """

    verify = cert = None

    def __init__(self, web: Web, within_s: float) -> None:
        self._web = web
        self._within_s = within_s
        self.reply: Reply | None = None

    def mount(self, prefix: str, adapter: object) -> None:
        """Not taken: the library would put a new connection pool there for each client."""

    def request(self, *, method: str, url: str, params: Mapping[str, Any], **_: object) -> Reply:
        """One exchange, judged before the library looks at it."""
        self.reply = self._web.accepted(self._web.exchange(method, url, params=params, within_s=self._within_s))
        return self.reply
