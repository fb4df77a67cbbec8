"""The answer in words, and numbers as people read them.

Sentences are for the terminal and for Markdown. They take `show`, which formats a name from the data: `str` for the
terminal, `markdown` for a document, where no name may be markup.
"""

import dataclasses
import html
import math
import re
from collections.abc import Callable, Sequence

import numpy as np

from reports import statistics, thread
from reports.analysis import conclusions
from reports.analysis.arms import ulp_sd
from reports.analysis.attribution import Attribution
from reports.analysis.design import Design
from reports.analysis.effects import Effect
from reports.analysis.exploration_cost import ExplorationCost
from reports.analysis.mean import Estimate
from reports.analysis.mechanism import ULP, Gaps, Mechanism
from reports.analysis.relations import Compensation
from reports.analysis.spread import BOUND, OTHER_ULPS
from reports.statistics import Interval, Margin, SignFlip, Test

Show = Callable[[str], str]


def markdown(name: object) -> str:
    """Return a name as text in Markdown, with all markup escaped."""
    text = html.escape(one_line(str(name)), quote=False)
    text = re.sub(r"([\\`*\[\]|~$#])", r"\\\1", text)
    text = re.sub(r"^(\d*)([-+.)])(?=[ -])", r"\1\\\2", text)  # of a list
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)


def one_line(name: str) -> str:
    """Return a name in one line, without characters that a terminal obeys or no file can hold."""
    return printable(re.sub(r"\s+", " ", name).strip())


def printable(text: str) -> str:
    """Return a text without control characters, newlines among them, and without halves of characters."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


def number(value: float | None) -> str:
    """Return a number with three significant digits, or all before the point up to a million; a dash without one."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.0f}" if 999.5 <= abs(value) < 1e6 else f"{value:.3g}"


def interval(ends: tuple[float, float]) -> str:
    """Return an interval in square brackets, or "(unbounded)"; a dash where there is none."""
    if any(map(math.isnan, ends)):
        return "-"
    if not any(map(math.isfinite, ends)):
        return "(unbounded)"
    return f"[{number(ends[0])}, {number(ends[1])}]"


def estimate(interval_: Interval | None) -> str:
    """Return an estimate and its interval; a dash where there is none."""
    return "-" if interval_ is None else f"{number(interval_.estimate)} {interval((interval_.low, interval_.high))}"


def percent(interval_: Interval | None) -> str:
    """Return a share and its interval, in percent; a dash where there is none."""
    if interval_ is None:
        return "-"
    low, high = (f"{100 * end:.0f}" if math.isfinite(end) else "-" for end in (interval_.low, interval_.high))
    return f"{100 * interval_.estimate:.0f}% [{low}, {high}]"


def margin(margin_: Margin | None) -> str:
    """Return an equivalence margin, and whether it is estimated; a dash where there is none."""
    if margin_ is None:
        return "-"
    return f"±{number(margin_.value)}" + (" (estimated)" if margin_.sd else "")


def p_value(p: float | None) -> str:
    """Return a p-value with two significant digits, never zero; a dash where there is none."""
    if p is None or math.isnan(p):
        return "-"
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def count(number_: int, noun: str) -> str:
    """Return a number and a noun, as in "10 seeds" and "1 seed"."""
    return f"{number_} {noun}{'s' * (number_ != 1)}"


def sample_size(answer: Attribution, size: int) -> str:
    """Return a number of seeds, or of runs where they are unpaired, in words."""
    return count(size, "seed" if answer.paired else "run")


def label(effect: Effect, show: Show) -> str:
    """Return an effect's name: the factor's, with the level where it has several."""
    name = show(effect.factor.name)
    return f"{name} {show(effect.level)}" if len(effect.factor.levels) > 2 else name


def contrast(effect: Effect, show: Show) -> str:
    """Return the contrast of a level and the reference, in words."""
    factor = effect.factor
    return factor.phrase.format(level=show(effect.level), reference=show(factor.reference))


