"""How often the monitors alarm without cause, and how soon with one, beside Evidently's default drift test.

    OMP_NUM_THREADS=1 python -m benchmarks.drift

Each replay is a shop of its own (`benchmarks.simulated_traffic`): a reference of two weeks that sets the thresholds,
then a week in which nothing changes. The false-alarm rate is the share of those weeks with an alarm of any monitor on
any day. In some replays the same users also live through that week with a shift from its first day on, once for each
grade: power is the share of replays in which it is noticed within the week, and the day is the median one of the first
alarm. A flood by one user is no shift: an alarm at it is a false one.

Evidently judges the same days by the tests and thresholds that `DataDriftPreset` picks by itself, row by row against
the same reference: an alarm is a day on which it calls any column drifted, or, in the other column, half of them.
"""

import os
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

os.environ.setdefault("DO_NOT_TRACK", "1")  # Evidently looks at it while it is imported.

import click
import numpy as np
import pandas as pd
import polars as pl
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.core import ColumnType
from evidently.presets import DataDriftPreset
from scipy.stats import beta

from benchmarks.simulated_traffic import VERSION, Shift, Shop, flood
from gream.monitoring.calibration import CalibrationSettings, calibrate
from gream.monitoring.evidence import Evidence
from gream.monitoring.judgement import WindowReport, judge
from gream.monitoring.user_means import user_means

REFERENCE_DAYS, WEEK = 14, 7
FLOOD = 2_000
SHIFTS = {
    "a genre's surge, 5% of requests": Shift(surge=0.05),
    "a genre's surge, 10%": Shift(surge=0.10),
    "a genre's surge, 20%": Shift(surge=0.20),
    "a genre's surge, 40%": Shift(surge=0.40),
    "new films, 2% of what is taken": Shift(new_items=0.02),
    "new films, 5%": Shift(new_items=0.05),
    "answers twice as slow": Shift(slower=2.0),
}
COLUMNS = {
    "history_length": ColumnType.Numerical,
    "seconds_since_last": ColumnType.Numerical,
    "last_level1": ColumnType.Categorical,
    "top_category": ColumnType.Categorical,
    "unknown_items": ColumnType.Numerical,
    "total_ms": ColumnType.Numerical,
    "first_item": ColumnType.Categorical,
}
"""What Evidently is given."""


@dataclass
class Tally:
    """Of one way of judging: the day of the first alarm in each week, or 0 for none."""

    quiet: list[int] = field(default_factory=list)
    flooded: list[int] = field(default_factory=list)
    shifted: dict[str, list[int]] = field(default_factory=dict)


Judge = Callable[[Sequence[Evidence]], list[bool]]
"""Days -> whether each alarms."""


@click.command(help=__doc__)
@click.option("--replays", default=200, show_default=True)
@click.option(
    "--shifted", default=16, show_default=True, help="Of the replays, those with shifts, and beside Evidently."
)
@click.option("--rate", default=0.01, show_default=True, help="Configured false-alarm rate.")
@click.option("--seed", default=0, show_default=True)
def main(replays: int, shifted: int, rate: float, seed: int) -> None:
    started = time.process_time()
    ours, columns, half = Tally(), Tally(), Tally()
    for number in range(replays):
        shop = Shop(np.random.default_rng([seed, number]))
        reference = shop.days(1, REFERENCE_DAYS)
        before, quiet = shop.days(REFERENCE_DAYS + 1, 2), week(shop)
        judges = [(ours, our_judge(shop, reference, before, rate, number))]
        if number < shifted:
            judges += evidently_judges(reference, columns, half)
        if number == 0:
            check_against_preset(raw_rows(reference), raw_rows(quiet[:1]))
        for tally, judged in judges:
            tally.quiet.append(first(judged(quiet)))
            if number < shifted:
                tally.flooded.append(first(judged([flood(day, FLOOD) for day in quiet])))
        for name, shift in SHIFTS.items() if number < shifted else ():
            days = week(shop, shift)
            for tally, judged in judges:
                tally.shifted.setdefault(name, []).append(first(judged(days)))
    click.echo(f"Configured: an alarm in {rate:.0%} of the weeks in which nothing changes.\n")
    rows = {"GREAM": ours, "Evidently, any column": columns, "Evidently, half of them": half}
    click.echo("| | " + " | ".join(rows) + " |\n|---|" + "---|" * len(rows))
    click.echo(line("nothing changes: weeks with an alarm", [share(tally.quiet) for tally in rows.values()]))
    click.echo(line(f"one user makes {FLOOD:,} requests a day", [share(tally.flooded) for tally in rows.values()]))
    for name in SHIFTS:
        click.echo(line(name, [power(tally.shifted[name]) for tally in rows.values()]))
    click.echo(f"\n{replays} replays, {time.process_time() - started:.0f} s of one core.")


