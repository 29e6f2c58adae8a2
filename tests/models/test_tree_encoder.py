"""Reading of calculations by a recursive network."""

import pytest
import torch

from textvae.models.flow_matching import FlowMatching
from textvae.models.halves_vae import HalvesVAE
from textvae.models.layers import WholeBatch
from textvae.models.taught_readers import MatchedEncoder
from textvae.models.tree_encoder import TreeEncoder
from textvae.models.with_flow import FlowConfig
from textvae.priors import FlowPrior
from textvae.text.expression_grammar import OPERATORS, ExpressionCaptions
from textvae.utils.random import Draws

TEXT = ExpressionCaptions()


def encoder(seed: int = 0) -> TreeEncoder:
    torch.manual_seed(seed)
    return TreeEncoder(TEXT.num_tokens, len(OPERATORS), width=8, hidden=16)


def combined(reader: TreeEncoder, operator: str, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    token = torch.tensor([11 + OPERATORS.index(operator)])
    return reader.normalise(reader.result(reader.sides(torch.cat([left, right], dim=1)) + reader.operator(token)))


def test_results_are_computed_from_the_results_below_them():
    reader = encoder()
    read = {caption: reader(TEXT.encode([caption])) for caption in ("2", "3", "4", "3 + 4", "2 * (3 + 4)")}
    torch.testing.assert_close(read["3 + 4"], combined(reader, "plus", read["3"], read["4"]))
    torch.testing.assert_close(read["2 * (3 + 4)"], combined(reader, "times", read["2"], read["3 + 4"]))


def test_captions_of_a_batch_do_not_disturb_each_other():
    reader = encoder()
    captions = ["none", "7", "9 - (2 - 1)", "(1 + 2) * (3 + 4) - 5 - 6", "8 - 1"]
    together = reader(TEXT.encode(captions))
    for row, caption in zip(together, captions, strict=True):
        torch.testing.assert_close(row, reader(TEXT.encode([caption]))[0])
    assert not together[0].any()
    assert not torch.allclose(together[2], reader(TEXT.encode(["9 - 2 - 1"]))[0])


def test_matching_trains_the_reader_and_the_flow_does_not():
    prior = FlowConfig(FlowPrior.Config(width=16, depth=1), "tree", TEXT.num_tokens).build(
        HalvesVAE(HalvesVAE.Config())
    )
    matched = prior.features
    assert isinstance(matched, MatchedEncoder)
    matching = FlowMatching(prior, few_step=False)
    assert any(isinstance(module, WholeBatch) for module in matching.modules())
    tokens = TEXT.encode(["7", "3 + 4", "2 * (3 + 4)"])
    loss = matching.loss(torch.randn(3, 80), tokens, Draws(0, 0, torch.arange(3)))
    assert set(loss.terms) == {"velocity", "reading"}
    assert float(loss.total.detach()) == pytest.approx(float(sum(loss.terms.values())))
    loss.total.backward()
    assert all(parameter.grad is not None for parameter in matched.reader.parameters())
    assert not matched(tokens).requires_grad


@pytest.mark.slow
def test_operators_are_learned_from_latents():
    torch.manual_seed(0)
    captions = [f"{a} {sign} {b}" for a in range(4) for b in range(4) for sign in "+*"]
    values = torch.tensor([eval(caption) for caption in captions])
    codes = torch.randn(10, 16)
    matched = MatchedEncoder(TreeEncoder(TEXT.num_tokens, len(OPERATORS), 16, 32), 16)
    tokens = TEXT.encode(captions)
    optimizer = torch.optim.Adam(matched.parameters(), 5e-3)
    for _ in range(150):
        optimizer.zero_grad()
        matched.auxiliary_loss(tokens, codes[values] + 0.1 * torch.randn(len(values), 16)).backward()
        optimizer.step()
    with torch.no_grad():
        said = torch.nn.functional.normalize(matched.of_words(matched(tokens)), dim=1)
        shown = torch.nn.functional.normalize(matched.of_latent(codes), dim=1)
    assert ((said @ shown.T).argmax(1) == values).float().mean() > 0.9
