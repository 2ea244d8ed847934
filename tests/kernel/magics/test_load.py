"""%load: many requests, counted and drawn."""

import asyncio
import time

import pytest

from course.kernel.magics.load import latency_plot, percentile
from course.kernel.plot import chart
from tests.kernel.magics.cells import PlainCell, fails, run, run_with

SERVER = """%%file s.mjs
import http from 'node:http';
let served = 0, open = 0, most = 0;
http.createServer(async (request, response) => {
  most = Math.max(most, ++open);
  let size = 0;
  for await (const chunk of request) size += chunk.length;
  if (request.url === '/slow') await new Promise((resolve) => setTimeout(resolve, 30));
  open--;
  if (request.url === '/never') return;
  if (request.url === '/drop') return request.socket.destroy();
  if (request.url === '/mixed' && served++ % 4 === 0) response.statusCode = 503;
  if (request.url === '/close') response.setHeader('connection', 'close');
  response.end(request.url === '/most' ? String(most) : `${request.method} ${request.headers['x-mark']} ${size}`);
}).listen(process.env.PORT);
"""


@pytest.fixture
def served(cell: PlainCell) -> PlainCell:
    run(cell, SERVER, "%serve s.mjs")
    cell.forget()
    return cell


def test_a_load_is_counted_and_its_percentiles_are_in_order(served: PlainCell) -> None:
    run(served, "%load /mixed --requests 100 --connections 5 --as l")

    told = served.variables["l"]
    assert (told["requests"], told["errors"], told["statuses"]) == (100, 0, {"200": 75, "503": 25})
    assert len(told["latencies"]) == 100
    assert 0 < told["p50"] <= told["p95"] <= told["p99"] <= told["max"] == max(told["latencies"])
    assert told["perSecond"] == pytest.approx(100 / told["seconds"], rel=0.05)
    assert "100 requests over 5 connections" in served.plain
    assert "75 × status 200 · 25 × status 503 · no errors" in served.plain


def test_latency_is_the_time_of_the_whole_answer_and_connections_work_at_the_same_time(served: PlainCell) -> None:
    run(served, "%load /slow --requests 40 --connections 8 --as l", "%%http --as r\nGET /most")

    assert served.variables["l"]["p50"] >= 29
    assert served.variables["r"]["body"] == "8"


def test_method_body_and_headers_are_sent(served: PlainCell) -> None:
    run(
        served,
        "%load /x --requests 3 --body '{\"n\": 1}' --header 'x-mark: A b' --header 'content-type: application/json'",
        "%load /x --requests 1 --method put",
    )

    assert "3 × status 200" in served.plain
    assert "POST http://" in served.plots[0]["title"]["subtitle"]
    assert "PUT http://" in served.plots[1]["title"]["subtitle"]


def test_what_is_not_answered_is_an_error_with_its_reason(served: PlainCell) -> None:
    run(served, "%load /drop --requests 6 --connections 2 --as l")

    assert (served.variables["l"]["requests"], served.variables["l"]["errors"], served.variables["l"]["p50"]) == (6, 6, None)
    assert "6 errors (6 × ECONNRESET)" in served.plain
    assert served.plots == []


def test_connections_that_the_server_closes_are_opened_again(served: PlainCell) -> None:
    run(served, "%load /close --requests 30 --connections 3 --as l")

    assert served.variables["l"]["errors"] == 0


def test_stop_ends_a_load(served: PlainCell) -> None:
    async def press_stop() -> None:
        await asyncio.sleep(0.5)
        served.interrupted.set()

    began = time.monotonic()
    with pytest.raises(Exception, match="Interrupted"):
        run_with(served, "%load /never", press_stop)

    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("x", 'The path begins with "/": %load /x. The server is named by --to.'),
        ("/ --requests 0", "--requests takes a number from 1 to 100000, not 0."),
        ("/ --connections 501", "--connections takes a number from 1 to 500, not 501."),
        ("/ --header oops", "--header takes 'name: value', such as --header 'accept: text/plain', not 'oops'."),
        ("/ --to nobody", "There is no server nobody. There are server."),
    ],
)
def test_a_mistake_is_told(served: PlainCell, line: str, sentence: str) -> None:
    assert fails(served, f"%load {line}").value == sentence


# ---- the plot


def test_percentiles_are_nearest_ranks() -> None:
    values = [float(n) for n in range(1, 101)]

    assert [percentile(values, share) for share in (50, 95, 99)] == [50, 95, 99]
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7.0
    assert percentile([], 50) is None


@pytest.mark.parametrize("count", [1, 2, 199, 200, 100_000])
def test_the_plot_is_drawn_with_few_points_and_reaches_everybody(count: int) -> None:
    spec = latency_plot([float(n % 977) for n in range(count)], "GET /")

    points = spec["layer"][0]["data"]["values"]
    assert points[-1] == {"ms": max(float(n % 977) for n in range(count)), "share": 1.0}
    assert len(points) < 1300
    assert "<svg" in chart(spec)["image/svg+xml"]
