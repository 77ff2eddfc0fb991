"""The report: `python -m regard_lab.report` writes `reports/` from `results/`, `benchmarks/` and the projects' files, and from nothing else."""
