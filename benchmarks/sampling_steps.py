"""How the steps of a flow's solver should lie for one model of photographs: the table by which a recipe was given them.

Pictures are drawn for captions of training images, since test images are for measuring alone, and compared with these
images: by the Fréchet distance (efficientnet-lite0), and by retrieval precision, if the judge of the data is trained
(``textvae train pair-judge-flowers102``, in this folder). Step k of n leads to the time (k / n) to the power "spacing".
"""

import argparse
import dataclasses
import itertools
import time

import torch

from textvae import TextToImage, data
from textvae.evaluation.judges import RetrievalJudge, retrieval_judge
from textvae.evaluation.metrics.frechet import frechet_from_features
from textvae.evaluation.metrics.retrieval import retrieval_precision
from textvae.pretrained.feature_nets import FeatureNet, feature_net
from textvae.priors import FlowPrior, SamplingOptions
from textvae.runs.run import open_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="flowers", help="bundled model or run folder")
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--spacing", type=float, nargs="+", default=[1.0, 1.4, 1.8, 2.2])
    parser.add_argument("--guidance", type=float, nargs="+", help="default: the model's")
    parser.add_argument("--num-samples", type=int, default=500)
    asked = parser.parse_args()
    run, generator = open_run(asked.model), TextToImage.load(asked.model)
    prior = generator.model.prior
    net, judge = feature_net(RetrievalJudge.features, torch.device("cpu")), retrieval_judge(run)
    assert isinstance(prior, FlowPrior), f"{asked.model} has no flow prior"
    assert isinstance(net, FeatureNet), net.reason
    images = data.load(run.recipe.data, "train")
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[: asked.num_samples]
    captions = [images.captions[int(images.caption_range[row, 0])] for row in chosen]
    real, conditions = net(torch.as_tensor(images.images[chosen])), generator.text.encode(captions)
    texts = judge.embed_captions(captions) if isinstance(judge, RetrievalJudge) else None
    print("steps  spacing  guidance  Frechet  retrieval precision  images/s")
    for steps, spacing, scale in itertools.product(
        asked.steps, asked.spacing, asked.guidance or [prior.config.guidance]
    ):
        prior.config = dataclasses.replace(prior.config, spacing=spacing)
        began = time.perf_counter()
        drawn = generator.draw(
            conditions, range(len(captions)), SamplingOptions(guidance=scale, steps=steps, few_step=False)
        )
        rate, found = len(drawn) / (time.perf_counter() - began), net(drawn)
        retrieved = "-"
        if isinstance(judge, RetrievalJudge) and texts is not None:
            retrieved = f"{retrieval_precision(judge.embed_images(found), texts, captions, 0):.3f}"
        distance = frechet_from_features(found, real)
        print(f"{steps:5}  {spacing:7g}  {scale:8g}  {distance:7.2f}  {retrieved:>19}  {rate:8.1f}", flush=True)


if __name__ == "__main__":
    main()
