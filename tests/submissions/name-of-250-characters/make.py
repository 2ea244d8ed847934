import os
from pathlib import Path


def make(place: Path, server: bytes) -> None:
    learner = os.fsencode(place) + b"/" + os.fsencode("e" * 250)
    os.makedirs(learner + b"/json-echo")
    with open(learner + b"/json-echo/server.mjs", "wb") as file:
        file.write(server)
