"""Point clouds: neighbours and far points by hand, distances by hand, what is under test, and floors."""

import pytest
import torch

from projects.cab.analyses import floors
from projects.cab.checks import check
from projects.cab.config import NONE, Attention
from projects.cab.data.clouds import cloud_pairs
from projects.cab.models.completion import Completion, Neighbours, farthest, gathered, nearest
from projects.cab.tasks import completion
from tests.projects.cab.cab_data import config_of

LINE = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [5, 0, 0], [6, 0, 0], [3, 0, 0]]])


def test_far_and_near_points_by_hand():
    assert farthest(LINE, 4).tolist() == [[0, 3, 4, 1]]  # 6, then 3 in the middle, then the first of 1 and 5
    assert nearest(LINE[:, :1], LINE, 2).tolist() == [[[0, 1]]]
    assert gathered(LINE, torch.tensor([[[3], [4]]]))[0, :, 0, 0].tolist() == [6, 3]
    with pytest.raises(ValueError, match="6 points cannot be chosen from 5"):
        farthest(LINE, 6)


def test_neighbours_say_their_largest():
    layer = Neighbours(3, 2)
    layer.map = torch.nn.Identity()
    out = layer(LINE, LINE, LINE, LINE)
    assert out[0, :, 0].tolist() == [1, 0, 1, 0, 2]  # x of the two nearest, itself one of them, less its own
    assert out[0, :, 3].tolist() == LINE[0, :, 0].tolist()


def test_distances_by_hand():
    made = torch.tensor([[[0.0, 0, 0], [0.3, 0, 0]]])
    whole = torch.tensor([[[0.005, 0, 0], [0, 0.4, 0], [0.3, 0, 0]]])
    found = completion.quality_of(made, whole)
    there, back = [0.005, 0.0], [0.005, 0.4, 0.0]
    l1 = (sum(there) / 2 + sum(back) / 3) / 2
    l2 = sum(d * d for d in there) / 2 + sum(d * d for d in back) / 3
    assert float(found["cd_l1"]) == pytest.approx(1000 * l1, rel=1e-4)
    assert float(found["cd_l2"]) == pytest.approx(1000 * l2, rel=1e-4)
    assert float(found["f_score"]) == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    same = whole.clone().requires_grad_()
    torch.autograd.backward(completion.chamfer(same, whole)[0].sum())
    assert torch.isfinite(same.grad).all()


@pytest.mark.parametrize("table", ["pcc_self", "pcc_cross"])
def test_the_mechanism_is_where_its_pattern_is(table):
    config = config_of(f"table={table}")
    torch.manual_seed(0)
    model = Completion(config.pcc, Attention("abc", "", {}), config.pattern).eval()
    kinds = {
        "pcc_self": model.encoder[0].own.attention.name,
        "inner": model.decoder[0].own.attention.name,
        "pcc_cross": model.decoder[0].cross.attention.name,
    }
    assert kinds == {name: "abc" if name == table else "softmax" for name in kinds}
    view = torch.rand(2, 128, 3)
    coarse, fine = model(view)
    assert coarse.shape == (2, 32, 3)
    assert fine.shape == (2, 16 * 4 + 128, 3)
    assert torch.equal(fine[:, 64:], view)


def test_without_cross_attention_queries_know_their_neighbours_and_the_whole_alone():
    config = config_of("table=pcc_cross")
    torch.manual_seed(0)
    model = Completion(config.pcc, Attention(NONE, "", {}), "noncausal_cross")
    assert model.layers.parameter_count() == 0
    loss = completion.score(model, (torch.rand(2, 128, 3), torch.rand(2, 128, 3)))["loss"]
    torch.autograd.backward(loss)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_floors_are_of_the_same_views(made_up, tmp_path):
    config = config_of("table=pcc_cross", *made_up)
    runs = (floors.view_itself, floors.nearest_object, floors.mean_shape)
    found = {run.__name__: run(config, tmp_path).metrics for run in runs}
    view, whole = cloud_pairs(config.pcc, "package")["test"]
    assert found["view_itself"]["cd_l1"] == pytest.approx(float(completion.quality_of(view, whole)["cd_l1"].mean()))
    assert found["nearest_object"]["cd_l1"] < found["view_itself"]["cd_l1"]  # the balls of training are of like sizes
    assert 0 <= found["mean_shape"]["f_score"] <= 1


def test_more_proxies_than_points_are_refused():
    with pytest.raises(ValueError, match="got 200 and 128"):
        check(config_of("table=pcc_cross", "pcc.proxies=200"))
