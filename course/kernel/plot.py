"""One chart in two forms: Vega-Lite, which JupyterLab draws live, and an SVG of it for pages that run no scripts."""

from typing import Any

from course.kernel.errors import CellError
from grader.charts import VERSION, whole_spec

MIME = "application/vnd.vegalite.v5+json"
SIZE = {"width": 560, "height": 280}
COMPOSED = {"hconcat", "vconcat", "concat", "facet", "repeat"}


def chart(spec: dict[str, Any]) -> dict[str, Any]:
    """The mime bundle of a Vega-Lite specification. Raises CellError for one that cannot be drawn."""
    import vl_convert

    size = {} if COMPOSED & spec.keys() else SIZE
    if not _has_data(spec):
        raise CellError(
            "PlotError", "This chart has no data. Give it some: plot({ data: { values: [{ x: 1, y: 2 }] }, mark: 'point', … })."
        )
    whole = whole_spec({**size, **spec})
    try:
        svg = vl_convert.vegalite_to_svg(whole, vl_version=VERSION)
    except ValueError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = lines[1] if len(lines) > 1 and lines[0].endswith("failed:") else lines[0]
        raise CellError(
            "PlotError", f"This chart cannot be drawn ({why}). Is it a complete Vega-Lite specification: data, mark, encoding?"
        ) from None
    title = spec.get("title", "")
    text = title.get("text", "") if isinstance(title, dict) else title
    return {"text/plain": f"[Plot: {text or 'untitled'}]", "image/svg+xml": svg, MIME: whole}


def _has_data(spec: object) -> bool:
    """Vega-Lite draws an empty chart without a word when nothing in the specification, nor in a chart within it, names data."""
    if isinstance(spec, dict):
        return "data" in spec or any(map(_has_data, spec.values()))
    return isinstance(spec, list) and any(map(_has_data, spec))
