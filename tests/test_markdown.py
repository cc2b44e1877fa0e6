"""Tables in Markdown."""

from vlreward.markdown import escape, table


def test_a_table_has_a_header_a_rule_and_a_line_for_each_row() -> None:
    assert table(["of", "rows"], [["all", 3], ["text", ""]]) == (
        "| of | rows |\n|---|---|\n| all | 3 |\n| text |  |"
    )


def test_a_table_without_rows_is_its_header_and_its_rule() -> None:
    assert table(["a"], []) == "| a |\n|---|"


def test_what_is_in_a_cell_ends_no_cell_and_no_line() -> None:
    assert table(["a"], [["x | y\nz"]]).splitlines()[2:] == ["| x \\| y z |"]


def test_escaped_text_holds_no_tag() -> None:
    assert escape("<img src=x>  here") == "&lt;img src=x> here"
