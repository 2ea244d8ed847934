"""%load: many requests, and how long each took."""

import json
import math
import re
from html import escape
from pathlib import Path
from typing import Any

from course.kernel.errors import CellError
from course.kernel.magics.arguments import Given, Magic, Option, usage_error
from course.kernel.magics.cell import Cell
from course.kernel.magics.http import find_target
from course.kernel.magics.processes import node_environment, run_program
from grader.formats.html import DIM

GENERATOR = Path(__file__).with_name("load.mjs")
SECONDS = 60.0
POINTS_MAX = 400
BODY_CHARACTERS_MAX = 100_000
"""Linux hands over at most 128 kB in one argument."""
OUTPUT_CHARACTERS_MAX = 16 * 1024 * 1024
SHARES = (50, 95, 99)


async def load(cell: Cell, given: Given) -> None:
    """Sends many requests to one path, and draws how long they took.

    10 connections at a time send 200 requests in all; each sends its next request when its answer is complete. The plot shows, for each
    time, which share of the requests was answered by then. The load runs in a process of its own.

    - It goes to the server `server`, or to the one that `--to` names: a name from `%serve`, a port, or an address.
    - `--requests 1000`, `--connections 50`: more of both (at most 100,000 and 500).
    - `--method POST --body '{"n": 1}' --header 'content-type: application/json'`: other requests; `--header` may stand there several times.
    - `--as l` leaves `l = { requests, errors, statuses, seconds, perSecond, p50, p95, p99, max, latencies }`, times in ms.

    ```text
    %load /work?n=30 --requests 500 --connections 20 --as busy
    ```
    """
    path, name = given.words[0], given.variable("--as")
    if not path.startswith("/"):
        raise usage_error(f'The path begins with "/": %load /{path}. The server is named by --to.')
    body = given.text("--body")
    if body is not None and len(body) > BODY_CHARACTERS_MAX:
        raise usage_error(f"--body takes at most {BODY_CHARACTERS_MAX:,} characters.")
    plan: dict[str, Any] = {
        "requests": given.whole("--requests", 200, 1, 100_000),
        "connections": given.whole("--connections", 10, 1, 500),
        "method": (given.text("--method") or ("GET" if body is None else "POST")).upper(),
        "headers": _headers(given.texts("--header")),
        "body": body,
        "seconds": SECONDS,
    }
    plan["url"] = f"http://{find_target(cell, given.text('--to')).authority}{path}"
    told = await _run(cell, plan)
    result = _result(told)
    _show(cell, plan, told, result)
    if name:
        await cell.set(name, result)


def _headers(texts: list[str]) -> dict[str, str]:
    headers = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name.strip()):
            raise usage_error(f"--header takes 'name: value', such as --header 'accept: text/plain', not '{text}'.")
        headers[name.strip().lower()] = value.strip()
    return headers


async def _run(cell: Cell, plan: dict[str, Any]) -> dict[str, Any]:
    out: list[str] = []
    err: list[str] = []
    command: list[str | Path] = [cell.settings.node, GENERATOR, json.dumps(plan)]
    env = node_environment(cell.settings, {})
    ending, overtime = await run_program(cell, command, env=env, seconds=SECONDS + 10, stdout=out.append, stderr=err.append)
    try:
        told: dict[str, Any] = json.loads("".join(out)[:OUTPUT_CHARACTERS_MAX])
    except ValueError:
        words = "did not end" if overtime else ending.words()
        trouble = re.search(r"^\w*(?:Error|TypeError)\b.*$", "".join(err), re.MULTILINE)
        raise CellError("LoadError", f"The load {words}{f': {trouble[0]}' if trouble else '.'}") from None
    return told


def _result(told: dict[str, Any]) -> dict[str, Any]:
    latencies = told["latencies"]
    ordered = sorted(latencies)
    return {
        "requests": told["sent"],
        "errors": told["sent"] - len(latencies),
        "statuses": told["statuses"],
        "seconds": round(told["seconds"], 3),
        "perSecond": round(len(latencies) / told["seconds"], 1),
        **{f"p{share}": percentile(ordered, share) for share in SHARES},
        "max": ordered[-1] if ordered else None,
        "latencies": latencies,
    }