def headline(answer: Attribution, effect: Effect, outcome: str, show: Show) -> str:
    """Return the answer on a factor, in a sentence or two."""
    name = label(effect, show) + compared_at(effect, show)
    return f"{name[:1].upper()}{name[1:]}: {_mechanism(effect.mechanism)}, and {_mean(answer, effect, outcome, show)}."


def compared_at(effect: Effect, show: Show) -> str:
    """Return where a factor's levels are compared, in brackets; empty where that is wherever there are runs."""
    where = effect.contrast.where
    return f" (compared at {show(where)} only)" if where else ""


def headlines(answer: Attribution, outcome: str, show: Show) -> str:
    """Return the answers on all factors, and the placebo, in sentences."""
    said = [headline(answer, effect, outcome, show) for effect in answer.effects]
    return " ".join([*said, placebo(answer)]).strip()


def verdict(answer: Attribution, outcome: str) -> str | None:
    """Return the verdict on the thread's factors, in a sentence for the terminal; None where there is none."""
    if answer.verdict is None or not answer.effects:
        return None
    different = [effect for effect in answer.effects if effect.mean_conclusion == "different"]
    others = [effect for effect in answer.effects if effect not in different]
    if different:
        return "; ".join([f"{outcome} differs by {' and by '.join(map(_by, different))}", *map(_otherwise, others)])
    if any(effect.mean_conclusion == "undecided" for effect in answer.effects):
        return f"these runs don't decide whether {outcome} differs"
    is_equal = all(effect.mean_conclusion == "identical" for effect in answer.effects)
    mean = f"{outcome} is the same" if is_equal else f"{outcome} is equivalent within {margin(answer.margin)}"
    beside = [conclusions.SPREAD[effect.spread_conclusion] for effect in answer.effects if _spreads(effect)]
    if beside:
        return f"on average {mean}, but {beside[0]}"
    same = "the same mathematics up to rounding, and " if answer.verdict == conclusions.ROUND_OFF else ""
    return f"{same}{mean}"


def _by(effect: Effect) -> str:
    """Return what a factor of the thread is, in plain words."""
    reference, level = effect.factor.reference, effect.level
    if effect.factor.name == thread.PARAMETERIZATION.name:
        return f"what the learned scale is, a {reference} or a {level}"
    return f"the class that computes, {reference} or {level}"


def _otherwise(effect: Effect) -> str:
    """Return what is concluded of a factor by which the outcome isn't shown to differ."""
    if effect.mean_conclusion == "undecided":
        return f"whether it differs by {_by(effect)} is undecided"
    return f"by {_by(effect)}, it is {effect.mean_conclusion}"


def _spreads(effect: Effect) -> bool:
    return effect.spread_conclusion in conclusions.SPREAD


def _mechanism(mechanism: Mechanism) -> str:
    if mechanism.beyond:
        since = f" from update {mechanism.onset} on" if mechanism.onset else ""
        return f"a real difference{since} in {mechanism.beyond} of {mechanism.seeds} seeds, and round-off in the others"
    match mechanism.reading:
        case "identical":
            return "the same computation, bit for bit"
        case "round-off" if mechanism.size is None:
            return (
                "the same mathematics up to rounding, by float64's gap alone, without a ULP control to compare it with"
            )
        case "round-off":
            return "the same mathematics up to rounding"
        case "real" if mechanism.ratio is not None:
            return "a real difference (float64 doesn't shrink it to round-off)"
        case "real":
            return f"a real difference (its first gap is {number(mechanism.size)} times the ULP control's)"
        case "late":
            return f"a real difference from update {mechanism.onset} on"
    why = f" ({mechanism.reason})" if mechanism.reason else ""
    return f"whether it is the same computation is untested{why}"


