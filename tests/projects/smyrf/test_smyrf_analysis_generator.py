"""The analysis on a small generator: what is caught is what its block attends to, and SMYRF may stand in its place."""

import torch

from projects.smyrf.analysis.ablation import captured_mass, of_layer
from projects.smyrf.analysis.clusters import Clustering
from projects.smyrf.analysis.generator import subject
from projects.smyrf.analysis.vectors import capture, dense, result_with
from projects.smyrf.gan.networks import Attend, Generator
from projects.smyrf.gan.recipe import Network

NETWORK = Network(16, 3, 4, 8, [2, 2, 2], [1, 2], 12, 0, False, 8)


def test_a_generator_is_caught_and_swapped() -> None:
    torch.manual_seed(0)
    made = Generator(NETWORK, Attend("softmax")).eval()
    with torch.no_grad():
        made.attention.gamma.fill_(1.0)
    latents, labels = torch.randn(2, 12), torch.tensor([0, 3])
    looked_at = subject(made, latents, labels)
    with torch.no_grad():
        expected = made(latents, labels).flatten(1)
    caught = capture(looked_at)
    torch.testing.assert_close(caught.result, expected)
    (x,) = caught.layers
    assert (x.q.shape, x.k.shape, x.v.shape) == ((2, 1, 64, 2), (2, 1, 16, 2), (2, 1, 16, 8))
    assert looked_at.grid == (8, 8)
    torch.testing.assert_close(dense(x), torch.softmax(x.q @ x.k.mT, -1) @ x.v)
    clustering = Clustering(2, 16)
    drawn = clustering.directions(x, 0, 0)
    swapped = result_with(looked_at, lambda place, y: clustering.attend(y, drawn))
    assert not torch.allclose(swapped, expected)
    queries, keys = clustering.labels(x, drawn)
    assert keys[0, 0, 0].bincount().tolist() == [4] * 4  # a quarter as many keys as queries in a cluster
    mass, error = of_layer(x, clustering, 0, 0)
    assert mass == captured_mass(x, queries, keys)
    assert 0 < mass < 1
    assert error > 0
    with torch.no_grad():
        assert torch.equal(made(latents, labels).flatten(1), expected)  # its own attention is back
