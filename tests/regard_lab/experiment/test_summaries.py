"""What TensorBoard is given of a cell, read back from its event file."""

import numpy as np

from regard_lab.common.images import encode
from regard_lab.experiment.run_result import RunResult
from regard_lab.experiment.summaries import FOLDER, flat, pictures_in, write_summaries


def test_config_metrics_and_pictures_are_there(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    map_of = encode(np.arange(12, dtype=np.uint8).reshape(3, 4))
    measured = RunResult({"accuracy": 81.5}, {}, {"attention_maps": [{"weights": {"picture": map_of}, "word": "a"}]})
    write_summaries(tmp_path, {"seed": 1}, measured)
    assert list(tmp_path.iterdir()) == []  # nothing was trained here
    (tmp_path / FOLDER).mkdir()
    write_summaries(tmp_path, {"seed": 1, "model": {"heads": 4, "hidden": [8], "name": None}}, measured)
    events = EventAccumulator(str(tmp_path / FOLDER)).Reload()
    assert events.Scalars("metrics/accuracy")[0].value == 81.5
    assert events.Tags()["images"] == ["exhibits/attention_maps/0/weights/picture"]
    assert any("hparams" in name for name in events.summary_metadata)


def test_a_config_is_flat():
    assert flat({"a": {"b": [1, 2], "c": None}, "d": True}) == {"a.b": "[1, 2]", "a.c": "None", "d": True}
    assert list(pictures_in({"text": "iVBOR", "n": 3})) == []