def _mean(answer: Attribution, effect: Effect, outcome: str, show: Show) -> str:
    main, what = effect.main, show(outcome)
    measured = f"{number(main.estimate)} {interval(main.ci_adjusted)}"
    sample = f"{count(main.size, 'run')} a level" if not answer.paired else count(main.size, "seed")
    match effect.mean_conclusion:
        case "different":
            said = f"{_direction(answer, main)} {what}: {measured} for {contrast(effect, show)}"
            said += f" (p {p_value(main.p_adjusted)}, {sample})"
            if main.ranked is not None and main.is_different:
                said = f"{_direction(answer, main)} {what} in ranks, in which a failed run is the worst, for "
                finished = (
                    f"among runs that finished {measured}" if main.test.size else "no runs finished at both levels"
                )
                said += f"{contrast(effect, show)} (p {p_value(main.p_adjusted)}); {finished}"
            elif effect.mean.differing and not main.is_different:
                said = f"it changes {what}, not alike at all levels of other factors "
                said += f"({_differing(answer, effect, show)}), {measured} on average ({sample})"
            if effect.mean.is_inside_margin:
                said += f", yet it is smaller than the margin of {margin(main.margin)}"
        case "identical":
            said = f"the same {what} in every run ({sample})"
        case "equivalent":
            said = f"no difference in {what} beyond {number(_beyond(effect))} either way (90%, {sample})"
        case _ if not effect.mean.can_reject:
            said = f"nothing can be concluded on {what} from {sample}: at least {main.fewest} are needed"
        case _ if main.ranked is not None:
            finished = (
                f"among runs that finished, {measured} ({sample})" if main.test.size else "no pair of runs finished"
            )
            said = f"whether it changes {what} is undecided in ranks, in which a failed run is the worst "
            said += f"(p {p_value(main.p_adjusted)}); {finished}"
        case _:
            said = f"whether it changes {what} is undecided: {measured} ({sample})"
    if effect.mean_conclusion == "undecided" and effect.mean.differing:
        said += f", though it does at some levels of other factors: {_differing(answer, effect, show)}"
    if effect.spread_conclusion in conclusions.SPREAD:
        said += f"; {conclusions.SPREAD[effect.spread_conclusion]}"
    elif effect.conclusion in conclusions.BUT_FOR_THE_SPREAD.values():
        said += f"; whether runs vary more is {effect.spread_conclusion}"
    return said + _failures(effect)


def _differing(answer: Attribution, effect: Effect, show: Show) -> str:
    """Return a factor's effects where it is different, though not on average."""
    return "; ".join(
        f"{_better_or_worse(answer, each.ranked) if each.ranked else number(each.estimate)} {show(each.place)}"
        for each in effect.mean.differing
    )


def _better_or_worse(answer: Attribution, ranked: Test) -> str:
    """Return the direction of an effect in ranks, in which a failed run is the worst."""
    is_better = (ranked.estimate > 0) == (answer.blocks.goal == "maximize")
    return f"{'better' if is_better else 'worse'} in ranks"


def _direction(answer: Attribution, main: Estimate) -> str:
    if main.ranked is not None and math.isfinite(main.ranked.estimate):
        rises = main.ranked.estimate > 0
    else:
        rises = main.estimate > 0
    if answer.blocks.goal == "minimize":
        return "it raises" if rises else "it lowers"
    return "it adds to" if rises else "it costs"


def _beyond(effect: Effect) -> float:
    """Return the largest effect that the 90% intervals of the deciding estimates allow."""
    return max(abs(end) for each in effect.mean.deciding for end in each.ci90)


def _failures(effect: Effect) -> str:
    failures = effect.failures
    if failures.conclusion == "none":
        return ""
    (k, n), (k_reference, n_reference) = failures.level, failures.reference
    return (
        f". {k} of {n} runs failed, against {k_reference} of {n_reference} at the reference "
        f"(p {p_value(failures.p_adjusted)}); a failed run counts as the worst, and the estimate is of the others"
    )


def placebo(answer: Attribution) -> str:
    """Return the ULP control analysed as an effect, in a sentence; empty without one."""
    test = answer.placebo
    if test is None:
        return ""
    return (
        f"One ULP, a placebo, gives {number(test.estimate)} {interval(test.interval())} "
        f"(95%, {count(test.size, 'seed')}, {_pairs_of_runs(answer)})."
    )


