"""Paper d's model as its authors' program implements it."""

import pytest
import torch
import torch.nn.functional as F
from helpers.keyed import draws

from textvae.models.caption_rnn_code import CaptionRNNCode, binary_codes
from textvae.text.digit_captions import DigitCaptions


def model() -> CaptionRNNCode:
    torch.manual_seed(0)
    return CaptionRNNCode.Config().build()


def tokens(*captions: str) -> torch.Tensor:
    return DigitCaptions("arithmetic").encode(captions)


def test_digits_are_their_binary_numbers_and_no_two_tokens_share_one():
    codes = binary_codes(15)
    assert codes.shape == (15, 5)
    assert codes[3 + 6].tolist() == [0, 0, 1, 1, 0]
    assert codes[0].tolist() == [0, 1, 0, 1, 0], "padding is the first number after the digits"
    assert len(codes.unique(dim=0)) == 15
    # Sentences have more than 32 words.
    assert binary_codes(33).shape == (33, 6)
    assert len(binary_codes(33).unique(dim=0)) == 33


def test_sizes_and_initial_weights_are_the_program_s():
    weights = model().state_dict()
    assert {name: tuple(value.shape) for name, value in weights.items()} == {
        "reader.embedding.weight": (15, 5),
        "reader.recurrent.weight_ih_l0": (90, 5),
        "reader.recurrent.weight_hh_l0": (90, 30),
        "reader.recurrent.bias_ih_l0": (90,),
        "reader.recurrent.bias_hh_l0": (90,),
        "posterior_head.weight": (200, 30),
        "posterior_head.bias": (200,),
        "decoder.0.weight": (500, 100),
        "decoder.0.bias": (500,),
        "decoder.2.weight": (784, 500),
        "decoder.2.bias": (784,),
    }
    assert weights["reader.embedding.weight"].equal(binary_codes(15))
    assert float(weights["reader.recurrent.weight_hh_l0"].std()) == pytest.approx(0.1, rel=0.05)
    assert float(weights["decoder.2.weight"].abs().max()) == pytest.approx(0.1, rel=0.01)
    assert not any(value.any() for name, value in weights.items() if "bias" in name)


def test_the_loss_is_a_hundred_times_2_mse_plus_mean_kl():
    vae, images, condition = model(), torch.rand(4, 1, 28, 28), tokens("five", "one plus one", "nine minus two", "six")
    posterior = vae.posterior(images, condition)
    mean, log_variance = posterior.mean, posterior.log_variance
    kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()

    def program(latent: torch.Tensor) -> torch.Tensor:
        return kl + 2 * F.mse_loss(vae.decoder(latent), (images.flatten(1) - 0.1307) / 0.3081)

    def elbo(latent: torch.Tensor) -> torch.Tensor:
        divergence = vae.divergence(posterior, condition, draws(4)).flatten(1).sum(1)
        return (divergence - vae.decode(latent, condition).log_prob(images)).mean()

    one, other = torch.randn(2, 4, 100)
    torch.testing.assert_close(elbo(one) - elbo(other), 100 * (program(one) - program(other)), rtol=1e-3, atol=1e-2)
    # Of the KL too, so that its weight against the squared error is right.
    gradients = [torch.autograd.grad(f(one), vae.posterior_head.weight, retain_graph=True)[0] for f in (elbo, program)]
    torch.testing.assert_close(gradients[0], 100 * gradients[1])


def test_the_latent_is_drawn_from_the_caption_and_pictures_stay_in_range():
    vae, condition = model().eval(), tokens("five", "nine minus two")
    images, noise = torch.rand(2, 1, 28, 28), torch.randn(2, 100)
    posterior = vae.posterior(images, condition)
    assert posterior.mean.equal(vae.posterior(torch.zeros_like(images), condition).mean)
    expected = posterior.mean + noise * (0.5 * posterior.log_variance).exp()
    torch.testing.assert_close(vae.latents(condition, noise), expected)
    with torch.no_grad():
        vae.decoder[2].bias.copy_(torch.linspace(-9, 9, 784))
    drawn = vae.sample(condition, noise)
    assert float(drawn.min()) == 0
    assert float(drawn.max()) == 1


def test_fixed_codes_do_not_train_and_everything_else_does():
    vae = model()
    vae.loss(torch.rand(2, 1, 28, 28), tokens("five", "six"), draws(2)).total.backward()
    assert {name for name, p in vae.named_parameters() if p.grad is None} == {"reader.embedding.weight"}
