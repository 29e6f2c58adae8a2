"""What figure 3 of paper d measures, and what its authors' released model scores with the labels in place.

The authors' program (github.com/ppartha03/PGM-Project, ``mnist_collate_fn``) sorts the images of each batch by the
length of their captions, the longest first, and leaves the labels in the order before. Figure 3 compares the classes
of generated images with those labels. This script simulates what a generator that is always right scores that way.

With ``--authors FOLDER``, a clone of that repository, it also loads the released weights of figure 3's model and of
its classifier (as tensors only; nothing of the clone is executed) and measures them by the protocol of our rows. Their
licence is unstated, so neither belongs to this repository; the numbers are stored.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import MEASURED
from torch import Tensor, nn

from textvae.data.caption_splits import FAMILIES
from textvae.data.mnist import MNIST
from textvae.evaluation.evaluators.caption_accuracy import accuracy_by_part
from textvae.evaluation.judges import ClassifierJudge
from textvae.models.caption_rnn_code import PIXEL_MEAN, PIXEL_STD, CaptionRNNCode
from textvae.pipeline import TextToImage
from textvae.text.digit_captions import DigitCaptions
from textvae.utils.files import sha256_of, write_json
from textvae.utils.pixels import unit_interval

BATCH = 128
PASSES = 20
"""Over the labels of a split, each with other captions and, for training labels, another order."""
SAMPLES = 2000
"""For each kind of captions, as in the rows of paper d."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--authors", type=Path, help="a clone of the authors' repository")
    parser.add_argument("--out", type=Path, default=MEASURED, help="folder of the JSON")
    asked = parser.parse_args()

    result: dict[str, Any] = {
        "protocol": {
            "model": "paper d, authors' released weights",
            "data": "digits-arithmetic",
            "split": "test",
            "samples_each": SAMPLES,
            "batch": BATCH,
            "passes": PASSES,
            "seed": 0,
        },
        "perfect_generator": {
            family: {
                "caption_tokens": lengths(family),
                **{split: perfect(family, split) for split in ("train", "test")},
            }
            for family in FAMILIES
        },
        "absent": {},
    }
    if asked.authors:
        found, files = released(asked.authors)
        result["protocol"] |= {"files": files, "judge": ClassifierJudge("judge-digits", torch.device("cpu")).name}
        result |= found
    write_json(asked.out / "reference-paper-d-authors.json", result)
    print(result)


def lengths(family: str) -> dict[str, int]:
    """How many training captions have how many words."""
    words = [len(caption.split()) for caption, _ in FAMILIES[family].captions("train")]
    return {str(count): words.count(count) for count in sorted(set(words))}


def perfect(family: str, split: str) -> dict[str, float]:
    """Figure 3's accuracy of a generator that always draws the digit that its caption means."""
    found = torch.tensor([figure_3(family, split, lambda digits, _: digits, seed) for seed in range(PASSES)])
    return {"mean": float(found.mean()), "std": float(found.std())}


def figure_3(family: str, split: str, generate: Callable[[Tensor, list[str]], Tensor], seed: int) -> float:
    """One pass over MNIST's labels: images sorted by the length of their captions, against labels that are not.

    Args:
        family: of captions; each digit draws one of its own uniformly.
        split: "train", in a random order; or "test", in the published one, as the authors validate.
        generate: the classes of images generated for digits and their captions.
        seed: of captions and order.
    """
    captions = FAMILIES[family].captions("train")
    by_digit = [[caption for caption, meaning in captions if meaning == digit] for digit in range(10)]
    generator = torch.Generator().manual_seed(seed)
    labels = MNIST.load(split).labels
    assert labels is not None
    if split == "train":
        labels = labels[torch.randperm(len(labels), generator=generator)]
    right = 0
    for batch in labels.split(BATCH):
        draws = torch.rand(len(batch), generator=generator).tolist()
        drawn = [by_digit[d][int(u * len(by_digit[d]))] for d, u in zip(batch.tolist(), draws, strict=True)]
        order = torch.tensor([-len(caption.split()) for caption in drawn]).argsort(stable=True)
        classes = generate(batch[order], [drawn[i] for i in order.tolist()])
        right += int((classes == batch).sum())
    return right / len(labels)


