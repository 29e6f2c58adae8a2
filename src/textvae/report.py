"""RESULTS.md, written from stored metrics and never by hand."""

import json
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from textvae import conclusions
from textvae.conclusions import SEEDED, Stored
from textvae.recipes import RECIPES

PREFACE = """# Results

Every number here was written by `textvae reproduce` or a script in `benchmarks/` from a stored metrics file
(`src/textvae/measured/`), which holds the protocol. *published | measured*; a dash means that the source gives no
number, or that ours is absent (its metrics file says why). What the metrics mean: [docs/metrics.md](docs/metrics.md).
"""


def stored_metrics(folder: Path) -> dict[str, dict[str, Any]]:
    """All metrics files of a folder, by name."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))}


def whole(stored: Stored, figures: Path, root: Path) -> str:
    """RESULTS.md: a section for each paper of which something is stored, the judges, the benchmarks."""
    sections = [section(paper, stored) for paper in _SECTIONS]
    pictures = os.path.relpath(figures, root)
    return "\n".join([PREFACE, *(text for text in sections if text)]).replace("FIGURES/", f"{pictures}/")


def section(paper: str, stored: Stored) -> str:
    """One paper's part of the report; empty where nothing of it is stored."""
    return _SECTIONS[paper](stored)


def _paper_a(stored: Stored) -> str:
    photographs = _photographs(
        stored,
        ("clip-grid-", "clip-mid-"),
        conclusions.paper_a(stored),
        "## Paper a: photographs from sentences",
        "Published are FID and CLIP score at 224 pixels, trained on 11,829 images of MS-COCO: after 50, 100, ... 300",
        "epochs 326.70, 321.86, 315.62, 314.98, 313.64, 295.40 and 0.195 to 0.202 (table 3); of latent dimensions 128,",
        "256, 512, 1024 286.06, 315.01, 306.73, 305.43 and 0.2023, 0.1998, 0.1937, 0.1886 (table 4). The `-latent-`",
        "and `-epochs-` rows are the tables', at 64 pixels; with `clip-grid-64` they have a tenth of table 3's epochs.",
    )
    names = [name for name in ("onehot-dense-mnist", "onehot-dense-fashion") if name in stored]
    if not names:
        return photographs
    lines = [
        "## Paper a: one-hot digits and garments",
        "",
        "The paper prints a figure and no numbers (section 5.2, figure 5). Ours: a row a class, the judge's accuracy",
        "on 200 samples of that class beside it, and the row of the class that the model was never trained on.",
        "",
        _generation(stored, names),
        *(f"![{name}](FIGURES/{name}.png)\n" for name in names),
        _protocol(stored, names),
        photographs,
    ]
    return "\n".join(lines)


def _paper_b(stored: Stored) -> str:
    names = [
        name
        for name in ("label-dense", "label-conv", "label-dense-bernoulli", "label-conv-bernoulli")
        if name in stored
    ]
    photographs = _photographs(
        stored,
        ("clip-latent-",),
        conclusions.paper_b(stored),
        "## Paper b: photographs from sentences",
        "Table 2: a sentence's embedding added to the latent, or concatenated. The paper trained on a fifth of",
        "MS-COCO. MSE is summed over pixels, so it grows with the size.",
    )
    if not names:
        return photographs
    rows = []
    for name in names:
        get = _getter(stored[name])
        published = RECIPES[name]().published if name in RECIPES else {}
        rows.append(
            [
                f"`{name}`",
                _pair(published.get("reconstruction.mse_sum"), get("reconstruction.mse_sum")),
                _pair(published.get("reconstruction.ssim"), get("reconstruction.ssim")),
                _pair(published.get("reconstruction.frechet"), None),
                _number(get("reconstruction.frechet.judge")),
                _number(get("reconstruction.frechet.efficientnet-lite0")),
                _number(get("reconstruction.judge_accuracy")),
                f"{get('training.seconds') or 0:.0f} s",
            ]
        )
    lines = [
        "## Paper b: garments from a key word",
        "",
        "Table 1, reconstruction of the 10,000 test images. The published FID is of unnamed features, for one model",
        "of flattened vectors (section 5), so no number of ours stands beside it; ours name their features. The",
        "paper leaves the likelihood open: the first two rows learn one Gaussian noise scale, the `-bernoulli` rows",
        "are the same models with binary cross-entropy.",
        "",
        _table(
            [
                "model",
                "MSE (sum)",
                "SSIM",
                "FID published",
                "Fréchet (judge)",
                "Fréchet (efficientnet-lite0)",
                "judge accuracy",
                "training",
            ],
            rows,
        ),
        "",
        "Generation for the captions of the same test images, from N(0, I):",
        "",
        _generation(stored, names),
        *(f"![{name}](FIGURES/{name}.png)\n" for name in names),
        *(f"![{name}: reconstructions](FIGURES/{name}-reconstructions.png)\n" for name in names),
        _protocol(stored, names),
        photographs,
    ]
    return "\n".join(lines)


