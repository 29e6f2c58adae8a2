"""The sections of RESULTS.md on papers a, b and c."""

from textvae.papers.findings import evidence, published
from textvae.papers.stored import SEEDED, Stored, getter, seeds_of, trained_for
from textvae.papers.tables.digits import generation_table
from textvae.papers.tables.photographs import photographs_table
from textvae.papers.tables.table import cited, number, pair, picture, protocol, table
from textvae.recipes import RECIPES


def paper_a(stored: Stored) -> str:
    """Digits and garments from one-hot labels, photographs from sentences."""
    names = [name for name in ("onehot-dense-mnist", "onehot-dense-fashion") if name in stored]
    photographs = photographs_table(
        stored,
        ("clip-grid-", "clip-mid-"),
        published.paper_a(stored),
        "## Paper a: photographs from sentences",
        *(() if names else cited("a")),
        "The paper trained at 224 pixels on 11,829 images of MS-COCO. Its table 3 reports an FID of 326.70, 321.86,",
        "315.62, 314.98, 313.64 and 295.40 after 50, 100, 150, 200, 250 and 300 epochs, with CLIP scores from 0.195",
        "to 0.202. Its table 4 reports an FID of 286.06, 315.01, 306.73 and 305.43 for 128, 256, 512 and 1,024",
        "latent dimensions, with CLIP scores of 0.2023, 0.1998, 0.1937 and 0.1886. The rows `-epochs-` (table 3) and",
        "`-latent-` (table 4) repeat this at 64 pixels. `clip-grid-64` and `clip-grid-64-epochs-` have a tenth of the",
        "epochs of table 3.",
    )
    if table_3 := epochs_table(stored):
        photographs += f"\n{table_3}\n"
    if not names:
        return photographs
    lines = [
        "## Paper a: digits and garments from one-hot labels",
        "",
        *cited("a"),
        "The paper shows samples and reports no numbers (section 5.2, figure 5). In the figures below, each row is a",
        'class, with the judge accuracy of 200 samples of it. The row "Invalid" is a class that the model was never',
        "trained on.",
        "",
        generation_table(stored, names),
        published.paper_a_labels(stored),
        *(picture(name) for name in names),
        protocol(stored, names),
        photographs,
    ]
    return "\n".join(lines)


_TABLE_3 = {
    50: (326.70, 0.1951),
    100: (321.86, 0.2023),
    150: (315.62, 0.2001),
    200: (314.98, 0.1992),
    250: (313.64, 0.1999),
    300: (295.40, 0.2002),
}
"""FID and CLIP score by epochs, as published."""


def epochs_table(stored: Stored) -> str:
    """Table 3 of paper a beside the models that one training kept at its epochs, as far as they are measured."""
    rows = []
    for epochs, name in published.SNAPSHOTS.items():
        if name not in stored:
            continue
        get, (fid, score) = getter(stored[name]), _TABLE_3[epochs]
        rows.append(
            [
                str(epochs),
                pair(fid, get("generation.frechet.inception")),
                pair(score, get("generation.clip_score.samples")),
                *(number(get(key)) for key in (evidence.FRECHET, evidence.INCEPTION, evidence.RETRIEVAL)),
                number(get("reconstruction.mse_sum")),
                number(get(evidence.ELBO)),
                trained_for(stored[name]) or "-",
            ]
        )
    if not rows:
        return ""
    titles = ["epochs", "FID", "CLIP score", "Fréchet (efficientnet-lite0)", "Fréchet (inception-768)"]
    titles += ["retrieval precision", "MSE (sum)", "ELBO, nats", "training"]
    lines = [
        "Table 3: `clip-grid-64-scenes`, trained once on 9,231 images of MS-COCO and Flickr8k at 64 pixels and",
        "measured after the paper's numbers of epochs. The paper's FID uses other features and other images than our",
        "Fréchet distances: only the trends over the epochs can be compared.",
        "",
        table(titles, rows),
    ]
    return "\n".join(lines)


def paper_b(stored: Stored) -> str:
    """Garments from a keyword, photographs from sentences."""
    models = ("label-dense", "label-conv", "label-dense-bernoulli", "label-conv-bernoulli")
    names = [name for model in models for name in seeds_of(stored, model)]
    photographs = photographs_table(
        stored,
        ("clip-latent-",),
        published.paper_b(stored),
        "## Paper b: photographs from sentences",
        *(() if names else cited("b")),
        "Table 2: the embedding of a sentence is added to the latent (`-add`) or concatenated with it (`-concat`). The",
        "paper trained on a fifth of MS-COCO. The MSE is summed over pixels, so it grows with the image size.",
    )
    if not names:
        return photographs
    rows = []
    for name in names:
        get = getter(stored[name])
        printed = RECIPES[name]().published if name in RECIPES else {}
        rows.append(
            [
                f"`{name}`",
                pair(printed.get("reconstruction.mse_sum"), get("reconstruction.mse_sum")),
                pair(printed.get("reconstruction.ssim"), get("reconstruction.ssim")),
                number(printed.get("reconstruction.frechet")),
                number(get("reconstruction.frechet.judge")),
                number(get("reconstruction.frechet.efficientnet-lite0")),
                number(get("reconstruction.judge_accuracy")),
                f"{get('training.seconds') or 0:.0f} s",
            ]
        )
    titles = ["model", "MSE (sum)", "SSIM", "published FID", "Fréchet (judge)", "Fréchet (efficientnet-lite0)"]
    titles += ["judge accuracy", "training"]
    lines = [
        "## Paper b: garments from a keyword",
        "",
        *cited("b"),
        "Table 1: reconstructions of the 10,000 test images. The paper does not state the features of its FID, nor",
        "from which vectors it is computed for the dense model (section 5), so none of our distances can be compared",
        "with it. The paper does not specify the likelihood either: the `-bernoulli` rows are trained with",
        "binary cross-entropy, the others with a Gaussian likelihood with a learned scale.",
        "",
        table(titles, rows),
        "",
        "Samples for the captions of the same test images, with latents drawn from N(0, I):",
        "",
        generation_table(stored, names),
        published.paper_b_labels(stored),
        *(picture(name) for name in models if name in stored),
        *(picture(f"{name}-reconstructions", f"{name}: reconstructions") for name in models if name in stored),
        protocol(stored, names),
        photographs,
    ]
    return "\n".join(lines)


