"""LibreOffice help: marked passages of two languages become pairs."""

from regard_lab.data.sets import libreoffice_help
from tests.regard_lab.data.round_trip import round_trip


def test_pairs_of_the_help_by_hand(tmp_path):
    page = b'<h1 id="hd_id1" dir="auto">A <b>big</b>\n file</h1><p class="x" id="par_id2">Same</p><p>no mark</p><td id="par_id3"></td>'
    assert libreoffice_help.marked(page) == {"hd_id1": "A big file", "par_id2": "Same"}
    english = {"a": {"1": "Open", "2": "Same", "3": "Open"}, "b": {"1": "OPEN!", "2": "Close"}, "c": {"1": "x"}}
    spanish = {"a": {"1": "Abrir", "2": "Same", "3": "Abra"}, "b": {"1": "Abre", "2": "Cerrar"}}
    pairs = libreoffice_help.aligned(english, spanish)
    assert pairs == {"a": [("Open", "Abrir")], "b": [("Close", "Cerrar")]}  # equal, repeated and lone ones fall away
    many = {str(page): [(f"source {page}", f"target {page}")] for page in range(40)}
    splits = libreoffice_help.split(many)
    assert {split: len(part) for split, part in splits.items()} == {"train": 36, "validation": 2, "test": 2}
    again = round_trip(splits["test"], tmp_path, "test")
    assert (again.sources, again.targets) == (splits["test"].sources, splits["test"].targets)