def _paper_c(stored: Stored) -> str:
    curves = [size for size in (64, 128) if any(name.startswith(f"clip-dual-{size}") for name in stored)]
    text = _photographs(
        stored,
        ("clip-dual-",),
        conclusions.paper_c(stored),
        "## Paper c: photographs, trained on embeddings of images or of sentences",
        "Figure 2 is the best validation loss; the authors' validation batches were training images (see the recipe),",
        "ours are held out. `-shifted` and `-noised` bridge the gap between the two kinds of embeddings. Prompts are",
        "sentences for all.",
    )
    return text + "".join(f"\n![loss curves](FIGURES/paper-c-loss-curves-{size}.png)\n" for size in curves)


CLIP_SCORE = "generation.clip_score.samples"


def _photographs(stored: Stored, families: tuple[str, ...], concluded: str, title: str, *preface: str) -> str:
    """The rows of some families, with published numbers where a row is a recipe as it is; empty without rows.

    ``concluded`` goes below the table.
    """
    names = [name for name in stored if name.startswith(families)]
    if not names:
        return ""
    validated = any(_getter(stored[name])("training.best_validation_loss") is not None for name in names)
    scored = any(_getter(stored[name])("generation.clip_score.samples") is not None for name in names)
    timed = any(name.startswith("latent-flow-") for name in names)
    rows = []
    for name in names:
        get = _getter(stored[name])
        published = RECIPES[name]().published if name in RECIPES else {}
        fid = published.get("generation.frechet.inception", published.get("reconstruction.frechet.inception"))
        loss = _pair(published.get("training.best_validation_loss"), get("training.best_validation_loss"))
        rows.append(
            [
                f"`{name}`",
                *([loss] if validated else []),
                _pair(published.get("reconstruction.mse_sum"), get("reconstruction.mse_sum")),
                _pair(published.get("reconstruction.ssim"), get("reconstruction.ssim")),
                _number(fid),
                _number(get("reconstruction.frechet.efficientnet-lite0")),
                _number(get("generation.frechet.efficientnet-lite0")),
                _number(get("generation.retrieval_precision.samples")),
                *([_pair(published.get(CLIP_SCORE), get(CLIP_SCORE))] if scored else []),
                f"{_number(get('generation.word_sensitivity.right_sign'))}, "
                f"{_number(get('generation.word_sensitivity.strength'))}",
                f"{_number(get('generation.colour.accuracy'))} of {_number(get('generation.colour.real'))}",
                _number(get("likelihood.retrieval_precision")),
                _number(get("likelihood.elbo_nats")),
                *([_number(get("speed.generated_images_per_s"))] if timed else []),
                _trained(stored[name]),
            ]
        )
    for data in dict.fromkeys(stored[name]["protocol"]["data"] for name in names):
        get = _getter(next(stored[name] for name in names if stored[name]["protocol"]["data"] == data))
        distance = _number(get("reference.real_train.frechet.efficientnet-lite0"))
        retrieved = _number(get("generation.retrieval_precision.real"))
        before = ["-"] * (5 if validated else 4)
        score = [_number(get("generation.clip_score.real"))] if scored else []
        rows.append([f"*real images of {data}*", *before, distance, retrieved, *score, *["-"] * (6 if timed else 5)])
    titles = ["model", *(["validation loss"] if validated else []), "MSE (sum)", "SSIM", "FID published"]
    titles += ["Fréchet (efficientnet-lite0), reconstructions", "samples", "retrieval precision"]
    titles += [*(["CLIP score"] if scored else []), "words: right sign, strength"]
    titles += ["named colours shown, of real", "own caption by the bound"]
    titles += ["ELBO, nats", *(["images/s"] if timed else []), "training"]
    pictured = [name for name in names if not SEEDED.search(name)]
    pictures = [f"![{name}](FIGURES/{name}.png)\n" for name in pictured]
    return "\n".join(
        [
            title,
            "",
            *preface,
            "",
            _table(titles, rows),
            "",
            _read_so(stored, names),
            *_spread(stored, names),
            concluded,
            *pictures,
            _protocol(stored, names),
        ]
    )


