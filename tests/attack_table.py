"""The table of attacks in site/docs/security.md, made from the corpus. `python -m tests.attack_table` writes it anew."""

import tomllib
from collections import defaultdict
from pathlib import Path

from grader.settings import read_settings

PAGE = read_settings().home / "site" / "docs" / "security.md"
BEGIN, END = "<!-- attacks: written by python -m tests.attack_table -->", "<!-- /attacks -->"
ROWS = {
    1: ("read the hidden tests or the answers on disk", ""),
    2: ("forge or overwrite the results", ""),
    3: ("exit with 0 early, and hope that no result is a pass", ""),
    4: ("make the grader crash, hang or see an odd value, and hope for points", ""),
    5: ("hide errors from the grader", ""),
    6: ("change the test framework from within", ""),
    7: ("answer with values that hurt whoever formats or parses them", ""),
    8: ("have the grader unpickle something", "`test_there_is_no_pickle_anywhere`"),
    9: ("learn the expected answers by heart", ""),
    10: ("recognise the grader and behave for it alone", ""),
    11: ("have somebody else do the work over the network", ""),
    12: ("hand in the address of somebody else's server", ""),
    13: ("send the tests out by network or DNS", ""),
    14: ("carry hidden things out through the feedback", "`test_canaries.py`: every face of a report, every notebook, every file that a learner is given"),
    15: ("ask many times and learn from the answers", "not tried: there is no server yet that counts attempts"),
    16: ("use up memory, processes, disk, inodes, descriptors, output", ""),
    17: ("outlive the test, or leave something for the next one", ""),
    18: ("answer so that the tester hangs or bursts", ""),
    19: ("be slow, to hold a worker", ""),
    20: ("break out of the sandbox", ""),
    21: ("zip slip, links and other tricks of archives", ""),
    22: ("run something while the submission is installed", ""),
    23: ("leave a script for the instructor's browser", "escaping is tried in HTML and notebooks; headers of pages cannot be: there is no web server yet"),
    24: ("read somebody else's results", "not tried: there is no web server yet"),
    25: ("bring changed tests or settings", ""),
    26: ("drive a CI system through printed text", ""),
    27: ("leave a formula in the exported grades", ""),
    28: ("raise one's own points in the file that is handed in", "only nbgrader's metadata: there is no web server yet"),
    29: ("learn whose work is graded beside one's own", "names of containers, paths and environments say nothing: `test_a_server_in_its_container_sees_no_canary…`"),
    30: ("change the time of handing in", "nbgrader's own `timestamp.txt` stays nbgrader's; ours is the grader's clock"),
    31: ("bring scripts, `.npmrc`, `node_modules` or a loader", ""),
    32: ("answer the readiness probe well and the checks badly, or the reverse", ""),
    33: ("print terminal escapes, huge lines, broken text, forged reports", ""),
    34: ("have a name with HTML, a formula, `../`, a line feed, writing from right to left", "`test_hostile_names.py` takes 21 such texts through every face"),
    35: ("hand in a notebook that is huge, deep, of wrong types or tampered with", ""),
    36: ("hand in twice at the same instant, or in the middle of a regrade", "`test_hostile_moments.py`"),
    37: ("answer just before every deadline", ""),
    38: ("open ten thousand sockets, or half-open them", ""),
}  # fmt: skip
"""Row of the catalogue of attacks: what is tried, and what is tested elsewhere than in a folder of tests/submissions."""


def table() -> str:
    cases = defaultdict(list)
    for path in sorted((Path(__file__).parent / "submissions").glob("*/expected.toml")):
        for row in tomllib.loads(path.read_text("utf-8"))["attack"]:
            cases[row].append(path.parent.name)
    assert set(cases) <= set(ROWS)
    lines = ["| | attack | cases in `tests/submissions/` | elsewhere |", "|---|---|---|---|"]
    for row, (attack, elsewhere) in ROWS.items():
        lines.append(f"| {row} | {attack} | {_named(cases[row])} | {elsewhere} |")
    return "\n".join(lines)


def _named(cases: list[str], at_most: int = 6) -> str:
    more = f" and {len(cases) - at_most} more" if len(cases) > at_most else ""
    return ", ".join(cases[:at_most]) + more


def page_with(rows: str, page: str) -> str:
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{rows}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page_with(table(), PAGE.read_text("utf-8")), "utf-8")