# The authors' files: figure 3 was drawn while this model trained, with this classifier.
MODEL = "models/indep/VED_mnist-op_1513535949.6032062_{}.pt"
CLASSIFIER = "models/1513468773.309654_classifier.pt"

TOKEN_ROWS = (0, 1, 2, *range(4, 14), 29, 30)
"""Rows of the authors' 31 tokens that our vocabulary of sums has: padding, start, end, ten digits, plus, minus."""


def released(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """What the authors' model scores, and the checksums of its files."""
    files = {name: folder / name for name in (MODEL.format("enc"), MODEL.format("dec"), CLASSIFIER)}
    encoder, decoder, classifier = (torch.load(file, weights_only=True, map_location="cpu") for file in files.values())
    model = model_of(encoder, decoder)
    generator = TextToImage(model, DigitCaptions("arithmetic"), torch.device("cpu"))
    network = classifier_of(classifier)
    judges = {"ours": ClassifierJudge("judge-digits", torch.device("cpu")), "authors": AuthorsJudge(network)}
    accuracy = {
        name: accuracy_by_part(generator, "digits-arithmetic", judge, SAMPLES, seed=0)  # type: ignore[arg-type]
        for name, judge in judges.items()
    }
    test = MNIST.load("test")
    real = {name: float((judge.classify(test.images) == test.labels).double().mean()) for name, judge in judges.items()}
    torch.manual_seed(0)
    figure = [figure_3("arithmetic", "test", misread(generator, network), seed) for seed in range(PASSES)]
    return (
        {
            "generation": {"caption_accuracy": accuracy["ours"] | {"samples_each": SAMPLES}},
            "authors_classifier": {"caption_accuracy": accuracy["authors"] | {"samples_each": SAMPLES}},
            "real_test_accuracy": real,
            "figure_3": {"mean": sum(figure) / PASSES, "least": min(figure), "most": max(figure)},
        },
        {name: sha256_of(file)[:16] for name, file in files.items()},
    )


def model_of(encoder: dict[str, Tensor], decoder: dict[str, Tensor]) -> CaptionRNNCode:
    """The released weights in our network of the same layers."""
    model = CaptionRNNCode.Config().build().eval()
    weights = {f"reader.recurrent.{name[4:]}": value for name, value in encoder.items() if name.startswith("rnn.")}
    weights["reader.embedding.weight"] = encoder["embed.weight"][list(TOKEN_ROWS)]
    for kind in ("weight", "bias"):
        weights[f"posterior_head.{kind}"] = torch.cat([encoder[f"fc_avg.{kind}"], encoder[f"fc_var.{kind}"]])
        weights[f"decoder.0.{kind}"] = decoder[f"fc_1.{kind}"]
        weights[f"decoder.2.{kind}"] = decoder[f"fc_last.{kind}"]
    model.load_state_dict(weights)
    return model


def classifier_of(weights: dict[str, Tensor]) -> nn.Sequential:
    """The released classifier: two convolutions of 5 x 5 with pooling, 512 features, dropout."""
    network = nn.Sequential(
        *(nn.Conv2d(1, 32, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(32, 64, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(1024, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10)),
    )
    places = {"conv1": "0", "conv2": "3", "fc1": "7", "fc2": "10"}
    network.load_state_dict({f"{places[name.split('.')[0]]}.{name.split('.')[1]}": v for name, v in weights.items()})
    return network


class AuthorsJudge:
    """The released classifier as it should be used: without dropout."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    @torch.no_grad()
    def classify(self, images: Tensor) -> Tensor:
        """The class that each image shows."""
        self.network.eval()
        standardised = [(unit_interval(b, torch.device("cpu")) - PIXEL_MEAN) / PIXEL_STD for b in images.split(500)]
        return torch.cat([self.network(batch).argmax(1) for batch in standardised])


def misread(generator: TextToImage, network: nn.Module) -> Callable[[Tensor, list[str]], Tensor]:
    """Classes of the model's images as the program finds them: pixels not clipped, dropout in the classifier on."""
    model = generator.model

    @torch.no_grad()
    def classes(digits: Tensor, captions: list[str]) -> Tensor:
        network.train()
        condition = generator.text.encode(captions)
        latent = model.latents(condition, torch.randn(len(captions), 100))
        return network(model.decoder(latent).unflatten(1, (1, 28, 28))).argmax(1)  # type: ignore[operator]

    return classes


if __name__ == "__main__":
    main()
