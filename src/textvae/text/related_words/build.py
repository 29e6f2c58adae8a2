"""Makes ``words.txt.gz`` from WordNet and a sentence encoder: ``python -m textvae.text.related_words.build``.

Two sources correct each other. WordNet says which words can replace a word (synonyms, broader and narrower terms), but
not which of their senses is the usual one; the sentence encoder says how near two words are in use, but finds opposites
and sisters as near as synonyms.

The arguments are files of Debian's packages wordnet-base, wamerican and wamerican-small. About ten minutes on one core.
"""

import argparse
import gzip
import heapq
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from textvae.text.sentence import SentenceText
from textvae.utils.files import written_whole
from textvae.utils.progress import say

Synset = tuple[str, str]
"""Part of speech and offset, as WordNet's files number them."""

SENSES = 3
"""Senses of a word that are followed, the most frequent first."""
SENSE_STEP, UP, DOWN, FARTHEST = 0.3, 1.0, 1.2, 2.3
"""Cost of a less frequent sense, of a broader and a narrower term, and the largest sum: about two steps."""
CLOSE, NEAR, FAR = 0.45, 0.3, 0.12
"""What WordNet adds to the similarity of synonyms, of words one step apart, and of words two steps apart."""
LEAST = 0.6
"""Smallest sum of the two; also the smallest similarity of words that WordNet does not connect."""
NATURAL = ("05", "13", "20")
"""Lexicographer files of animals, food and plants, whose glosses say what is seen: "a herb with a showy flower"."""
KINDS = ("flower", "shrub", "tree", "fruit", "vegetable", "bird", "fish", "insect", "plant", "animal")
"""Words of such a gloss that a word is related to: after all others, and in this order."""
LONGEST = 24
"""Related words of one word."""


@dataclass
class WordNet:
    """The part of WordNet that is used: single words, their senses, and broader, similar and narrower terms."""

    words: dict[Synset, list[str]] = field(default_factory=dict)
    broader: dict[Synset, list[Synset]] = field(default_factory=dict)
    narrower: dict[Synset, list[Synset]] = field(default_factory=lambda: defaultdict(list))
    opposites: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    glosses: dict[Synset, set[str]] = field(default_factory=dict)
    """Of adjectives, the words of the definition, without its examples."""
    kinds: dict[Synset, list[str]] = field(default_factory=dict)
    """Of animals, food and plants, the ``KINDS`` that the gloss names."""
    senses: dict[str, list[tuple[float, Synset]]] = field(default_factory=lambda: defaultdict(list))
    """The first senses of a word as each part of speech, with their costs."""


