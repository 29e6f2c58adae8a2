"""A model of several sets together, measured on the test images of each of them alone, and shown for 24 prompts.

Prepare the joined set and its parts first (``textvae data prepare scenes --text words``, likewise coco-mini and
flickr8k). Pictures are drawn for the first caption of each test image, and compared with these images by the Fréchet
and the kernel distance; and by retrieval precision, if the judge of the joined set is trained (``textvae train
pair-judge-scenes``, beside the model or into ``runs/``). The copy check is the median distance of samples to the
nearest training image, and that of test images beside it.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from common import MEASURED, ROOT, Neighbours, machine, write

from textvae import TextToImage, data
from textvae.data.catalog import PHOTOGRAPHS
from textvae.evaluation.judges import RetrievalJudge, retrieval_judge
from textvae.evaluation.metrics.diversity import nearest_neighbours
from textvae.evaluation.metrics.frechet import frechet_from_features
from textvae.evaluation.metrics.kernel import kernel_distance
from textvae.evaluation.metrics.retrieval import retrieval_precision
from textvae.papers.stored import getter, stored_metrics
from textvae.pretrained.feature_nets import FeatureNet, Unavailable, feature_net
from textvae.priors import SamplingOptions
from textvae.runs.run import open_run
from textvae.utils.images import captioned, save_image
from textvae.utils.pixels import to_pil

KERNEL = "generation.kernel.inception-768.mean"
PROMPTS = (
    "a dog running on grass",
    "a brown dog in the snow",
    "a black dog jumping into water",
    "two dogs playing on a beach",
    "a man surfing on a wave",
    "a person skiing down a snowy mountain",
    "a snowboarder in the air",
    "a boy playing soccer on a green field",
    "a girl in a red dress",
    "children playing on a playground",
    "a man riding a bike on a dirt road",
    "a group of people standing on a street",
    "a red bus on a city street",
    "a train on the tracks",
    "an airplane in a blue sky",
    "a boat on the ocean",
    "a beach with people and umbrellas",
    "a herd of sheep on a green hill",
    "a giraffe in a field",
    "a cat lying on a bed",
    "a plate of food on a table",
    "a pizza with cheese",
    "a bathroom with a white toilet",
    "a baseball player swinging a bat",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="runs/latent-flow-scenes", help="run folder of a model of a joined set")
    parser.add_argument("--set", default="scenes", help="the joined set, as textvae data list names it")
    parser.add_argument("--guidance", type=float, help="default: the model's")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "figures" / "scenes-prompts.png")
    parser.add_argument("--out", type=Path, help="folder of the JSON; default: the package's measured/")
    asked = parser.parse_args()
    neighbours = Neighbours()
    run, generator = open_run(asked.model), TextToImage.load(asked.model)
    sampling = SamplingOptions(guidance=asked.guidance)
    # A seed for each prompt: with the same one, all pictures would share what its noise looks like.
    drawn = generator.draw(generator.text.encode(PROMPTS), range(len(PROMPTS)), sampling)
    save_image(captioned(to_pil(drawn), PROMPTS, columns=8), asked.picture, {})
    result: dict[str, Any] = {"weights": run.weights_id, "sets": {}, "summary": [], "machine": machine()}
    trained = torch.as_tensor(data.load(run.recipe.data, "train").images[:]).flatten(1)
    judge = retrieval_judge(run)
    result["judge"] = judge.name if isinstance(judge, RetrievalJudge) else judge.reason
    for part in PHOTOGRAPHS[asked.set].parts:
        found = result["sets"][part] = _measured(generator, part, sampling, trained, judge)
        result["summary"].append(_line(part, found))
        print(part, found, flush=True)
    write("by-source", result, neighbours, asked.out, timed=False)


def _measured(
    generator: TextToImage,
    part: str,
    sampling: SamplingOptions,
    trained: torch.Tensor,
    judge: RetrievalJudge | Unavailable,
) -> dict[str, Any]:
    """Distances, retrieval precision and the copy check on the test images of one set."""
    images = data.load(f"{part}-{generator.model.image_shape[-1]}-words", "test")
    captions = [images.captions[int(first)] for first in images.caption_range[:, 0]]
    real = torch.as_tensor(images.images[:])
    drawn = generator.draw(generator.text.encode(captions), range(len(captions)), sampling)
    found: dict[str, Any] = {"images": len(real), "frechet": {}, "kernel": {}}
    features = {}
    for name in ("efficientnet-lite0", "inception-768"):
        net = feature_net(name, torch.device("cpu"))
        assert isinstance(net, FeatureNet), net.reason
        features[name] = net(drawn), net(real)
        found["frechet"][name] = float(frechet_from_features(*features[name]))
        found["kernel"][name] = float(kernel_distance(*features[name]).mean)
    if isinstance(judge, RetrievalJudge):
        texts = judge.embed_captions(captions)
        scores = [
            retrieval_precision(judge.embed_images(some), texts, captions, 0)
            for some in features[RetrievalJudge.features]
        ]
        found["retrieval_precision"] = dict(zip(("samples", "real"), map(float, scores), strict=True))
    nearest = (float(nearest_neighbours(some.flatten(1), trained)[0].median()) for some in (drawn, real))
    found["nearest_training_image"] = dict(zip(("samples", "test_images"), nearest, strict=True))
    return found


def _line(part: str, found: dict[str, Any]) -> dict[str, str]:
    """The line of RESULTS.md on one set, beside the model of this set alone, if there is one."""
    stored = stored_metrics(MEASURED)
    same = f"{part}-64-words"
    names = (name for name in stored if name.startswith("latent-flow-"))
    alone = next((name for name in names if getter(stored[name])("protocol.data") == same), None)
    kernel, retrieval = found["kernel"]["inception-768"], found.get("retrieval_precision")
    theirs = ratio = "-"
    if alone and (other := getter(stored[alone])(KERNEL)):
        theirs, ratio = f"{other:.2g} (`{alone}`)", f"{kernel / other:.2f} (target at most 0.5)"
    shown = (
        f"; retrieval precision {retrieval['samples']:.3f}, of real images {retrieval['real']:.3f}" if retrieval else ""
    )
    nearest = found["nearest_training_image"]
    return {
        "what": f"`latent-flow-scenes` on the {found['images']:,} test images of {part}: kernel distance "
        f"(inception-768), against a model of this set alone; distance to the nearest training image "
        f"{nearest['samples']:,.0f}, of test images {nearest['test_images']:,.0f}{shown}",
        "ours": f"{kernel:.2g}",
        "theirs": theirs,
        "ratio": ratio,
    }


if __name__ == "__main__":
    main()
