"""%serve, %log and %stop: servers in the background."""

import asyncio
import difflib
import time
from pathlib import Path

from course.kernel.errors import CellError
from course.kernel.magics.arguments import Given, Magic, Option, usage_error
from course.kernel.magics.background import RunningServer, start_server
from course.kernel.magics.cell import Cell, dim

DEFAULT_NAME = "server"


async def serve(cell: Cell, given: Given) -> None:
    """Starts a server in the background and waits until it listens.

    The server finds its port in the environment variable `PORT`; a free one, unless you name one with `--port`. When it listens, the
    variable `server` (or the name that you give with `--as`) holds `{ url, port, pid }`. A server of the same name is stopped first;
    under another name the same file can run twice. What the server writes goes to its log: see `%log`. It runs until you stop it
    with `%stop`, or the kernel ends.

    `%serve` alone lists the servers.

    ```text
    %serve demo/server.mjs --as slow --env DELAY=100 -- --trace-warnings
    ```

    Then, in another cell: `await (await fetch(slow.url)).text()`.
    """
    servers = cell.session.servers
    if not given.words:
        if given.values or given.rest:
            raise usage_error("%serve needs the file of a server, such as %serve server.mjs.")
        cell.write(_listed(list(servers.values())))
        return
    file, name = given.words[0], given.variable("--as") or DEFAULT_NAME
    _refuse_missing(cell.cwd, file)
    env = given.environment()
    wanted = given.whole("--port", 0, 1, 65535) or None
    if old := servers.pop(name, None):
        await old.stop()
    server = await start_server(cell, name, file, wanted, env, given.rest)
    servers[name] = server
    await cell.set(name, server.variable)
    cell.write(f"{file} listens on {server.url} (variable `{name}`, process {server.child.pid}).\n")


async def log(cell: Cell, given: Given) -> None:
    """Shows what a server has written since the last `%log`.

    Without a name it is the server that you started without a name, or the only one. `--lines 20` shows the last 20 lines of it.

    ```text
    %log slow --lines 20
    ```
    """
    lines = given.whole("--lines", 0, 1, 100_000) or None
    server = the_server(cell, given.word(0))
    text, lost = server.log.unread()
    if lines is not None:
        kept = text.splitlines(keepends=True)
        lost += sum(len(line.encode()) for line in kept[:-lines])
        text = "".join(kept[-lines:])
    if lost:
        cell.write(dim(f"… {lost:,} bytes before this are not shown\n"))
    cell.write(text if text else dim(f"{server.name} has written nothing since the last look.\n"))
    if text and not text.endswith("\n"):
        cell.write("\n")
    if server.ending:
        cell.write(dim(f"{server.name} {server.last_words()}.\n"))


async def stop(cell: Cell, given: Given) -> None:
    """Stops one server, or all of them.

    A server gets SIGTERM, the polite sign to end, and 2 seconds later SIGKILL. Its log can still be read with `%log`.

    ```text
    %stop slow
    ```
    """
    name = given.word(0)
    chosen = [the_server(cell, name)] if name else list(cell.session.servers.values())
    running = [server for server in chosen if server.ending is None]
    if not running:
        cell.write("No server is running.\n" if not name else f"{name} does not run: it {chosen[0].last_words()}.\n")
        return
    for server, line in zip(running, await asyncio.gather(*(_stopped(server) for server in running)), strict=True):
        cell.write(f"{server.name} {line}\n")


async def _stopped(server: RunningServer) -> str:
    began = time.monotonic()
    ending = await server.stop()
    took = f"{(time.monotonic() - began) * 1000:.0f} ms"
    if ending.signal == "SIGKILL":
        return "did not end within 2 s of SIGTERM and was killed."
    return f"ended by SIGTERM after {took}." if ending.signal else f"ended by itself {took} after SIGTERM, with exit code {ending.code}."


def the_server(cell: Cell, name: str | None) -> RunningServer:
    """The server of this name (or file); without one `server`, or the only one that runs. Raises CellError when there is none."""
    servers = cell.session.servers
    if name is None:
        running = [server for server in servers.values() if server.ending is None]
        if DEFAULT_NAME in servers or len(running) == 1:
            return servers.get(DEFAULT_NAME) or running[0]
        if len(servers) == 1:
            return next(iter(servers.values()))
        if not servers:
            raise CellError("ServerError", "There is no server yet. Start one with %serve server.mjs.")
        raise CellError("ServerError", f"Which server? There are {', '.join(sorted(servers))}.")
    found = servers.get(name) or next((server for server in servers.values() if server.file == name), None)
    if found is None:
        near = difflib.get_close_matches(name, servers, 1)
        there = f"There are {', '.join(sorted(servers))}." if servers else "Start one with %serve server.mjs."
        raise CellError("ServerError", f"There is no server {name}. {f'Did you mean {near[0]}?' if near else there}")
    return found


def _listed(servers: list[RunningServer]) -> str:
    if not servers:
        return "No server is running. Start one with %serve server.mjs.\n"
    rows = [
        (server.name, server.url if server.ending is None else "–", server.file, _state(server))
        for server in sorted(servers, key=lambda server: server.name)
    ]
    widths = [max(len(row[n]) for row in rows) for n in range(3)]
    return "".join(f"{a.ljust(widths[0])}  {b.ljust(widths[1])}  {c.ljust(widths[2])}  {d}\n" for a, b, c, d in rows)


def _state(server: RunningServer) -> str:
    if server.ending is not None:
        return server.last_words()
    seconds = int(time.monotonic() - server.began)
    return f"process {server.child.pid}, runs for {seconds // 60} min {seconds % 60} s"


def _refuse_missing(cwd: Path, file: str) -> None:
    path = cwd / file
    if path.is_file():
        return
    if path.is_dir():
        raise CellError("ServerError", f"{file} is a folder. Name the file of the server, such as {file.rstrip('/')}/server.mjs.")
    beside = [str(other.relative_to(cwd)) for pattern in ("*.[mc]js", "*.js", "*/*.[mc]js", "*/*.js") for other in cwd.glob(pattern)]
    near = difflib.get_close_matches(file, [name for name in beside if "node_modules" not in name], 1, 0.5)
    raise CellError("ServerError", f"There is no file {file}. " + (f"Did you mean {near[0]}?" if near else "Write it first, with %%file."))


SERVE = Magic(
    "%serve",
    serve,
    words=("[<file>]",),
    options=(Option("--as", "<name>"), Option("--port", "N"), Option("--env", "K=V", many=True)),
    rest="node flags",
)
LOG = Magic("%log", log, words=("[<name>]",), options=(Option("--lines", "N"),))
STOP = Magic("%stop", stop, words=("[<name>]",))
