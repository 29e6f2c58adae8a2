"""Whether the conclusions of papers a to d hold for our models, from the stored metrics."""

from collections.abc import Mapping
from typing import Any, Literal

from textvae.papers.findings.evidence import (
    CHANCE,
    ELBO,
    FRECHET,
    MSE,
    NOTHING,
    RECONSTRUCTED,
    RETRIEVAL,
    SSIM,
    STRENGTH,
    VALIDATION,
    Evidence,
    accuracy,
    comparison,
    each_seed,
    finding,
    reaches_half,
    section,
    series,
    spread,
    training_lengths,
    values_of,
)
from textvae.papers.stored import Stored, getter, seeds_of
from textvae.papers.tables.table import number

AUTHORS_D = "reference-paper-d-authors"
"""The stored file on the released weights of paper d, written by ``benchmarks/paper_d_metric.py``."""
SNAPSHOTS = {epochs: f"clip-grid-64-scenes-epochs-{epochs}" for epochs in range(50, 300, 50)} | {
    300: "clip-grid-64-scenes"
}
"""The rows at the epochs of paper a's table 3, of one training."""
SENSITIVITY = "word sensitivity (strength)"
"""The title of ``STRENGTH`` in findings."""
NAMED_WORDS = ("grass", "sky", "snow", "mountain")
"""The words that paper c names in its results."""
LONGER_SUMS = ("test-within", "test-beyond")
"""Kinds of captions with sums that are longer than those of training."""


def paper_a_labels(stored: Stored) -> str:
    """Samples for one-hot labels."""
    names = ("onehot-dense-mnist", "onehot-dense-fashion")
    return section(
        [
            finding(
                "Generated images show what their label says (section 5.2; figure 5)",
                *(accuracy(stored, name) for name in names),
                trained=training_lengths(stored, *names),
            )
        ]
    )


def paper_a(stored: Stored) -> str:
    """The size of the latent, the length of training, and the layer where the condition enters."""
    grid, large, mid = "clip-grid-64", "clip-grid-64-latent-1024", "clip-mid-64"
    epochs = {5: f"{grid}-epochs-5", 10: grid, 30: f"{grid}-epochs-30"}
    latents = {128: grid} | {size: f"{grid}-latent-{size}" for size in (256, 512, 1024)}
    scenes = {size: f"{grid}-scenes-latent-{size}" for size in (128, 256, 512, 1024)}
    changes = {"deeper": "deeper encoder", "attention": "with attention"}
    samples = {"Fréchet distance of samples": FRECHET, "Fréchet distance of reconstructions": RECONSTRUCTED}
    samples |= {"retrieval precision": RETRIEVAL}
    sharper = {"MSE of reconstructions": MSE, "SSIM": SSIM, SENSITIVITY: STRENGTH}
    finer, better = {"MSE of reconstructions": True}, {"Fréchet distance of samples": True}
    return section(
        [
            finding(
                "A latent of 128 dimensions gives better samples than one of 1,024 (table 4: FID 286.1 against 305.4)",
                comparison(stored, grid, large, "Fréchet distance of samples", FRECHET),
                comparison(stored, grid, large, "ELBO", ELBO),
                *(
                    comparison(stored, scenes[128], scenes[1024], f"on 9,231 images, {what}", key)
                    for what, key in (("Fréchet distance of samples", FRECHET), ("ELBO", ELBO))
                ),
                trained=training_lengths(stored, grid, large, scenes[128], scenes[1024]),
            ),
            finding(
                "A larger latent makes images sharper, but does not make the model better (section 5.1.2; figure 4)",
                *series(stored, latents, "trained for 10 epochs", sharper, "with", "dimensions", finer),
                *series(stored, scenes, "trained for 50 epochs on 9,231 images", sharper, "with", "dimensions", finer),
                trained=training_lengths(stored, *latents.values(), *scenes.values()),
            ),
            finding(
                "A deeper encoder and attention bring no significant improvement (section 4.2)",
                *(
                    comparison(stored, f"{row}-{change}", usual, f"{title}{where}: {what}", key, "no better")
                    for row, usual, where in ((grid, grid, ""), (f"{grid}-scenes", scenes[128], ", on 9,231 images"))
                    for change, title in changes.items()
                    for what, key in (("Fréchet distance of samples", FRECHET), ("ELBO", ELBO))
                ),
                trained=training_lengths(
                    stored,
                    *(f"{row}-{change}" for row in (grid, f"{grid}-scenes") for change in changes),
                    grid,
                    scenes[128],
                ),
            ),
            finding(
                "Longer training helps (table 3: FID 326.7 after 50 epochs, 295.4 after 300)",
                *series(stored, SNAPSHOTS, "one training, measured at the paper's epochs", samples, improves=better),
                *series(stored, epochs, "separate trainings for a tenth of these epochs", samples, improves=better),
                trained=training_lengths(stored, *SNAPSHOTS.values(), *epochs.values()),
            ),
            finding(
                "Reconstructions improve until epoch 250 and then get worse (section 5.3; figure 6)",
                *series(
                    stored,
                    SNAPSHOTS,
                    "one training, measured at the paper's epochs on test images",
                    {"MSE": MSE, "SSIM": SSIM, "ELBO": ELBO, "Fréchet distance": RECONSTRUCTED},
                ),
                _best_epoch(stored, 250),
                trained=training_lengths(stored, *SNAPSHOTS.values()),
            ),
            finding(
                "The condition can equally well enter after the first convolutions (tables 1 and 2)",
                comparison(
                    stored, grid, mid, f"`{grid}` against `{mid}`: Fréchet distance of samples", FRECHET, "no better"
                ),
                comparison(stored, grid, mid, "ELBO", ELBO, "no better"),
                trained=training_lengths(stored, grid, mid),
            ),
            _lengths(stored, f"{grid}-sqrt", grid),
            _faithfulness(stored, grid),
        ]
    )