def _pairs_of_runs(answer: Attribution) -> str:
    """Return the numbers of pairs of runs of which a seed's placebo, and its effect, is the mean."""
    control = int(np.isfinite(answer.blocks.responses).reshape(len(answer.blocks.seeds), -1).sum(axis=1).max())
    pairs = [effect.contrast.differences(answer.blocks.outcomes) for effect in answer.effects]
    effect = max((int(np.isfinite(each).reshape(len(each), -1).sum(axis=1).max()) for each in pairs), default=control)
    said = f"the mean of {count(control, 'pair')} of runs a seed"
    return said if effect == control else f"{said}, where an effect's is of {effect}"


def nothing_compared(answer: Attribution, show: Show) -> str:
    """Return why there is no effect, in a sentence."""
    if len(answer.arms) == 1:
        return f"All runs are of one condition, {show(answer.arms[0].name)}: there is none to compare it with."
    return "Nothing could be compared: see the warnings below."


def effect_line(effect: Effect) -> str:
    """Return an effect in a line for the terminal."""
    main = effect.main
    failed = "" if effect.failures.conclusion == "none" else f", failed runs {failures_cell(effect)}"
    return (
        f"{label(effect, str)} ({effect.level} - {effect.factor.reference}): {mean_cell(effect)}, "
        f"p {p_value(main.p_adjusted)} by Holm; mechanism {effect.mechanism.reading}, "
        f"mean {effect.mean_conclusion}, spread {effect.spread_conclusion}{failed}: {effect.conclusion}"
    )


def blind_spots(answer: Attribution, show: Show) -> str:
    """Return what a study could not see, in sentences."""
    said = []
    detectable = [
        f"{number(effect.main.detectable)} ({label(effect, show)})"
        for effect in answer.effects
        if effect.main.detectable
    ]
    if detectable:
        said.append(f"With a chance of 80% it finds an effect of at least {' or '.join(detectable)}")
    size = answer.smallest
    said.append(
        f"Failures or collapses in fewer than {100 * statistics.rarest_visible(size):.2g}% of the "
        f"{'seeds' if answer.paired else 'runs'} of an arm may not have shown up (95%, {sample_size(answer, size)})"
    )
    first = next((effect.main for effect in answer.effects if effect.main.detectable), None)
    if first is not None:
        times = statistics.exaggeration(first.size, first.level)
        said.append(
            f"Estimates that pass the test are {times:.1f} times too large on average, if the truth is half of the "
            "smallest that passes"
        )
    return ". ".join(said) + "."


ALL_DECIDED = "Every effect on the mean is decided."


def what_would_settle(answer: Attribution, core_seconds: float | None, show: Show) -> str:
    """Return the number of seeds that each undecided effect needs, in sentences; empty where all is decided.

    Args:
        answer: The answer.
        core_seconds: The processor time of a run, where it is known.
        show: Formats a name.
    """
    said = []
    for effect in answer.effects:
        if effect.mean_conclusion != "undecided":
            if effect.conclusion in conclusions.BUT_FOR_THE_SPREAD.values():
                said.append(_what_would_bound(effect, show))
            continue
        if effect.failures.conclusion == "different":
            said.append(
                f"The {label(effect, show)} effect on failures is found; what it does to the mean stays undecided "
                "while runs fail more often at one level"
            )
            continue
        if effect.failures.may_differ:
            said.append(
                f"Whether runs fail more often keeps the {label(effect, show)} effect undecided: more seeds tell"
            )
            continue
        needed = effect.mean.seeds_needed
        if needed is None and not effect.mean.can_reject:
            least = sample_size(answer, effect.main.fewest)
            said.append(f"No test of the {label(effect, show)} effect can find a difference in fewer than {least}")
        elif needed is None:
            said.append(f"No number of seeds up to 10,000 is likely to decide the {label(effect, show)} effect")
        else:
            runs = round(needed * int(answer.blocks.ended.sum()) / len(answer.blocks.seeds))
            cost = "" if core_seconds is None else f", and {number(runs * core_seconds / 60)} core-minutes"
            size = count(needed, "seed") if answer.paired else f"{needed} runs a level"
            total = f": {count(runs, 'run')}{cost}, without controls" * answer.paired
            if answer.paired and needed <= len(answer.blocks.seeds):
                size, total = f"{size} with all their runs", ", of which this study has fewer"
            said.append(
                f"About {size} in all would decide the mean of the {label(effect, show)} effect with a chance of 80%, "
                f"if it is as it seems{total}"
            )
    untested = [
        label(effect, show)
        for effect in answer.effects
        if effect.mechanism.reading == "untested" and not effect.mechanism.reason
    ]
    if untested and said:
        said.append(f"No number of seeds tells whether the computation is the same with the {' or '.join(untested)}")
    elif untested:
        said.append(
            f"{ALL_DECIDED[:-1]}; whether the computation is the same with the {' or '.join(untested)} stays untested"
        )
    return ". ".join(said) + "." * bool(said)


