"""Cases in, rows out: all cases of one length in turn, length by length.

Cases that would take too long are predicted and left out.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from regard.bench import memory
from regard.bench.cases import Case, Inputs, prepare
from regard.bench.table import Environment, Row, now
from regard.bench.timing import LEAST, Call, elapsed_s, interleaved, median_and_spread, predicted

PROBES = (256, 512, 1024)  # lengths run once, unreported, before a first length that is longer: to predict it
STEPS, CLOSE = 4, 1.1  # bisection ends after so many halvings, or when its ends are this near
TURNS = 9  # of a length and its half
PART_OF_MEMORY = 0.6  # of what is available, for one case
Say = Callable[[str], None]


@dataclass
class History:
    """The cost of a kind of case at shorter lengths: (length, seconds per call) and (length, peak MiB)."""

    times: list[tuple[int, float]] = field(default_factory=list)
    peaks: list[tuple[int, float]] = field(default_factory=list)

    def too_much(self, n: int, seconds: float, available_mib: float) -> str:
        """Why length n is not to be run, or nothing.

        A warm-up and LEAST repeats must fit into `seconds`, the peak into the available memory.
        """
        time_s, peak_mib = predicted(self.times, n), predicted(self.peaks, n)
        if time_s is not None and (LEAST + 1) * time_s > seconds:
            return f"predicted: {LEAST + 1} runs of {time_s:.1f} s, allowed are {seconds:g} s"
        if peak_mib is not None and peak_mib > PART_OF_MEMORY * available_mib:
            return f"predicted: {peak_mib / 1024:.1f} GiB, available are {available_mib / 1024:.1f} GiB"
        return ""


def measure(
    kinds: Sequence[Case],
    lengths: Sequence[int],
    *,
    environment: Environment,
    seconds: float,
    say: Say = lambda text: None,
) -> Iterator[list[Row]]:
    """Measure kinds of cases at all lengths.

    Kinds of one level are timed against the first of them that is its own baseline.

    Args:
        kinds: Cases at no length.
        lengths: The lengths.
        environment: What the rows say of this machine.
        seconds: What a case may take at one length; longer ones are predicted and left out.
        say: Told of the progress. Default: nothing.

    Returns:
        The rows of every length in turn.
    """
    histories = {kind: History() for kind in kinds}
    probes = [n for n in PROBES if n < min(lengths)]
    for n in [*probes, *sorted(lengths)]:
        cases = [replace(kind, n=n) for kind in kinds]
        rows = measure_together(cases, environment=environment, seconds=seconds, histories=histories, say=say)
        if n in lengths:
            yield rows


def measure_together(
    cases: Sequence[Case],
    *,
    environment: Environment,
    seconds: float,
    histories: dict[Case, History],
    say: Say = lambda text: None,
) -> list[Row]:
    """One row per case, all of one length and size, in interleaved repeats after a warm-up of each."""
    inputs = Inputs(cases[0])
    ready: list[tuple[Case, Call]] = []
    skipped: dict[Case, str] = {}
    for number, case in enumerate(cases):
        history = histories[case.kind]
        say(
            f"{case.pattern}{', forward + backward' if case.backward else ''}, n = {case.n:,}: {number + 1} of {len(cases)}, {case}"
        )
        reason = history.too_much(case.n, seconds, memory.available_mib())
        if not reason:
            try:
                ready.append((case, warmed(case, inputs, history)))
            except (ValueError, TypeError, RuntimeError) as error:
                reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if reason:
            skipped[case] = reason
    say(f"{cases[0].pattern}, n = {cases[0].n:,}: {len(ready)} cases in turns")
    times = dict(zip((case for case, _ in ready), interleaved([call for _, call in ready]), strict=True))
    measured = {case: median_and_spread(own) for case, own in times.items()}
    for case, (time_s, _) in measured.items():
        histories[case.kind].times[-1] = (case.n, time_s)
    date = now()
    rows = []
    for case in cases:
        if case in skipped:
            rows.append(Row(case, environment, date, skipped=skipped[case]))
            continue
        (time_s, spread_s), against = measured[case], measured.get(case.baseline)
        baseline_s = None if against is None else against[0]
        rows.append(Row(case, environment, date, time_s, spread_s, len(times[case]), baseline_s))
    return rows


def warmed(case: Case, inputs: Inputs, history: History) -> Call:
    """The case, made ready and run once; what that took is added to its history."""
    timed: list[tuple[Call, float]] = []

    def first() -> None:
        call = prepare(case, inputs)
        timed.append((call, elapsed_s(call)))

    peak = memory.peak_of(first)
    call, time_s = timed[0]
    history.times.append((case.n, time_s))
    history.peaks.append((case.n, max(peak.extra_mib, 0.01)))
    return call


def bisect(
    rows: Sequence[Row], *, environment: Environment, seconds: float, say: Say = lambda text: None
) -> Iterator[Row]:
    """Further rows around the length from which a kind is faster.

    They lie between the last length at which it was slower than its baseline and the next, closer at each step.
    """
    for kind in dict.fromkeys(row.case.kind for row in rows):
        if kind == kind.baseline:
            continue
        ends = bracket([row for row in rows if row.case.kind == kind])
        for _ in range(STEPS):
            if ends is None or ends[1] <= CLOSE * ends[0]:
                break
            n = round((ends[0] * ends[1]) ** 0.5 / 8) * 8
            cases = [replace(each, n=n) for each in (kind.baseline, kind)]
            histories = {case.kind: History() for case in cases}
            _, row = measure_together(cases, environment=environment, seconds=seconds, histories=histories, say=say)
            if row.speed is None:
                break
            yield row
            ends = (n, ends[1]) if row.speed < 1 else (ends[0], n)


def bracket(rows: Sequence[Row]) -> tuple[int, int] | None:
    """The two neighbouring lengths between which a kind becomes faster than its baseline for good.

    None if it never does, or always is.
    """
    known = sorted((row.case.n, row.speed) for row in rows if row.speed is not None)
    slower = [index for index, (_, speed) in enumerate(known) if speed < 1]
    if not slower or slower[-1] + 1 == len(known):
        return None
    return known[slower[-1]][0], known[slower[-1] + 1][0]


def with_doubling(rows: Sequence[Row], *, say: Say = lambda text: None) -> Iterator[Row]:
    """The rows, with the growth of their time from half the length, both lengths measured again, in turns.

    Times taken minutes apart on a shared machine say as much about its load as about the mechanism.
    """
    known = {row.case for row in rows if row.time_s is not None}
    for number, row in enumerate(rows):
        half = replace(row.case, n=row.case.n // 2)
        if row.case.n % 2 or not {row.case, half} <= known:
            yield row
            continue
        say(f"{row.case.pattern}, growth: {number + 1} of {len(rows)}, n = {row.case.n:,}, {row.case}")
        shorter, longer = (prepare(case, Inputs(case)) for case in (half, row.case))
        ratios = [elapsed_s(longer) / elapsed_s(shorter) for _ in range(1 + TURNS)]
        yield replace(row, doubling=median(ratios[1:]))  # the first turn is the warm-up


def with_memory(rows: Sequence[Row], *, say: Say = lambda text: None) -> Iterator[Row]:
    """The rows, with peak memory for those that were measured, each peak taken in a fresh process."""
    for number, row in enumerate(rows):
        if row.time_s is None:
            yield row
            continue
        say(f"{row.case.pattern}, memory: {number + 1} of {len(rows)}, n = {row.case.n:,}, {row.case}")
        peak = memory.in_a_fresh_process(row.case, row.environment.threads)
        if isinstance(peak, str):
            yield replace(row, skipped=f"memory: {peak}")
        else:
            yield replace(row, peak_mib=peak.extra_mib, resident_mib=peak.resident_mib)