def _best_epoch(stored: Stored, published: int) -> Evidence:
    """At how many epochs the reconstructions of paper a's one training are best, of all that it should have."""
    found = {epochs: values_of(stored, name, MSE) for epochs, name in SNAPSHOTS.items()}
    if not all(found.values()):
        return NOTHING
    best = min(found, key=lambda epochs: found[epochs][0])
    return Evidence(f"the MSE is smallest after {best} epochs", best == published)


def paper_b_labels(stored: Stored) -> str:
    """The convolutional model against the dense one."""
    dense, conv = "label-dense", "label-conv"
    return section(
        [
            finding(
                "The convolutional model reconstructs better than the dense one (table 1: MSE 11.1 against 12.2, SSIM "
                "0.763 against 0.640)",
                comparison(stored, conv, dense, "MSE", MSE),
                comparison(stored, conv, dense, "SSIM", SSIM),
                trained=training_lengths(stored, conv, dense),
            ),
            finding(
                "Generated images show the garment that the keyword names (figure 3)",
                *(accuracy(stored, name) for name in (dense, conv)),
            ),
        ]
    )


def paper_b(stored: Stored) -> str:
    """Addition of the condition against concatenation, by the size of the images."""
    published = {
        64: "is slightly better than addition (table 2: MSE 184.8 against 195.2, FID 272.2 against 274.2)",
        128: "and addition differ little (table 2: MSE 615 against 629)",
        256: "is much better than addition (table 2: MSE 3,657 against 20,314)",
    }
    findings = []
    for side, claim in published.items():
        add, concat = (f"clip-latent-{side}-{how}" for how in ("add", "concat"))
        better: Literal["better", "no better"] = "no better" if side == 128 else "better"
        findings.append(
            finding(
                f"At {side} pixels, concatenation {claim}",
                comparison(stored, concat, add, "MSE", MSE, better),
                comparison(stored, concat, add, "SSIM", SSIM, better),
                comparison(stored, concat, add, "Fréchet distance of samples", FRECHET, better),
                comparison(stored, concat, add, SENSITIVITY, STRENGTH, ""),
                trained=training_lengths(stored, concat, add),
            )
        )
    sides = {side: f"clip-latent-{side}-concat" for side in published}
    smaller = {"SSIM of reconstructions": SSIM, "MSE per pixel": "reconstruction.mse"}
    findings.append(
        finding(
            "Smaller images give better numbers (section 5)",
            *series(stored, sides, "concatenation", smaller, "at", "pixels", dict.fromkeys(smaller, False)),
            trained=training_lengths(stored, *sides.values()),
        )
    )
    return section([*findings, _faithfulness(stored, "clip-latent-64-concat")])


