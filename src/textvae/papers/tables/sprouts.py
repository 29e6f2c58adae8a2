"""The table of sprouts: how often everything that a caption names is right, for our model and for the papers'."""

from textvae.papers.rows import paper_training
from textvae.papers.stored import Stored, getter, training
from textvae.papers.tables.table import number, picture, protocol, table
from textvae.text.sprout_grammar import ATTRIBUTES

ROWS = ("latent-flow-sprouts", "sprouts-")
"""Beginnings of the names of rows."""
PAPERS_MODELS = (
    "`sprouts-*` are the papers' models, conditioned on the attributes of the caption as a vector of zeros and ones.",
)
ACCURACY = "generation.attribute_accuracy"


def sprouts_table(stored: Stored) -> str:
    """A section with the rows of models of sprouts; empty if there are none."""
    names = [name for name in stored if name.startswith(ROWS) and getter(stored[name])(ACCURACY) is not None]
    if not names:
        return ""
    rows = []
    for name in names:
        get = getter(stored[name])
        rows.append(
            [
                f"`{name}`",
                *(number(get(f"{ACCURACY}.{kind}.all")) for kind in ("seen", "seen_short", "held_out")),
                *(number(get(f"{ACCURACY}.held_out.{attribute}")) for attribute in ATTRIBUTES),
                number(get("reconstruction.frechet.efficientnet-lite0")),
                number(get("generation.frechet.efficientnet-lite0")),
                training(stored[name], paper_training(name)),
            ]
        )
    get = getter(stored[names[0]])
    rows.append(
        [
            "*real images*",
            number(get(f"{ACCURACY}.real_seen.all")),
            "-",
            number(get(f"{ACCURACY}.real_held_out.all")),
            *(number(get(f"{ACCURACY}.real_held_out.{attribute}")) for attribute in ATTRIBUTES),
            "-",
            number(get("reference.real_train.frechet.efficientnet-lite0")),
            "-",
        ]
    )
    titles = ["model", "all right, seen pairs", "all right, short captions", "all right, held-out pairs"]
    titles += [f"{attribute}, held out" for attribute in ATTRIBUTES]
    titles += ["Fréchet (efficientnet-lite0), reconstructions", "Fréchet (efficientnet-lite0), samples", "training"]
    return "\n".join(
        [
            "## Beyond the papers: sprouts",
            "",
            "Drawings of potted plants with exact captions. *All right*: fraction of samples in which a judge",
            "recognises everything that the caption names. Held-out pairs are a plant and a colour (of its pot, or of",
            "the background) that never occur together in training. Short captions omit attributes.",
            *(PAPERS_MODELS if any(name.startswith("sprouts-") for name in names) else ()),
            "",
            table(titles, rows),
            "",
            *(picture(name) for name in names),
            protocol(stored, names),
        ]
    )
