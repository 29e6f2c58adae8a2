"""Distances among images and to training images: variety within classes, and copying."""

import torch
from jaxtyping import Float64, Int64, Real
from torch import Tensor

from textvae.evaluation.metrics.chunks import chunk_rows, chunks, mean_of_rows


def mean_pairwise_distance(rows: Real[Tensor, "n d"]) -> float:
    """The mean Euclidean distance over all pairs of rows, in the unit of their elements.

    Raises:
        ValueError: fewer than two rows.
    """
    n = len(rows)
    if n < 2:
        raise ValueError(f"a pairwise distance needs at least two rows, not {n}")
    # Distances do not depend on the origin, but the rounding error of cdist's matrix product does.
    centre = mean_of_rows(rows)
    parts = list(chunks(rows))
    total = 0.0
    for i, part in enumerate(parts):
        first = part.double() - centre
        for j in range(i, len(parts)):
            distances = torch.cdist(first, parts[j].double() - centre)
            if i == j:
                # Rounding leaves a row at a small distance from itself.
                total += float(distances.fill_diagonal_(0).sum())
            else:
                total += 2 * float(distances.sum())
    return total / (n * (n - 1))


def mean_distance_within_classes(rows: Real[Tensor, "n d"], labels: Int64[Tensor, "n"]) -> float:
    """``mean_pairwise_distance`` of each class, averaged over the classes with at least two rows.

    Compare it with the same number for real images: the ratio tells how much of the variety of a class a model
    generates. A model that generates a single image per class has 0.

    Raises:
        ValueError: no class has two rows.
    """
    distances = [
        mean_pairwise_distance(rows[labels == label])
        for label, count in enumerate(labels.bincount().tolist())
        if count > 1
    ]
    if not distances:
        raise ValueError("no class has two rows")
    return sum(distances) / len(distances)


def nearest_neighbours(
    queries: Real[Tensor, "n d"], references: Real[Tensor, "m d"]
) -> tuple[Float64[Tensor, "n"], Int64[Tensor, "n"]]:
    """The Euclidean distance from each query to its nearest reference, and the index of that reference.

    A copy has distance exactly 0. Compare the distances of generated images with those of held-out real images: a
    model that copies is nearer to its training images than held-out images are.

    Raises:
        ValueError: there are no references.
    """
    if not len(references):
        raise ValueError("nearest neighbours need at least one reference")
    best = torch.full((len(queries),), torch.inf, dtype=torch.float64, device=queries.device)
    index = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
    size = chunk_rows(queries)
    spans = [slice(first, first + size) for first in range(0, len(queries), size)]
    centre = mean_of_rows(references)
    start = 0
    for part in chunks(references):
        rows = part.double() - centre
        # |q - r|² without |q|², which does not change the order: one matrix product per chunk.
        offset = rows.square().sum(1)
        for span in spans:
            score, column = (offset - 2 * ((queries[span].double() - centre) @ rows.T)).min(1)
            nearer = score < best[span]
            best[span] = torch.where(nearer, score, best[span])
            index[span] = torch.where(nearer, column + start, index[span])
        start += len(part)
    # Computed from the difference: rounding in the product would hide exact copies.
    for span in spans:
        best[span] = (queries[span].double() - references[index[span]].double()).norm(dim=1)
    return best, index