def week(shop: Shop, shift: Shift | None = None) -> list[Evidence]:
    """The week after the days before it; the shop stays where it is, and can live through it another time."""
    return deepcopy(shop).days(REFERENCE_DAYS + 3, WEEK, shift)


def our_judge(shop: Shop, reference: Sequence[Evidence], before: Sequence[Evidence], rate: float, seed: int) -> Judge:
    """Our monitors, calibrated; each week that they judge follows the days `before`."""
    served = shop.served()
    settings = CalibrationSettings(false_alarm_rate=rate, min_windows=REFERENCE_DAYS)
    calibration = calibrate([user_means(day, served) for day in reference], settings, VERSION, seed)

    def reports(days: Sequence[Evidence], previous: list[WindowReport]) -> list[WindowReport]:
        made = list(previous)
        for day in days:
            made.append(judge(calibration, day, user_means(day, served), VERSION, made))
        return made[len(previous) :]

    earlier = reports(before, [])
    return lambda days: [bool(report.alarms) for report in reports(days, earlier)]


def evidently_judges(reference: Sequence[Evidence], columns: Tally, half: Tally) -> list[tuple[Tally, Judge]]:
    """Evidently's default tests and thresholds, read in two ways: any column drifted, or half of them."""
    known = raw_rows(reference)

    def judge_by(limit: float) -> Judge:
        return lambda days: [drifted_share(known, raw_rows([day])) >= limit for day in days]

    return [(columns, judge_by(1 / len(COLUMNS))), (half, judge_by(0.5))]


def raw_rows(days: Sequence[Evidence]) -> pd.DataFrame:
    """Requests as Evidently is given them: one row each, whoever made it."""
    rows = pl.concat([day.requests for day in days]).with_columns(pl.col("items").list.first().alias("first_item"))
    return pd.DataFrame(rows.select(list(COLUMNS)).to_dict(as_series=False))


def drifted_share(reference: pd.DataFrame, current: pd.DataFrame) -> float:
    """Share of the columns that `DataDriftPreset` would call drifted, without drawing its page."""
    drifted = []
    for name, kind in COLUMNS.items():
        test = get_stattest(reference[name], current[name], kind, None)
        drifted.append(test(reference[name], current[name], kind, None).drifted)
    return float(np.mean(drifted))


def check_against_preset(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    """What stands here for `DataDriftPreset` must say what it says."""
    definition = DataDefinition(
        numerical_columns=[name for name, kind in COLUMNS.items() if kind == ColumnType.Numerical],
        categorical_columns=[name for name, kind in COLUMNS.items() if kind == ColumnType.Categorical],
    )
    datasets = [Dataset.from_pandas(rows, data_definition=definition) for rows in (current, reference)]
    metrics = Report([DataDriftPreset()]).run(*datasets).dict()["metrics"]
    (count,) = [one["value"] for one in metrics if one["metric_name"].startswith("DriftedColumnsCount")]
    if count["share"] != drifted_share(reference, current):
        raise click.ClickException(f"DataDriftPreset calls {count['share']:.0%} of the columns drifted, not as many.")


def first(alarms: Sequence[bool]) -> int:
    """The day of the first alarm, from 1 on; 0 where there is none."""
    return alarms.index(True) + 1 if True in alarms else 0


def share(weeks: Sequence[int]) -> str:
    """Share of the weeks with an alarm, with its 95% interval (Clopper-Pearson)."""
    hits, n = sum(day > 0 for day in weeks), len(weeks)
    low = beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0
    return f"{hits} of {n}: {hits / n:.1%} [{low:.1%}, {high:.1%}]"


def power(weeks: Sequence[int]) -> str:
    """Share of the weeks with an alarm, and the median day of the first one."""
    days = [day for day in weeks if day]
    return f"{len(days) / len(weeks):.0%}" + (f", day {np.median(days):g}" if days else "")


def line(name: str, cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
