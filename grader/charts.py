"""How Looplab's charts look, and the SVG of one, laid out here for pages that run no scripts."""

from typing import Any

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
"""Only a name: nothing is loaded from it."""
VERSION = "5.21"

# Distinct for colour-blind readers and in grey (Okabe and Ito, "Color Universal Design", 2008), the two strongest first.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555"]
FONT = "Arial, 'Liberation Sans', Helvetica, sans-serif"
"""Fonts of one width: the SVG is laid out here and drawn by a browser, which may have any of them, or a wider one: hence the padding."""
CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": "white",  # also where the page is dark: a card that stays readable
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


def whole_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """A Vega-Lite specification with the look of ours; its own `config` wins."""
    return {"$schema": SCHEMA, **spec, "config": {**CONFIG, **spec.get("config", {})}}


def svg(spec: dict[str, Any]) -> str:
    """Draws a Vega-Lite specification. Raises ValueError for one that cannot be drawn."""
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(whole_spec(spec), vl_version=VERSION)
    return drawn
