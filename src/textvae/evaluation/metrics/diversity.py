"""Whether a model draws many things, and whether they are its own."""

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

CHUNK = 1024


def mean_pairwise_distance(features: Float[Tensor, "n d"]) -> float:
    """The mean Euclidean distance over all pairs, in pixels' or features' own units.

    Raises:
        ValueError: fewer than two rows.
    """
    n = len(features)
    if n < 2:
        raise ValueError(f"a pair needs two rows, not {n}")
    features = features.detach().double()
    # The distances don't know where the origin is; the rounding of their fast form does.
    features = features - features.mean(0)
    total = 0.0
    for start in range(0, n, CHUNK):
        distances = torch.cdist(features[start : start + CHUNK], features)
        # Rounding also leaves a row a little away from itself.
        distances.diagonal(start).zero_()
        total += float(distances.sum())
    return total / (n * (n - 1))


def mean_distance_within_classes(features: Float[Tensor, "n d"], labels: Int64[Tensor, "n"]) -> float:
    """``mean_pairwise_distance`` of each class, averaged over the classes that have a pair.

    Beside the same number for real images it says how much of a class's variety a model draws; a model that draws one
    image a class has 0, whatever its classes look like.

    Raises:
        ValueError: no class has two rows.
    """
    distances = [
        mean_pairwise_distance(features[labels == label])
        for label, count in enumerate(labels.bincount().tolist())
        if count > 1
    ]
    if not distances:
        raise ValueError("no class has a pair")
    return sum(distances) / len(distances)


def nearest_neighbours(
    queries: Float[Tensor, "n d"], references: Float[Tensor, "m d"]
) -> tuple[Float64[Tensor, "n"], Int64[Tensor, "n"]]:
    """The Euclidean distance from each query to its nearest reference, and which that is: the check for copying.

    A copy has distance exactly 0. Read the distances of generated images against those of held-out real images: a
    model that copies lies nearer to its training images than they do.

    Raises:
        ValueError: there are no references.
    """
    if not len(references):
        raise ValueError("there is nothing to be near to")
    best = queries.new_full((len(queries),), torch.inf, dtype=torch.float64)
    index = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
    centre = references.double().mean(0)
    for start in range(0, len(references), CHUNK):
        rows = references[start : start + CHUNK].double() - centre
        # |q - r|² without |q|², which does not change the order: one matrix product does the work.
        offset = rows.square().sum(1)
        for first in range(0, len(queries), CHUNK):
            span = slice(first, first + CHUNK)
            score, column = (offset - 2 * ((queries[span].double() - centre) @ rows.T)).min(1)
            nearer = score < best[span]
            best[span] = torch.where(nearer, score, best[span])
            index[span] = torch.where(nearer, column + start, index[span])
    # The product's rounding hides exact copies; the difference itself does not.
    distance = [
        (queries[span].double() - references[index[span]].double()).norm(dim=1)
        for span in (slice(first, first + CHUNK) for first in range(0, len(queries), CHUNK))
    ]
    return torch.cat(distance) if distance else best, index