def paper_c(stored: Stored) -> str:
    """Training on image embeddings against sentence embeddings, and the gap between the two."""
    image, text = "clip-dual-64-image-dropout", "clip-dual-64-text-dropout"
    shifted, noised, unclip = (f"clip-dual-64-image-{bridge}" for bridge in ("shifted", "noised", "unclip"))
    dropout, plain = "clip-dual-128-image-dropout", "clip-dual-128-image"
    image_code, text_code = "clip-dual-64-image-code-nature", "clip-dual-64-text-code-nature"
    return section(
        [
            finding(
                "Training on image embeddings gives a lower loss than training on sentence embeddings (figure 2: 2,376 "
                "against 2,526)",
                comparison(stored, image, text, "validation loss", VALIDATION),
                each_seed(stored, text, "validation loss", VALIDATION),
                trained=training_lengths(stored, image, text),
            ),
            finding(
                "This advantage carries over to generation from sentences (section IV)",
                comparison(stored, image, text, "Fréchet distance of samples", FRECHET),
                comparison(stored, image, text, "retrieval precision", RETRIEVAL),
                comparison(stored, image, text, SENSITIVITY, STRENGTH),
                trained=training_lengths(stored, image, text),
            ),
            finding(
                "Dropout lowers the loss (figure 2, 128 pixels: 9,227 with, 9,386 without)",
                comparison(stored, dropout, plain, "validation loss", VALIDATION),
                trained=training_lengths(stored, dropout, plain),
            ),
            finding(
                "Grass, sky, snow and mountains appear where a prompt names them (results, figure 5)",
                *(_named(stored, name) for name in (image_code, f"{image_code}-sqrt", image)),
            ),
            finding(
                "The gap between the two kinds of embeddings can be bridged (our addition)",
                comparison(stored, shifted, image, f"`{shifted}` against `{image}`: retrieval precision", RETRIEVAL),
                comparison(stored, shifted, image, SENSITIVITY, STRENGTH),
                comparison(stored, noised, image, f"`{noised}` against the same: retrieval precision", RETRIEVAL),
                comparison(stored, noised, image, SENSITIVITY, STRENGTH),
                comparison(stored, unclip, image, f"`{unclip}` against the same: retrieval precision", RETRIEVAL),
                comparison(stored, unclip, image, SENSITIVITY, STRENGTH),
                comparison(stored, unclip, image, "Fréchet distance of samples", FRECHET),
                trained=training_lengths(stored, shifted, noised, unclip, image),
            ),
            finding(
                "Image embeddings also have both advantages in the authors' program on nature photographs",
                comparison(stored, image_code, text_code, "validation loss", VALIDATION),
                comparison(stored, image_code, text_code, "Fréchet distance of samples", FRECHET),
                comparison(stored, image_code, text_code, "retrieval precision", RETRIEVAL),
                comparison(stored, image_code, text_code, SENSITIVITY, STRENGTH),
                trained=training_lengths(stored, image_code, text_code),
            ),
            _lengths(stored, f"{image_code}-sqrt", image_code),
            _faithfulness(stored, image),
        ]
    )


def paper_d(stored: Stored) -> str:
    """Captions that were held out of training, and what figure 3 measures."""
    models = {
        "the authors' released weights": AUTHORS_D,
        "`caption-rnn-arithmetic` (after the paper's text)": "caption-rnn-arithmetic",
        "`caption-rnn-arithmetic-code` (after the authors' program)": "caption-rnn-arithmetic-code",
        "`caption-prior-arithmetic` (ours)": "caption-prior-arithmetic",
    }
    return section(
        [
            finding(
                'The model generates "correct images on never before seen, more complex combinations of captions" '
                "(abstract; figure 4)",
                _longer_sums(stored, models),
                trained=training_lengths(stored, *models.values()),
            ),
            finding(
                "Generated images are classified as the right digit in 0.15 of the cases, because they are noisy "
                "(section 4; figure 3)",
                _figure_3(stored),
            ),
            finding(
                "The results of more complex calculations can be generated as well (proposed in section 5)",
                _share_right(stored, "caption-tree-numbers", "number_accuracy"),
                trained=training_lengths(stored, "caption-tree-numbers"),
            ),
            finding(
                "Attention over captions can build up the image step by step (proposed in section 5)",
                _share_right(stored, "caption-draw-scenes", "scene_accuracy"),
                _share_right(stored, "caption-slots-scenes", "scene_accuracy"),
                trained=training_lengths(stored, "caption-draw-scenes", "caption-slots-scenes"),
            ),
        ]
    )