def _what_would_bound(effect: Effect, show: Show) -> str:
    """Return which runs would decide the spread of an effect that is equivalent in the mean."""
    tells = f"would tell whether runs vary more with the {label(effect, show)}"
    if effect.spread is None:
        return f"ULP controls of both levels {tells}"
    if effect.spread.uncovered:
        return f"ULP controls of both levels at {show('; '.join(effect.spread.uncovered))} {tells}"
    return f"ULP controls that don't fail {tells}" if effect.spread.lost else f"More seeds, with ULP controls, {tells}"


def band(answer: Attribution) -> str:
    """Return what the figure's band is; empty for an estimated margin, which has none since its error counts too."""
    return "; the band is the equivalence margin" if answer.margin and answer.margin.sd is None else ""


def margin_note(answer: Attribution, show: Show) -> str:
    """Return where the margin comes from and what that limits, in sentences."""
    if answer.margin is None:
        return "There is no equivalence margin, so nothing can be called equivalent."
    if answer.margin.sd is None:
        return f"The equivalence margin, {margin(answer.margin)}, was given."
    said = (
        f"The equivalence margin, {margin(answer.margin)}, is half the standard deviation between seeds of the "
        "reference's runs. Fix one before the data: what difference would matter?"
    )
    inside = [effect for effect in answer.effects if effect.mean.is_inside_margin]
    for effect in inside:
        said += (
            f" It is larger than the {label(effect, show)} effect that is called different: an equivalent effect may "
            "be as large."
        )
    return said


def first_table(answer: Attribution, outcome: str, show: Show) -> list[list[str]]:
    """Return the rows of the first page's table: a column for each effect, and one for the ULP control."""
    effects, control = answer.effects, answer.placebo
    heads = [f"{label(effect, show)}: {show(effect.level)} minus {show(effect.factor.reference)}" for effect in effects]
    rows = [
        ["", *heads, "ULP control"],
        ["---"] * (len(effects) + 2),
        ["conclusion", *(f"**{effect.conclusion}**" for effect in effects), "a placebo"],
        ["same mathematics?", *(mechanism_cell(effect.mechanism) for effect in effects), "by design"],
        [f"difference in {show(outcome)}", *(mean_cell(effect) for effect in effects), _test(control)],
        ["so the mean is", *(mean_conclusion_cell(effect) for effect in effects), ""],
        [f"spread of pairs, over one ULP's (bound {BOUND:g})", *(spread_cell(effect) for effect in effects), "1"],
        ["round-off alone, SD by level", *(sensitivity_cell(effect) for effect in effects), control_cell(answer)],
        ["failed runs: reference, level", *(failures_cell(effect) for effect in effects), ""],
    ]
    return rows if control else [row[:-1] for row in rows]


def _test(test: SignFlip | None) -> str:
    return f"{number(test.estimate)} {interval(test.interval())}" if test else ""


