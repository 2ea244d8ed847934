"""The Jupyter side: messages come in, cells are run by a Node process or by a magic, and what they show goes out."""

import asyncio
import contextlib
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import zmq
from ipykernel.kernelbase import Kernel
from jupyter_client.session import Session as Wire

from course.kernel import magics
from course.kernel.cell import Message, RunningCell
from course.kernel.errors import CellError, code_frame, red_first
from course.kernel.node import Frame, NodeProcess, first_of
from course.kernel.text import clean, clean_json, truncation
from grader.errors import SettingsError
from grader.settings import read_settings

REMEMBERED = 200
"""Cells whose late output still finds its place, and whose source an error can still show."""
FRESH = "Its variables are lost; the next cell gets a fresh process."


class NodeKernel(Kernel):
    """One for each notebook that is open."""

    implementation = "looplab-node"
    implementation_version = "1"
    banner = "Node.js, from Looplab. %magics lists what a cell can do beside JavaScript."
    language_info = {  # noqa: RUF012
        "name": "javascript",
        "version": "24",
        "mimetype": "text/javascript",
        "file_extension": ".js",
        "codemirror_mode": "javascript",
        "pygments_lexer": "javascript",
        "nbconvert_exporter": "script",
    }
    help_links = [  # noqa: RUF012
        {"text": "Node.js", "url": "https://nodejs.org/docs/latest-v24.x/api/"},
        {"text": "JavaScript", "url": "https://developer.mozilla.org/docs/Web/JavaScript"},
    ]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self._node: NodeProcess | None = None
        self._cells: OrderedDict[int, RunningCell] = OrderedDict()
        self._history: list[tuple[int, int, str]] = []
        self._magics = magics.Session()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.interrupted = asyncio.Event()
        self.shell_handlers |= {"comm_open": self._refuse_comm, "comm_msg": self._pass_over, "comm_close": self._pass_over}

    # ---- running cells

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, str] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: Any = None,
        cell_id: str | None = None,
    ) -> Message:
        self._loop = asyncio.get_running_loop()
        self.interrupted = asyncio.Event()
        if store_history and code.strip():
            self._history.append((0, self.execution_count, code))
        parent: Message = self.get_parent()  # type: ignore[no-untyped-call]
        cell = self._remember(RunningCell(self, code, parent, silent, allow_stdin))
        try:
            bundle = await (magics.run_magic(cell, code) if magics.is_magic(code) else self._evaluate(cell))
            cell.settle()
            if bundle and not silent:
                content = {"execution_count": self.execution_count, "data": clean_json(bundle), "metadata": {}}
                self.publish(cell, "execute_result", content)
            return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}
        except CellError as error:
            failure = error
        except SettingsError as error:
            failure = CellError("SettingsError", str(error))
        except OSError as error:
            failure = CellError("FileError", _os_sentence(error))
        cell.settle()
        lines = failure.lines or [f"\x1b[31m{failure.name}\x1b[0m: {failure.value}"]
        content = {"ename": failure.name, "evalue": clean(failure.value), "traceback": [clean(line) for line in lines]}
        if not silent:
            self.publish(cell, "error", content)
        return {"status": "error", "execution_count": self.execution_count, **content}

    def _remember(self, cell: "RunningCell") -> "RunningCell":
        number = next(reversed(self._cells), 0) + 1
        cell.number = number
        self._cells[number] = cell
        if len(self._cells) > REMEMBERED:
            self._cells.popitem(last=False)
        return cell

    async def _evaluate(self, cell: "RunningCell") -> Message | None:
        if not cell.code.strip():
            return None
        node = await self.node()
        running = node.send("run", cell=cell.number, code=cell.code, url=cell.url)
        stop = asyncio.ensure_future(self.interrupted.wait())
        try:
            await first_of(running, stop, node.ended)
        finally:
            stop.cancel()
        if not running.done() and self.interrupted.is_set() and node.alive:
            await self._interrupt(node, running)
        if not running.done():
            raise CellError("NodeEnded", f"{node.ended.result()} {FRESH}")
        node.drain()
        reply = running.result()
        if problem := reply.get("problem"):
            raise CellError(problem["name"], problem["message"], self._lines(problem))
        data: Message | None = reply["data"]
        return data

    async def _interrupt(self, node: NodeProcess, running: "asyncio.Future[Frame]") -> None:
        how = await node.interrupt(running)
        if how == "idle":
            raise CellError("Interrupted", "The cell was waiting. What it has started goes on in the background; %reset ends it.")
        if how == "ended":
            raise CellError("Interrupted", "The running JavaScript was ended. All variables are as it left them.")
        raise CellError("Interrupted", f"Node was stuck outside of JavaScript, so its process was ended. {FRESH}")

    async def node(self) -> NodeProcess:
        """The running process, or a fresh one."""
        if self._node is None or not self._node.alive:
            settings = read_settings()
            self._node = NodeProcess(settings.node, Path.cwd(), self)
            await self._node.start()
        return self._node

    def reset(self) -> None:
        """The next cell gets a fresh process."""
        if self._node:
            self._node.kill()
            self._node = None

    def _lines(self, problem: Message) -> list[str]:
        at = problem["at"]
        cell = next((one for one in self._cells.values() if at and one.url == at["file"]), None)
        return [*code_frame(at, cell.code if cell else None), *red_first(problem["lines"])] if at else red_first(problem["lines"])

    # ---- what the process says

    def on_frame(self, frame: Frame) -> None:
        """Shows it below the cell that it belongs to, however late."""
        cell = self._cells.get(frame.get("cell") or 0) or next(reversed(self._cells.values()), None)
        if cell is None:
            return
        if "text" in frame:
            cell.stream(frame["stream"], clean(frame["text"]))
        elif "truncated" in frame:
            cell.stream("stdout", truncation(frame["truncated"]["lines"], frame["truncated"]["characters"]))
        elif "display" in frame:
            cell.display(frame["display"]["data"], frame["display"]["metadata"])
        elif "plot" in frame:
            try:
                cell.plot(frame["plot"])
            except CellError as error:
                cell.stream("stderr", f"{error}\n")
        elif "compare" in frame:
            magics.show_comparison(cell, frame["compare"]["name"], frame["compare"]["actual"])
        elif "ask" in frame:
            task = asyncio.ensure_future(self._ask_person(cell, frame["ask"]))
            cell.tasks.add(task)
            task.add_done_callback(cell.tasks.discard)

    def on_raw(self, stream: str, text: str) -> None:
        """What children of the process write belongs to the latest cell: nobody can tell whose it is."""
        if self._cells:
            next(reversed(self._cells.values())).write(text, "stderr" if stream == "stderr" else "stdout")

    def on_end(self, reason: str) -> None:
        cell = next(reversed(self._cells.values()), None)
        if cell and cell.settled:  # else the cell itself says it
            cell.stream("stderr", f"{reason} {FRESH}\n")

    async def _ask_person(self, cell: "RunningCell", ask: Message) -> None:
        text = await self.ask_person(cell, ask["prompt"], bool(ask["hidden"])) if cell.allow_stdin else None
        if self._node and self._node.alive:
            self._node.tell("input", answer=ask["id"], text=text)

    async def ask_person(self, cell: "RunningCell", prompt: str, hidden: bool) -> str | None:
        """What was typed, or None when the cell was interrupted first. Polls: ipykernel's own way would block the loop."""
        while self.stdin_socket.poll(0):
            self.stdin_socket.recv_multipart(zmq.NOBLOCK)  # answers to questions of the past
        ident = self._get_shell_context_var(self._shell_parent_ident)
        self._wire.send(self.stdin_socket, "input_request", {"prompt": clean(prompt), "password": hidden}, cell.parent, ident=ident)
        while not self.interrupted.is_set():
            if self.stdin_socket.poll(0):
                _, reply = self._wire.recv(self.stdin_socket)
                return str(reply["content"].get("value", "")) if reply else ""
            await asyncio.sleep(0.02)
        return None

    @property
    def _wire(self) -> Wire:
        assert self.session is not None
        return self.session

    def publish(self, cell: "RunningCell", kind: str, content: Message) -> None:
        ident = self._topic(kind)  # type: ignore[no-untyped-call]
        self._wire.send(self.iopub_socket, kind, content, parent=cell.parent, ident=ident)

    # ---- interrupt and end

    async def interrupt_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Comes on the control channel's thread, since the kernelspec asks for messages instead of signals."""
        if self._loop:
            self._loop.call_soon_threadsafe(self.interrupted.set)  # of the cell that runs now, not of one that begins before it is called
        self._wire.send(stream, "interrupt_reply", {"status": "ok"}, parent, ident=ident)

    async def do_shutdown(self, restart: bool) -> Message:
        if self._loop and self._loop.is_running():
            done = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.wrap_future(done), 5)
        return {"status": "ok", "restart": restart}

    async def _end(self) -> None:
        self.interrupted.set()
        self.reset()
        await self._magics.close()

    async def _refuse_comm(self, stream: Any, ident: Any, parent: Any) -> None:
        """JupyterLab offers channels for widgets; there are none here, and the protocol wants that said by closing them."""
        content = {"comm_id": parent["content"].get("comm_id"), "data": {}}
        self._wire.send(self.iopub_socket, "comm_close", content, parent=parent)

    async def _pass_over(self, stream: Any, ident: Any, parent: Any) -> None:
        """A message on a channel that was refused."""

    # ---- completion, inspection, history

    async def do_complete(self, code: str, cursor_pos: int) -> Message:
        reply: Message = {"status": "ok", "matches": [], "cursor_start": cursor_pos, "cursor_end": cursor_pos, "metadata": {}}
        before = code[:cursor_pos]
        if magics.is_magic(code) and ("\n" not in before or not code.lstrip().startswith("%%")):
            word = re.search(r"\S*$", before)
            assert word
            settings = None
            with contextlib.suppress(SettingsError):
                settings = read_settings()
            return {**reply, "matches": magics.complete_magic(before, settings, Path.cwd(), self._magics), "cursor_start": word.start()}
        node = await self.node()
        found = await node.ask("complete", code=code, position=_units(before))
        if not found:
            return reply
        typed = found["end"] - found["start"]
        return {**reply, "matches": found["matches"], "cursor_start": cursor_pos - typed}

    async def do_inspect(self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: Any = ()) -> Message:
        reply: Message = {"status": "ok", "found": False, "data": {}, "metadata": {}}
        name = re.match(r"%{1,2}(\w+)", code)
        if name and cursor_pos <= name.end():
            with contextlib.suppress(CellError):
                return {**reply, "found": True, "data": _both(magics.help_of(name[1]))}
        node = await self.node()
        found = await node.ask("inspect", code=code, position=_units(code[:cursor_pos]))
        if not found or not found["found"]:
            return reply
        first, _, rest = clean(found["found"]).partition("\n")
        markdown = f"```js\n{first}\n```\n" + (f"```\n{rest}\n```\n" if rest else "")
        return {**reply, "found": True, "data": {"text/plain": f"{first}\n{rest}".strip(), "text/markdown": markdown}}

    async def do_is_complete(self, code: str) -> Message:
        if magics.is_magic(code):
            return {"status": "complete" if not code.startswith("%%") or code.endswith("\n") else "incomplete", "indent": ""}
        node = await self.node()
        found = await node.ask("completeness", code=code)
        return {"status": "unknown"} if not found else {key: found[key] for key in ("status", "indent") if key in found}

    async def do_history(
        self,
        hist_access_type: str,
        output: bool,
        raw: bool,
        session: int | None = None,
        start: int | None = None,
        stop: int | None = None,
        n: int | None = None,
        pattern: str | None = None,
        unique: bool = False,
    ) -> Message:
        """Of this kernel's life; session is always 0."""
        found = self._history
        if hist_access_type == "range":
            found = [one for one in found if (start or 0) <= one[1] < (stop if stop is not None else 1 << 62)]
        elif hist_access_type == "search":
            expression = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern or "*")
            found = [one for one in found if re.fullmatch(expression, one[2], re.DOTALL)]
            if unique:
                found = list({one[2]: one for one in found}.values())
        if hist_access_type in ("tail", "search") and n is not None:
            found = found[-n:] if n else []
        return {"status": "ok", "history": [(s, line, (text, None)) for s, line, text in found] if output else found}


def _units(text: str) -> int:
    """JavaScript counts in UTF-16 units, Jupyter in code points."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _both(markdown: str) -> Message:
    return {"text/plain": markdown, "text/markdown": markdown}


def _os_sentence(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    advice = " Free some space and run the cell again; nothing of the notebook is lost." if error.errno == 28 else ""
    return f"{where}{error.strerror or error}.{advice}"
