"""How guidance and steps trade quality, faithfulness, variety and time in a flow prior, and what edits keep."""

from typing import Any

import torch

from textvae import data
from textvae.evaluation.diversity import mean_distance_within_classes
from textvae.evaluation.frechet import frechet_from_features
from textvae.evaluation.judge import TrainedJudge, judge_of
from textvae.generator import TextToImage
from textvae.play import distance, reworded
from textvae.priors import FlowPrior, Sampling
from textvae.runs import Run

GUIDANCE = (1.0, 1.25, 1.5, 2.0, 3.0, 5.0)
STEPS = (1, 2, 4, 8, 16)
EDITED = 300
"""Test images whose words are changed."""


def sampling_curves(run: Run, device: torch.device, num_samples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Fréchet distance (judge), judge accuracy and diversity over guidance, and over evaluations of the network.

    Fewer samples than in the tables: the curves compare with each other only. Evaluations count the conditional ones;
    guidance doubles those of the solver, while strides have theirs built in.

    Edits (``play.edit``) give a test image the words of another, of another class, at each guidance: *changed* is how
    often the judge then sees the new class, *kept* 1 where nothing changed and 0 where as much did as between the image
    and one that is drawn for the new words from other noise.

    Returns:
        {"curves": {"guidance": rows, "solver": rows, "edits": rows, "strides": rows where they were learned}}; empty
        without a flow prior, a judge or classes.
    """
    judge = judge_of(run.recipe.data, device)
    images = data.load(run.recipe.data, "test")
    images = images.first(min(num_samples, len(images)))
    generator = TextToImage.load(run, device)
    prior = generator.model.prior
    if not isinstance(judge, TrainedJudge) or images.labels is None or not isinstance(prior, FlowPrior):
        return {}
    conditions = run.recipe.text.encode(images.captions)[images.caption_range[:, 0]]
    net, labels = judge.features(), images.labels
    real = net(images.images)
    variety = mean_distance_within_classes(real, labels)

    def row(sampling: Sampling) -> dict[str, float]:
        drawn = generator.draw(conditions, range(seed, seed + len(images)), sampling)
        features = net(drawn)
        return {
            "frechet_judge": frechet_from_features(features, real),
            "judge_accuracy": float((judge.verdicts(drawn) == labels).double().mean()),
            "diversity": mean_distance_within_classes(features, labels) / variety,
        }

    # Another's words: those of the image that stands half the set further on.
    other = torch.arange(len(images)).roll(len(images) // 2)
    few = (labels != labels[other]).nonzero()[:EDITED, 0]
    asked = conditions[other[few]]

    def edited(guidance: float) -> dict[str, float]:
        seen, changed = reworded(generator, images.images[few], conditions[few], asked, guidance)
        fresh = generator.draw(asked, range(seed, seed + len(few)), Sampling(guidance, strides=False))
        right = judge.verdicts(changed) == labels[other[few]]
        return {"changed": float(right.double().mean()), "kept": 1 - distance(seen, changed) / distance(seen, fresh)}

    evaluations = 1 if prior.config.solver == "multistep" else 2
    found: dict[str, Any] = {
        "samples": len(images),
        "guidance": [{"guidance": g} | row(Sampling(guidance=g, steps=8, strides=False)) for g in GUIDANCE],
        "solver": [{"evaluations": evaluations * n} | row(Sampling(steps=n, strides=False)) for n in STEPS],
        "edits": [{"guidance": g} | edited(g) for g in GUIDANCE],
    }
    if bool(prior.strides):
        short = [n for n in STEPS if n <= prior.config.steps]
        found["strides"] = [{"evaluations": n} | row(Sampling(steps=n)) for n in short]
    return {"curves": found}
