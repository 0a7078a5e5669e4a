"""Tables as text, and published figures as their source gives them."""

from __future__ import annotations

import csv
import io

import pytest
import yaml

from experiments.studies.catalogue import STUDIES
from experiments.studies.published import PUBLISHED, published_notes, published_tables
from experiments.studies.study import Table
from experiments.studies.tabling import best_rows, bold, numeric, shown, to_csv, to_markdown

TABLE = Table(
    name="t",
    title="T",
    headings=("model", "ccc", "error", "n"),
    rows=(("a|b", 0.51239, 12.345, 1200), ("c", None, 8.0, 3), ("d", 0.7, 8.0, 4), ("e", -0.9, 99.96, 5)),
    note="a note",
    best={"ccc": "larger", "error": "smaller"},
)


def test_cells_have_the_decimals_of_their_column():
    assert shown(TABLE) == [
        ["a|b", "0.512", "12.3", "1,200"],
        ["c", "-", "8.0", "3"],
        ["d", "0.700", "8.0", "4"],
        ["e", "-0.900", "100.0", "5"],
    ]
    assert numeric(TABLE) == [False, True, True, True]


def test_digits_that_are_not_there_are_not_shown():
    assert shown(Table("t", "T", ("a", "b"), ((8.0, 1234.5), (9.5, 1.0)))) == [["8.0", "1,234"], ["9.5", "1"]]


def test_small_numbers_are_not_shown_as_nothing():
    assert shown(Table("t", "T", ("a",), ((1e-05,), (2e-06,), (0.0,)))) == [["0.000010"], ["0.000002"], ["0.000000"]]
    assert shown(Table("t", "T", ("a",), ((0.0182,), (0.05,)))) == [["0.0182"], ["0.0500"]]
    assert shown(Table("t", "T", ("a",), ((2.5e-06,),), origin="published")) == [["0.0000025"]]


def test_published_figures_keep_their_digits():
    table = Table("t", "T", ("a", "b"), ((0.5505, 83.6), (0.24, 9.25)), origin="published")
    assert shown(table) == [["0.5505", "83.60"], ["0.2400", "9.25"]]


def test_the_best_of_a_column_is_bold_and_so_is_its_equal():
    assert best_rows(TABLE) == {"ccc": {2}, "error": {1, 2}}
    assert bold(TABLE)[2] == [False, True, True, False]
    assert best_rows(Table("t", "T", ("a",), ((None,), (1.0,)), best={"a": "larger"})) == {}  # nothing to be best of


def test_csv_has_all_digits_and_markdown_what_a_reader_needs():
    assert list(csv.reader(io.StringIO(to_csv(TABLE, "faces (drawn)")))) == [
        ["data", "model", "ccc", "error", "n"],
        ["faces (drawn)", "a|b", "0.51239", "12.345", "1200"],
        ["faces (drawn)", "c", "", "8.0", "3"],
        ["faces (drawn)", "d", "0.7", "8.0", "4"],
        ["faces (drawn)", "e", "-0.9", "99.96", "5"],
    ]
    assert to_markdown(TABLE).splitlines() == [
        "### T (measured)",
        "",
        "| model | ccc | error | n |",
        "| --- | ---: | ---: | ---: |",
        "| a\\|b | 0.512 | 12.3 | 1,200 |",
        "| c | - | **8.0** | 3 |",
        "| d | **0.700** | **8.0** | 4 |",
        "| e | -0.900 | 100.0 | 5 |",
        "",
        "a note",
    ]


@pytest.mark.parametrize("study", STUDIES)
def test_published_tables_are_whole_and_sourced(study):
    assert published_tables(study)
    assert published_notes(study)
    for table in published_tables(study):
        assert table.origin == "published"
        assert table.note.startswith("Source: ")
        assert {len(row) for row in table.rows} == {len(table.headings)}
        assert set(table.best or {}) <= set(table.headings)
        for heading in table.best or {}:
            assert numeric(table)[table.headings.index(heading)]


def test_published_means_agree_with_their_parts():
    """The copied digits of SEEN's Table 1: UAR is the mean of the seven classes, and M of the ablation is E4."""
    tables = {table.name: table for table in published_tables("seen")}
    rows = {str(row[0]): row[1:] for row in tables["published-table-1"].rows}
    for name, row in rows.items():
        numbers = [float(cell) for cell in row]
        assert numbers[12] == pytest.approx(sum(numbers[:7]) / 7, abs=0.11), name
    whole = tables["published-ablation"].rows[-1]
    for place, setting in enumerate(("E4-S0", "E4-S1", "E4-S3")):
        assert whole[2 + 2 * place : 4 + 2 * place] == rows[f"SEEN {setting}"][11:13]


def test_nothing_is_published_for_what_is_no_study():
    assert set(yaml.safe_load(PUBLISHED.read_text())) == set(STUDIES)
    assert published_tables("nothing") == ()
    assert published_notes("nothing") == ()
