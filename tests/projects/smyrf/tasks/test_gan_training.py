"""The GAN of SMYRF's tables: its networks against plain references, and a training that is stopped and resumed."""

import copy
import itertools
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from projects.smyrf.config import GanTraining, Network, TrainingAttention
from projects.smyrf.data import pictures
from projects.smyrf.models.biggan import Attend, Discriminator, Generator, SelfAttention
from projects.smyrf.tasks.gan import training
from projects.smyrf.tasks.gan.training import GeneratorRun
from tests.paths import ROOT

SMALL = Network(
    image_size=16,
    colours=1,
    classes=3,
    width=8,
    generator=[2, 2, 1],
    discriminator=[1, 2],
    latent=12,
    shared=5,
    hierarchical=True,
    attention_resolution=16,
)
BIGGAN_128 = Network(
    image_size=128,
    colours=3,
    classes=1000,
    width=96,
    generator=[16, 16, 8, 4, 2, 1],
    discriminator=[1, 2, 4, 8, 16, 16],
    latent=120,
    shared=128,
    hierarchical=True,
    attention_resolution=64,
)


def a_run(attention: str = "smyrf", chunks: int = 4) -> GeneratorRun:
    steps = GanTraining(
        batch_size=4,
        discriminator_steps=2,
        chunks=chunks,
        chunk_steps=2,
        snapshots=2,
        generator_rate=1e-3,
        discriminator_rate=1e-3,
        beta1=0.0,
        beta2=0.999,
        epsilon=1e-8,
        average=0.9,
        precision="32-true",
    )
    return GeneratorRun("toy", "package", SMALL, steps, TrainingAttention(attention, 2, 64), seed=3)


def toy_pictures() -> SimpleNamespace:
    images = np.random.default_rng(0).integers(0, 256, (60, 14, 14), dtype=np.uint8)
    return SimpleNamespace(images=images, labels=np.arange(60) % 3)


@pytest.fixture
def toy_data(monkeypatch):
    monkeypatch.setattr(pictures.data, "load", lambda name, root, source: {"train": toy_pictures()})


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_of_the_released_generator_by_hand():
    """BigGAN at 128 × 128: 96 channels, latent 120 in six slices, class embedding of 128, attention on 64 × 64."""
    with torch.device("meta"):
        generator = Generator(BIGGAN_128, Attend("softmax"))
    widths = [1536, 1536, 768, 384, 192, 96]
    expected = 1000 * 128 + 20 * 1536 * 16 + 1536 * 16
    for a, b in itertools.pairwise(widths):
        expected += 9 * a * b + b + 9 * b * b + b + a * b + b  # two 3 × 3 maps and the shortcut
        expected += 2 * (128 + 20) * (a + b)  # gains and biases of two norms
    expected += 192 * 24 * 2 + 192 * 96 * 2 + 1  # θ, φ, g, o and γ
    expected += 2 * 96 + 9 * 96 * 3 + 3
    assert count(generator) == expected == 70_433_988


def test_attention_block_against_a_plain_reference():
    torch.manual_seed(0)
    block = SelfAttention(16, Attend("softmax")).eval()
    nn.init.constant_(block.gamma, 0.5)
    x = torch.randn(2, 16, 8, 8)
    q, k, v = block.theta(x), F.max_pool2d(block.phi(x), 2), F.max_pool2d(block.g(x), 2)
    assert (q.shape, k.shape, v.shape) == ((2, 2, 8, 8), (2, 2, 4, 4), (2, 8, 4, 4))
    weights = torch.einsum("bcn,bcm->bnm", q.flatten(2), k.flatten(2)).softmax(-1)  # not scaled
    mixed = torch.einsum("bnm,bcm->bcn", weights, v.flatten(2)).unflatten(2, (8, 8))
    assert torch.allclose(block(x), x + 0.5 * block.o(mixed), atol=1e-5)
    assert Generator(replace(SMALL, gamma=0.75), Attend("softmax")).attention.gamma == 0.75
    assert Generator(SMALL, Attend("softmax")).attention.gamma == 0  # as BigGAN begins
    one_cluster = Attend("smyrf", rounds=2, cluster_size=64).eval()  # all 64 queries and all 16 keys: dense
    assert torch.allclose(one_cluster(*heads(q, k, v)), block.attend(*heads(q, k, v)), atol=1e-5)


