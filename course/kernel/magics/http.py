"""%%http: a request written down as it goes over the wire, and the answer with what a browser does not show."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from course.kernel.errors import CellError
from course.kernel.magics.arguments import Given, Magic, Option, usage_error
from course.kernel.magics.background import HOSTS, RunningServer
from course.kernel.magics.cell import Cell, unless_interrupted
from course.kernel.magics.exchange import Exchange, exchange_value, show_exchange
from course.kernel.magics.servers import DEFAULT_NAME, the_server
from course.kernel.magics.wire import BODY_BYTES_MAX, NotHttp, TooLong

SECONDS = 10.0


@dataclass(frozen=True)
class Target:
    host: str
    port: int
    name: str
    """For sentences."""

    @property
    def authority(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


async def http(cell: Cell, given: Given) -> None:
    """Sends the request that you write below, and shows the answer: status line, headers, framing, body, and how long it took.

    First the request line, then a line for each header, an empty line, and the body. `Host` and `Content-Length` are added when they are
    missing. With the header `Transfer-Encoding: chunked` the body is sent as one chunk.

    - It goes to the server `server`, or to the one that `--to` names: a name from `%serve`, a port, or an address.
    - `--as r` leaves `r = { status, reason, headers, body, json, ms, firstByteMs, framing, error }`. `json` is the parsed body when its
      content-type is JSON, else null. When there is no (whole) answer, `error` says so, and the cell is no error.
      A body that is not UTF-8 is a text of one character for each byte: `Buffer.from(r.body, 'latin1')`.
    - `--seconds 5` waits at most 5 seconds for the whole answer (10 if you say nothing).
    - `--raw` sends exactly what you wrote, with the line ends of HTTP (CRLF): also what is wrong, and several requests at once.
      Do not forget the empty line at the end of a head.

    ```text
    %%http
    POST /echo HTTP/1.1
    Content-Type: application/json

    {"name": "José"}
    ```
    """
    seconds = given.number("--seconds", SECONDS, 0.1, 120)
    name, raw = given.variable("--as"), given.flag("--raw")
    if raw:
        target = find_target(cell, given.text("--to"))
        method, data, added = _raw_request(given.body)
    else:
        target, method, data, added = _request(cell, given)
    exchange = Exchange(method, raw)
    trouble = ""
    try:
        await unless_interrupted(cell, exchange.run(target.host, target.port, data), seconds)
    except TimeoutError:
        trouble = _why_silent(exchange, target, seconds, data)
    except NotHttp as error:
        trouble = f"The answer of {target.name} is not HTTP: {error}."
    except TooLong:
        trouble = f"The answer of {target.name} has a body of more than {BODY_BYTES_MAX // 1024 // 1024} MB; the rest was not read."
    except OSError as error:
        trouble = _no_connection(cell, target, error)
    finally:
        exchange.close()
    if not trouble and not exchange.answers:
        trouble = f"{target.name} closed the connection without an answer."
    for answer in exchange.interim + exchange.answers:
        trouble = trouble or answer.broken
    show_exchange(cell, exchange, added, trouble)
    if name:
        await cell.set(name, exchange_value(exchange, trouble))
    elif trouble:
        raise CellError("HttpError", trouble)


def find_target(cell: Cell, to: str | None) -> Target:
    """Where requests go. Raises CellError for a server that is not there (any more)."""
    if to is not None and to not in cell.session.servers:
        if re.fullmatch(r"[0-9]{1,5}", to) and 0 < int(to) < 65536:
            return Target(HOSTS[0], int(to), f"Port {to}")
        if "://" in to or re.fullmatch(r"\S+:[0-9]+", to):
            return _target_of_url(to)
    server = the_server(cell, to)
    if server.ending is not None:
        raise CellError("ServerError", _gone(server))
    return Target(server.host, server.port, server.name if server.name != DEFAULT_NAME else "Your server")


def _gone(server: RunningServer) -> str:
    return f"{server.name} does not run any more: it {server.last_words()}. Start it again with %serve {server.file}."


def _target_of_url(url: str) -> Target:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    else:
        if parts.scheme != "http":
            raise usage_error(f'This speaks plain HTTP, not "{parts.scheme}": http://127.0.0.1:3000.')
    if not host:
        raise usage_error(f'"{url}" is no address such as http://127.0.0.1:3000.')
    return Target(host, port, url)


# ---- the request


def _request(cell: Cell, given: Given) -> tuple[Target, str, bytes, list[str]]:
    """Where it goes (an address in the request line comes first), the method, all bytes, and the headers that were added."""
    head, _, body = given.body.lstrip("\n").partition("\n\n")
    lines = [line.rstrip() for line in head.rstrip().split("\n")]  # a head alone may end with the cell
    found = re.fullmatch(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]+(\S+)(?:[ \t]+(HTTP/\d\.\d))?", lines[0])
    if not found:
        raise usage_error(f'The first line of a request is like "GET /health HTTP/1.1", not "{lines[0][:80]}". (--raw sends anything.)')
    method, path, version = found[1], found[2], found[3] or "HTTP/1.1"
    target = _target_of_url(path) if "://" in path else None
    if target:
        path = re.sub(r"^[^:]+://[^/?#]*", "", path) or "/"
        path = path if path.startswith("/") else f"/{path}"
    elif not path.startswith("/") and path != "*" and method != "CONNECT":
        raise usage_error(f'The path of a request begins with "/": {method} /{path} HTTP/1.1')
    for line in lines[1:]:
        if not re.match(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:", line):
            what = "An empty line must stand between the headers and the body" if line[:1] in "{[<" else 'A header is like "Name: value"'
            raise usage_error(f'{what}; this is neither: "{line[:80]}". (--raw sends anything.)')
    target = target or find_target(cell, given.text("--to"))
    names = {line.partition(":")[0].lower() for line in lines[1:]}
    data = body.encode("utf-8", "surrogatepass")
    added = [] if "host" in names else [f"Host: {target.authority}"]
    chunked = any(re.match(r"transfer-encoding:.*\bchunked\s*$", line, re.IGNORECASE) for line in lines[1:])
    if chunked:
        data = (b"%x\r\n%s\r\n" % (len(data), data) if data else b"") + b"0\r\n\r\n"
    elif "content-length" not in names and (data or method in ("POST", "PUT", "PATCH")):
        added.append(f"Content-Length: {len(data)}")
    whole = "\r\n".join([f"{method} {path} {version}", *added, *lines[1:]]) + "\r\n\r\n"
    return target, method, whole.encode("utf-8", "surrogatepass") + data, added


def _raw_request(text: str) -> tuple[str, bytes, list[str]]:
    """As it stands there. A line of a head ends with CRLF, also the last one; to a body nothing is added."""
    lines = text.split("\n")
    whole = "\r\n".join(lines)
    if "" not in lines[:-1]:
        whole += "\r\n"
    return text.lstrip("\n").split(" ")[0], whole.encode("utf-8", "surrogatepass"), []


# ---- why there is no answer


def _why_silent(exchange: Exchange, target: Target, seconds: float, data: bytes) -> str:
    if exchange.connected is None:
        return f"{target.name} did not take the connection within {seconds:g} s."
    if exchange.began:
        return f"The answer of {target.name} was not complete within {seconds:g} s."
    advice = "Is every path through its code answering?"
    if b"\r\n\r\n" not in data:
        advice = "The request has no empty line at the end of its head, so the server waits for more headers."
    return f"{target.name} did not answer within {seconds:g} s. {advice}"


def _no_connection(cell: Cell, target: Target, error: OSError) -> str:
    server = next((s for s in cell.session.servers.values() if s.port == target.port and s.ending is not None), None)
    if server:
        return _gone(server)
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return f"{target.name} does not accept connections: nobody listens on {target.authority}."
    return f"{target.name} cannot be reached: {error.strerror or error}."


HTTP = Magic(
    "%%http",
    http,
    options=(Option("--to", "<name>"), Option("--as", "<name>"), Option("--seconds", "N"), Option("--raw")),
)
