"""The report: `python -m regard_lab.report` writes `reports/` from `results/`, `paper.yaml` and `claims.yaml`, and from nothing else."""
