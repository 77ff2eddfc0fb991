"""Made-up times and peaks of memory, as a benchmark leaves them."""

from dataclasses import replace

from regard.bench.cases import Case
from regard.bench.table import Environment, Row

HERE = Environment("2.13.0", "A <processor>", 4, 2)
LENGTHS = (256, 512, 1024, 2048, 4096, 8192)
FUSED = Case("softmax", "fused", "mix", "noncausal_self")
PLAIN = Case("softmax", "plain", "mix", "noncausal_self")
LOCAL = Case("local", "library", "mix", "noncausal_self")
SMYRF = Case("smyrf", "library", "mix", "noncausal_self", "rounds=2 cluster_size=32")
PEER = replace(SMYRF, form="benchmarks/straightforward_smyrf.py:straightforward_smyrf")
LAYER = Case("efficient", "library", "layer", "causal_self", backward=True)


def row(kind: Case, n: int, time_s: float | None, baseline_s: float | None = None, **rest: object) -> Row:
    values: dict[str, object] = (
        {"spread_s": 0.001, "repeats": 3, **rest} if time_s else {"skipped": "predicted: 4 runs of 9 s"}
    )
    return replace(Row(replace(kind, n=n), HERE, "2026-01-02 03:04", time_s, baseline_s=baseline_s), **values)  # type: ignore[arg-type]


def measured() -> list[Row]:
    rows = []
    for n in LENGTHS:
        fused = 1e-8 * n * n
        rows.append(row(FUSED, n, fused, fused, peak_mib=n / 128))
        rows.append(row(PLAIN, n, 4 * fused, fused, peak_mib=1e-4 * n * n))
        rows.append(row(LOCAL, n, 1e-5 * n, fused, peak_mib=0.1 * n))
        rows.append(row(SMYRF, n, 2e-6 * n, fused, peak_mib=n / 128))
        rows.append(row(PEER, n, None if n > 4096 else 6e-6 * n, fused))
    rows += [row(LOCAL, 960, 0.0096, 0.009216), row(LAYER, 256, 1.25, 2.5), row(LAYER, 512, 2.5, 5.0)]
    return rows