def mean_cell(effect: Effect) -> str:
    """Return the mean difference with the interval that decides; where ranks decide, that of finished runs."""
    measured = f"{number(effect.main.estimate)} {interval(effect.main.ci_adjusted)}"
    if effect.main.ranked is None:
        return measured
    if effect.mean_conclusion == "equivalent":
        return f"{measured} (finished runs)"
    return f"{measured} (finished runs; ranks decide)" if math.isfinite(effect.main.estimate) else "- (ranks decide)"


def mean_conclusion_cell(effect: Effect) -> str:
    """Return the conclusion on the mean, and the margin where it is equivalent."""
    if effect.mean_conclusion != "equivalent":
        return f"**{effect.mean_conclusion}**"
    return f"**equivalent** within {margin(effect.main.margin)}: {interval(effect.main.ci90)} (90%)"


def mechanism_cell(mechanism: Mechanism) -> str:
    """Return whether two levels are the same mathematics, and the ratio of gaps that shows it."""
    said = {
        "identical": "the same bits",
        "round-off": "yes, up to rounding",
        "real": "no",
        "late": f"not from update {mechanism.onset} on",
        "untested": f"untested: {mechanism.reason}" if mechanism.reason else "untested",
    }[mechanism.reading]
    if mechanism.beyond:
        return f"{said}, in {mechanism.beyond} of {mechanism.seeds} seeds"
    if mechanism.ratio is None:
        return said
    alone = ", without a ULP control" if mechanism.reading == "round-off" and mechanism.size is None else ""
    return f"{said}: gap float32 / float64 {power_of_two(mechanism.ratio)}{alone}"


def power_of_two(ratio: float) -> str:
    """Return a ratio as a number, from 1000 on as a power of two."""
    return number(ratio) if ratio < 1000 else f"2^{math.log2(ratio):.1f}"


def spread_cell(effect: Effect) -> str:
    """Return the spread of pairs over that of one-ULP perturbations, and the conclusion."""
    spread = effect.spread
    if spread is None:
        return "untested"
    if not spread.is_tested:
        return f"untested: {OTHER_ULPS}"
    return f"{number(spread.either.estimate)} {interval(spread.either.ci)}: {effect.spread_conclusion}"


def spread_rule(effect: Effect, show: Show) -> str:
    """Return the tests behind the conclusion on an effect's spread, in a sentence; empty without a ULP control."""
    spread = effect.spread
    if spread is None:
        return ""
    if not spread.is_tested:
        return f"{label(effect, show)}: untested, since {OTHER_ULPS}."
    return (
        f"{label(effect, show)}: {effect.spread_conclusion}, since p is {p_value(spread.p_sensitivity)} that the "
        f"levels' own responses are the same, {p_value(spread.p_pairs)} that pairs vary no more than these, and "
        f"{p_value(spread.p_bounded)} that they vary {BOUND:g} times as much as one of them or more "
        f"({count(spread.either.size, 'seed')})."
    )


def sensitivity_cell(effect: Effect) -> str:
    """Return the standard deviation of a run by round-off alone, at the reference and at the level."""
    spread = effect.spread
    if spread is None:
        return "untested"
    reference, level = (
        math.sqrt(float(squares.mean()) / 2) for squares in (spread.sensitivity.base, spread.sensitivity.squares)
    )
    both = f"{number(reference)}, {number(level)}"
    return f"{both} (p {p_value(spread.sensitivity.p_unequal)})" if spread.is_tested else both


def control_cell(answer: Attribution) -> str:
    """Return the standard deviation of a run by round-off alone, over all arms."""
    return number(ulp_sd(answer.blocks, list(range(len(answer.arms)))))


def failures_by_arm(answer: Attribution, show: Show) -> str:
    """Return the numbers of failed runs and of all, by arm."""
    counts = zip(answer.blocks.failed.sum(axis=(0, 2)), answer.blocks.ended.sum(axis=(0, 2)), strict=True)
    return ", ".join(f"{show(arm.name)} {k} of {n}" for arm, (k, n) in zip(answer.arms, counts, strict=True))


