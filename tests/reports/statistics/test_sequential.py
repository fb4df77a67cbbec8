"""The sequential procedure against published tables, SciPy, and studies of known truth."""

import math

import numpy as np
import pytest
from scipy import stats

from reports.calibration import interim as peeking
from reports.statistics import Array, sequential, sign_flip
from reports.statistics.sequential import InterimAnalysis, Schedule, analyse_interim, nominal_levels, seeds_to_go

SCHEDULE = Schedule(analyses=(8, 10, 12, 14))


def obrien_fleming(share: float, alpha: float) -> float:
    """Lan and DeMets' spending function of the O'Brien-Fleming type."""
    return 2 * float(stats.norm.sf(stats.norm.isf(alpha / 2) / math.sqrt(share)))


def pocock(share: float, alpha: float) -> float:
    """Theirs of Pocock's type."""
    return alpha * math.log(1 + (math.e - 1) * share)


@pytest.mark.parametrize(
    ("spending", "published"),
    [
        # Five equally spaced analyses, 2.5% one-sided, as in the tables of Reboussin, DeMets, Kim and Lan (2000).
        (obrien_fleming, [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
        (pocock, [2.4380, 2.4268, 2.4101, 2.3966, 2.3859]),
    ],
)
def test_bounds_are_the_published_ones(spending: sequential.Spending, published: list[float]) -> None:
    levels = nominal_levels((0.2, 0.4, 0.6, 0.8, 1.0), 0.025, spending)
    assert [float(stats.norm.isf(level)) for level in levels] == pytest.approx(published, abs=2e-3)


def test_what_a_look_spends_is_what_it_may() -> None:
    shares = np.array([0.3, 0.5, 1.0])
    bounds = np.array([float(stats.norm.isf(level)) for level in nominal_levels(tuple(shares), 0.05)])
    correlation = np.sqrt(np.minimum.outer(shares, shares) / np.maximum.outer(shares, shares))
    for count in (1, 2, 3):
        within = stats.multivariate_normal(cov=correlation[:count, :count]).cdf(bounds[:count])
        assert 1 - within == pytest.approx(0.05 * shares[count - 1] ** 2, abs=2e-5)


def test_one_look_at_everything_is_the_ordinary_test() -> None:
    assert nominal_levels((1.0,), 0.025) == pytest.approx((0.025,), abs=1e-9)


def analyses(**differences: Array) -> list[InterimAnalysis]:
    return analyse_interim(differences, 0.5, SCHEDULE, sign_flip)


def test_analyses_end_when_both_effects_are_decided() -> None:
    rng = np.random.default_rng(0)
    seen = analyses(large=rng.normal(3, 0.5, size=14), none=rng.normal(0, 0.05, size=14))
    assert seen[-1].is_decided
    assert seen[-1].seeds < 14
    assert [finding.decision for finding in seen[-1].findings.values()] == ["different", "equivalent"]
    assert all(not earlier.is_decided for earlier in seen[:-1])


def test_a_decision_stands_whatever_comes_later() -> None:
    turning = np.array([3.0, 2.9, 3.1, 2.8, 3.2, 3.05, 2.95, 3.15, 3.0, 3.1, -40, -40, -40, -40])
    seen = analyses(turning=turning, noisy=np.resize([9.0, -9.0], 14))
    assert [each.findings["turning"].decision for each in seen] == 4 * ["different"]
    assert seen[-1].findings["turning"].decided_at == 8
    assert seen[-1].findings["turning"].estimate < 0


def test_the_interval_excludes_zero_exactly_if_different() -> None:
    rng = np.random.default_rng(3)
    outcomes = set()
    for _ in range(40):
        first = analyses(alone=rng.normal(0.8, 1, size=10))[-1].findings["alone"]
        low, high = first.interval
        assert (first.decision == "different") == (not low <= 0 <= high)
        outcomes.add(first.decision)
    assert outcomes == {"different", "undecided"}


def test_a_hole_takes_no_part() -> None:
    whole = np.array([1.0, -1.0, 2.0, -2.5, 3.0, -3.0, 1.5, -1.0, 0.5])
    with_hole = np.insert(whole, 3, np.nan)
    seen = analyses(effect=with_hole)
    assert [each.seeds for each in seen] == [8, 10]
    assert seen[-1].findings["effect"].estimate == pytest.approx(whole.mean())


def test_before_the_first_analysis_nothing_is_decided() -> None:
    assert analyses(effect=np.ones(7)) == []
    assert analyse_interim({}, 0.5, SCHEDULE, sign_flip) == []


def test_how_long_it_is_likely_to_take() -> None:
    rng = np.random.default_rng(0)
    schedule = Schedule(analyses=tuple(range(8, 31, 2)))
    clear, unclear = rng.normal(2, 1, size=8), rng.normal(0.3, 1, size=8)
    soon, sure = seeds_to_go(clear - clear.mean() + 2, 0.1, schedule, 8, 1, rng)
    assert soon == 2
    assert sure == 1.0
    _, unsure = seeds_to_go(unclear - unclear.mean() + 0.3, 0.1, schedule, 8, 1, rng)
    assert unsure < 0.6
    assert seeds_to_go(np.zeros(8), 0.1, schedule, 8, 1, rng) == (None, 0.0)
    assert seeds_to_go(clear, 0.1, schedule, 30, 1, rng) == (None, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("truth", peeking.TRUTHS)
def test_false_decisions_are_few_where_naive_tests_make_many(truth: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peeking, "FLIPS", 2000)  # a test of fewer patterns is exact too

    def share() -> float:
        rng = np.random.default_rng(1)
        ends = [peeking.last_analyses("normal", truth, 0.5, rng)["10, 11, ... 30"] for _ in range(400)]
        return float(np.mean([peeking.is_false(end, truth) for end in ends]))

    limit = stats.binom.ppf(0.999, 400, 0.05) / 400
    assert share() <= limit
    monkeypatch.setattr(Schedule, "level", lambda _, __, alpha: alpha)
    assert share() > limit
