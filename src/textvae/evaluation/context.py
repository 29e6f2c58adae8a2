"""What all evaluators of a model share: test images, captions, generated images, features, judges."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from textvae import data
from textvae.data.captioned_images import CaptionedImages
from textvae.evaluation.features import cached_features, compute_features
from textvae.evaluation.judges import ClassifierJudge, classifier_judge
from textvae.evaluation.partners import partners
from textvae.pipeline import TextToImage
from textvae.pretrained.feature_nets import FeatureNet, Unavailable, feature_net
from textvae.priors import FlowPrior
from textvae.recipes.conditions import conditions_of, image_conditions_of
from textvae.runs.run import Run
from textvae.utils.philox import NOISE

Features = dict[str, Float[Tensor, "n d"]]
"""Features of images by the name of the feature network."""


@dataclass(frozen=True)
class ModelImages:
    """Images that the model made, and how fast."""

    images: UInt8[Tensor, "n c h w"]
    per_second: float
    """Images a second, rounding to 8 bits included."""


class EvaluationContext:
    """The model to evaluate and everything derived from it, computed at first use and then kept.

    Every image, reconstructed or generated, is quantised to 8 bits, as its PNG file would be.
    """

    def __init__(
        self,
        run: Run,
        pipeline: TextToImage,
        images: CaptionedImages,
        net_names: Sequence[str],
        *,
        seed: int = 0,
        importance_samples: int = 64,
        clip: str = "",
    ) -> None:
        """Keeps its arguments; nothing is computed yet.

        Args:
            run: the run of the model.
            pipeline: the loaded model.
            images: the test images.
            net_names: feature networks to use besides the judge's.
            seed: image i is generated with ``seed + i``.
            importance_samples: posterior samples per image for the likelihood bounds.
            clip: the CLIP model for the CLIP score; see ``judges.clip_judge``.
        """
        self.run, self.pipeline, self.images, self.net_names = run, pipeline, images, net_names
        self.seed, self.importance_samples, self.clip = seed, importance_samples, clip

    @property
    def in_colour(self) -> bool:
        """Whether the images have three channels."""
        return self.images.image_shape[0] == 3

    @cached_property
    def train(self) -> CaptionedImages:
        """The training images."""
        return self.pipeline.processes.in_turn(lambda: data.load(self.run.recipe.data, "train"))

    @cached_property
    def caption_numbers(self) -> Int64[Tensor, "n"]:
        """One caption of each test image, drawn at random, as an index into ``images.captions``."""
        return self.images.one_caption_each(self.seed)

    @cached_property
    def captions(self) -> list[str]:
        """The captions of ``caption_numbers``, from which images are generated."""
        return [self.images.captions[number] for number in self.caption_numbers.tolist()]

    @cached_property
    def conditions(self) -> Tensor:
        """The encoded ``captions``, [n, ...]."""
        conditions = conditions_of(self.images, self.run.recipe.text)[self.caption_numbers]
        # Prepared token embeddings are stored in half precision.
        return conditions.float() if conditions.dtype is torch.float16 else conditions

    @cached_property
    def encoder_conditions(self) -> Tensor:
        """The conditions of reconstruction and likelihood, [n, ...].

        They are of the kind that the model was trained on. Generation is always conditioned on captions.
        """
        if self.run.recipe.condition_on == "text":
            return self.conditions
        return image_conditions_of(self.images, self.run.recipe, self.train)

    @cached_property
    def mismatched(self) -> Int64[Tensor, "n"]:
        """For each image, the index of another one whose caption it gets when a chance level is measured."""
        return partners(len(self.images))

    @cached_property
    def judge(self) -> ClassifierJudge | Unavailable:
        """The classifier of the data, or why there is none."""
        return classifier_judge(self.run.recipe.data, self.pipeline.device)

    @cached_property
    def nets(self) -> list[FeatureNet]:
        """The available feature networks, the judge's first."""
        own = [self.judge.features()] if isinstance(self.judge, ClassifierJudge) else []
        return own + [net for net in self._named_nets.values() if isinstance(net, FeatureNet)]

    @cached_property
    def _named_nets(self) -> dict[str, FeatureNet | Unavailable]:
        return {name: feature_net(name, self.pipeline.device) for name in self.net_names}

    @property
    def absent(self) -> dict[str, str]:
        """Why the judge or a feature network is not available, by the metric that needs it."""
        reasons = {f"generation.frechet.{name}": net for name, net in self._named_nets.items()}
        found = {"generation.judge_accuracy": self.judge, **reasons}
        return {name: part.reason for name, part in found.items() if isinstance(part, Unavailable)}

    @cached_property
    def reconstructed(self) -> ModelImages:
        """The test images, encoded to the posterior mean and decoded."""
        return self._timed(lambda: self.pipeline.reconstruct_tensors(self.images.images, self.encoder_conditions))

    @cached_property
    def generated(self) -> ModelImages:
        """One image for the caption of each test image."""
        seeds = range(self.seed, self.seed + len(self.images))
        return self._timed(lambda: self.pipeline.draw(self.conditions, seeds))

    @cached_property
    def reconstructed_features(self) -> Features:
        """Features of ``reconstructed``."""
        images, group = self.reconstructed.images, self.pipeline.processes
        return {net.name: compute_features(net, images, "reconstructions", group) for net in self.nets}

    @cached_property
    def generated_features(self) -> Features:
        """Features of ``generated``."""
        images, group = self.generated.images, self.pipeline.processes
        return {net.name: compute_features(net, images, "samples", group) for net in self.nets}

    @cached_property
    def real_features(self) -> Features:
        """Features of the test images."""
        return self.features_of_real(self.images)

    def features_of_real(self, images: CaptionedImages) -> Features:
        """Features of real images, from the cache folder where they have been computed before."""
        judge = self.judge.name if isinstance(self.judge, ClassifierJudge) else ""
        return {
            net.name: cached_features(
                net,
                images.images,
                f"real {images.split} images",
                judge if net.name == "judge" else "",
                self.pipeline.processes,
            )
            for net in self.nets
        }

    def protocol(self) -> dict[str, Any]:
        """How images are generated, and which networks look at them."""
        found: dict[str, Any] = {"noise": NOISE}
        prior = self.pipeline.model.prior
        if prior.supports_guidance:
            prior = cast(FlowPrior, prior)
            solver = "few-step" if bool(prior.strides) else prior.config.solver
            found |= {"guidance": prior.config.guidance, "steps": prior.config.steps, "solver": solver}
            if prior.config.spacing != 1:
                found["spacing"] = prior.config.spacing
            if prior.config.guidance_input:
                found["guidance_input"] = prior.config.guidance_input
        found["feature_nets"] = {net.name: net.resize for net in self.nets}
        if isinstance(self.judge, ClassifierJudge):
            found["judge"] = self.judge.name
        return found

    def _timed(self, make: Callable[[], Tensor]) -> ModelImages:
        # Conditions are encoded, and weights loaded, before the clock starts.
        _ = self.conditions, self.encoder_conditions
        started = time.perf_counter()
        images = make()
        return ModelImages(images, len(images) / (time.perf_counter() - started))