def failures_cell(effect: Effect) -> str:
    """Return the numbers of failed runs and of all, at the reference and at the level."""
    (k, n), (k_reference, n_reference) = effect.failures.level, effect.failures.reference
    said = f"{k_reference} of {n_reference}, {k} of {n}"
    return said if effect.failures.conclusion == "none" else f"{said}: {effect.failures.conclusion}"


@dataclasses.dataclass(frozen=True)
class GapRow:
    """A line of the divergence table."""

    runs: str
    gaps: Gaps


def distinct_gaps(design: Design) -> list[GapRow]:
    """Return the gaps to show: of each effect its first pair of arms, and the reference's ULP control."""
    answer = design.answer
    names = [arm.name for arm in answer.arms]
    wanted = []
    for effect in answer.effects:
        stratum = effect.contrast.strata[0]
        wanted.append((label(effect, str), {names[stratum.reference[0]], names[stratum.level[0]]}))
    wanted.append((ULP, {names[0]}))
    return [
        GapRow(f"{name}: {', '.join(dict.fromkeys((gaps.a, gaps.b)))}", gaps)
        for name, arms in wanted
        for gaps in design.gaps
        if {gaps.a, gaps.b} == arms
    ]


def ranges(numbers: Sequence[int]) -> str:
    """Return whole numbers in order, with a dash for those that follow each other: 0-9, 12."""
    runs: list[list[int]] = []
    for number_ in numbers:
        if runs and number_ == runs[-1][-1] + 1:
            runs[-1].append(number_)
        else:
            runs.append([number_])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def exploration_cost(cost: ExplorationCost, outcome: str) -> str:
    """Return the part of a training return's difference that is the exploration cost, in a sentence or two."""
    total, policy, noise = cost.total, cost.policy, cost.noise
    text = (
        f"The scale as a {total.b} instead of a {total.a} changes {markdown(outcome)} by {number(total.estimate)} "
        f"{interval(total.ci)}, and the deterministic policy's return by {number(policy.estimate)} "
        f"{interval(policy.ci)}. The rest, {number(noise.estimate)} {interval(noise.ci)}, would be the exploration cost"
    )
    if cost.share and cost.share.low >= 0 and cost.share.high <= 1:
        return f"{text}: {percent(cost.share)} of the difference."
    return f"{text}."


def prediction(compensation: Compensation) -> str:
    """Return the prediction of the law, in sentences."""
    step = {0.5: "half", 0.25: "a quarter of"}.get(compensation.law, f"{compensation.law:g} times")
    optimizer = {"adam": "Adam", "sgd": "plain gradient descent"}.get(compensation.optimizer, compensation.optimizer)
    return (
        f"Prediction: under {optimizer}, a scale that is a std, learned with {step} the learning rate on the raw "
        "scale, equals a scale that is a variance. With that, the parameterization's effect is none."
    )


def outcome_of(compensation: Compensation) -> str:
    """Return the result of the prediction's test, in sentences."""
    effect = compensation.effect
    if effect is None:
        return "It can't be tested here: both parameterizations are needed, on the same seeds."
    main = effect.main
    kept = {
        "equivalent": "The prediction holds: the effect is equivalent to zero within the margin",
        "identical": "The prediction holds: the outcomes are identical",
        "different": "The prediction fails: something else than the learning speed is left",
        "undecided": "Whether the prediction holds is undecided",
    }[effect.mean_conclusion]
    text = (
        f"With compensation, the effect is {number(main.estimate)} {interval(main.ci)}, with a margin of "
        f"{margin(main.margin)} (p of equivalence {p_value(main.p_equivalent)}). {kept}."
    )
    if compensation.explained is None:
        return f"{text} The plain design shows no difference of which a share could be explained."
    return f"{text} The scale's learning speed explains {percent(compensation.explained)} of the plain design's effect."
