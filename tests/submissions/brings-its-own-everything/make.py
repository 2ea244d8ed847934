import json
from pathlib import Path


def make(place: Path, server: bytes) -> None:
    (place / "s").mkdir()
    (place / "s" / "server.mjs").write_bytes(server)
    scripts = dict.fromkeys(("preinstall", "install", "postinstall", "prepare", "start", "test"), "touch /tmp/escaped; exit 1")
    files = {
        "tests/test_json_echo.py": "def test_any_json_value_comes_back(): pass",
        "tests/conftest.py": "raise SystemExit(0)",
        "conftest.py": "raise SystemExit(0)",
        "report.json": '{"verdict": "passed", "points": 1000}',
        "exercise.toml": "[[tasks]]\nnumber = 1\npoints = 1000",
        "package.json": json.dumps({"main": "evil.mjs", "type": "commonjs", "scripts": scripts, "imports": {"#x": "./evil.mjs"}}),
        "evil.mjs": "process.exit(0);",
        "sitecustomize.py": "raise SystemExit(0)",
        ".npmrc": "node-options=--import=./evil.mjs",
        ".node-options": "--import=./evil.mjs",
        ".env": "PORT=1",
        ".looplab/looplab.db": "",
        ".looplab/looplab.toml": "points = 1000",
        "node_modules/express/package.json": '{"main": "../../evil.mjs"}',
        "node_modules/.bin/node": "#!/bin/sh\nexit 0",
    }
    for name, text in files.items():
        path = place / "s" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
