"""The recipes by name. A new one is a function that returns a ``Recipe``, and one line here."""

from collections.abc import Callable
from functools import partial

from textvae.data.catalog import PHOTOGRAPHS
from textvae.recipes import classifiers, dual_encoders, latent_flow, paper_a, paper_b, paper_c, paper_d, paper_d_code
from textvae.recipes.recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {
    "onehot-dense-mnist": paper_a.onehot_dense_mnist,
    "onehot-dense-fashion": paper_a.onehot_dense_fashion,
    "label-dense": paper_b.label_dense,
    "label-conv": paper_b.label_conv,
    "caption-rnn-label": partial(paper_d.caption_rnn, "label"),
    "caption-rnn-sentence": partial(paper_d.caption_rnn, "sentence"),
    "caption-rnn-logic": partial(paper_d.caption_rnn, "logic"),
    "caption-rnn-arithmetic": partial(paper_d.caption_rnn, "arithmetic"),
    "caption-rnn-label-code": partial(paper_d_code.caption_rnn_code, "label"),
    "caption-rnn-sentence-code": partial(paper_d_code.caption_rnn_code, "sentence"),
    "caption-rnn-logic-code": partial(paper_d_code.caption_rnn_code, "logic"),
    "caption-rnn-arithmetic-code": partial(paper_d_code.caption_rnn_code, "arithmetic"),
    "caption-prior-label": partial(paper_d.caption_prior, "label"),
    "caption-prior-sentence": partial(paper_d.caption_prior, "sentence"),
    "caption-prior-logic": partial(paper_d.caption_prior, "logic"),
    "caption-prior-arithmetic": partial(paper_d.caption_prior, "arithmetic"),
    "latent-flow-fashion": latent_flow.latent_flow_fashion,
    "latent-flow-digits": latent_flow.latent_flow_digits,
    "latent-flow-photos": latent_flow.latent_flow_photos,
    "latent-flow-flowers": partial(latent_flow.latent_flow_photographs, "flowers"),
    "latent-flow-products": partial(latent_flow.latent_flow_photographs, "products"),
    "latent-flow-coco": partial(latent_flow.latent_flow_photographs, "coco"),
    "caption-slots-scenes": paper_d.caption_slots_scenes,
    "clip-grid-64": partial(paper_a.clip_grid, 64),
    "clip-grid-128": partial(paper_a.clip_grid, 128),
    "clip-grid-224": partial(paper_a.clip_grid, 224),
    "clip-mid-64": partial(paper_a.clip_grid, 64, "middle"),
    "clip-mid-128": partial(paper_a.clip_grid, 128, "middle"),
    "clip-mid-224": partial(paper_a.clip_grid, 224, "middle"),
    "clip-latent-64-add": partial(paper_b.clip_latent, 64, "add"),
    "clip-latent-64-concat": partial(paper_b.clip_latent, 64, "concat"),
    "clip-latent-128-add": partial(paper_b.clip_latent, 128, "add"),
    "clip-latent-128-concat": partial(paper_b.clip_latent, 128, "concat"),
    "clip-latent-256-add": partial(paper_b.clip_latent, 256, "add"),
    "clip-latent-256-concat": partial(paper_b.clip_latent, 256, "concat"),
    "clip-dual-64-image": partial(paper_c.clip_dual, 64, "image"),
    "clip-dual-64-image-dropout": partial(paper_c.clip_dual, 64, "image", 0.2),
    **{
        f"clip-dual-{size}-{embedding}-code": partial(paper_c.clip_dual_code, size, embedding)
        for size in (64, 128)
        for embedding in ("image", "text")
    },
    "clip-dual-64-image-shifted": partial(paper_c.clip_dual_bridged, "shifted"),
    "clip-dual-64-image-noised": partial(paper_c.clip_dual_bridged, "noised"),
    "clip-dual-64-text": partial(paper_c.clip_dual, 64, "text"),
    "clip-dual-64-text-dropout": partial(paper_c.clip_dual, 64, "text", 0.2),
    "clip-dual-128-image": partial(paper_c.clip_dual, 128, "image"),
    "clip-dual-128-image-dropout": partial(paper_c.clip_dual, 128, "image", 0.2),
    "clip-dual-128-text": partial(paper_c.clip_dual, 128, "text"),
    "clip-dual-128-text-dropout": partial(paper_c.clip_dual, 128, "text", 0.2),
    "judge-digits": classifiers.judge_digits,
    "judge-fashion": classifiers.judge_fashion,
    **{entry.pair: partial(dual_encoders.pair, name) for name, entry in PHOTOGRAPHS.items()},
    **{entry.retrieval_judge: partial(dual_encoders.pair_judge, name) for name, entry in PHOTOGRAPHS.items()},
}
