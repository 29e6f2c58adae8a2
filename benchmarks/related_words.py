"""How well a model follows a word that it does not know, and reads as a word of related meaning.

Of a shipped model the words are known ones, left out of the vocabulary one at a time: the related word is looked up
among the others. So what a model draws for the related word can be compared with what it draws for the word itself.
Captions of test images that have the word are drawn as they are, with the related word in its place, and without the
word. A judge, a dual encoder fitted to training images and captions, scores the pictures for the word alone.

--unseen is stricter: its run was trained on a set that was prepared with --without, so it never saw the pictures whose
only caption had one of the words. It reads and draws the captions; --models is the same model trained with the words.

*Recognised* is the share of pairs, a picture for a caption with the word and one for a caption without it, in which
the judge scores the first higher: 0.5 by chance. *Obedience* is (recognised - 0.5), relative to that of the word
itself. Without --unseen the models had the words in training, whereas a word that a user misses was in no training
caption; but no prompt of the second kind has the word, and what the related word looks like was learned from captions
that have it.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import torch
from common import Neighbours, machine, write
from torch import Tensor

from textvae import TextToImage, data
from textvae.data.manifest import read_manifest
from textvae.evaluation.features import cached_features, compute_features
from textvae.evaluation.fitted_judge import fitted_judge
from textvae.pretrained.feature_nets import FeatureNet, feature_net
from textvae.runs.run import open_run
from textvae.text.caption_words import CaptionWords, words_of
from textvae.text.related_words import related_words
from textvae.utils.errors import UserError
from textvae.utils.progress import without_notices

MODELS = ("flowers", "products")
CAPTIONS = (8, 24)
"""With each word: words of fewer test images are left out, of more images the first are taken."""
WORDS = 30
"""Words of a shipped model, at most; the most frequent ones."""
OTHERS = 240
"""Captions that the pictures without a word are drawn for."""
JUDGED_ON = 3000
"""Training images that the judge is fitted to, at most."""
VISIBLE = 0.75
"""Of real test images with and without a word, the judge must recognise the word in this share of pairs."""
TARGET = 0.8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, help="bundled models or run folders")
    parser.add_argument("--unseen", type=Path, help="run folder of a training without some words, for one model")
    parser.add_argument("--out", type=Path, help="folder of the JSON; default: the package's measured/")
    asked = parser.parse_args()
    neighbours = Neighbours()
    net = feature_net("efficientnet-lite0")
    assert isinstance(net, FeatureNet), net.reason
    result: dict[str, Any] = {"models": {}, "summary": [], "machine": machine()}
    unseen = None if asked.unseen is None else Generator(asked.unseen, net)
    assert unseen is None or len(asked.models) == 1, "--unseen is compared with one model"
    for model in asked.models:
        known = Generator(model, net)
        words = list(known.text.words) if unseen is None else left_out(unseen.run.recipe.data)
        found = result["models"][Path(model).name] = measure(known, unseen or known, words, net)
        visible = [word for word in found["words"].values() if word["real"] >= VISIBLE]
        if not visible:
            raise UserError(f"{model} has no word that is read as another and that the judge sees", "try another model")
        kinds = {kind: statistics.mean(word[kind] for word in visible) for kind in KINDS}
        obeyed = (kinds["related"] - 0.5) / (kinds["known"] - 0.5)
        ignored = (kinds["ignored"] - 0.5) / (kinds["known"] - 0.5)
        found |= {"obedience": obeyed, "obedience_ignored": ignored}
        how = "left out of the vocabulary" if unseen is None else "that no caption of the training had"
        result["summary"].append(
            {
                "what": f"`{Path(model).name}`: following a word {how} and read as a related one "
                f"({len(visible)} of {len(found['words'])} words, which the judge recognises in photographs); against "
                "leaving it out of the prompt",
                "ours": f"{kinds['related']:.3f} recognised (the word itself {kinds['known']:.3f})",
                "theirs": f"{kinds['ignored']:.3f} recognised",
                "ratio": f"{obeyed:.2f} of the known word's (target {TARGET:g}; left out {ignored:.2f})",
            }
        )
        print(result["summary"][-1]["what"], result["summary"][-1]["ratio"], flush=True)
    # What is measured does not depend on the load of the machine.
    write("related-words" if unseen is None else "unseen-words", result, neighbours, asked.out, timed=False)


KINDS = ("real", "known", "related", "ignored")


class Generator:
    """A model and what its pictures look like to the judge's features."""

    def __init__(self, model: str | Path, net: FeatureNet) -> None:
        self.run, self.net, self.model = open_run(model), net, TextToImage.load(model)
        assert isinstance(self.model.text, CaptionWords)
        self.text = self.model.text

    def drawn(self, prompts: list[str]) -> Tensor:
        """Features of one picture for each prompt."""
        with without_notices():  # other rare words of the captions, in each of the many calls
            pictures = self.model.draw(self.text.encode(prompts), range(len(prompts)))
        return compute_features(self.net, pictures, "generated images")


