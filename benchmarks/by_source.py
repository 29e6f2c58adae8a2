"""A model of several sets together, measured on the test images of each of them alone.

Prepare the sets first (``textvae data prepare coco-mini --text words``, likewise flickr8k). Pictures are drawn for the
first caption of each test image, and compared with these images by the Fréchet and the kernel distance; and by
retrieval precision, if the judge of the set is trained (``textvae train pair-judge-coco-mini``, in this folder). The
copy check is the median distance of samples to the nearest training image, and that of test images beside it.
"""

import argparse
from pathlib import Path

import torch

from textvae import TextToImage, data
from textvae.data.catalog import PHOTOGRAPHS
from textvae.evaluation.judges import RetrievalJudge
from textvae.evaluation.metrics.diversity import nearest_neighbours
from textvae.evaluation.metrics.frechet import frechet_from_features
from textvae.evaluation.metrics.kernel import kernel_distance
from textvae.evaluation.metrics.retrieval import retrieval_precision
from textvae.pretrained.feature_nets import FeatureNet, feature_net
from textvae.priors import SamplingOptions
from textvae.runs.run import open_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="runs/latent-flow-scenes", help="run folder of a model of a joined set")
    parser.add_argument("--set", default="scenes", help="the joined set, as textvae data list names it")
    parser.add_argument("--guidance", type=float, help="default: the model's")
    asked = parser.parse_args()
    run, generator = open_run(asked.model), TextToImage.load(asked.model)
    nets = [feature_net(name, torch.device("cpu")) for name in ("efficientnet-lite0", "inception-768")]
    side = generator.model.image_shape[-1]
    trained = torch.as_tensor(data.load(run.recipe.data, "train").images[:]).flatten(1)
    for part in PHOTOGRAPHS[asked.set].parts:
        images = data.load(f"{part}-{side}-words", "test")
        captions = [images.captions[int(first)] for first in images.caption_range[:, 0]]
        real = torch.as_tensor(images.images[:])
        drawn = generator.draw(
            generator.text.encode(captions), range(len(captions)), SamplingOptions(guidance=asked.guidance)
        )
        found = {}
        for net in nets:
            assert isinstance(net, FeatureNet), net.reason
            found[net.name] = net(drawn), net(real)
            distance = kernel_distance(*found[net.name])
            frechet = frechet_from_features(*found[net.name])
            print(
                f"{part}, {len(real)} images, {net.name}: Frechet {frechet:.4g}, kernel distance {distance.mean:.3g}",
                flush=True,
            )
        folder = Path("runs") / PHOTOGRAPHS[part].retrieval_judge
        if folder.is_dir():
            judge = RetrievalJudge(open_run(folder))
            texts = judge.embed_captions(captions)
            scores = [
                retrieval_precision(judge.embed_images(features), texts, captions, 0)
                for features in found[RetrievalJudge.features]
            ]
            print(f"{part}, retrieval precision: {scores[0]:.3f}, of real images {scores[1]:.3f}", flush=True)
        nearest = [float(nearest_neighbours(some.flatten(1), trained)[0].median()) for some in (drawn, real)]
        print(f"{part}, nearest training image: {nearest[0]:.3g}, of test images {nearest[1]:.3g}", flush=True)


if __name__ == "__main__":
    main()