def _trained(metrics: Mapping[str, Any]) -> str:
    """How long, on how many images; and what the paper did, where that was cut."""
    get = _getter(metrics)
    images, paper = get("training.images"), get("training.paper")
    of = f" of {images:,} images" if images else ""
    cut = f" (paper: {paper})" if paper else ""
    return f"{get('training.epochs') or 0:.0f} epochs{of}{cut}, {get('training.seconds') or 0:.0f} s"


def _read_so(stored: Stored, names: Sequence[str]) -> str:
    """What the columns of photographs are, with the ends of their scales."""
    lines = [
        "*Retrieval precision*: samples nearer to their own caption than to 99 others, in the eyes of a pair that "
        "conditioned none of the models."
    ]
    measured = [name for name in names if _getter(stored[name])("generation.retrieval_precision.shuffled") is not None]
    if measured:
        floor = [stored[name]["generation"]["retrieval_precision"]["shuffled"] for name in measured]
        judges = dict.fromkeys(stored[name]["protocol"]["retrieval"]["judge"] for name in measured)
        lines.append(
            f"The judge is {', '.join(judges)}; real images are in the last rows; with the captions shuffled, samples "
            f"have {_number(min(floor))} to {_number(max(floor))}."
        )
    lines += [
        "*Words*: of the words that real captions name often, those whose mention moves a sample as it moves real "
        "images (one half is chance), and how far, real images being 1.",
        "*By the bound*: real images whose own caption the model finds likelier than those of others, chance being one "
        f"in {_getter(stored[names[0]])('likelihood.retrieval_choices') or 'as many as there are'}.\n",
    ]
    return "\n".join(lines)


_SPREAD = {
    "MSE (sum)": "reconstruction.mse_sum",
    "SSIM": "reconstruction.ssim",
    "Fréchet, samples": "generation.frechet.efficientnet-lite0",
    "retrieval precision": "generation.retrieval_precision.samples",
    "words: right sign": "generation.word_sensitivity.right_sign",
    "ELBO, nats": "likelihood.elbo_nats",
}
"""What is told over seeds."""


