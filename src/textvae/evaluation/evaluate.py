"""Everything that is measured of a finished run, on the test images, with the protocol written beside it."""

import contextlib
import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import safetensors
import safetensors.torch
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from textvae import data
from textvae.data.captioned_images import CaptionedImages
from textvae.data.digit_scenes import DIGIT_SCENES
from textvae.evaluation.evaluators.bounds import likelihood, read_by_the_bound
from textvae.evaluation.evaluators.captions import caption_accuracy, scene_accuracy, test_parts
from textvae.evaluation.evaluators.clip_score import ClipJudge, clip_judge, clip_score
from textvae.evaluation.evaluators.retrieval import (
    OTHERS,
    RetrievalJudge,
    dual_encoder_metrics,
    retrieval_judge,
    retrieval_precision,
)
from textvae.evaluation.evaluators.word_sensitivity import word_sensitivity
from textvae.evaluation.judges import TrainedJudge, judge_of
from textvae.evaluation.metrics.colour import ColourReader
from textvae.evaluation.metrics.confusion import judge_report
from textvae.evaluation.metrics.diversity import mean_distance_within_classes, nearest_neighbours
from textvae.evaluation.metrics.frechet import frechet_from_features
from textvae.evaluation.metrics.kernel import kernel_distance
from textvae.evaluation.metrics.similarity import mse, mse_sum, psnr, ssim
from textvae.models.base import TextVAE
from textvae.models.classifier import Classifier
from textvae.models.dual_encoder import DualEncoder
from textvae.pipeline import TextToImage, unit_interval
from textvae.pretrained.feature_nets import FeatureNet, Unavailable, feature_net
from textvae.priors import FlowPrior
from textvae.recipes.conditions import conditions_of, image_conditions_of
from textvae.runs.metrics import Metrics
from textvae.runs.run import MODEL, Run
from textvae.utils.device import Arithmetic
from textvae.utils.errors import UserError
from textvae.utils.files import sha256_of, written_whole
from textvae.utils.paths import data_root
from textvae.utils.progress import ProgressLine

FEATURE_NETS = ("efficientnet-lite0", "inception")
"""Besides the judge's features, where there is a judge."""
PHOTOGRAPH_NETS = (*FEATURE_NETS, "inception-768")
"""Of photographs, whose perceptual loss is a distance in EfficientNet's features, a network too that trained none."""
MOST_SAMPLES = 10_000
"""Test images that are measured where nobody says how many."""
CAPTION_SAMPLES, SCENE_SAMPLES = 2000, 2000
"""Pictures for each kind of captions."""

Seen = Mapping[str, Float[Tensor, "n d"]]
"""Images as features, by the name of the network."""


def evaluate_run(
    run: Run,
    device: torch.device,
    num_samples: int | None = None,
    importance_samples: int = 64,
    seed: int = 0,
    nets: Sequence[str] | None = None,
    clip: str = "",
    precision: Arithmetic = "fp32",
) -> Metrics:
    """Reconstruction, generation, likelihood and speed of a run; of a judge, its accuracy.

    Samples are drawn for the captions of the very test images they are compared with, so the classes have the test
    set's frequencies. Every image is quantised to 8 bits before it is measured, as its PNG would be.

    Args:
        run: what to measure.
        device: where.
        num_samples: test images, and samples; the Fréchet distance is comparable only at equal numbers. Default: all
            that the test set has, at most ``MOST_SAMPLES``.
        importance_samples: draws of z an image for the likelihood bounds.
        seed: sample i is drawn with ``seed + i``; also seeds the posterior draws.
        nets: whose features serve the distances, besides the judge's; default: ``FEATURE_NETS``, of photographs
            ``PHOTOGRAPH_NETS``.
        clip: the CLIP that scores photographs, of the hub or a folder; see ``clip_judge``.
        precision: of the drawing.

    Raises:
        UserError: more samples are asked for than the test set has images, or the model is of an unknown kind.
    """
    images = data.load(run.recipe.data, "test")
    if num_samples is None:
        num_samples = min(MOST_SAMPLES, len(images))
    if not 2 <= num_samples <= len(images):
        raise UserError(
            f"{num_samples} samples can't be compared with {len(images)} test images",
            f"choose --num-samples from 2 to {len(images)}",
        )
    images = images.first(num_samples)
    model = run.load_model()
    protocol = {
        "model": run.recipe.name,
        "weights": sha256_of(run.path / MODEL)[:16],
        "data": run.recipe.data,
        "split": "test",
        "fingerprints": {"data": images.fingerprint()},
        "num_samples": num_samples,
        "seed": seed,
        "device": str(device),
    }
    if isinstance(model, Classifier):
        return _judge_metrics(model.to(device), images, protocol)
    if isinstance(model, DualEncoder):
        return dual_encoder_metrics(model, run.recipe, images, protocol)
    if not isinstance(model, TextVAE):
        raise UserError(f"{run.name} is neither a VAE nor a judge", "evaluate another model")
    protocol["precision"] = precision
    generator = TextToImage(model, run.recipe.text, device, precision)
    usual = PHOTOGRAPH_NETS if images.image_shape[0] == 3 else FEATURE_NETS
    return _Evaluation(run, generator, images, protocol, importance_samples, seed, clip).metrics(
        usual if nets is None else nets
    )


