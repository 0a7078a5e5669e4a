"""A study's results folder: results.json, a CSV file a table, tables.md, and one page with everything."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from experiments.report import environment
from experiments.studies.results import Report
from experiments.studies.study import Picture
from experiments.studies.tabling import bold, numeric, shown, to_csv, to_markdown
from neuva import atomic_path

TITLES = {"measured": "Measured here", "published": "Published by others"}


TABLES, PAGE = "tables.md", "index.html"


def clear(folder: Path, report: Report) -> None:
    """Remove what an earlier report wrote, of other data, another configuration or other code; jobs are left."""
    for name in (*(f"{table.name}.csv" for table in report.tables), *report.pictures, TABLES, PAGE):
        (folder / name).unlink(missing_ok=True)


def write_tables(folder: Path, report: Report) -> None:
    """Write all tables as files."""
    for table in report.tables:
        data = table.data or report.data if table.origin == "measured" else "published"
        _write(folder / f"{table.name}.csv", to_csv(table, data))
    _write(folder / TABLES, markdown(report))


def write_page(folder: Path, report: Report, pictures: Sequence[Picture]) -> None:
    """Write the page with everything."""
    _write(folder / PAGE, page(report, pictures))


def markdown(report: Report) -> str:
    """All tables, measured and published ones apart."""
    parts = [f"# {report.study}: {report.what}", report.paper]
    if report.banner:
        parts.append(f"> {report.banner}")
    if report.mixture:
        parts.append(report.mixture)
    for origin, title in TITLES.items():
        parts.append(f"## {title}")
        parts += report.notes if origin == "published" else []
        parts += [to_markdown(table) for table in report.of(origin)] or ["No tables."]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def page(report: Report, pictures: Sequence[Picture]) -> str:
    """One HTML page: pictures and style inside it, no scripts, nothing from elsewhere."""
    return (
        environment()
        .get_template("studies/results.html")
        .render(
            r=report,
            titles=TITLES,
            shown=shown,
            bold=bold,
            numeric=numeric,
            zip=zip,
            pictures=[(base64.b64encode(each.path.read_bytes()).decode(), each.caption) for each in pictures],
        )
    )


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