def _spread(stored: Stored, names: Sequence[str]) -> list[str]:
    """Mean and standard deviation over the seeds of each row that was trained with several."""
    seeds: dict[str, list[str]] = {}
    for name in names:
        seeds.setdefault(SEEDED.sub("", name), []).append(name)
    rows = []
    for name, own in seeds.items():
        if len(own) < 2:
            continue
        cells = []
        for key in _SPREAD.values():
            values = [value for seeded in own if (value := _getter(stored[seeded])(key)) is not None]
            spread = f" ± {_number(statistics.stdev(values))}" if len(values) > 1 else ""
            cells.append(f"{_number(statistics.mean(values))}{spread}" if values else "-")
        rows.append([f"`{name}`", str(len(own)), *cells])
    if not rows:
        return []
    told = (
        "Over seeds, which decide weights, order and noise: mean ± standard deviation. Smaller differences say nothing."
    )
    return [told, "", _table(["model", "seeds", *_SPREAD], rows), ""]


UNSEEN = ("unseen", "longer", "within", "beyond", "held out")
"""Kinds of test captions that were never trained on, as paper d's table names them."""


def _paper_d(stored: Stored) -> str:
    names = [name for name in stored if name.startswith("caption-")]
    if not names:
        return ""
    rows = []
    for name in names:
        get = _getter(stored[name])
        accuracy = get("generation.caption_accuracy") or get("generation.scene_accuracy") or {}
        parts = {key.removeprefix("test-").replace("_", " "): value for key, value in accuracy.items()}
        published = RECIPES[name]().published.get("generation.judge_accuracy") if name in RECIPES else None
        rows.append(
            [
                f"`{name}`",
                _number(accuracy.get("seen")),
                _pair(published, get("generation.judge_accuracy")),
                ", ".join(f"{key} {_number(parts[key])}" for key in UNSEEN if key in parts) or "-",
                _number(accuracy.get("real_held_out", get("reference.real_test.judge_accuracy"))),
                _number(get("generation.nearest_class_mean.samples")),
                _number(get("generation.frechet.judge")),
                _number(get("generation.diversity_within_class.pixels.ratio")),
                _number(get("generation.diversity_within_class.judge.ratio")),
                _number(get("likelihood.elbo_nats")),
                f"{get('training.seconds') or 0:.0f} s",
            ]
        )
    titles = ["model", "seen captions", "test captions", "of these", "real images", "nearest class mean"]
    titles += ["Fréchet (judge)", "diversity / real (pixels)", "(judge)", "ELBO, nats", "training"]
    lines = [
        "## Paper d: digits from captions",
        "",
        "Judge accuracy on samples for captions that were trained on, and for test captions that never were (for label",
        "and sentence the paper has the same captions throughout). The published value is read off its figure 3.",
        "Logic: other sets of numbers, and longer ones; arithmetic: three to six numbers, every intermediate result",
        "a digit (within) or not (beyond). Scenes: both digits right and in place, pairs never trained on (held out).",
        "The `caption-rnn` rows end by early stopping; that of transposed convolutions by 20 passes at the latest.",
        "Nearest class mean: samples that of all mean images are nearest to the right digit's; blur does not hurt it.",
        "",
        _table(rows=rows, titles=titles),
        "",
        *(f"![{name}](FIGURES/{name}.png)\n" for name in names),
        "![loss curves](FIGURES/paper-d-loss-curves.png)\n",
        "![judge accuracy while training](FIGURES/paper-d-judge-accuracy.png)\n",
        _protocol(stored, names),
    ]
    return "\n".join(lines)