def _share_right(stored: Stored, name: str, accuracy: str) -> Evidence:
    """The share of pictures that show what their caption says, for each kind of captions."""
    kinds: Mapping[str, Any] = getter(stored.get(name, {}))(f"generation.{accuracy}") or {}
    titles = {kind: kind.removeprefix("test-").replace("_", "-") for kind in kinds} | {"seen": "training"}
    found = {kind: share for kind, share in kinds.items() if kind not in ("real_held_out", "samples_each")}
    if not found:
        return NOTHING
    told = ", ".join(f"{number(share)} for {titles[kind]} captions" for kind, share in found.items())
    real = f" (real images: {number(kinds['real_held_out'])})" if "real_held_out" in kinds else ""
    text = f"fraction of right samples of `{name}`: {told}{real}"
    return Evidence(text, reaches_half([min(found.values())], kinds.get("real_held_out", 1.0), 0.0))


def _longer_sums(stored: Stored, models: Mapping[str, str]) -> Evidence:
    """Judge accuracy of each model for captions of training and for both kinds of longer sums.

    The claim is the paper's, so its model decides: the authors' weights.
    """
    accuracies, supports = [], None
    for title, name in models.items():
        found = [values_of(stored, name, f"generation.caption_accuracy.{part}") for part in ("seen", *LONGER_SUMS)]
        if all(found):
            accuracies.append(f"{title}: {', '.join(map(spread, found))}")
            if name == AUTHORS_D:
                supports = all(reaches_half(values, 1.0, 0.1) for values in found[1:])
    what = (
        "judge accuracy for training captions, for longer sums whose intermediate results are all digits, and for "
        "other longer sums, in this order (chance: 0.1)"
    )
    return Evidence(f"{what}: {'; '.join(accuracies)}", supports) if accuracies else NOTHING


def _figure_3(stored: Stored) -> Evidence:
    """What the measure of figure 3 gives for a generator that is always right, and for the authors' weights."""
    keys = ("perfect_generator.arithmetic.train.mean", "perfect_generator.arithmetic.test.mean", "figure_3.mean")
    found = [values_of(stored, AUTHORS_D, key) for key in (*keys, "authors_classifier.caption_accuracy.seen")]
    if not all(found):
        return NOTHING
    train, validation, misplaced, right = (number(values[0]) for values in found)
    text = (
        "the authors' program sorts the images of a batch by the length of their captions, but not the labels. A "
        f"generator that is always right would therefore score {train} for training and {validation} for validation "
        f"captions. By the same classifier, the authors' released weights score {misplaced} with labels misplaced in "
        f"this way and {right} with the right labels"
    )
    return Evidence(text, not reaches_half(found[-1], 1.0, 0.1))


def word_strengths(stored: Stored, name: str, word: str) -> list[float]:
    """How much a word of the prompt changes samples, relative to real images, for each seed of a row."""
    shifts = (getter(stored[row])(f"generation.word_sensitivity.words.{word}") for row in seeds_of(stored, name))
    return [shift["drawn"] / shift["real"] for shift in shifts if shift]


def _named(stored: Stored, name: str) -> Evidence:
    """The effect of the words that paper c names on the samples of a row."""
    found = {word: values for word in NAMED_WORDS if (values := word_strengths(stored, name, word))}
    told = ", ".join(f"{word} {spread(values)}" for word, values in found.items())
    if not found:
        return NOTHING
    clear = [reaches_half(values, 1.0, 0.0) for values in found.values()]
    return Evidence(
        f"effect of each word on samples of `{name}`, relative to real images: {told}",
        None if any(clear) and not all(clear) else all(clear),
    )


def _faithfulness(stored: Stored, name: str) -> str:
    """Whether generated images are nearer to their own caption than to others."""
    values, real = values_of(stored, name, RETRIEVAL), values_of(stored, name, "generation.retrieval_precision.real")
    if not values or not real:
        return ""
    text = (
        f"retrieval precision among 100 captions: {spread(values)} for `{name}` (real images: {number(real[0])}; "
        f"chance: {CHANCE})"
    )
    return finding(
        "Generated images show what their caption says", Evidence(text, reaches_half(values, real[0], CHANCE))
    )


def _lengths(stored: Stored, long: str, unit: str) -> str:
    """Whether embeddings as long as the square root of their dimension are noticed more than those of length one."""
    return finding(
        "Embeddings of length 1 are too short for the model to use (our addition)",
        comparison(stored, long, unit, f"length √dimension against length 1: {SENSITIVITY}", STRENGTH),
        comparison(stored, long, unit, "retrieval precision", RETRIEVAL),
        comparison(stored, long, unit, "Fréchet distance of samples", FRECHET),
        trained=training_lengths(stored, long, unit),
    )
