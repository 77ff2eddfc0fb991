"""Small results to test with; every number in them is made up for the test that uses it."""

from regard_lab.common.formatting import Key
from regard_lab.experiment.results import Curve, DataUse, Metric, Result, Row, Scale, Status


def row(
    key: Key,
    values: dict[str, list[float]],
    *,
    unit: str = "%",
    units: dict[str, str] | None = None,
    status: Status = "ok",
    reason: str = "",
    seeds: list[int] | None = None,
    curves: dict[str, list[list[float]]] | None = None,
) -> Row:
    """A row with one list of values a metric; the seeds count from 0."""
    n = max((len(per_seed) for per_seed in values.values()), default=0)
    seeds = list(range(n)) if seeds is None else seeds
    name = "-".join(str(part) for part in key.values())
    return Row(
        key=key,
        metrics={metric: Metric.of(per_seed, (units or {}).get(metric, unit)) for metric, per_seed in values.items()},
        status=status,
        reason=reason,
        seeds=seeds,
        cells=[f"{name}-seed{seed}" for seed in seeds],
        curves={metric: Curve(unit, per_seed) for metric, per_seed in (curves or {}).items()},
    )


def result(
    *rows: Row,
    paper: str = "sample",
    table: str = "scores",
    scale: Scale = "laptop",
    stands_in_for: str | None = None,
    fingerprint: str = "f1",
) -> Result:
    """A result whose records look like those of the cell runner."""
    records = {
        cell: {
            "identity": {
                "run": "projects.sample.train:train",
                "config": {"model": {"attention": str(line.key)}, "optimiser": {"rate": 0.001}},
                "seed": seed,
                "fingerprint": fingerprint,
                "data": {"imdb": "abc"},
            },
            "key": line.key,
            "metrics": {name: metric.values[line.seeds.index(seed)] for name, metric in line.metrics.items()},
            "curves": {},
            "wall_time_s": 12.5,
            "peak_mib": 321.0,
            "versions": {"torch": "2.13.0"},
            "environment": {"device": "cpu <one>"},
            "revision": None,
        }
        for line in rows
        for seed, cell in zip(line.seeds, line.cells, strict=True)
    }
    data = [DataUse("imdb", stands_in_for, "abc")]
    return Result(paper, table, scale, fingerprint, data, list(rows), records)
