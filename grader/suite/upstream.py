"""A scripted HTTP service that the learner's server may call, although it has no network: its fixture is `upstream`.

It listens on a unix socket in the box's folder; the supervisor forwards a loopback port to it. UPSTREAM_URL tells the program.
"""

import json
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11

REQUEST_BYTES_MAX = 4 * 1024 * 1024
CONNECTIONS_MAX = 600
IDLE_SECONDS = 60.0


@dataclass(frozen=True)
class Hit:
    """One request that the learner's server made."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    """time.monotonic() of its arrival."""


@dataclass
class Script:
    """What a path answers."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    delay: float = 0.0
    hang: bool = False
    reset: bool = False
    drip: float = 0.0
    times: int | None = None


class Upstream:
    """Thread-safe. Everything is forgotten before each check."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.unlink(missing_ok=True)  # of the submission before, in the same box
        self._listener.bind(str(path))
        path.chmod(0o666)  # the folder guards it
        self._listener.listen(512)
        self._lock = threading.Condition()
        self.forget()
        self._open = 0
        threading.Thread(target=self._accept, daemon=True).start()

    # ---- the script

    def forget(self) -> None:
        """Back to 404 for every path, no hits, no barrier. Hanging requests are let go."""
        with self._lock:
            self._scripts: dict[str, list[Script]] = {}
            self._hits: list[Hit] = []
            self._active: dict[str, int] = {}
            self._most: dict[str, int] = {}
            self._barrier = (0, 0.0)
            self._wave = 0
            self._epoch = getattr(self, "_epoch", 0) + 1
            self._lock.notify_all()

    def on(
        self,
        path: str,
        *,
        status: int = 200,
        json: Any = ...,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        delay: float = 0.0,
        hang: bool = False,
        reset: bool = False,
        drip: float = 0.0,
        times: int | None = None,
    ) -> None:
        """Scripts the answer of `path` (without its query; `/*` at the end matches all below; methods are not told apart).

        delay: seconds before the answer. hang: never answers. reset: closes without an answer. drip: seconds between single
        bytes of the body. times: only for so many requests, then the next script of the path holds, else the last one stays.
        """
        given = {"content-type": "application/json"} if json is not ... else {}
        data = _json_bytes(json) if json is not ... else body
        with self._lock:
            script = Script(status, {**given, **(headers or {})}, data, delay, hang, reset, drip, times)
            self._scripts.setdefault(path, []).append(script)

    def barrier(self, count: int, within: float = 0.3) -> None:
        """Holds answers until `count` requests wait at once or `within` seconds passed: exact concurrency without a race."""
        with self._lock:
            self._barrier = (count, within)

    # ---- what it saw

    def hits(self, path: str | None = None) -> list[Hit]:
        """Requests so far, in order of arrival; of one path (without query) when given."""
        with self._lock:
            return [hit for hit in self._hits if path is None or hit.path.split("?")[0] == path]

    def most_at_once(self, path: str | None = None) -> int:
        """The largest number of requests that were open at the same time."""
        with self._lock:
            return self._most.get(path or "", 0)

    def wait_for_hits(self, count: int, timeout: float, path: str | None = None) -> bool:
        """Polls until `count` requests have arrived; False when `timeout` seconds passed first."""
        deadline = time.monotonic() + timeout
        with self._lock:
            while len([h for h in self._hits if path is None or h.path.split("?")[0] == path]) < count:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._lock.wait(left)
        return True

    # ---- serving

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open += 1
                crowded = self._open > CONNECTIONS_MAX
            if crowded:
                self._close(connection)
            else:
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _close(self, connection: socket.socket) -> None:
        connection.close()
        with self._lock:
            self._open -= 1

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(IDLE_SECONDS)
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
        try:
            while self._one(connection, parser):
                parser.start_next_cycle()
        except (OSError, h11.ProtocolError):
            pass
        finally:
            self._close(connection)

    def _one(self, connection: socket.socket, parser: h11.Connection) -> bool:
        request: h11.Request | None = None
        body = bytearray()
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                parser.receive_data(connection.recv(65536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > REQUEST_BYTES_MAX:
                    return False
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert request is not None
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers}
        hit = Hit(request.method.decode("latin-1"), request.target.decode("latin-1"), headers, bytes(body), time.monotonic())
        script, epoch = self._begin(hit)
        try:
            return self._answer(connection, parser, script, epoch)
        finally:
            self._end(hit, epoch)

    def _begin(self, hit: Hit) -> tuple[Script, int]:
        path = hit.path.split("?")[0]
        with self._lock:
            self._hits.append(hit)
            for key in ("", path):
                self._active[key] = self._active.get(key, 0) + 1
                self._most[key] = max(self._most.get(key, 0), self._active[key])
            count, within = self._barrier
            if self._active[""] >= count:
                self._wave += 1  # all who wait may go, even if others are done and gone before they wake
            self._lock.notify_all()
            epoch, wave = self._epoch, self._wave
            deadline = time.monotonic() + within
            held = self._active[""] < count
            while held and epoch == self._epoch and wave == self._wave and (left := deadline - time.monotonic()) > 0:
                self._lock.wait(left)
            script = self._script_for(path) if epoch == self._epoch else Script(reset=True)  # a late one uses up nothing of the next check
            return script, epoch

    def _script_for(self, path: str) -> Script:
        candidates = [path] + [f"{path.rsplit('/', n)[0]}/*" for n in range(1, path.count("/") + 1)]
        scripts = next((self._scripts[c] for c in candidates if c in self._scripts), None)
        if not scripts:
            return Script(status=404, body=b'{"error":"not scripted"}', headers={"content-type": "application/json"})
        script = scripts[0]
        if script.times is not None:
            script.times -= 1
            if script.times <= 0 and len(scripts) > 1:
                scripts.pop(0)
        return script

    def _end(self, hit: Hit, epoch: int) -> None:
        with self._lock:
            if epoch == self._epoch:
                for key in ("", hit.path.split("?")[0]):
                    self._active[key] -= 1
                self._lock.notify_all()

    def _answer(self, connection: socket.socket, parser: h11.Connection, script: Script, epoch: int) -> bool:
        if script.delay or script.hang:
            deadline = time.monotonic() + (IDLE_SECONDS if script.hang else script.delay)
            with self._lock:
                while epoch == self._epoch and (left := deadline - time.monotonic()) > 0:
                    self._lock.wait(left)
            if script.hang:
                return False
        if script.reset:
            return False
        headers = [*script.headers.items(), ("content-length", str(len(script.body)))]
        connection.sendall(_bytes(parser.send(h11.Response(status_code=script.status, headers=headers))))
        step = 1 if script.drip else max(1, len(script.body))
        for at in range(0, len(script.body), step):
            connection.sendall(_bytes(parser.send(h11.Data(data=script.body[at : at + step]))))
            if script.drip:
                time.sleep(script.drip)
        connection.sendall(_bytes(parser.send(h11.EndOfMessage())))
        return parser.our_state is h11.DONE and parser.their_state is h11.DONE


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def _bytes(data: bytes | None) -> bytes:
    return data or b""