def _judge_metrics(model: Classifier, images: CaptionedImages, protocol: dict[str, Any]) -> Metrics:
    assert images.labels is not None
    device = next(model.parameters()).device
    with torch.no_grad():
        logits = torch.cat([model(unit_interval(batch, device)) for batch in torch.split(images.images, 500)])
    report = judge_report(logits.argmax(1).cpu(), images.labels, images.class_names)
    return Metrics(protocol, {"classification": dict(vars(report))})


class _Evaluation:
    """The measurements of one model, each section a method."""

    def __init__(
        self,
        run: Run,
        generator: TextToImage,
        images: CaptionedImages,
        protocol: dict[str, Any],
        importance_samples: int,
        seed: int,
        clip: str,
    ) -> None:
        self.run, self.generator, self.images, self.seed, self.clip = run, generator, images, seed, clip
        self.device = generator.device
        self.importance_samples = importance_samples
        self.protocol = protocol
        uniform = torch.rand(len(images), generator=torch.Generator().manual_seed(seed))
        captions = images.draw_captions(torch.arange(len(images)), uniform)
        self.captions = [images.captions[number] for number in captions.tolist()]
        conditions = conditions_of(images, run.recipe.text)[captions]
        # Prepared token embeddings are stored in half the space.
        self.conditions = conditions.float() if conditions.dtype is torch.float16 else conditions
        self.train = data.load(run.recipe.data, "train")
        # What the model was told of an image in training; drawing is always from captions.
        self.known = (
            self.conditions
            if run.recipe.condition_on == "text"
            else image_conditions_of(images, run.recipe, self.train)
        )
        self.absent: dict[str, str] = {}
        prior = generator.model.prior
        if prior.supports_guidance:
            prior = cast(FlowPrior, prior)
            led = prior.config
            how = "learned strides" if bool(prior.strides) else led.solver
            protocol |= {"guidance": led.guidance, "steps": led.steps, "solver": how}

    def metrics(self, nets: Sequence[str]) -> Metrics:
        """All sections, with the features of these networks."""
        self.judge = judge_of(self.run.recipe.data, self.device)
        self.nets = self._feature_nets(nets)
        started = time.perf_counter()
        reconstructed = self.generator.reconstruct(self.images.images, self.known)
        reconstruction_rate = len(self.images) / (time.perf_counter() - started)
        started = time.perf_counter()
        seeds = range(self.seed, self.seed + len(self.images))
        generated = self.generator.draw(self.conditions, seeds)
        generation_rate = len(self.images) / (time.perf_counter() - started)
        self.protocol["feature_nets"] = {net.name: net.resize for net in self.nets}
        if isinstance(self.judge, TrainedJudge):
            self.protocol["judge"] = self.judge.name
        seen_again = self._seen(reconstructed, "reconstructions")
        seen = self._seen(generated, "samples")
        sections = {
            "reconstruction": self._similarity(reconstructed)
            | self._distances(seen_again)
            | self._verdict(reconstructed),
            "generation": self._distances(seen)
            | self._verdict(generated)
            | self._captions()
            | self._diversity(generated, seen)
            | self._words(generated)
            | self._retrieval(seen)
            | self._clip_score(generated),
            "likelihood": self._likelihood(),
            "reference": self._reference(),
            "speed": {
                "reconstructed_images_per_s": reconstruction_rate,
                "generated_images_per_s": generation_rate,
                "threads": torch.get_num_threads(),
            },
        }
        return Metrics(self.protocol, sections, self.absent)

    def _feature_nets(self, names: Sequence[str]) -> list[FeatureNet]:
        nets = [self.judge.features()] if isinstance(self.judge, TrainedJudge) else []
        if isinstance(self.judge, Unavailable):
            self.absent["generation.judge_accuracy"] = self.judge.reason
        for name in names:
            net = feature_net(name, self.device)
            if isinstance(net, FeatureNet):
                nets.append(net)
            else:
                self.absent[f"generation.frechet.{name}"] = net.reason
        return nets

    def _similarity(self, reconstructed: UInt8[Tensor, "n c h w"]) -> dict[str, float]:
        ours, theirs = reconstructed.double() / 255, self.images.images.double() / 255
        measures = {"mse_sum": mse_sum, "mse": mse, "psnr": psnr, "ssim": ssim}
        return {name: float(measure(ours, theirs).mean()) for name, measure in measures.items()}

    def _seen(self, images: UInt8[Tensor, "n c h w"], what: str) -> Seen:
        return {net.name: _features(net, images, what) for net in self.nets}

    def _distances(self, seen: Seen) -> dict[str, Any]:
        """Fréchet and kernel distance to the real test images under each net."""
        found: dict[str, Any] = {"frechet": {}, "kernel": {}}
        for net in self.nets:
            real = self._real_features(net, self.images)
            found["frechet"][net.name] = frechet_from_features(seen[net.name], real)
            found["kernel"][net.name] = dict(vars(kernel_distance(seen[net.name], real)))
        return found

    def _verdict(self, images: UInt8[Tensor, "n c h w"]) -> dict[str, Any]:
        """What the judge says, where there is one."""
        if not isinstance(self.judge, TrainedJudge) or self.images.labels is None:
            return {}
        report = judge_report(self.judge.verdicts(images), self.images.labels, self.images.class_names)
        return {
            "judge_accuracy": report.accuracy,
            "judge_accuracy_per_class": report.per_class,
            "judge_confusion": report.confusion,
        }

    def _captions(self) -> dict[str, Any]:
        """Do samples show what captions say, those that were trained on and those that were not?"""
        name = self.run.recipe.data
        if name == DIGIT_SCENES.name:
            found = scene_accuracy(self.generator, SCENE_SAMPLES, self.seed, self.device)
            return {"scene_accuracy": found | {"samples_each": SCENE_SAMPLES}}
        if not isinstance(self.judge, TrainedJudge) or not test_parts(name):
            return {}
        found = caption_accuracy(self.generator, name, self.judge, CAPTION_SAMPLES, self.seed)
        return {"caption_accuracy": found | {"samples_each": CAPTION_SAMPLES}}

    def _diversity(self, images: UInt8[Tensor, "n c h w"], seen: Seen) -> dict[str, Any]:
        """Distances within classes against real ones, and to the nearest training image against held-out ones."""
        if self.images.labels is None:
            return {}
        found = {}
        for name, drawn, real in [
            ("pixels", _flat(images), _flat(self.images.images)),
            *(
                (net.name, seen[net.name], self._real_features(net, self.images))
                for net in self.nets
                if net.name == "judge"
            ),
        ]:
            within = mean_distance_within_classes(drawn, self.images.labels)
            within_real = mean_distance_within_classes(real, self.images.labels)
            found[name] = {"samples": within, "real": within_real, "ratio": within / within_real}
        few = slice(0, 1000)
        nearest, _ = nearest_neighbours(_flat(images[few]), _flat(self.train.images))
        nearest_real, _ = nearest_neighbours(_flat(self.images.images[few]), _flat(self.train.images))
        copying = {"samples": float(nearest.mean()), "real_test": float(nearest_real.mean())}
        return {"diversity_within_class": found, "nearest_training_image": copying} | self._class_means(images)

    def _class_means(self, images: UInt8[Tensor, "n c h w"]) -> dict[str, Any]:
        """How often the nearest mean training image is that of the class asked for: reading, apart from drawing."""
        train, asked = self.train, self.images.labels
        if train.labels is None or asked is None or train.labels.bincount().min() == 0:
            return {}
        pixels = _flat(train.images)
        means = torch.stack([pixels[train.labels == k].mean(0) for k in range(int(train.labels.max()) + 1)])
        found = {}
        for name, some in (("samples", images), ("real_test", self.images.images)):
            _, nearest = nearest_neighbours(_flat(some), means)
            found[name] = float((nearest == asked).double().mean())
        return {"nearest_class_mean": found}

    def _words(self, images: UInt8[Tensor, "n c h w"]) -> dict[str, Any]:
        """Of photographs: are named colours shown, and do added words move samples as real images say?"""
        if self.images.image_shape[0] != 3:
            return {}
        found: dict[str, Any] = {}
        photographs = data.photographs(self.run.recipe.data)
        if photographs and photographs.colours:
            reader = ColourReader.fit(self.train, photographs.colours)
            drawn = reader.report(images, self.captions)
            real = reader.report(self.images.images, self.captions)
            if drawn and real:
                found["colour"] = dict(vars(drawn)) | {"real": real.accuracy}
        sensitivity = word_sensitivity(self.generator, self.train, self.captions, seed=self.seed)
        return found | ({"word_sensitivity": sensitivity.to_dict()} if sensitivity else {})

    def _retrieval(self, seen: Seen) -> dict[str, Any]:
        """Of photographs: is a sample's own caption nearer to it than 99 others, in the eyes of a pair that judges?"""
        if not self._photographs:
            return {}
        judge = retrieval_judge(self.run)
        net = next((net for net in self.nets if net.name == RetrievalJudge.features), None)
        if isinstance(judge, Unavailable) or net is None:
            missing = f"{RetrievalJudge.features}, through which the judge sees, is not here"
            self.absent["generation.retrieval_precision"] = judge.reason if isinstance(judge, Unavailable) else missing
            return {}
        self.protocol["retrieval"] = {"judge": judge.name, "others": min(OTHERS, len(self.images) - 1)}
        texts = judge.embed_captions(self.captions)
        drawn, real = (judge.embed_images(f) for f in (seen[net.name], self._real_features(net, self.images)))
        wrong = self._wrong
        shuffled = retrieval_precision(drawn, texts[wrong], [self.captions[n] for n in wrong.tolist()], self.seed)
        found = {
            "samples": retrieval_precision(drawn, texts, self.captions, self.seed),
            "real": retrieval_precision(real, texts, self.captions, self.seed),
            "shuffled": shuffled,
        }
        return {"retrieval_precision": found}

    def _clip_score(self, images: UInt8[Tensor, "n c h w"]) -> dict[str, Any]:
        """Of photographs, where CLIP is here: samples, real images, and samples with each other's captions."""
        if not self._photographs:
            return {}
        judge = clip_judge(self.run.recipe, self.clip)
        if not isinstance(judge, ClipJudge):
            self.absent["generation.clip_score"] = judge.reason
            return {}
        self.protocol["clip_score"] = judge.protocol
        drawn, texts = judge.embed_images(images), judge.embed_captions(self.captions)
        found = {
            "samples": clip_score(drawn, texts),
            "real": clip_score(judge.embed_images(self.images.images), texts),
            "shuffled": clip_score(drawn, texts[self._wrong]),
        }
        return {"clip_score": found}

    @property
    def _photographs(self) -> bool:
        return self.images.image_shape[0] == 3

    @property
    def _wrong(self) -> Int64[Tensor, "n"]:
        """For each image the number of another one, whose caption it is dealt."""
        return torch.arange(len(self.images)).roll(len(self.images) // 2)

    def _likelihood(self) -> dict[str, Any]:
        """What the model knows of the test images."""
        bound = likelihood(self.generator, self.images, self.known, self.importance_samples, self.seed)
        read = read_by_the_bound(self.generator, self.images, self.conditions, self.seed)
        self.protocol |= bound.protocol | read.protocol
        self.absent |= bound.absent | read.absent
        return bound.numbers | read.numbers

    def _reference(self) -> dict[str, Any]:
        """What the distances are worth: real training images, and the mean training image, against the test images."""
        real_train = self.train.first(len(self.images))
        mean = self.train.images.double().mean(0).round().to(torch.uint8).expand_as(self.images.images)
        rows: dict[str, Any] = {"real_train": {"frechet": {}, "kernel": {}}, "mean_image": {"frechet": {}}}
        for net in self.nets:
            test = self._real_features(net, self.images)
            train = self._real_features(net, real_train)
            rows["real_train"]["frechet"][net.name] = frechet_from_features(train, test)
            rows["real_train"]["kernel"][net.name] = dict(vars(kernel_distance(train, test)))
            one = net(mean[:1]).expand(len(test), -1)
            rows["mean_image"]["frechet"][net.name] = frechet_from_features(one, test)
        rows["mean_image"] |= self._similarity(mean.contiguous())
        rows["real_test"] = self._verdict(self.images.images)
        return rows

    def _real_features(self, net: FeatureNet, images: CaptionedImages) -> Float[Tensor, "n d"]:
        """Features of real images, computed once a machine and kept in the cache folder."""
        version = self.judge.name if net.name == "judge" and isinstance(self.judge, TrainedJudge) else net.name
        pixels = hashlib.sha256(images.images.contiguous().numpy().tobytes()).hexdigest()[:16]
        key = f"{pixels}-{version}-{net.resize}"
        safe = "".join(c if c.isalnum() else "-" for c in key)
        file = data_root().parent / "features" / f"{safe}.safetensors"
        with contextlib.suppress(OSError, KeyError, safetensors.SafetensorError):
            return safetensors.torch.load_file(file)["features"]
        features = _features(net, images.images, f"real {images.split} images")
        with written_whole(file) as temporary:
            safetensors.torch.save_file({"features": features}, temporary)
        return features


def _features(net: FeatureNet, images: UInt8[Tensor, "n c h w"], what: str) -> Float[Tensor, "n d"]:
    rows = []
    with ProgressLine(f"{net.name} features of {what}", len(images), "images") as progress:
        for batch in torch.split(images, 500):
            rows.append(net(batch))
            progress.advance(len(batch))
    return torch.cat(rows)


def _flat(images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n pixels"]:
    return images.flatten(1).float() / 255
