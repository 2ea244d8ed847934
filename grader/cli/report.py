"""looplab report: what was graded and kept."""

import click

from grader.errors import SettingsError
from grader.settings import read_settings


@click.command()
@click.argument("number", required=False, type=int)
@click.option("--learner", help="Only this learner's newest reports, in full.")
@click.option("--json", "as_json", is_flag=True, help="Reports as JSON, one a line.")
def report(number: int | None, learner: str | None, as_json: bool) -> int:
    """Shows report NUMBER, a learner's newest reports, or (without either) the table of everybody's newest."""
    from grader.exercise import load_exercise
    from grader.formats.table import print_class
    from grader.formats.terminal import print_report
    from grader.formats.text import safe_json
    from grader.store import open_store

    settings = read_settings()
    with open_store(settings.database_url) as store:
        if number is not None:
            found = store.get(number)
            if found is None:
                raise SettingsError(f"There is no report {number}.")
            chosen = [found]
        else:
            chosen = [kept for _, kept in store.latest() if learner is None or kept.learner == learner]
    if not chosen:
        raise SettingsError(
            f"There is no report of {learner}." if learner else "Nothing was graded yet. Try `looplab grade` or `make demo`."
        )
    if as_json:
        for kept in chosen:
            click.echo(safe_json(kept.to_json()))
    elif number is None and learner is None:
        print_class(chosen)
    else:
        for kept in chosen:
            print_report(kept, load_exercise(settings.exercises, kept.exercise))
    return 0
