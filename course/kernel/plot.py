"""One chart in two forms: Vega-Lite, which JupyterLab draws live, and an SVG of it for pages that run no scripts."""

from typing import Any

from course.kernel.errors import CellError

MIME = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
"""Only a name: nothing is loaded from it."""

# Distinct for colour-blind readers and in grey (Okabe and Ito, "Color Universal Design", 2008), the two strongest first.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555"]
FONT = "Arial, 'Liberation Sans', Helvetica, sans-serif"
"""Fonts of one width: the SVG is laid out here and drawn by a browser, which may have any of them, or a wider one: hence the padding."""
CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": "white",
    "padding": {"left": 16, "top": 10, "right": 28, "bottom": 10},
    "view": {"stroke": None},
    "title": {"anchor": "start", "fontSize": 15, "fontWeight": 600, "offset": 12, "subtitleColor": "#555", "subtitleFontSize": 12},
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titleColor": "#444",
        "labelColor": "#444",
        "gridColor": "#e8e8e8",
        "domainColor": "#999",
        "tickColor": "#999",
        "labelLimit": 260,
        "labelSeparation": 12,
        "titlePadding": 14,
    },
    "legend": {
        "columnPadding": 22,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "symbolStrokeWidth": 3,
        "labelLimit": 300,
    },
    "header": {"labelFontSize": 12, "titleFontSize": 12},
    "range": {"category": PALETTE},
    "mark": {"color": PALETTE[0]},
    "line": {"strokeWidth": 2.5},
    "bar": {"cornerRadiusEnd": 2},
    "text": {"fontSize": 12},
}
SIZE = {"width": 560, "height": 280}
COMPOSED = {"hconcat", "vconcat", "concat", "facet", "repeat"}


def chart(spec: dict[str, Any]) -> dict[str, Any]:
    """The mime bundle of a Vega-Lite specification. Raises CellError for one that cannot be drawn."""
    import vl_convert

    size = {} if COMPOSED & spec.keys() else SIZE
    whole = {"$schema": SCHEMA, **size, **spec, "config": {**CONFIG, **spec.get("config", {})}}
    try:
        svg = vl_convert.vegalite_to_svg(whole, vl_version="5.21")
    except ValueError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = lines[1] if len(lines) > 1 and lines[0].endswith("failed:") else lines[0]
        raise CellError(
            "PlotError", f"This chart cannot be drawn ({why}). Is it a complete Vega-Lite specification: data, mark, encoding?"
        ) from None
    title = spec.get("title", "")
    text = title.get("text", "") if isinstance(title, dict) else title
    return {"text/plain": f"[Plot: {text or 'untitled'}]", "image/svg+xml": svg, MIME: whole}
