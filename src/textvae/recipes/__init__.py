"""The recipes by name. A new one is a function that returns a ``Recipe``, and a line here."""

import difflib
from collections.abc import Callable, Mapping
from functools import partial

from textvae.errors import UserError
from textvae.recipes import judges, latent_flow, paper_a, paper_b, paper_d
from textvae.recipes.recipe import Recipe

RECIPES: Mapping[str, Callable[[], Recipe]] = {
    "onehot-dense-mnist": paper_a.onehot_dense_mnist,
    "onehot-dense-fashion": paper_a.onehot_dense_fashion,
    "label-dense": paper_b.label_dense,
    "label-conv": paper_b.label_conv,
    "caption-rnn-label": partial(paper_d.caption_rnn, "label"),
    "caption-rnn-sentence": partial(paper_d.caption_rnn, "sentence"),
    "caption-rnn-logic": partial(paper_d.caption_rnn, "logic"),
    "caption-rnn-arithmetic": partial(paper_d.caption_rnn, "arithmetic"),
    "caption-prior-label": partial(paper_d.caption_prior, "label"),
    "caption-prior-sentence": partial(paper_d.caption_prior, "sentence"),
    "caption-prior-logic": partial(paper_d.caption_prior, "logic"),
    "caption-prior-arithmetic": partial(paper_d.caption_prior, "arithmetic"),
    "latent-flow-fashion": latent_flow.latent_flow_fashion,
    "latent-flow-digits": latent_flow.latent_flow_digits,
    "caption-slots-scenes": paper_d.caption_slots_scenes,
    "judge-digits": judges.judge_digits,
    "judge-fashion": judges.judge_fashion,
}


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UserError: there is none.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, 1)
        raise UserError(
            f"there is no recipe {name!r}",
            f"did you mean {near[0]!r}?" if near else "textvae recipes lists them all",
        )
    return RECIPES[name]()
