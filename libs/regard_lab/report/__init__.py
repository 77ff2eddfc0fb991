"""The report: `python -m regard_lab.report` writes `reports/` from `results/` and the projects' `paper.yaml` and `tables/`, and from nothing else."""
