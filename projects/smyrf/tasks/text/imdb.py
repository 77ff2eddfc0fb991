"""Table `imdb`: are dense attention and SMYRF interchangeable? Encoders fine-tuned with one run with the other, their weights as they are."""

from pathlib import Path
from typing import TYPE_CHECKING

from projects.smyrf.models.text_classifier import put
from projects.smyrf.tasks.text.finetuning import EPOCHS, predict, restored, run_of, split_of
from projects.smyrf.tasks.text.finetuning import train as train_weights
from projects.smyrf.tasks.text.scores import length_statistics, loss, score, score_memory
from regard.mechanisms.smyrf import SmyrfAttention
from regard_lab.common import files
from regard_lab.experiment.artefacts import artefact
from regard_lab.experiment.items import ItemisedResult
from regard_lab.experiment.run_result import RunResult

if TYPE_CHECKING:
    from projects.smyrf.config import Config


def train(config: "Config", folder: Path) -> RunResult:
    """Accuracy (%) and cross entropy (nats) on held-out reviews with the attention of `text.inference`, after training with `attention.name`.

    The weights are an artefact that rows with the same training share. `training_memory` and `inference_memory`: score
    memory in % of dense attention's for reviews as long as the cut; `real_inference_memory`: for the held-out reviews
    as long as they are.
    """
    text, attention = config.text, config.attention
    assert text is not None
    assert text.inference is not None
    task = next(iter(text.tasks.values()))
    ((column, split_name),) = task.held_out.items()
    run = run_of(config, task)
    modules = [f"regard.mechanisms.{attention.name}"]
    weights = artefact(train_weights, run, [task.data], source=run.source, root=Path.cwd(), modules=modules)
    model, tokenizer = restored(run, weights)
    rounds, size = attention.rounds, attention.cluster_size
    model.reseed = put(model.encoder, text.inference, rounds=rounds, cluster_size=size, scheme=attention.scheme)
    split = split_of(run, split_name, tokenizer, text.held_out_examples)
    outputs, labels = predict(model, split, run.training.batch_size, config.seed)
    kinds = {name: SmyrfAttention if name == "smyrf" else name for name in (attention.name, text.inference)}
    tokens = [run.encoder.tokens]
    return ItemisedResult(
        metrics={
            column: score(task.metric, outputs, labels),
            "test_loss": float(loss(outputs, labels)),
            "training_memory": score_memory(kinds[attention.name], tokens, rounds=rounds, cluster_size=size),
            "inference_memory": score_memory(kinds[text.inference], tokens, rounds=rounds, cluster_size=size),
            "real_inference_memory": score_memory(
                kinds[text.inference], split.lengths, rounds=rounds, cluster_size=size
            ),
            **length_statistics(split.lengths, text.inference, size),
            "cut_texts": 100 * sum(split.cut) / len(split),
        },
        curves={
            name: values for name, values in files.read_json(weights / EPOCHS).items() if name == "validation_loss"
        },
        items={column: (outputs.argmax(-1) == labels).double().tolist()},
        numbers=split.numbers,
    )
