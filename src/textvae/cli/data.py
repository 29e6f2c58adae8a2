"""``data list|fetch|prepare|describe|publish``: data sets."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import tyro

from textvae.cli.output import output_file
from textvae.cli.shared import Output, check_seed, in_range
from textvae.utils.errors import UserError

Name = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]


def list_sets() -> Output:
    """List the data sets and where they are.

    Examples:
        textvae data list
    """
    from textvae.data import SOURCES
    from textvae.data.catalog import PHOTOGRAPHS
    from textvae.data.prepared import prepared_names
    from textvae.utils.paths import data_folders, prepared_root

    fetched = {name: source.find() for name, source in SOURCES.items()}
    photographs = {
        name: next((folder for folder in data_folders(name) if folder.is_dir()), None)
        for name, entry in PHOTOGRAPHS.items()
        if not entry.parts
    }
    joined = {name: " + ".join(entry.parts) for name, entry in PHOTOGRAPHS.items() if entry.parts}
    prepared = {name: prepared_root() / name for name in prepared_names()}
    sections: dict[str, Mapping[str, Path | str | None]] = {
        "fetch": fetched,
        "photographs": photographs,
        "joined": joined,
        "prepared": prepared,
    }
    missing = {"fetch": "not here yet: textvae data fetch {}", "photographs": "not here"}
    titles = {
        "fetch": "Fetched by name:",
        "photographs": "Photographs, to be prepared by textvae data prepare:",
        "joined": "Combinations of these, prepared in the same way:",
        "prepared": f"Prepared, in {prepared_root()}:",
    }
    lines = []
    for section, sets in sections.items():
        lines.append(titles[section])
        for name, folder in sets.items():
            if section == "prepared":
                lines.append(f"  {name:<26}{_prepared_from(name)}")
                continue
            absent = "fetch" if name in PHOTOGRAPHS and PHOTOGRAPHS[name].fetched else section
            lines.append(f"  {name:<26}{folder or missing[absent].format(name)}")
    data = {
        section: {name: str(folder) if folder else None for name, folder in sets.items()}
        for section, sets in sections.items()
    }
    return Output(data, "\n".join(lines))


def _prepared_from(name: str) -> str:
    from textvae.data.manifest import read_manifest
    from textvae.utils.paths import prepared_root
    from textvae.utils.printable import printable

    try:
        made = read_manifest(prepared_root() / name)
        counts = ", ".join(f"{facts['images'][0]:,} {split}" for split, facts in made["splits"].items())
        places = made.get("made_of", {}).get("places", [made["source"]["name"]])
        return f"{counts} images of {printable(' + '.join(places))}"
    except (UserError, LookupError, TypeError, AttributeError, ValueError):
        return "damaged: prepare it again with --overwrite"


def fetch(
    name: Name,
    /,
    year: Annotated[Literal[2014, 2017] | None, tyro.conf.arg(help_behavior_hint="(default: 2017)")] = None,
    annotations_only: bool = False,
) -> Output:
    """Download a data set; every file is checked by its SHA-256.

    coco is MS-COCO from its public address, 20 GB; an interrupted download resumes. coco-mini is a subset of MS-COCO:
    if that is not on this machine, only the annotations and the photographs needed are downloaded, 0.8 GB. inception is
    the network with which textvae evaluate computes the Fréchet inception distance, 96 MB.

    Args:
        name: Data set, such as fashion-mnist; textvae data list shows them.
        year: For coco: year of the split; both years have the same photographs, divided differently.
        annotations_only: For coco: fetch the captions without the photographs, 0.25 GB.

    Examples:
        textvae data fetch fashion-mnist
        textvae data fetch coco --annotations-only
        textvae data fetch coco-mini
    """
    if name != "coco" and (year is not None or annotations_only):
        raise UserError(f"--year and --annotations-only are for coco, not for {name}", "leave them out")
    from textvae.data import source
    from textvae.data.coco import fetch_coco
    from textvae.preparation.coco_mini import build_coco_mini
    from textvae.pretrained import inception

    if name == "coco":
        folder = str(fetch_coco(year or 2017, annotations_only))
    else:
        others = {"coco-mini": build_coco_mini, "inception": inception.download}
        folder = str(others[name]() if name in others else source(name).fetch())
    return Output({"name": name, "folder": folder}, f"{name}: {folder}")


def describe(
    name: Name,
    /,
    out: Annotated[Path | None, tyro.conf.arg(help_behavior_hint="(default: NAME.png)")] = None,
) -> Output:
    """Describe a data set: origin, terms, checksums, statistics, a contact sheet.

    Args:
        name: Data set, or prepared set.
        out: Image file of the contact sheet (.png, .jpg or .webp).

    Examples:
        textvae data describe mnist
    """
    from textvae.data.describe import describe

    facts = describe(name, output_file(out, f"{Path(name).name}.png"))
    return Output(facts, "\n".join(f"{key}: {value}" for key, value in facts.items()))


def prepare(
    source: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE [SOURCE ...]", help_behavior_hint="")
    ],
    /,
    size: int = 64,
    text: Literal["words", "sentence", "sentence-tokens", "clip", "clip-tokens", "pair"] = "words",
    image_encoder: Annotated[
        Literal["efficientnet", "pair", "clip"] | None, tyro.conf.arg(help_behavior_hint="(default: none)")
    ] = None,
    fraction: float = 1.0,
    theme: Annotated[str, tyro.conf.arg(help_behavior_hint="(default: all images)")] = "",
    without: Annotated[str, tyro.conf.arg(help_behavior_hint="(default: none)")] = "",
    seed: int = 0,
    out: Annotated[
        Path | None,
        tyro.conf.arg(help_behavior_hint="(default: SOURCE-SIZE-TEXT, where textvae keeps its data)"),
    ] = None,
    clip: Annotated[
        str, tyro.conf.arg(help_behavior_hint="(default: $TEXTVAE_DATA/clip, or openai/clip-vit-base-patch32)")
    ] = "",
    pair: Annotated[Path | None, tyro.conf.arg(help_behavior_hint="(default: none)")] = None,
    embedding_length: Annotated[
        Literal["unit", "raw", "sqrt"] | None, tyro.conf.arg(help_behavior_hint="(default: raw for clip, else unit)")
    ] = None,
    workers: int = 0,
    overwrite: bool = False,
) -> Output:
    """Prepare captioned photographs for training; the same command resumes.

    Writes square images and, on request, embeddings of captions and images. Several sources become one set. If pictures
    or captions have been added, replaced or removed since, the same command prepares the set again.

    Args:
        source: A set that textvae data list shows, a folder of captioned images, or hf://datasets/OWNER/NAME.
        size: Side of the images in pixels.
        text: Encoder whose embeddings of the captions are stored; "words" stores none, for models that
            learn their words from the captions.
        image_encoder: Encoder whose embeddings of the images are stored.
        fraction: Part of the images to take, chosen at random.
        theme: Take only images with one of these words in a caption, such as cow,sheep,mountain; or a named theme:
            livestock or pastoral (those of paper c), or nature, which has more such words.
        without: Leave out training captions with one of these words, such as orange,spiky, and images that have no
            other caption. Test captions are kept, to measure how a model draws words that it was never trained on.
        seed: Random seed of --fraction.
        out: Folder to write.
        clip: CLIP model: a folder, or NAME or NAME@REVISION on the Hugging Face hub.
        pair: Run folder of a dual encoder, for the encoder "pair".
        embedding_length: Norm of the pooled embeddings: "unit" is 1, "raw" the encoder's own, and "sqrt" the square
            root of the number of dimensions, which conditions a model more strongly than "unit".
        workers: Processes; 0 uses the cores that this process may use.
        overwrite: Replace a set that was prepared with other settings, or that is damaged.

    Examples:
        textvae data prepare coco-mini --size 64 --text sentence
        textvae data prepare photos/holiday --text words
        textvae data prepare coco-mini flickr8k --text words
    """
    in_range("--fraction", fraction, 0, 1)
    in_range("--workers", workers, 0, 1024)
    check_seed(seed)
    from textvae.preparation.prepare import prepare
    from textvae.preparation.subset import Subset

    result = prepare(
        source,
        size,
        text,
        image_encoder,
        Subset.about(theme, fraction, seed, without),
        out,
        clip,
        pair,
        workers,
        embedding_length,
        overwrite,
    )
    lines = [f"{result['name']}: in {result['folder']}"]
    lines += [
        f"{split}: {facts['images'][0]:,} images, {facts['captions']:,} captions"
        for split, facts in result["splits"].items()
    ]
    for done in ("skipped", "handled"):
        why = ", ".join(f"{count} {reason}" for reason, count in result[done].items())
        lines.append(f"{done}: {sum(result[done].values()):,}" + (f" ({why})" if why else ""))
    return Output(result, "\n".join(lines))


def publish(
    name: Name,
    url: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="URL")],
    /,
    overwrite: bool = False,
) -> Output:
    """Write a prepared set in parts of 256 MB, to train on it from anywhere.

    Training reads such a set from its URL (textvae train RECIPE --data URL) and keeps only a few parts on disk.

    Args:
        name: Prepared set.
        url: Folder to write to, as fsspec names it: s3://BUCKET/SET, gs://BUCKET/SET, file:///data/SET.
        overwrite: Replace a set that is already there.

    Examples:
        textvae data publish coco-64-words s3://my-bucket/coco-64-words
    """
    from textvae.preparation.publish import publish

    result = publish(name, url, overwrite)
    lines = [f"{url}: {name} in parts"]
    lines += [f"{split}: {made['images']:,} images, {made['parts']} parts" for split, made in result["splits"].items()]
    return Output(result, "\n".join(lines))


ACTIONS: Mapping[str, Callable[..., Output]] = {
    "list": list_sets,
    "fetch": fetch,
    "prepare": prepare,
    "describe": describe,
    "publish": publish,
}
