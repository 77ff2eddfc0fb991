"""What a module binds has the same order in every process, so that the fingerprint of a whole module is one and the same."""

from regard_lab.experiment.definitions import read_module


def test_names_of_one_statement_are_in_a_fixed_order(tmp_path):
    names = [f"NAME_{letter}" for letter in "HGFEDCBA"]
    (tmp_path / "projects").mkdir()
    (tmp_path / "projects" / "several.py").write_text(f"{', '.join(names)} = range({len(names)})\n")
    assert list(read_module("projects.several", tmp_path).definitions) == sorted(names)