def heads(*maps: torch.Tensor) -> list[torch.Tensor]:
    return [part.flatten(2).mT[:, None] for part in maps]


def test_a_cluster_has_a_quarter_as_many_keys():
    """One round of two clusters: the two halves of the queries, by hash, each see their half of the keys."""
    attend = Attend("smyrf", rounds=1, cluster_size=8).eval()
    q, k = torch.randn(1, 1, 16, 4), torch.randn(1, 1, 4, 4)
    seen = attend(q, k, torch.eye(4)[None, None]) > 0
    assert seen.sum(-1).unique().tolist() == [2]
    assert seen.sum(-2).unique().tolist() == [8]


def test_directions_are_new_in_training_and_fixed_in_evaluation():
    q, k, v = torch.randn(1, 1, 64, 4), torch.randn(1, 1, 16, 4), torch.randn(1, 1, 16, 4)
    attend = Attend("smyrf", rounds=1, cluster_size=16)
    assert not torch.equal(attend(q, k, v), attend(q, k, v))
    attend.eval()
    first = attend(q, k, v)
    assert torch.equal(attend(q, k, v), first)
    attend.seed = 1
    assert not torch.equal(attend(q, k, v), first)


def test_shapes_and_spectral_norms():
    torch.manual_seed(0)
    generator, discriminator = Generator(SMALL, Attend("softmax")), Discriminator(SMALL)
    made = generator(torch.randn(3, 12), torch.arange(3))
    assert made.shape == (3, 1, 16, 16)
    assert made.abs().max() <= 1
    assert discriminator(made, torch.arange(3)).shape == (3,)
    normed = [module for module in generator.modules() if hasattr(module, "parametrizations")]
    assert (
        len(normed) == 2 * (3 + 4) + 4 + 2
    )  # two blocks of three maps and four of their norms; attention; first and last
    for module in normed:
        weight = module.weight.detach().flatten(1)
        assert torch.linalg.matrix_norm(weight, 2) == pytest.approx(1, abs=0.05)
    assert generator.attention.gamma == 0


@pytest.mark.parametrize("hierarchical", [True, False])
@pytest.mark.parametrize("shared", [0, 5])
def test_class_and_every_slice_of_the_latent_reach_the_picture(hierarchical, shared):
    network = Network(**(vars(SMALL) | {"hierarchical": hierarchical, "shared": shared}))
    torch.manual_seed(0)
    generator = Generator(network, Attend("softmax")).eval()
    latents, labels = torch.randn(1, 12, requires_grad=True), torch.tensor([1])
    made = generator(latents, labels)
    assert not torch.equal(made, generator(latents, torch.tensor([2])))
    made.square().sum().backward()
    assert (latents.grad != 0).all()