def left_out(name: str) -> list[str]:
    """The words that a prepared set was prepared without."""
    folder = data.source(name).find()
    assert folder is not None, f"{name} is not a prepared set"
    return list(read_manifest(folder)["made_of"]["subset"]["without"])


def measure(known: Generator, reading: Generator, words: list[str], net: FeatureNet) -> dict[str, Any]:
    """How words are read by one model, and how often its pictures are recognised, and those of one that knows them.

    Both may be the same; then a word is looked up among the others.
    """
    train, test = (data.load(known.run.recipe.data, split) for split in ("train", "test"))
    fitted_to = train.first(JUDGED_ON)
    judge = fitted_judge(fitted_to, cached_features(net, fitted_to.images, "training images"))
    features = cached_features(net, test.images, "test images")
    captions = [test.captions[start] for start, _ in test.caption_range.tolist()]
    having = [set(words_of(caption)) for caption in captions]
    real = judge.embed_images(features)
    others = {drawer: judge.embed_images(drawer.drawn(captions[:OTHERS])) for drawer in {known, reading}}
    result = {}
    for word in words:
        if known is reading and len(result) == WORDS:
            break
        places = [place for place, own in enumerate(having) if word in own][: CAPTIONS[1]]
        rest = [one for one in reading.text.words if one != word]
        other = " ".join(related_words(word, {one: place for place, one in enumerate(rest, start=1)})) or None
        if known is reading and (len(places) < CAPTIONS[0] or other is None or _same(word, other)):
            continue
        says = judge.embed_captions([word])[0]
        without = torch.tensor([word not in own for own in having])
        recognised = {"real": _above(real[places] @ says, real[without] @ says)}
        if known is reading and recognised["real"] < VISIBLE:
            continue
        for kind, drawer, put in (("known", known, word), ("related", reading, other or ""), ("ignored", reading, "")):
            prompts = [" ".join(put if one == word else one for one in words_of(captions[place])) for place in places]
            below = others[drawer][without[:OTHERS]] @ says
            recognised[kind] = _above(judge.embed_images(drawer.drawn(prompts)) @ says, below)
        result[word] = {"read_as": other, "captions": len(places), **recognised}
        print(word, other, {kind: round(recognised[kind], 3) for kind in KINDS}, flush=True)
    weights = {"weights": known.run.weights_id}
    if known is not reading:
        weights["weights_unseen"] = reading.run.weights_id
    return {**weights, "judge": judge.name, "captions": CAPTIONS, "words": result}


def _same(word: str, other: str) -> bool:
    """Whether two words are forms of one: "petal" and "petals"."""
    short, long = sorted((word, other), key=len)
    return long.startswith(short[: max(3, len(short) - 1)]) and len(long) - len(short) < 4


def _above(scores: Tensor, others: Tensor) -> float:
    return float((scores[:, None] > others).float().mean())


if __name__ == "__main__":
    main()