_ENDINGS = {
    "-shifted": "`-shifted`: trained on image embeddings, shifted to the mean of the sentence embeddings.",
    "-noised": "`-noised`: trained on image embeddings with added noise.",
    "-unclip": "`-unclip`: a flow generates an image embedding from the sentence embedding of the prompt.",
    "-code-nature": "`-code-nature`: as in the authors' program, trained on the nature photographs of `scenes`.",
}
"""What the parts of the names of rows of paper c say."""


def paper_c(stored: Stored) -> str:
    """Photographs, trained on embeddings of images or of sentences."""
    curves = [size for size in (64, 128) if any(name.startswith(f"clip-dual-{size}") for name in stored)]
    text = photographs_table(
        stored,
        ("clip-dual-",),
        published.paper_c(stored),
        "## Paper c: photographs, trained on image or sentence embeddings",
        *cited("c"),
        "Figure 2 reports the best validation loss. The authors' program validates on training images (see the",
        "recipe), we on held-out images. All rows generate from sentences, whatever they were trained on.",
        *(line for ending, line in _ENDINGS.items() if any(ending in name for name in stored)),
    )
    if words := named_words(stored):
        text += f"\n{words}\n"
    if described := descriptions(stored):
        text += f"\n{described}\n"
    return text + "".join(f"\n{picture(f'paper-c-loss-curves-{size}', 'loss during training')}" for size in curves)


DESCRIBED = "describe-flowers102"
"""The stored file on captions read off pictures, written by ``benchmarks/describe.py``."""


def descriptions(stored: Stored) -> str:
    """Captions that are read off real and drawn pictures again; empty if that is not measured."""
    if DESCRIBED not in stored:
        return ""
    metrics = stored[DESCRIBED]
    real, drawn = metrics["protocol"], metrics["drawn"]["protocol"]
    rows = []
    for what, images, part, kind in (
        ("photographs", real["num_samples"], "captions", "real"),
        ("the same, with captions of other photographs", real["num_samples"], "captions", "shuffled"),
        (f"generated by `{drawn['model']}` for test captions", drawn["num_samples"], "drawn", "samples"),
        ("the photographs with these captions", drawn["num_samples"], "drawn", "real"),
        ("generated for other captions", drawn["num_samples"], "drawn", "shuffled"),
    ):
        get = getter(metrics[part])
        found = [number(get(f"word_f1.{kind}")), number(get(f"colour.{kind}")), f"{get('colour.count')}"]
        rows.append([what, f"{images:,}", *found])
    lines = [
        '"Reverse the pipeline" (Areas of Improvement): a captioner describes images, and its descriptions are',
        "compared with the captions of the images, or with those that they were generated for. *Word F1*: mean F1",
        "score of the words. *Colour*: of the captions that name exactly one colour, the fraction whose description",
        "names the same.",
        f"Captioner: `{real['model']}`, trained for {trained_for(metrics)} ({metrics['training']['epochs']} epochs;",
        f"weights {real['weights']}). Weights of `{drawn['model']}`: {drawn['weights']}.",
        "",
        table(["images", "count", "word F1", "colour", "captions that name one colour"], rows),
    ]
    return "\n".join(lines)


def named_words(stored: Stored) -> str:
    """The effect of each word that paper c names, as a table; empty if none is measured."""
    rows = []
    for name in dict.fromkeys(SEEDED.sub("", name) for name in stored if name.startswith("clip-dual-")):
        cells = []
        for word in published.NAMED_WORDS:
            found = published.word_strengths(stored, name, word)
            cells.append(evidence.spread(found) if found else "-")
        if any(cell != "-" for cell in cells):
            rows.append([f"`{name}`", *cells])
    if not rows:
        return ""
    lines = [
        "How much each word that the paper names changes samples when it is added to a prompt, in the statistic that",
        "best distinguishes real images with the word. 1 is the difference between real images with and without the",
        "word; a negative number is a change in the wrong direction. Mean ± standard deviation where there are several",
        "seeds.",
        "",
        table(["model", *published.NAMED_WORDS], rows),
    ]
    return "\n".join(lines)