def test_a_training_that_was_stopped_equals_one_that_was_not(toy_data, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    training.train(a_run(), whole)

    stopped = a_run()
    real = training.Adversaries.on_train_epoch_start

    def stop(self):
        if self.current_epoch == 3:
            raise InterruptedError

    training.Adversaries.on_train_epoch_start = stop
    try:
        with pytest.raises(InterruptedError):
            training.train(stopped, parts)
    finally:
        training.Adversaries.on_train_epoch_start = real
    assert not (parts / "generator-000008.pt").exists()
    torch.manual_seed(99)
    training.train(a_run(), parts)

    one, other = (torch.load(f / "checkpoints" / "last.ckpt", weights_only=False) for f in (whole, parts))
    assert one["epoch"] == other["epoch"] == 3
    assert one["state_dict"].keys() == other["state_dict"].keys()
    assert any(name.endswith("_u") for name in one["state_dict"])
    for name, value in one["state_dict"].items():
        assert torch.equal(value, other["state_dict"][name]), name
    for a, b in zip(one["optimizer_states"], other["optimizer_states"], strict=True):
        for key, state in a["state"].items():
            assert all(torch.equal(state[name], b["state"][key][name]) for name in state)
    for name in ("generator-000004.pt", "generator-000008.pt"):
        first, second = (torch.load(folder / name, weights_only=True) for folder in (whole, parts))
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_average_and_what_is_settled(toy_data, tmp_path):
    torch.manual_seed(0)
    task = training.Adversaries(a_run("softmax"))
    settled = training.with_standing_statistics(task.average, SMALL, seed=1)
    assert not settled.training
    again = training.with_standing_statistics(task.average, SMALL, seed=1)
    assert torch.equal(settled.norm.running_mean, again.norm.running_mean)
    assert not torch.equal(settled.norm.running_mean, task.average.norm.running_mean)
    before = copy.deepcopy(task.average.attention.theta.state_dict())
    training.train(a_run("softmax", chunks=2), tmp_path)
    trained = torch.load(tmp_path / "generator-000004.pt", weights_only=True)
    moved = trained["attention.theta.parametrizations.weight.original"] != before["parametrizations.weight.original"]
    assert moved.any()
    assert trained["attention.gamma"] != 0


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_a_training_in_lower_precision_leaves_a_generator_in_float32(toy_data, tmp_path, precision):
    run = a_run(chunks=2)
    run.training.precision = precision
    training.train(run, tmp_path)
    weights = torch.load(tmp_path / "generator-000004.pt", weights_only=True)
    floats = [value for value in weights.values() if value.is_floating_point()]
    assert {value.dtype for value in floats} == {torch.float32}
    assert all(value.isfinite().all() for value in floats)
    kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=False)["state_dict"]["generator.start.bias"]
    assert kept.dtype == (torch.bfloat16 if precision == "bf16-true" else torch.float32)


ON_TWO_DEVICES = """
import sys
from pathlib import Path
from tests.projects.smyrf.tasks import test_gan_training as tests
from projects.smyrf.data import pictures
from projects.smyrf.tasks.gan import training

pictures.data.load = lambda name, root, source: {"train": tests.toy_pictures()}
folder = Path(sys.argv[1])
fakes = training.Adversaries._fakes


def watched(self, size):
    made = fakes(self, size)
    path = folder / f"labels-{training.torch.distributed.get_rank()}.pt"
    if not path.exists():
        training.torch.save(made[1], path)
    return made


training.Adversaries._fakes = watched
if __name__ == "__main__":  # ranks import this file too
    run = tests.a_run(chunks=2)
    run.training.devices, run.training.strategy = 2, "ddp_find_unused_parameters_true"
    training.train(run, folder)
    assert not training.torch.distributed.is_initialized()
"""


@pytest.mark.slow
def test_two_devices_train_one_generator_on_latents_of_their_own(tmp_path):
    script = tmp_path / "on_two_devices.py"
    script.write_text(ON_TWO_DEVICES, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'libs'}:{ROOT}", "CUDA_VISIBLE_DEVICES": ""}
    ran = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert sorted(path.name for path in tmp_path.glob("generator-*.pt")) == [
        "generator-000002.pt",
        "generator-000004.pt",
    ]
    first, second = (torch.load(tmp_path / f"labels-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert not torch.equal(first, second)


def test_pictures_are_padded_and_scaled():
    images = torch.tensor([[[0, 255], [255, 0]]], dtype=torch.uint8)
    assert pictures.scaled(images, 4)[0, 0].tolist() == [[-1] * 4, [-1, -1, 1, -1], [-1, 1, -1, -1], [-1] * 4]
    assert pictures.scaled(torch.zeros(2, 4, 4, 3, dtype=torch.uint8), 4).shape == (2, 3, 4, 4)
    assert np.array_equal(pictures.as_bytes(pictures.scaled(images, 2)), images.numpy())
    with pytest.raises(ValueError, match="pictures of 2 × 2 do not fit into the middle of 3 × 3"):
        pictures.scaled(images, 3)


def test_a_chunk_longer_than_the_data_is_refused(toy_data, tmp_path):
    long = a_run()
    long.training.chunk_steps = 9
    with pytest.raises(ValueError, match=r"8 batches of 4 × 2 per device, got gan\.training\.chunk_steps=9"):
        training.train(long, tmp_path)
    long.training.chunk_steps, long.training.devices = 5, 2
    with pytest.raises(ValueError, match=r"4 batches of 4 × 2 per device, got gan\.training\.chunk_steps=5"):
        training.train(long, tmp_path)
