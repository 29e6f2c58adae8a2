"""The sections of papers a, b and c."""

from textvae.papers import findings as conclusions
from textvae.papers.findings import Stored
from textvae.papers.tables.cells import getter, number, pair, protocol, table
from textvae.papers.tables.drawings import generation
from textvae.papers.tables.photographs import photographs_table
from textvae.recipes import RECIPES


def paper_a(stored: Stored) -> str:
    """Digits and garments from one-hot labels, photographs from sentences."""
    photographs = photographs_table(
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
        generation(stored, names),
        *(f"![{name}](FIGURES/{name}.png)\n" for name in names),
        protocol(stored, names),
        photographs,
    ]
    return "\n".join(lines)


def paper_b(stored: Stored) -> str:
    """Garments from a key word, photographs from sentences."""
    names = [
        name
        for name in ("label-dense", "label-conv", "label-dense-bernoulli", "label-conv-bernoulli")
        if name in stored
    ]
    photographs = photographs_table(
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
        get = getter(stored[name])
        published = RECIPES[name]().published if name in RECIPES else {}
        rows.append(
            [
                f"`{name}`",
                pair(published.get("reconstruction.mse_sum"), get("reconstruction.mse_sum")),
                pair(published.get("reconstruction.ssim"), get("reconstruction.ssim")),
                pair(published.get("reconstruction.frechet"), None),
                number(get("reconstruction.frechet.judge")),
                number(get("reconstruction.frechet.efficientnet-lite0")),
                number(get("reconstruction.judge_accuracy")),
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
        table(
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
        generation(stored, names),
        *(f"![{name}](FIGURES/{name}.png)\n" for name in names),
        *(f"![{name}: reconstructions](FIGURES/{name}-reconstructions.png)\n" for name in names),
        protocol(stored, names),
        photographs,
    ]
    return "\n".join(lines)


def paper_c(stored: Stored) -> str:
    """Photographs, trained on embeddings of images or of sentences."""
    curves = [size for size in (64, 128) if any(name.startswith(f"clip-dual-{size}") for name in stored)]
    text = photographs_table(
        stored,
        ("clip-dual-",),
        conclusions.paper_c(stored),
        "## Paper c: photographs, trained on embeddings of images or of sentences",
        "Figure 2 is the best validation loss; the authors' validation batches were training images (see the recipe),",
        "ours are held out. `-shifted` and `-noised` bridge the gap between the two kinds of embeddings. Prompts are",
        "sentences for all.",
    )
    return text + "".join(f"\n![loss curves](FIGURES/paper-c-loss-curves-{size}.png)\n" for size in curves)