def main() -> None:
    """Reads the sources and writes the table beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--words", type=Path, default=Path("/usr/share/dict/american-english"))
    parser.add_argument("--common", type=Path, default=Path("/usr/share/dict/american-english-small"))
    asked = parser.parse_args()
    wordnet = read_wordnet(asked.wordnet, word_list(asked.words))
    words = sorted(wordnet.senses)
    say(f"{len(words):,} words")
    related = related_words(wordnet, words, word_list(asked.common), SentenceText().embed(words))
    number = {word: place for place, word in enumerate(words)}
    lines = (" ".join([word, *(str(number[other]) for other in related[word])]) for word in words)
    data = gzip.compress("\n".join(lines).encode("ascii"), 9, mtime=0)
    with written_whole(Path(__file__).parent / "words.txt.gz") as part:
        part.write_bytes(data)
    say(f"{sum(map(bool, related.values())):,} of them have related words; {len(data) / 1000:.0f} kB")


def word_list(file: Path) -> set[str]:
    """Words of lower-case letters, at least three of them."""
    return set(re.findall(r"^[a-z]{3,}$", file.read_text(encoding="utf-8"), re.MULTILINE))


def read_wordnet(folder: Path, allowed: set[str]) -> WordNet:
    """Reads the database files (their format: man 5 wndb)."""
    found = WordNet()
    opposites: list[tuple[Synset, list[Synset]]] = []
    for part, name in (("n", "noun"), ("a", "adj"), ("v", "verb")):
        for line in _lines(folder / f"data.{name}"):
            fields, _, gloss = line.partition("|")
            values = fields.split()
            synset, count = (part, values[0]), int(values[3], 16)
            names = [re.sub(r"\(.*\)", "", word.lower()) for word in values[4 : 4 + 2 * count : 2]]
            found.words[synset] = [word for word in names if word in allowed]
            pointers = values[5 + 2 * count :]
            found.broader[synset] = [
                (part, pointers[place + 1])
                for place in range(0, 4 * int(values[4 + 2 * count]), 4)
                # "&" links an adjective and its satellites, both ways.
                if pointers[place] in ("@", "@i") or (pointers[place] == "&" and values[2] == "s")
            ]
            if "!" in pointers:
                opposites.append((synset, [(part, pointers[n + 1]) for n, mark in enumerate(pointers) if mark == "!"]))
            if part == "a":
                found.glosses[synset] = set(re.findall(r"[a-z]+", gloss.partition('"')[0]))
            if part == "n" and values[1] in NATURAL:
                found.kinds[synset] = [kind for kind in KINDS if re.search(rf"\b{kind}s?\b", gloss)]
        for line in _lines(folder / f"index.{name}"):
            values = line.split()
            if values[0] in allowed:
                offsets = values[-int(values[2]) :][:SENSES]
                found.senses[values[0]] += [(SENSE_STEP * n, (part, offset)) for n, offset in enumerate(offsets)]
    for synset, others in opposites:
        for word in found.words[synset]:
            found.opposites[word] |= {other for one in others for other in found.words.get(one, [])}
    for synset, broader in found.broader.items():
        for other in broader:
            found.narrower[other].append(synset)
    return found


def _lines(file: Path) -> list[str]:
    # The licence stands at the beginning, indented.
    return [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("  ")]


def reachable(wordnet: WordNet, word: str) -> tuple[dict[str, float], set[str]]:
    """Words within ``FARTHEST`` of a word and their costs, up to broader terms or down to narrower ones; and others.

    The others must not replace it, however similar: other kinds of the same thing ("blue" of "red"), and opposites: of
    the word, and of words that define an adjective or mean nearly the same ("clean" and "tidy" of "messy", which is
    "dirty and disorderly", a kind of "untidy").
    """
    senses = wordnet.senses[word]
    # A verb that is also a noun or an adjective is read as those: captions name things.
    named = [(cost, sense) for cost, sense in senses if sense[0] != "v"] or senses
    queue = [(cost, sense, "") for cost, sense in named]
    heapq.heapify(queue)
    seen: set[tuple[Synset, str]] = set()
    found: dict[str, float] = {}
    while queue:
        cost, synset, way = heapq.heappop(queue)
        if (synset, way) in seen:
            continue
        seen.add((synset, way))
        for other in wordnet.words[synset]:
            found.setdefault(other, cost)
        for step, following, direction in ((UP, wordnet.broader, "up"), (DOWN, wordnet.narrower, "down")):
            if way in ("", direction) and cost + step <= FARTHEST:
                for neighbour in following[synset]:
                    heapq.heappush(queue, (cost + step, neighbour, direction))
    del found[word]
    above = [synset for _, sense in named for synset in wordnet.broader[sense]]
    sisters = {sister for synset in above for sister in wordnet.narrower[synset]}
    different = {other for synset in sisters for other in wordnet.words[synset]}
    similar = {other for synset in above if synset[0] == "a" for other in wordnet.words[synset]}
    # Not of a noun, whose definition may name both: a grandmother is "the mother of your father or mother".
    defining = {other for _, sense in named for other in wordnet.glosses.get(sense, ())}
    # Not other forms of the word: "insincerity" is the opposite of what "insincere" lacks.
    against = {other for one in similar | defining for other in wordnet.opposites.get(one, ())}
    different |= wordnet.opposites[word] | {other for other in against if other[:4] != word[:4]}
    return found, different - set(found)


def related_words(
    wordnet: WordNet, words: list[str], common: set[str], embeddings: Float[Tensor, "words width"]
) -> dict[str, list[str]]:
    """For each word the common words of related meaning, the nearest first."""
    number = {word: place for place, word in enumerate(words)}
    targets = [place for place, word in enumerate(words) if word in common]
    found = {}
    for start in range(0, len(words), 512):
        similarity = embeddings[start : start + 512] @ embeddings.T
        nearest = similarity[:, targets].topk(2 * LONGEST)
        for row, word in enumerate(words[start : start + 512]):
            score = {}
            near, different = reachable(wordnet, word)
            for other, spent in near.items():
                if other in common:
                    extra = CLOSE if spent < UP / 5 else NEAR if spent <= UP + SENSE_STEP else FAR
                    score[other] = float(similarity[row, number[other]]) + extra
            for value, place in zip(nearest.values[row].tolist(), nearest.indices[row].tolist(), strict=True):
                other = words[targets[place]]
                if other != word and other not in different:
                    score.setdefault(other, value)
            for kind in wordnet.kinds.get(wordnet.senses[word][0][1], []):
                if kind != word:
                    score[kind] = max(score.get(kind, 0.0), LEAST + (len(KINDS) - KINDS.index(kind)) / 1e6)
            ranked = sorted(((value, other) for other, value in score.items() if value >= LEAST), reverse=True)
            found[word] = [other for _, other in ranked[:LONGEST]]
    return found


if __name__ == "__main__":
    main()
