"""Table `imdb`: are dense attention and SMYRF interchangeable? Encoders fine-tuned with one run with the other, their weights as they are."""

from pathlib import Path
from typing import TYPE_CHECKING

from projects.smyrf.text.attention import put, score_memory
from projects.smyrf.text.cell import shape, trained_of
from projects.smyrf.text.finetuning import predict, restored, split_of, train
from projects.smyrf.text.scores import loss, score
from regard.mechanisms.smyrf import SmyrfAttention
from regard_lab.experiment.artefacts import artefact
from regard_lab.experiment.run_result import RunResult

if TYPE_CHECKING:
    from projects.smyrf.config import Config


def measure(config: "Config", folder: Path) -> RunResult:
    """Accuracy (%) and cross entropy (nats) on held-out reviews with the attention of `text.inference`, after training with `attention.name`.

    The weights are an artefact that rows with the same training share. `training_memory` and `inference_memory`: score memory in % of dense
    attention's for reviews as long as the cut; `real_inference_memory`: for the held-out reviews as long as they are.
    """
    text, attention = config.text, config.attention
    assert text is not None
    assert text.inference is not None
    task = next(iter(text.tasks.values()))
    ((column, split_name),) = task.held_out.items()
    trained = trained_of(config, task)
    modules = [f"regard.mechanisms.{attention.name}"]
    weights = artefact(train, trained, [task.data], source=config.data.source, root=Path.cwd(), modules=modules)
    model, tokenizer = restored(trained, weights)
    sizes = {"rounds": attention.rounds, "cluster_size": attention.cluster_size}
    model.reseed = put(model.encoder, text.inference, scheme=attention.scheme, **sizes)
    split = split_of(trained, split_name, tokenizer, text.held_out_examples)
    outputs, labels = predict(model, split, trained.finetuning.batch_size, config.seed)
    kinds = {name: SmyrfAttention if name == "smyrf" else name for name in (attention.name, text.inference)}
    tokens = [trained.finetuning.tokens]
    return RunResult(
        metrics={
            column: score(task.metric, outputs, labels),
            "test_loss": float(loss(outputs, labels)),
            "training_memory": score_memory(kinds[attention.name], tokens, **sizes),
            "inference_memory": score_memory(kinds[text.inference], tokens, **sizes),
            "real_inference_memory": score_memory(kinds[text.inference], split.lengths, **sizes),
            **shape(split.lengths, text.inference, attention.cluster_size),
            "cut_texts": 100 * sum(split.cut) / len(split),
        }
    )
