"""The notebook kernel beside plain Node: what a flood of output costs."""

import subprocess
import tempfile
import time
from pathlib import Path

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from grader.bench.run import Figure, Part, Series, Tick, alternating, compared
from grader.settings import Settings

FLOOD = "for (let i = 0; i < 200_000; i++) console.log('line ' + i)"
CELL_SECONDS = 120.0


def kernel_flood(settings: Settings, rounds: int, tick: Tick) -> Part:
    """200,000 console.log lines in a cell, to its end, against the same loop in plain Node with its output read from a pipe."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "flood.mjs"
        program.write_text(FLOOD)
        manager, client = start_new_kernel(kernel_name="looplab-node", cwd=folder)
        try:

            def cell() -> None:
                reply = client.execute_interactive(FLOOD, timeout=CELL_SECONDS, output_hook=lambda message: None)
                if reply["content"]["status"] != "ok":
                    raise RuntimeError(f"the cell failed: {reply['content']}")

            def plain() -> None:
                subprocess.run([settings.node, program], stdout=subprocess.PIPE, check=True)

            flood = alternating(rounds, cell, plain, tick=tick)
            stopped = [_interrupt(manager, client) for _ in range(rounds)]
            tick("")
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    part = compared("kernel", "200,000 lines in a cell", flood, "plain Node into a pipe", "s", "ratio at most 3")
    part.figures.append(Figure("kernel", "Stop in an endless loop, the slowest", max(stopped), 0.5, "the goal", "s", "at most 0.5 s"))
    part.series.append(Series("kernel", "Stop in an endless loop", "ours", "s", tuple(stopped), "the goal"))
    part.series.append(Series("kernel", "Stop in an endless loop", "the goal", "s", (0.5,)))
    return part


def _interrupt(manager: KernelManager, client: BlockingKernelClient) -> float:
    """Seconds from Stop to the end of the cell."""
    request = client.execute("console.log('go'); while (true) {}")
    pressed = 0.0
    while True:
        message = client.get_iopub_msg(timeout=CELL_SECONDS)
        if message["parent_header"].get("msg_id") != request:
            continue
        if message["msg_type"] == "stream" and "go" in message["content"]["text"]:
            pressed = time.monotonic()
            manager.interrupt_kernel()
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            break
    took = time.monotonic() - pressed
    client.get_shell_msg(timeout=CELL_SECONDS)
    return took
