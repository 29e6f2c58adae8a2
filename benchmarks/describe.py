"""Captions read off photographs, and off pictures that a model draws for captions (paper c: "reverse the pipeline").

Beforehand: ``textvae train captioner-flowers102``, then ``textvae evaluate runs/captioner-flowers102``, in this folder.
What that measured is stored with the same numbers (``generation.description``) of pictures that the bundled model
``flowers`` draws for the first test captions.
"""

import argparse
from pathlib import Path

from common import MEASURED

import textvae
from textvae import TextToImage
from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.describing import FEATURES
from textvae.evaluation.evaluators.description import description
from textvae.runs.files import METRICS
from textvae.runs.metrics import Metrics
from textvae.runs.run import read_config, read_history
from textvae.utils.files import write_json

CAPTIONER = Path("runs/captioner-flowers102")
"""Where ``textvae train`` puts it, and where ``flowers`` looks for it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-samples", type=int, default=400, help="pictures to draw")
    parser.add_argument("--out", type=Path, default=MEASURED, help="folder of the JSON")
    asked = parser.parse_args()

    captioner, run = textvae.open_run(CAPTIONER), textvae.open_run("flowers")
    measured, last = Metrics.read(captioner.path / METRICS).to_dict(), read_history(captioner.path)[-1]
    images = textvae.load_data(run.recipe.data, "test").first(asked.num_samples)
    context = EvaluationContext(run, TextToImage.load(run), images, [FEATURES])
    found = description(context)
    drawn = {"model": run.recipe.name, "weights": run.weights_id, "data": run.recipe.data, "split": "test"}
    drawn |= {"num_samples": len(images), "seed": context.seed} | context.protocol() | found.protocol
    write_json(
        asked.out / "describe-flowers102.json",
        {
            "protocol": measured["protocol"],
            "training": {"epochs": last["epoch"], "seconds": last["seconds"]}
            | read_config(captioner.path)["execution"],
            "captions": measured["captions"],
            "drawn": {"protocol": drawn} | found.numbers["description"],
        },
    )


if __name__ == "__main__":
    main()