def _flow(stored: Stored) -> str:
    photographs = _photographs(
        stored,
        ("latent-flow-flowers", "latent-flow-products", "latent-flow-coco", "flowers102-", "products-"),
        "",
        "## Past the papers: photographs from anybody's words",
        "`latent-flow-*` are ours and learn to read; `flowers102-*` and `products-*` are papers a and b on the same",
        "photographs, trained on frozen sentence embeddings; on MS-COCO theirs are in the sections above.",
    )
    if "latent-flow-flowers" in stored:
        photographs += "\n![from one sentence to another](FIGURES/flowers-interpolate.png)\n"
    names = [name for name in stored if name.startswith("latent-flow-") or name.endswith("-flow")]
    names = [name for name in names if _getter(stored[name])("generation.judge_accuracy") is not None]
    if not names:
        return photographs
    # Each beside what the papers' model of the same data does, measured alike.
    papers = [name for name in ("label-dense", "label-conv", "caption-prior-arithmetic") if name in stored]
    rows = []
    for name in [*names, *papers]:
        get = _getter(stored[name])
        accuracy = get("generation.caption_accuracy") or {}
        rows.append(
            [
                f"`{name}`",
                _number(get("generation.judge_accuracy")),
                ", ".join(f"{key} {_number(accuracy[key])}" for key in ("seen", "test-within") if key in accuracy)
                or "-",
                _number(get("reconstruction.frechet.judge")),
                _number(get("generation.frechet.judge")),
                _number(get("generation.frechet.efficientnet-lite0")),
                _number(get("generation.diversity_within_class.judge.ratio")),
                _number(get("likelihood.bits_per_dim")),
                _number(get("speed.generated_images_per_s")),
                f"{get('training.seconds') or 0:.0f} s",
            ]
        )
    titles = ["model", "judge accuracy", "captions", "Fréchet (judge) of reconstructions", "of samples"]
    titles += ["Fréchet (efficientnet-lite0)", "diversity / real", "bits per dimension", "images/s", "training"]
    pictures = ["flow-guidance-frechet-judge", "flow-guidance-judge-accuracy"]
    pictures += ["flow-steps-frechet-judge", "flow-steps-judge-accuracy"]
    pictures += ["flow-interpolate", "flow-edit", "flow-complete"]
    return "\n".join(
        [
            "## Past the papers: flow priors",
            "",
            "`latent-flow-*` are ours; `*-flow` are the papers' models with a flow fitted to their latents and nothing",
            "else changed; the last rows are those models as they were.",
            "",
            _table(titles, rows),
            "",
            *(f"![{name}](FIGURES/{name}.png)\n" for name in [*names, *pictures]),
            _protocol(stored, names),
            photographs,
        ]
    )


def _likelihood(stored: Stored) -> str:
    """Every family's bound in bits per dimension, by data and by what it is a likelihood of."""
    named: dict[tuple[str, str], list[str]] = {}
    for name, metrics in stored.items():
        if _getter(metrics)("likelihood.bits_per_dim") is not None and not SEEDED.search(name):
            named.setdefault((metrics["protocol"]["data"], metrics["protocol"]["likelihood_of"]), []).append(name)
    if not named:
        return ""
    rows = []
    for (source, kind), names in sorted(named.items()):
        for name in sorted(names, key=lambda name: float(stored[name]["likelihood"]["bits_per_dim"])):
            get = _getter(stored[name])
            cells = [get(f"likelihood.{key}") for key in ("bits_per_dim", "elbo_nats", "kl_nats")]
            rows.append([source, _KINDS.get(kind, kind), f"`{name}`", *map(_number, cells)])
    return "\n".join(
        [
            "## The likelihood bound of every family",
            "",
            "Bits per dimension are comparable between rows of the same data and of the same kind: *8-bit* is the",
            "likelihood of pixels as they are stored, *binary* of black and white ones drawn from them. A flow's bound",
            "is estimated on 500 images, with one draw of each. Least is best.",
            "",
            _table(["data", "likelihood of", "model", "bits/dim", "ELBO, nats", "KL, nats"], rows),
            "",
        ]
    )


def _judges(stored: Stored) -> str:
    names = [name for name in ("judge-fashion", "judge-digits") if name in stored]
    if not names:
        return ""
    rows = [
        [f"`{name}`", stored[name]["protocol"]["data"], _number(stored[name]["classification"]["accuracy"])]
        for name in names
    ]
    return "\n".join(
        [
            "## The judges",
            "",
            "Accuracy on the 10,000 real test images, of the weights that ship (half precision).",
            "",
            _table(["judge", "data", "accuracy"], rows),
            "",
        ]
    )


