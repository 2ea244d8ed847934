"""The charts of a run. One without its data is not drawn."""

from collections.abc import Iterator
from typing import Any

from grader.bench import phases, throughput
from grader.bench.run import Run, Series
from grader.charts import PALETTE, svg

Spec = dict[str, Any]
BLUE, ORANGE, GREEN, VIOLET, GREY = *PALETTE[:4], "#888888"
COLOURS = {
    phases.COLD: GREY,
    phases.AGAIN: BLUE,
    phases.SPARE: ORANGE,
    phases.HOST: GREEN,
    throughput.SOLVED: VIOLET,
    throughput.AGAIN: BLUE,
    throughput.SINGLE: ORANGE,
    throughput.PLAIN: GREY,
    throughput.HOST: GREEN,
}
"""A way has the same colour in every chart; baselines are grey and green."""


def specs(run: Run) -> dict[str, Spec]:
    """Vega-Lite specifications by the name of their chart."""
    drawn = {
        "phases": _phases(run.of("phases")[1]),
        "first-answer": _first_answer(run.of("first answer")[1]),
        "throughput": _throughput(run.of("class")[1]),
        "processor": _processor(run.of("processor")[1], run.machine.cores),
    }
    return {name: spec for name, spec in drawn.items() if spec}


def draw(run: Run) -> dict[str, str]:
    """SVG by file name."""
    return {f"benchmarks-{name}.svg": svg(spec) for name, spec in specs(run).items()}


def _phases(series: list[Series]) -> Spec | None:
    if not series:
        return None
    ways = _ways(series)
    subtitle = "Box: the middle half. Line: the median. Whiskers: from the fastest to the slowest."
    return {
        "title": {"text": "One grade in its phases", "subtitle": subtitle},
        "data": {"values": [{"phase": s.name, "way": s.way, "ms": ms} for s in series for ms in s.samples]},
        "width": 520,
        "height": {"step": 20},
        "mark": {"type": "boxplot", "extent": "min-max", "size": 12, "median": {"color": "#222", "strokeWidth": 2}},
        "encoding": {
            "row": {
                "field": "phase",
                "sort": list(phases.PHASES),
                "header": {"title": None, "labelAngle": 0, "labelAlign": "left", "labelFontWeight": 600, "labelPadding": 18},
                "spacing": 14,
            },
            "y": {"field": "way", "type": "nominal", "sort": ways, "title": None},
            "x": {"field": "ms", "type": "quantitative", "title": "milliseconds", "scale": {"zero": True}},
            "color": _color(ways, legend=False),
        },
    }


def _first_answer(series: list[Series]) -> Spec | None:
    if not series:
        return None
    subtitle = "How many of all rounds had an answer after this time"
    ms = {"field": "ms", "type": "quantitative", "title": "milliseconds", "scale": {"zero": True}}
    share = {"field": "share", "type": "quantitative", "title": "share of rounds", "axis": {"format": "%"}, "scale": {"domain": [0, 1]}}
    goal = {"values": [{"ms": phases.GOAL_MS, "text": f"goal {phases.GOAL_MS:g} ms at the median"}]}
    return {
        "title": {"text": "From the submission to the first answered request", "subtitle": subtitle, "offset": 28},
        "width": 560,
        "height": 280,
        "layer": [
            {
                "data": {"values": [{"way": s.way, "ms": time, "share": part} for s in series for time, part in _steps(s.samples)]},
                "mark": {"type": "line", "interpolate": "step-after"},
                "encoding": {"x": ms, "y": share, "color": _color(_ways(series))},
            },
            {
                "data": goal,
                "mark": {"type": "rule", "strokeDash": [4, 4], "color": "#555"},
                "encoding": {"x": ms},
            },
            {
                "data": goal,
                "mark": {"type": "text", "align": "left", "dx": -4, "dy": -5, "baseline": "bottom", "color": "#444"},
                "encoding": {"x": ms, "y": {"datum": 1}, "text": {"field": "text"}},
            },
        ],
    }


def _steps(samples: tuple[float, ...]) -> Iterator[tuple[float, float]]:
    """The empirical distribution: after each sample, the share of all that are no larger."""
    ordered = sorted(samples)
    yield ordered[0], 0.0
    for rank, sample in enumerate(ordered, 1):
        yield sample, rank / len(ordered)


def _throughput(series: list[Series]) -> Spec | None:
    rates = [s for s in series if s.name == throughput.RATE]
    if not rates:
        return None
    ways = _ways(rates)
    dashes = [[1, 0] if way in throughput.OURS else [6, 4] for way in ways]
    return {
        "title": {"text": "A class of json-echo", "subtitle": "Dashed: the baselines, which run no checks"},
        "data": {"values": [{"way": s.way, "parallel": s.parallel, "rate": s.samples[0]} for s in rates]},
        "width": 520,
        "height": 300,
        "mark": {"type": "line", "point": {"size": 60}},
        "encoding": {
            "x": {"field": "parallel", "type": "ordinal", "title": "submissions in parallel", "axis": {"labelAngle": 0}},
            "y": {"field": "rate", "type": "quantitative", "title": "submissions a second", "scale": {"zero": True}},
            "color": _color(ways),
            "strokeDash": {"field": "way", "scale": {"domain": ways, "range": dashes}, "legend": None},
        },
    }


def _processor(series: list[Series], cores: int) -> Spec | None:
    """At the degree of parallelism next to the number of processors."""
    if not series:
        return None
    parallel = min({s.parallel for s in series}, key=lambda p: (abs(p - cores), p))
    shown = [s for s in series if s.parallel == parallel]
    parts = [part for part in throughput.PARTS if any(s.part == part for s in shown)]
    rows = [{"way": s.way, "part": s.part, "ms": 1000 * s.samples[0], "order": parts.index(s.part)} for s in shown]
    return {
        "title": {"text": "Processor time of a grade", "subtitle": f"All that the whole machine was busy with, {parallel} in parallel"},
        "data": {"values": rows},
        "width": 480,
        "height": {"step": 44},
        "mark": {"type": "bar", "size": 26, "cornerRadiusEnd": 0},
        "encoding": {
            "y": {"field": "way", "type": "nominal", "sort": _ways(shown), "title": None},
            "x": {"field": "ms", "type": "quantitative", "title": "milliseconds of processor time for each submission"},
            "color": {
                "field": "part",
                "scale": {"domain": parts, "range": [*PALETTE[:5], "#BBBBBB"][: len(parts)]},
                "legend": {"title": None, "orient": "bottom", "columns": 2},
            },
            "order": {"field": "order"},
        },
    }


def _ways(series: list[Series]) -> list[str]:
    return list(dict.fromkeys(s.way for s in series))


def _color(ways: list[str], *, legend: bool = True) -> Spec:
    return {
        "field": "way",
        "scale": {"domain": ways, "range": [COLOURS[way] for way in ways]},
        "legend": {"title": None, "orient": "bottom", "columns": 2, "symbolType": "stroke"} if legend else None,
    }
