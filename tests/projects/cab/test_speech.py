"""Speech: spectra and warping against plain references, alignment of a made-up utterance, who sees what in both models, floors, cells."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from projects.cab.analyses import floors
from projects.cab.checks import check
from projects.cab.config import NONE, Attention
from projects.cab.data import alignment, sound
from projects.cab.data import speech as data
from projects.cab.models import fastspeech2
from projects.cab.models.fastspeech2 import FastSpeech2Model
from projects.cab.models.transformer_tts import TransformerTtsModel, losses_of
from projects.cab.models.transformer_tts import speak as speak_in_steps
from projects.cab.tasks import distortion, speech
from regard.common.patterns import Pattern
from regard_lab.common.errors import UserError
from regard_lab.common.sounds import seconds
from tests.projects.cab.cab_data import config_of

RATE = 16_000
PATTERNS: dict[str, Pattern] = {"tts_self": "noncausal_self", "tts_causal": "causal_self", "tts_cross": "causal_cross"}


def tone(hertz: float, samples: int = 3_200) -> Tensor:
    return 0.5 * torch.sin(2 * math.pi * hertz / RATE * torch.arange(samples))


def test_mel_filters_are_triangles_that_meet():
    filters = sound.mel_filters(RATE, 1024, 20, 20, 8_000)
    assert filters.shape == (20, 513)
    assert float(filters.min()) == 0
    assert float(filters.max()) <= 1
    inner = slice(int(filters[0].argmax()) + 1, int(filters[-1].argmax()))
    torch.testing.assert_close(filters.sum(0)[inner], torch.ones(513)[inner])  # one falls as the next rises
    middle = sound.to_mel(20) + (sound.to_mel(8_000) - sound.to_mel(20)) * 10 / 21
    hertz = 700 * (10 ** (middle / 2595) - 1)
    assert abs(int(filters[9].argmax()) * RATE / 1024 - hertz) < RATE / 1024


def test_cosines_are_orthonormal_and_the_first_is_a_mean():
    matrix = sound.cosines(80, 80)
    torch.testing.assert_close(matrix.T @ matrix, torch.eye(80), atol=1e-5, rtol=0)
    torch.testing.assert_close((torch.ones(80) @ sound.cosines(13, 80))[0], torch.tensor(80**0.5))


def test_the_pitch_of_tones_and_of_silence():
    both = torch.cat([tone(200), torch.zeros(3_200), tone(125)])
    found = sound.pitch(both, RATE, 800, 200).exp()
    assert found.shape == (49,)
    assert float(found[8]) == pytest.approx(200, rel=0.02)
    assert float(found[-8]) == pytest.approx(125, rel=0.02)
    assert 125 < float(found[24]) < 200  # on the line between
    assert not sound.pitch(torch.zeros(800), RATE, 800, 200).any()


def test_griffin_lim_gives_a_sound_of_the_same_spectrum():
    wanted = sound.log_mel(tone(440), RATE, 800, 200, 80, 20, 7_600)
    made = sound.griffin_lim(wanted, RATE, 800, 200, 20, 7_600, 16)
    again = sound.log_mel(made, RATE, 800, 200, 80, 20, 7_600)
    assert made.shape == (3_200,)
    assert int(again.mean(0).argmax()) == int(wanted.mean(0).argmax())
    loud = wanted > wanted.max() - 3
    assert float((again - wanted)[loud].abs().mean()) < 0.3


def test_warping_is_the_best_of_all_paths():
    draws = np.random.default_rng(0)

    @functools.cache
    def paths(m: int, n: int) -> list[list[tuple[int, int]]]:
        if (m, n) == (1, 1):
            return [[(0, 0)]]
        before = [(m - 1, n), (m, n - 1), (m - 1, n - 1)]
        return [[*path, (m - 1, n - 1)] for a, b in before if a and b for path in paths(a, b)]

    for m, n in itertools.product((1, 2, 3, 5), (1, 2, 4)):
        costs = draws.random((m, n))
        assert distortion.warped(costs) == pytest.approx(min(sum(costs[at] for at in path) for path in paths(m, n)))


def test_distortion_by_hand_and_of_a_sound_with_itself():
    a, b = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[3.0, 4.0]])
    assert distortion.distances(a, b).ravel().tolist() == pytest.approx([5 / 2**0.5, 0])
    same = distortion.distortion(tone(300), tone(300), RATE)
    assert (same.synthetic_frames, same.reference_frames) == (17, 17)
    assert same.spectral == pytest.approx(0, abs=1e-3)
    slow = torch.cat([tone(300), tone(300)])
    assert distortion.distortion(slow, tone(300), RATE).cepstral / 33 < 0.5  # warping makes up for the speed
    far = distortion.distortion(tone(300), tone(2_000), RATE)
    assert far.cepstral > 10
    rows = [distortion.Distortion(2.0, 4.0, 10, 5), distortion.Distortion(4.0, 5.0, 20, 10)]
    assert distortion.reported(rows) == pytest.approx({"mcd": 0.2, "msd": 0.3, "length": 2.0})


def test_alignment_finds_durations_that_are_known():
    """Prompts of three kinds of symbols in several orders, each symbol a run of frames near a place of its own."""
    draws = np.random.default_rng(0)
    places = np.array([[0, 0], [4, 0], [0, 4], [4, 4]], dtype=float)
    texts = [np.array(text) for text in itertools.permutations((1, 2, 3, 1, 2), 4)]
    durations = [draws.integers(2, 9, len(text)) for text in texts]
    frames = [
        places[np.repeat(text, length)] + 0.3 * draws.normal(size=(length.sum(), 2))
        for text, length in zip(texts, durations, strict=True)
    ]
    found = alignment.aligned(frames, texts, 4, 6)
    mistaken = [
        abs(a - b).sum()
        for text, a, b in zip(texts, found, durations, strict=True)
        if (np.diff(text) != 0).all()  # equal neighbours cannot be told apart
    ]
    assert np.mean(mistaken) < 0.2
    assert [row.sum() for row in found] == [row.sum() for row in durations]
    with pytest.raises(ValueError, match="prompt 1 has 2 frames for 4 symbols"):
        alignment.aligned([frames[0], frames[1][:2]], texts[:2], 4, 1)


def test_the_likeliest_path_is_the_best_of_all_divisions():
    logs = np.random.default_rng(1).normal(size=(6, 3))
    divisions = [(a, b, 6 - a - b) for a in range(1, 5) for b in range(1, 6 - a)]
    best = max(divisions, key=lambda each: logs[np.arange(6), np.repeat(range(3), each)].sum())
    assert tuple(alignment.likeliest(logs)) == best
    assert alignment.flat(7, 3).tolist() == [2, 2, 3]


def test_symbols_of_a_text():
    numbers = data.symbols_of('Dial 12 -- "now", it\'s É.')
    assert "".join(data.SYMBOLS[number - 1] for number in numbers) == "_dial one two,now,it's e_"
    with pytest.raises(UserError, match="has no letter and no figure"):
        data.symbols_of("...")


def test_prompts_are_joined_as_long_as_asked_and_no_longer():
    def prompt(name: str, frames: int) -> data.Prompt:
        return data.Prompt(name, name, np.ones(2, dtype=np.int64), torch.zeros(frames, 1), np.zeros(1, np.int16))

    prompts = [prompt(str(place), 10 + 7 * place) for place in range(8)]
    rows = data.joined(prompts, "0", 60, 80, 100)
    lengths = [sum(len(prompts[place].frames) for place in row) for row in rows]
    assert all(60 <= length <= 80 for length in lengths)
    assert len({place for row in rows for place in row}) == sum(map(len, rows))
    assert rows != data.joined(prompts, "1", 60, 80, 100)
    assert all(len(row) <= 2 for row in data.joined(prompts, "0", 20, 80, 4))
    assert data.joined(prompts[:1], "0", 60, 80, 100) == [[0]]


def test_utterances_have_as_many_frames_as_their_durations_say(made_up):
    task = config_of("table=tts_self", *made_up).speech
    normal, splits = data.utterances(task, "package")
    for part in splits.values():
        symbols, durations, pitch, energy, mels = part.tensors
        assert symbols.shape == durations.shape == pitch.shape == energy.shape
        for row, prompts in enumerate(part.prompts):
            frames = sum(len(prompt.frames) for prompt in prompts)
            assert int(durations[row].sum()) == frames
            assert not mels[row, frames:].any()
            assert bool(((symbols[row] > 0) == (durations[row] > 0)).all())
    true = torch.cat([prompt.frames for prompt in splits["test"].prompts[0]])
    torch.testing.assert_close(normal.back(splits["test"].tensors[4][0, : len(true)]), true, atol=1e-4, rtol=0)


def test_states_are_spread_over_their_frames_by_hand():
    x = torch.tensor([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [9.0]]])
    frames, mask = fastspeech2.spread(x, torch.tensor([[2, 1, 1], [1, 2, 0]]))
    assert frames.squeeze(-1).tolist() == [[1, 1, 2, 3], [4, 5, 5, 0]]
    assert mask.tolist() == [[True] * 4, [True, True, True, False]]


def fastspeech(attention: str = "softmax") -> FastSpeech2Model:
    torch.manual_seed(0)
    task = config_of("table=tts_self").speech
    return FastSpeech2Model(task, Attention(attention, "", {}), "noncausal_self", data.KINDS).eval()


def transformer(table: str, attention: str = "softmax") -> TransformerTtsModel:
    torch.manual_seed(0)
    task = config_of(f"table={table}").speech
    return TransformerTtsModel(task, Attention(attention, "", {}), PATTERNS[table], data.KINDS).eval()


def test_the_mechanism_is_in_every_self_attention_of_fastspeech_and_padding_changes_nothing():
    model = fastspeech("abc")
    assert [block.attention.name for block in (*model.encoder, *model.decoder)] == ["abc"] * 2
    symbols = torch.randint(1, data.KINDS, (1, 9))
    given = (torch.randint(1, 4, (1, 9)), torch.randn(1, 9), torch.randn(1, 9))
    alone = model(symbols, given)
    longer = torch.randint(1, data.KINDS, (1, 14))  # another utterance of the batch, whose frames are more
    batch = torch.cat([torch.nn.functional.pad(symbols, (0, 5)), longer])
    more = [
        torch.cat([torch.nn.functional.pad(part, (0, 5)), torch.ones_like(part[:, :1]).expand(-1, 14)])
        for part in given
    ]
    more[0] = torch.cat([more[0][:1], torch.full((1, 14), 4)])
    padded = model(batch, tuple(more))
    frames = alone.mels.shape[1]
    assert padded.mels.shape[1] > frames
    torch.testing.assert_close(padded.mels[:1, :frames], alone.mels, atol=1e-4, rtol=0)
    torch.testing.assert_close(padded.pitch[:1, :9], alone.pitch, atol=1e-4, rtol=0)
    assert not padded.mels[0, frames:].any()


def test_predicted_durations_are_whole_at_least_one_and_end_at_the_longest():
    model = fastspeech()
    logs = torch.tensor([[-1.0, math.log(4.4), math.log(1e9), 2.0]])
    durations = model.whole(logs, torch.tensor([[True, True, True, True]]))
    assert durations.tolist() == [[1, 3, model.most_frames - 4, 0]]
    assert model.whole(logs, torch.tensor([[True, True, False, False]])).tolist() == [[1, 3, 0, 0]]
    symbols = torch.randint(1, data.KINDS, (2, 9))
    assert [len(mels) for mels in fastspeech2.speak(model, symbols)] == model(symbols).mask.sum(1).tolist()


@pytest.mark.parametrize("table", PATTERNS)
def test_transformer_tts_sees_no_future_and_no_padding(table):
    model = transformer(table, "abc")
    kinds = [model.encoder[0].attention.name, model.decoder[0].own.name, model.decoder[0].cross.name]
    assert kinds == ["abc" if name == table else "softmax" for name in PATTERNS]
    symbols, mask = torch.randint(1, data.KINDS, (1, 9)), torch.ones(1, 9, dtype=torch.bool)
    steps, there = torch.randn(1, 6, 320), torch.ones(1, 6, dtype=torch.bool)
    context = model.encode(symbols, mask)
    frames, stop = model.decode(context, mask, steps, there)
    later = model.decode(context, mask, torch.cat([steps[:, :3], torch.randn(1, 3, 320)], 1), there)
    torch.testing.assert_close(later[0][:, :3], frames[:, :3], atol=1e-4, rtol=0)
    torch.testing.assert_close(later[1][:, :3], stop[:, :3], atol=1e-4, rtol=0)
    assert not torch.allclose(later[0][:, 3:], frames[:, 3:], atol=1e-4)
    whole = model(symbols, steps, there)
    text = torch.nn.functional.pad(symbols, (0, 4))
    longer = torch.cat([steps, torch.randn(1, 3, 320)], 1)
    padded = model(text, longer, torch.tensor([[True] * 6 + [False] * 3]))
    for before, after in zip(whole, padded, strict=True):
        torch.testing.assert_close(after[:, :6], before, atol=1e-4, rtol=0)
    assert not torch.allclose(model(symbols.flip(1), steps, there)[0], whole[0], atol=1e-4)


def test_speaking_in_steps_is_what_training_sees_and_stops():
    model = transformer("tts_causal")
    torch.nn.init.constant_(model.stop.bias, -20.0)
    symbols = torch.randint(1, data.KINDS, (2, 9))
    made = speak_in_steps(model, symbols)
    assert [len(mels) for mels in made] == [4 * model.most_steps] * 2  # it never stops, and is stopped
    torch.nn.init.constant_(model.stop.bias, 20.0)
    assert [len(mels) for mels in speak_in_steps(model, symbols)] == [4, 4]
    torch.nn.init.constant_(model.stop.bias, -20.0)
    for part in model.postnet.convolutions:
        torch.nn.init.zeros_(part.convolution.weight)
        torch.nn.init.zeros_(part.convolution.bias)
    for part in model.postnet.after[:-1]:
        torch.nn.init.zeros_(part[0].bias)
    made = torch.stack(speak_in_steps(model, symbols))
    steps, mask = model.steps(made, torch.full((2,), made.shape[1]))
    torch.testing.assert_close(model(symbols, steps, mask)[0], steps, atol=1e-4, rtol=0)


def test_the_stop_token_is_asked_for_at_the_last_step_alone():
    class Sure(TransformerTtsModel):
        def forward(self, symbols: Tensor, steps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            stop = torch.full(mask.shape, -30.0)
            stop[0, 1] = stop[1, 0] = 30.0
            return steps, steps, stop

    torch.manual_seed(0)
    task = config_of("table=tts_causal").speech
    model = Sure(task, Attention("softmax", "", {}), "causal_self", data.KINDS)
    durations = torch.tensor([[8, 2], [4, 1]])  # two steps and two frames that fill none; one step
    found = losses_of(
        model, (torch.ones(2, 2).long(), durations, *(torch.zeros(2, 2),) * 2, torch.randn(2, 12, 80)), 5.0
    )
    assert {name: float(value) for name, value in found.items()} == pytest.approx(dict.fromkeys(found, 0), abs=1e-6)


def test_fastspeech_is_scored_on_frames_that_are_there():
    class Told(FastSpeech2Model):
        def forward(self, symbols: Tensor, given: tuple[Tensor, ...] | None = None) -> fastspeech2.Spoken:
            assert given is not None
            mask = torch.arange(4) < given[0].sum(1)[:, None]
            mels = torch.where(mask[..., None], 1.5, 99.0).expand(-1, -1, 80)
            return fastspeech2.Spoken(mels, mask, (given[0] + 1.0).log(), given[1] + 2, given[2])

    model = Told(config_of("table=tts_self").speech, Attention("softmax", "", {}), "noncausal_self", data.KINDS)
    symbols = torch.tensor([[1, 2], [3, 0]])
    batch = (symbols, torch.tensor([[3, 1], [2, 0]]), torch.zeros(2, 2), torch.zeros(2, 2), torch.ones(2, 6, 80))
    found = {name: float(value) for name, value in fastspeech2.losses_of(model, batch).items()}
    assert found == pytest.approx({"mel": 0.5, "duration": 0, "pitch": 4, "energy": 0, "loss": 4.5})


@pytest.mark.parametrize("table", PATTERNS)
def test_a_model_without_attention_and_its_sample(made_up, tmp_path, table):
    config = config_of(f"table={table}", f"attention.name={NONE}", *made_up)
    measured = speech.train(config, tmp_path)
    assert measured.metrics["attention_parameters"] == 0
    assert set(measured.exhibits) == {"text", "sound"}
    assert seconds(measured.exhibits["sound"]) <= speech.SHOWN_SECONDS
    assert len(measured.exhibits["sound"]) < 40_000
    assert ("fs2_mcd" in measured.metrics) is (table == "tts_self")


def test_floors_are_measured_as_models_are(made_up, tmp_path):
    config = config_of("table=tts_self", *made_up)
    flat, near = (run(config, tmp_path).metrics for run in (floors.mean_frame, floors.nearest_prompts))
    assert flat["fs2_mcd"] == flat["tts_mcd"] > 0
    assert flat["fs2_length"] == pytest.approx(1, abs=0.01)
    assert near["tts_msd"] != flat["tts_msd"]
    _, through = speech.references_of(config.speech, "package")
    assert speech.measured_speech(config.speech, "package", through)["mcd"] == pytest.approx(0, abs=1e-2)
    assert floors.dice(floors.trigrams("one two"), floors.trigrams("One, two!")) < 1
    assert floors.dice(floors.trigrams("one two"), floors.trigrams("ONE TWO")) == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("speech.fastspeech2.heads=3", "speech.fastspeech2.heads and 2 must divide speech.fastspeech2.width, got 3"),
        ("speech.backbones=[]", "speech.backbones names each backbone once"),
        ("speech.hop=900", "speech.hop must not be above speech.window, got 900 and 800"),
        ("speech.highest=9000", "got 20, 9000 and 16000"),
        ("speech.least_frames=99", "got 99, 4 and 80"),
        ("speech.fastspeech2.kernel=4", "speech.fastspeech2.kernel must be 1, 3, 5, 7 or 9, got 4"),
    ],
)
def test_sizes_of_speech_that_cannot_be_are_refused(override, message):
    with pytest.raises((ValueError, UserError), match=message):
        check(config_of("table=tts_self", override))


def test_a_set_at_another_rate_is_refused(made_up):
    task = config_of("table=tts_self", *made_up, "speech.rate=22050").speech
    with pytest.raises(UserError, match=r"core_sounds has 16,000 samples per second, speech.rate asks for 22,050"):
        data.utterances(task, "package")
