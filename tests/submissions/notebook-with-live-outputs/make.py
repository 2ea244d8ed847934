from pathlib import Path

from tests.packing import notebook, server_cell


def make(place: Path, server: bytes) -> None:
    kinds = ("application/javascript", "text/html", "image/svg+xml", "application/x-python-pickle", "application/vnd.looplab.report+json")
    bad = "<script>document.title='owned'</script>"
    outputs = [{"output_type": "display_data", "metadata": {}, "data": dict.fromkeys(kinds, bad)}]
    (place / "s.ipynb").write_text(
        notebook(server_cell(server, outputs=outputs, metadata={"trusted": True}), metadata={"signature": "x", "signed": True})
    )
