"""Measures of every arm, each once, with bounds and meanings."""

from fineline.documents.gathering import gather
from fineline.documents.measures import meanings, measures, scored
from tests.documents.conftest import NAME, Make, rule


def test_each_arm_has_the_score_of_its_own_report(make: Make) -> None:
    make()
    records = gather(NAME)
    records.reports["gate"]["scores"]["candidate"]["everyday"] = 0.5
    records.reports["candidate"]["forms"]["merged"]["scores"]["candidate"]["everyday"] = 0.375
    (everyday,) = [measure for measure in measures(records) if measure.measure == "everyday"]
    assert (everyday.base, everyday.adapter, everyday.merged, everyday.exported) == (0.75, 0.5, 0.375, 0.25)


def test_a_measure_with_two_rules_is_scored_once(make: Make) -> None:
    make()
    records = gather(NAME)
    assert [measure.measure for measure in measures(records)].count("target_exact_match") == 2
    assert [measure.measure for measure in scored(records)].count("target_exact_match") == 1


def test_log_likelihoods_are_shown_with_three_digits_and_shares_as_percentages(make: Make) -> None:
    make(
        rules=[rule("target_gold", "info", "info", -2.0, -0.5, unit="bits a byte"), rule("everyday", "info", "info", 0.5, 0.25)]
    )
    gold, everyday = measures(gather(NAME))
    assert (gold.shown("exported"), gold.shown_difference) == ("-0.500", "+1.500")
    assert (everyday.shown("exported"), everyday.shown_difference) == ("25.0%", "-25.0%")


def test_what_is_measured_is_told_for_our_own_measures_and_for_logarithms(make: Make) -> None:
    make(
        rules=[rule("target_json_f1", "info", "info", 0.1, 0.2), rule("everyday_gold", "info", "info", -1.0, -2.0, unit="bits")]
    )
    found = meanings(gather(NAME))
    assert found[0].startswith("target_json_f1: F1")
    assert "ending in _gold" in found[-1]


def test_a_measure_without_a_score_is_a_dash(make: Make) -> None:
    make()
    records = gather(NAME)
    entry = records.reports["candidate"]["forms"]["exported"]["rules"][3]
    entry |= {"difference": None, "lower": None, "upper": None}
    records.reports["candidate"]["forms"]["exported"]["scores"]["candidate"]["everyday"] = None
    everyday = measures(records)[3]
    assert (everyday.shown("exported"), everyday.interval) == ("\N{EN DASH}", "\N{EN DASH}")