def _benchmarks(stored: Stored) -> str:
    rows = []
    for name, found in stored.items():
        if name.startswith("benchmark-"):
            rows += [[fact["what"], fact["ours"], fact["theirs"], fact["ratio"]] for fact in found["summary"]]
    if not rows:
        return ""
    return "\n".join(
        [
            "## Benchmarks",
            "",
            "`make benchmark`; machine, settings and repeats stand in the metrics files.",
            "",
            _table(["what", "textvae", "against", "ratio"], rows),
            "",
        ]
    )


def _generation(stored: Stored, names: Sequence[str]) -> str:
    """What samples are worth, with real images and the mean image as the scale to read them by."""
    columns = [
        ("judge accuracy", "judge_accuracy"),
        ("Fréchet (judge)", "frechet.judge"),
        ("Fréchet (efficientnet-lite0)", "frechet.efficientnet-lite0"),
        ("kernel (judge)", "kernel.judge.mean"),
    ]
    rows = []
    for name in names:
        get = _getter(stored[name])
        rows.append(
            [
                f"`{name}`",
                *(_number(get(f"generation.{key}")) for _, key in columns),
                _number(get("generation.diversity_within_class.judge.ratio")),
                _number(get("likelihood.elbo_nats")),
                f"{_number(get('likelihood.bits_per_dim'))} ({_KINDS[stored[name]['protocol']['likelihood_of']]})",
                f"{get('likelihood.active_units')} of {get('likelihood.latent_dimensions')}",
                _number(get("likelihood.kl_nats")),
            ]
        )
    for data in dict.fromkeys(stored[name]["protocol"]["data"] for name in names):
        get = _getter(next(stored[name] for name in names if stored[name]["protocol"]["data"] == data))
        accuracy = _number(get("reference.real_test.judge_accuracy"))
        for title, key in (("real train images", "real_train"), ("the mean image", "mean_image")):
            found = [_number(get(f"reference.{key}.{column}")) for _, column in columns[1:]]
            rows.append([f"*{title} of {data}*", accuracy if key == "real_train" else "-", *found, *["-"] * 5])
    titles = [title for title, _ in columns]
    return (
        _table(["model", *titles, "diversity / real", "ELBO, nats", "bits/dim", "active units", "KL, nats"], rows)
        + "\n"
    )


def _protocol(stored: Stored, names: Sequence[str]) -> str:
    one = stored[names[0]]["protocol"]
    nets = "; ".join(f"{name}: {resize}" for name, resize in one["feature_nets"].items())
    weights = ", ".join(f"{name} {stored[name]['protocol']['weights']}" for name in names)
    of = "; ".join(dict.fromkeys(f"{stored[name]['protocol']['likelihood_of']}" for name in names))
    return (
        f"Protocol: {one['num_samples']:,} {one['split']} images against as many samples for the same captions, 8-bit, "
        f"seed {one['seed']}; features: {nets}; judge {one.get('judge', '-')}; bounds with "
        f"{one['importance_samples']} draws an image, of {of} (comparable only among the same); weights: {weights}.\n"
    )


_KINDS = {"8-bit images": "8-bit", "binary images drawn from the grey values": "binary"}
"""What bits per dimension are of: comparable only among the same."""


def _getter(metrics: Mapping[str, Any]) -> Callable[[str], Any]:
    def get(name: str) -> Any:
        # A name may itself hold dots only in its path, never in its parts.
        value: Any = metrics
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    return get


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"


def _pair(published: float | None, measured: float | None) -> str:
    return f"{_number(published)} \\| {_number(measured)}" if measured is not None else _number(published)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


_SECTIONS: Mapping[str, Callable[[Stored], str]] = {
    "a": _paper_a,
    "b": _paper_b,
    "c": _paper_c,
    "d": _paper_d,
    "flow": _flow,
    "likelihood": _likelihood,
    "judges": _judges,
    "benchmarks": _benchmarks,
}
