"""GLUE: every task's fields and splits."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import glue

HEADS = {
    "CoLA": None,
    "MNLI": "index\tpromptID\tsentence1\tsentence2\tlabel1\tgold_label",
    "MRPC": "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String",
    "QNLI": "index\tquestion\tsentence\tlabel",
    "QQP": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
    "RTE": "index\tsentence1\tsentence2\tlabel",
    "SST-2": "sentence\tlabel",
    "STS-B": "index\tgenre\tsentence1\tsentence2\tscore",
}
ROWS = {
    "CoLA": 'gj04\t0\t*\tThey "drank the pub.',
    "MNLI": "0\t9\tA\tB\tneutral\tcontradiction",
    "MRPC": '1\t7\t8\tHe " said\tShe said',
    "QNLI": "0\tWho?\tHe.\tnot_entailment",
    "QQP": "1\t2\t3\tA?\tB?\t1\nbroken row\n",
    "RTE": "0\tA\tB\tentailment",
    "SST-2": "a fine film \t1",
    "STS-B": "0\tnews\tA\tB\t3.800",
}


def test_glue_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task's fields and splits, by the hub's names."""

    def tiny(path: str, task: str) -> dict[str, dict[str, list]]:
        assert path == "nyu-mll/glue"
        first, second = glue.FIELDS[task]
        columns = {first: [f"{task} a"], "label": [1]} | ({second: [f"{task} b"]} if second else {})
        names = ("train", "validation", "validation_matched", "validation_mismatched", "test")
        return dict.fromkeys(names, columns)

    monkeypatch.setattr(glue, "load_hub", tiny)
    splits = glue.from_hub()
    assert set(splits) == set(glue.SIZES)
    assert list(splits["cola_train"].rows()) == [("cola a", "", 1.0)]
    assert list(splits["mnli_validation_matched"].rows()) == [("mnli a", "mnli b", 1.0)]


def write(folder: Path, task: str) -> None:
    (folder / task).mkdir()
    names = ("train", "dev_matched", "dev_mismatched") if task == "MNLI" else ("train", "dev")
    for name in names:
        lines = [line for line in (HEADS[task], ROWS[task]) if line is not None]
        (folder / task / f"{name}.tsv").write_text("\n".join(lines), encoding="utf-8")


def test_glue_of_the_official_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns, names of labels, quotation marks and byte order marks as the official files have them."""
    for task in HEADS:
        write(tmp_path, task)
    monkeypatch.setattr(glue, "SIZES", dict.fromkeys(glue.SIZES, 1))
    splits = glue.from_folder(tmp_path)
    assert {name: next(iter(rows.rows())) for name, rows in splits.items() if not name.endswith("train")} == {
        "cola_validation": ('They "drank the pub.', "", 0.0),
        "mnli_validation_matched": ("A", "B", 2.0),
        "mnli_validation_mismatched": ("A", "B", 2.0),
        "mrpc_validation": ('He " said', "She said", 1.0),
        "qnli_validation": ("Who?", "He.", 1.0),
        "qqp_validation": ("A?", "B?", 1.0),
        "rte_validation": ("A", "B", 0.0),
        "sst2_validation": ("a fine film ", "", 1.0),
        "stsb_validation": ("A", "B", 3.8),
    }


def test_tasks_that_are_not_whole_are_left_out_and_others_have_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="has no whole task"):
        glue.from_folder(tmp_path)
    for task in ("RTE", "QNLI"):
        write(tmp_path, task)
    (tmp_path / "QNLI" / "train.tsv").unlink()
    with pytest.raises(
        UserError, match=r"other sizes: rte_train 1 \(official: 2,490\), rte_validation 1 \(official: 277\)"
    ):
        glue.from_folder(tmp_path)
    monkeypatch.setattr(glue, "SIZES", dict.fromkeys(glue.SIZES, 1))
    assert set(glue.from_folder(tmp_path)) == {"rte_train", "rte_validation"}
    (tmp_path / "RTE" / "dev.tsv").write_text(HEADS["RTE"] + "\n0\tA\tB\tmaybe\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"line 2 of .*dev.tsv is not a row of RTE"):
        glue.from_folder(tmp_path)
    (tmp_path / "RTE" / "dev.tsv").write_text("a\tb\n", encoding="utf-8")
    with pytest.raises(UserError, match="has no column sentence1, sentence2, label; it has a, b"):
        glue.from_folder(tmp_path)
