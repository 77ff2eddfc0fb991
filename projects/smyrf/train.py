"""Run one cell of a table: `python -m projects.smyrf.train table=glue attention.rounds=2 attention.cluster_size=32 scale=laptop seed=0`."""

import sys

from projects.smyrf.project import PROJECT

if __name__ == "__main__":
    from regard_lab.errors import UserError, command
    from regard_lab.one_cell import command_of

    @command
    def needs_a_table() -> int:
        tables = ", ".join(PROJECT.tables(PROJECT_ROOT))
        raise UserError(f"say which table's cell to run, as table=NAME; there are: {tables}")

    from pathlib import Path

    PROJECT_ROOT = Path.cwd()
    named = any(word.startswith("table=") for word in sys.argv[1:]) or {"-h", "--help"} & set(sys.argv[1:])
    sys.exit(command_of(PROJECT, "") if named else needs_a_table())
