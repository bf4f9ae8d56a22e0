"""Tables are Markdown that also reads well as text."""

from spondyl.metrics.tables import SCORE_HEADER, format_score, format_table
from spondyl.metrics.vertebrae import VertebraScore

NOTHING = VertebraScore(truths=0, detections=0, found=0, correct=0, identified=0, nearly_identified=0, errors_mm=())


def test_columns_have_one_width_and_numbers_stand_to_the_right() -> None:
    assert format_table(("what", "s"), [("a", "12.5"), ("longer", "1")]).splitlines() == [
        "| what   |    s |",
        "|--------|-----:|",
        "| a      | 12.5 |",
        "| longer |    1 |",
    ]


def test_a_score_has_a_cell_for_each_column() -> None:
    score = VertebraScore(
        truths=8, detections=8, found=7, correct=7, identified=6, nearly_identified=7, errors_mm=(1.0, 2.0)
    )
    cells = format_score(score)
    assert cells == ("8", "87.5", "87.5", "75.0", "87.5", "1.5 ± 0.5")
    assert len(cells) == len(SCORE_HEADER) == len(format_score(NOTHING))


def test_what_was_not_counted_is_a_dash_and_no_number() -> None:
    assert format_score(NOTHING) == ("0", "-", "-", "-", "-", "-")