def percentile(ordered: list[float], share: int) -> float | None:
    """Nearest rank: the smallest value that at least `share` percent of the values do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)] if ordered else None


# ---- what is shown


def _show(cell: Cell, plan: dict[str, Any], told: dict[str, Any], result: dict[str, Any]) -> None:
    lines = _summary(plan, told, result)
    times = [("half", result["p50"]), ("95 %", result["p95"]), ("99 %", result["p99"]), ("all", result["max"])]
    if not told["latencies"]:
        times = []
    table = ["", "answered within (ms)", "".join(f"{name:>10}" for name, _ in times), "".join(f"{value:>10.1f}" for _, value in times)]
    cell.display({"text/plain": "\n".join([*lines, *(table if times else [])]), "text/html": _html(lines, times)})
    if times:
        cell.plot(latency_plot(told["latencies"], f"{plan['method']} {plan['url']}"))


def _summary(plan: dict[str, Any], told: dict[str, Any], result: dict[str, Any]) -> list[str]:
    statuses = " · ".join(f"{count:,} × status {status}" for status, count in sorted(told["statuses"].items())) or "no answers"
    unfinished = result["errors"] - told["errors"]
    reasons = [f"{count:,} × {reason}" for reason, count in sorted(told["failures"].items())]
    reasons += [f"{unfinished:,} × no answer in time"] if unfinished else []
    errors = f"{result['errors']:,} errors ({', '.join(reasons)})" if result["errors"] else "no errors"
    pace = f"in {result['seconds']:.2f} s: {result['perSecond']:,g} answers per second"
    lines = [f"{result['requests']:,} requests over {plan['connections']} connections {pace}", f"{statuses} · {errors}"]
    if result["requests"] < plan["requests"]:
        lines.append(f"It was ended after {SECONDS:g} s; {plan['requests'] - result['requests']:,} requests were not sent.")
    return lines


def _html(lines: list[str], times: list[tuple[str, float]]) -> str:
    text = "".join(f"<div>{escape(line)}</div>" for line in lines)
    cells = "".join(
        f'<div><div style="font-size:.85em;{DIM}">{escape(name)} within</div><div style="font-size:1.15em">{value:.1f} ms</div></div>'
        for name, value in times
    )
    return f'{text}<div style="display:flex;gap:2.5em;margin:.5em 0">{cells}</div>'


def latency_plot(latencies: list[float], subtitle: str) -> dict[str, Any]:
    """The share of requests that was answered within each time: a cumulative distribution, with half, 95 % and 99 % marked."""
    ordered = sorted(latencies)
    count = len(ordered)
    step = max(1, count // POINTS_MAX)
    # The slowest hundredth is drawn in full: it is what this plot is for.
    slowest = range(int(count * 0.99), count, max(1, count // 100 // POINTS_MAX))
    ranks = sorted({*range(0, count, step), *slowest, count - 1})
    points = [{"ms": 0, "share": 0.0}, *({"ms": ordered[rank], "share": (rank + 1) / count} for rank in ranks)]
    named = [(share, percentile(ordered, share) or 0.0) for share in SHARES]
    marks = [{"ms": value, "share": share / 100, "name": f"{share} %: {_number(value)} ms"} for share, value in named]
    half, slow = named[0][1], named[-1][1]
    x = {"field": "ms", "type": "quantitative", "title": "time until the whole answer was there (ms)"}
    y = {"field": "share", "type": "quantitative", "title": "share of the requests", "axis": {"format": "%"}, "scale": {"domain": [0, 1]}}
    line = {"data": {"values": points}, "mark": {"type": "line", "interpolate": "step-after"}, "encoding": {"x": x, "y": y}}
    colour = {"value": "#D55E00"}
    dots = {"mark": {"type": "point", "filled": True, "size": 70, "opacity": 1}, "encoding": {"x": x, "y": y, "color": colour}}
    # On the side where there is room: the line rises to the right.
    far = half > 0.6 * (ordered[-1] or 1)
    side = {"align": "right", "dx": -10} if far else {"align": "left", "dx": 10}
    names = {"mark": {"type": "text", "dy": 10, **side}, "encoding": {"x": x, "y": y, "text": {"field": "name"}, "color": colour}}
    return {
        "title": {
            "text": f"Half of the requests took at most {_number(half)} ms, 99 % at most {_number(slow)} ms",
            "subtitle": f"{count:,} answers · {subtitle}",
        },
        "layer": [line, {"data": {"values": marks}, "layer": [dots, names]}],
    }


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


LOAD = Magic(
    "%load",
    load,
    words=("<path>",),
    options=(
        Option("--to", "<name>"),
        Option("--requests", "N"),
        Option("--connections", "N"),
        Option("--method", "M"),
        Option("--body", "T"),
        Option("--header", "'k: v'", many=True),
        Option("--as", "<name>"),
    ),
)
