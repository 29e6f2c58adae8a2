import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from helpers.keyed import draws
from skimage.metrics import structural_similarity as scikit_ssim
from torch import nn

from textvae.models.base import TextVAE
from textvae.models.clip_dual import ClipDual, _enlarging, _halving, noised
from textvae.models.clip_grid import ClipGrid
from textvae.models.clip_latent import ClipLatent
from textvae.models.layers import GridAttention, RowBatchNorm, TiledConv2d
from textvae.models.ssim import structural_similarity
from textvae.utils.errors import UserError

D = 6
"""Of the conditions of toys."""
TOYS = [
    pytest.param(config, id=name)
    for name, config in {
        "grid": ClipGrid.Config(32, D, 8),
        "grid-middle": ClipGrid.Config(32, D, 8, enters="middle", likelihood="gaussian"),
        "grid-deeper-attention": ClipGrid.Config(64, D, 8, extra_convolutions=1, attention=True),
        "latent-add": ClipLatent.Config(64, D, "add", width=4, latent_dim=8),
        "latent-concat": ClipLatent.Config(128, D, "concat", width=4, latent_dim=8, likelihood="bernoulli"),
    }.items()
]


def built(config) -> TextVAE:
    torch.manual_seed(0)
    return config.build()


def batch(model: TextVAE, d: int = D, n: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (n, *model.image_shape), generator=generator) / 255
    return images, F.normalize(torch.randn(n, d, generator=generator), dim=1)


def shapes(module: nn.Module, given: torch.Tensor, *more: torch.Tensor) -> list[str]:
    """What each convolution and linear layer answers to an input: "Conv2d 32x112x112", "Linear 128"."""
    seen: list[str] = []

    def note(layer: nn.Module, _: object, answer: object) -> None:
        if isinstance(answer, torch.Tensor):
            seen.append(f"{type(layer).__name__} {'x'.join(map(str, answer.shape[1:]))}")

    hooks = [
        layer.register_forward_hook(note)
        for layer in module.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    ]
    with torch.no_grad():
        module(given, *more)
    for hook in hooks:
        hook.remove()
    return seen


class Encoder(nn.Module):
    """The posterior's mean as a module, for ``shapes``."""

    def __init__(self, model: TextVAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return self.model.posterior(images, condition).mean


class Decoder(Encoder):
    def forward(self, latent: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return self.model.decode(latent, condition).mean


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def convolution(before: int, after: int, kernel: int) -> int:
    return (before * kernel**2 + 1) * after


def linear(before: int, after: int) -> int:
    return (before + 1) * after


@pytest.mark.slow
def test_clip_grid_is_tables_1_and_2_of_paper_a():
    model = built(ClipGrid.Config())
    images, condition = torch.rand(1, 3, 224, 224), torch.randn(1, 512)
    assert (model.first.in_channels, model.first.kernel_size, model.first.stride) == (3 + 512, (3, 3), (2, 2))
    assert shapes(Encoder(model), images, condition) == [
        "TiledConv2d 32x112x112",
        "Conv2d 64x56x56",
        "Conv2d 128x28x28",
        "Conv2d 256x14x14",
        "Conv2d 512x7x7",
    ]
    assert (model.posterior_head.in_features, model.posterior_head.out_features) == (512 * 7 * 7, 2 * 128)
    assert shapes(Decoder(model), torch.randn(1, 128), condition) == [
        "Linear 1024",
        "Linear 25088",
        "ConvTranspose2d 256x14x14",
        "ConvTranspose2d 128x28x28",
        "ConvTranspose2d 64x56x56",
        "ConvTranspose2d 32x112x112",
        "ConvTranspose2d 3x224x224",
    ]
    widths = [32, 64, 128, 256, 512]
    encoder = convolution(515, 32, 3) + sum(convolution(a, b, 3) for a, b in pairwise(widths))
    heads = 2 * linear(25088, 128)
    back = [512, 256, 128, 64, 32, 3]
    decoder = linear(640, 1024) + linear(1024, 25088)
    decoder += sum(convolution(a, b, 3) for a, b in pairwise(back))
    assert parameters(model) == encoder + heads + decoder
    assert parameters(model) == 36_078_467


@pytest.mark.parametrize("latent", [128, 256, 512, 1024])
def test_clip_grid_has_the_latent_sizes_of_table_4(latent):
    model = ClipGrid.Config(64, D, latent).build()
    assert model.prior.latent_shape == (latent,)
    assert model.posterior_head.out_features == 2 * latent


def test_tiles_that_are_never_made_are_the_concatenation():
    layer = TiledConv2d(3, D, 5)
    images, condition = torch.rand(2, 3, 12, 16), torch.randn(2, D)
    tiles = condition[:, :, None, None].expand(-1, -1, 12, 16)
    expected = F.conv2d(torch.cat([images, tiles], dim=1), layer.weight, layer.bias, stride=2, padding=1)
    torch.testing.assert_close(layer(images, condition), expected)


def test_clip_mid_adds_the_condition_after_the_second_convolution():
    model = built(ClipGrid.Config(32, D, 8, enters="middle"))
    images, condition = batch(model)
    features = model.second(F.leaky_relu(model.first(images)))
    assert features.shape == (3, 64, 8, 8)
    features = features + (condition @ model.to_features.weight.T)[:, :, None, None]
    expected = model.posterior_head(model.rest(features).flatten(1))
    torch.testing.assert_close(model.posterior(images, condition).mean, expected.mean)


def test_attention_lets_every_position_see_every_other():
    attention = GridAttention(8)
    grid = torch.randn(1, 8, 4, 4, requires_grad=True)
    attention(grid)[0, :, 0, 0].sum().backward()
    assert (grid.grad.abs().sum(1) > 0).all()
    convolution_only = torch.randn(1, 8, 4, 4, requires_grad=True)
    attention.project(convolution_only)[0, :, 0, 0].sum().backward()
    assert (convolution_only.grad.abs().sum(1) > 0).sum() == 1


def test_the_deeper_variants_of_paper_a_are_options():
    plain, deeper, attentive = (
        ClipGrid.Config(64, D, 8, **option).build() for option in ({}, {"extra_convolutions": 1}, {"attention": True})
    )
    more = sum(convolution(c, c, 3) for c in (64, 128, 256, 512)) + convolution(32, 32, 3)
    assert parameters(deeper) - parameters(plain) == more
    assert parameters(attentive) - parameters(plain) == 2 * 256 + convolution(256, 768, 1) + convolution(256, 256, 1)


def test_clip_grid_refuses_what_it_cannot_halve():
    with pytest.raises(UserError, match="100 pixels"):
        ClipGrid.Config(image_size=100)


@pytest.mark.parametrize(
    ("size", "down", "up"),
    [
        (64, ["32x32x32", "64x16x16", "128x8x8"], ["64x16x16", "32x32x32", "3x64x64"]),
        (
            128,
            ["32x64x64", "64x32x32", "128x16x16", "256x8x8"],
            ["128x16x16", "64x32x32", "32x64x64", "3x128x128"],
        ),
        (
            256,
            ["32x128x128", "64x64x64", "128x32x32", "256x16x16"],
            ["128x16x16", "64x32x32", "32x64x64", "16x128x128", "3x256x256"],
        ),
    ],
)
def test_clip_latent_has_the_layers_of_paper_b_section_3_5(size, down, up):
    model = built(ClipLatent.Config(size, D, latent_dim=8)).eval()
    images, condition = torch.rand(1, 3, size, size), torch.randn(1, D)
    assert shapes(Encoder(model), images, condition) == [f"Conv2d {shape}" for shape in down]
    first = f"Linear {8 * 8 * int(down[-1].split('x')[0])}"
    decoder = shapes(Decoder(model), torch.randn(1, 8), condition)
    assert decoder == [first, *(f"ConvTranspose2d {shape}" for shape in up)]
    for half, layers in ((model.encoder, len(down)), (model.decoder, len(up) - 1)):
        kinds = [type(layer).__name__ for layer in half]
        assert kinds.count("BatchNorm2d") == kinds.count("ReLU") == layers
    assert isinstance(model.decoder[-1], nn.ConvTranspose2d)


def test_clip_latent_adds_or_concatenates_and_asks_the_image_alone():
    add = built(ClipLatent.Config(64, D, "add", width=4, latent_dim=8)).eval()
    concat = built(ClipLatent.Config(64, D, "concat", width=4, latent_dim=8)).eval()
    assert add.to_grid.in_features == 8
    assert concat.to_grid.in_features == 8 + D
    assert parameters(add) - parameters(concat) == D * 8 - D * add.to_grid.out_features
    images, condition = batch(add)
    assert add.posterior(images, condition).mean.equal(add.posterior(images, -condition).mean)
    latent = torch.randn(3, 8)
    moved = add.decode(latent + condition @ add.resize.weight.T, torch.zeros_like(condition))
    torch.testing.assert_close(add.decode(latent, condition).mean, moved.mean)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "encoded", "sides"), [(64, 2048, (16, 32, 64, 64, 64)), (128, 8192, (16, 32, 64, 64, 128))]
)
def test_clip_dual_is_the_final_architecture_of_paper_c(size, encoded, sides):
    model = built(ClipDual.Config(size, 512)).eval()
    images, condition = torch.rand(1, 3, size, size), torch.randn(1, 512)
    halves = [f"{filters}x{size // 2**i}x{size // 2**i}" for i, filters in enumerate((256, 256, 128, 128), 1)]
    encoder = shapes(Encoder(model), images, condition)
    assert encoder == [*(f"Conv2d {h}" for h in halves), "Linear 32", "Linear 2048", "Linear 2048", "Linear 1024"]
    assert [layer.kernel_size[0] for layer in model.convolutions if isinstance(layer, nn.Conv2d)] == [3, 5, 3, 3]
    assert model.dense[0].in_features == encoded + 32
    assert model.posterior_head.out_features == 2 * 128
    decoder = shapes(Decoder(model), torch.randn(1, 128), condition)
    transposed = zip((256, 256, 128, 128, 32), sides, strict=True)
    assert decoder == [
        "Linear 32",
        "Linear 16384",
        *(f"ConvTranspose2d {filters}x{side}x{side}" for filters, side in transposed),
        f"Conv2d 3x{size}x{size}",
    ]
    assert model.to_grid[0].in_features == 128 + 32
    expected = convolution(3, 256, 3) + convolution(256, 256, 5) + convolution(256, 128, 3) + convolution(128, 128, 3)
    expected += 512 * 32 + linear(encoded + 32, 2048) + linear(2048, 2048) + linear(2048, 1024) + 2 * linear(1024, 128)
    expected += linear(160, 16384) + convolution(256, 256, 3) + convolution(256, 256, 5) + convolution(256, 128, 5)
    expected += convolution(128, 128, 3) + convolution(128, 32, 5) + convolution(32, 3, 5)
    normalised = 256 + 256 + 128 + 128 + 2048 + 2048 + 1024 + 16384 + 256 + 256 + 128 + 128 + 32
    assert parameters(model) == expected + 2 * normalised


def test_clip_dual_starts_as_kaiming_says():
    model = built(ClipDual.Config(64, 512))
    for layer in (model.dense[0], model.convolutions[3], model.to_grid[0]):
        fan_in = layer.weight[0].numel()
        assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / fan_in), rel=0.02)
        assert not layer.bias.any()


class Given(ClipDual):
    """A ClipDual whose posterior and likelihood are known."""

    def __init__(self, config: ClipDual.Config, logits: torch.Tensor) -> None:
        super().__init__(config)
        self.logits = logits

    def posterior(self, images, condition):
        rows = torch.ones(len(images), 128)
        return type(super().posterior(images, condition))(0.5 * rows, -1.0 * rows)

    def decode(self, latent, condition):
        return self.likelihood(self.logits)


@pytest.mark.slow
def test_clip_dual_s_loss_is_paper_c_s():
    torch.manual_seed(2)
    logits = torch.randn(2, 3, 64, 64)
    model = Given(ClipDual.Config(64, D), logits)
    images, condition = batch(model, n=2)
    loss = model.loss(images, condition, draws(2))
    # As Keras has it: the mean over colours, summed over pixels.
    bce = F.binary_cross_entropy(logits.sigmoid(), images, reduction="none").mean(1).flatten(1).sum(1).mean()
    kl = 128 * 0.5 * (math.exp(-1) + 0.25 - 1 + 1)
    similarity = [
        scikit_ssim(
            x.double().numpy(),
            y.double().numpy(),
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
        )
        for x, y in zip(images, logits.sigmoid(), strict=True)
    ]
    expected = float(bce) + 0.5 * kl + 0.1 * (1 - sum(similarity) / 2)
    assert float(loss.total) == pytest.approx(expected, rel=1e-5)
    assert float(loss.terms["kl"]) == pytest.approx(kl, rel=1e-5)
    assert float(loss.terms["reconstruction"]) == pytest.approx(3 * float(bce), rel=1e-5)
    assert float(loss.terms["dissimilarity"]) == pytest.approx(1 - sum(similarity) / 2, abs=1e-5)


@pytest.mark.slow
def test_similarity_can_be_climbed_also_under_autocast():
    torch.manual_seed(3)
    target = F.interpolate(torch.rand(2, 3, 4, 4), (24, 24), mode="bilinear")
    guess = torch.full_like(target, 0.5).requires_grad_()
    optimizer = torch.optim.Adam([guess], 0.05)
    for _ in range(60):
        loss = 1 - structural_similarity(guess, target).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    guess.requires_grad_(False)
    assert float(structural_similarity(guess, target).mean()) > 0.9
    with torch.autocast("cpu", torch.bfloat16):
        under = structural_similarity(guess, target)
    assert under.dtype is torch.float32
    assert under.equal(structural_similarity(guess, target))


@pytest.mark.slow
def test_dropout_and_noise_of_clip_dual_are_of_training_only():
    plain = built(ClipDual.Config(64, D)).eval()
    images, condition = batch(plain)
    for option in ({"dropout": 0.5}, {"condition_noise": 0.5}):
        model = built(ClipDual.Config(64, D, **option))
        totals = {}
        for mode in (True, False):
            model.train(mode)
            plain.train(mode)
            with torch.no_grad():
                ours = model.loss(images, condition, draws(3)).total
                totals[mode] = ours.equal(plain.loss(images, condition, draws(3)).total)
            model.load_state_dict(plain.state_dict())
        assert totals == {True: False, False: True}


def test_noise_turns_a_condition_and_keeps_its_length():
    torch.manual_seed(5)
    condition = 3 * F.normalize(torch.randn(400, 64), dim=1)
    turned = noised(condition, 0.5, torch.randn(400, 64))
    torch.testing.assert_close(turned.norm(dim=1), condition.norm(dim=1))
    cosine = F.cosine_similarity(turned, condition).mean()
    assert float(cosine) == pytest.approx(1 / math.sqrt(1 + 0.5**2), abs=0.01)
    zero = torch.zeros(1, 64)
    assert noised(zero, 0.5, torch.randn(1, 64)).equal(zero)


@pytest.mark.slow
def test_a_lone_row_is_normalised_by_the_past():
    norm = RowBatchNorm(4)
    for _ in range(200):
        norm(5 + 2 * torch.randn(64, 4))
    before = norm.running_mean.clone()
    torch.testing.assert_close(norm(torch.full((1, 4), 5.0)), torch.zeros(1, 4), atol=0.3, rtol=0)
    assert norm.running_mean.equal(before)
    model = built(ClipDual.Config(64, D)).train()
    assert model.loss(*batch(model, n=1), draws(1)).total.isfinite()


@pytest.mark.parametrize("config", TOYS)
def test_shapes_ranges_and_gradients(config):
    model = built(config)
    images, condition = batch(model)
    loss = model.loss(images, condition, draws(3))
    loss.total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.count_nonzero() > 0, name
    model.eval()
    for shown in (model.reconstruct(images, condition), model.sample(condition, torch.randn(3, 8))):
        assert shown.shape == images.shape
        assert shown.min() >= 0
        assert shown.max() <= 1
    assert model.log_weights(images, condition, 2, draws(3)).shape == (2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("config", [*TOYS, pytest.param(ClipDual.Config(64, D, 8), id="dual")])
def test_the_condition_matters_and_zero_says_nothing(config):
    model = built(config).train()
    images, condition = batch(model)
    with torch.no_grad():
        for _ in range(20):
            model.loss(images, condition, draws(3))  # batch norm gets to know its features
    model.eval()
    none = torch.zeros_like(condition)
    noise = torch.zeros(3, 8)
    drawn, unsaid = model.sample(condition, noise), model.sample(none, noise)
    assert not drawn[0].equal(drawn[1])
    assert not drawn[0].equal(unsaid[0])
    torch.testing.assert_close(unsaid, unsaid[:1].expand_as(unsaid))


@pytest.mark.parametrize("kernel", [3, 5])
def test_the_authors_program_pads_as_tensorflow_does(kernel) -> None:
    torch.manual_seed(0)
    pad, convolution = _halving(2, 3, kernel, program=True)
    transposed, cut = _enlarging(3, 2, kernel, 2, program=True)
    images, smaller = torch.randn(1, 2, 8, 8), torch.randn(1, 3, 4, 4)
    with torch.no_grad():
        convolution.bias.zero_()
        transposed.bias.zero_()
        transposed.weight.copy_(convolution.weight)
        halved = convolution(pad(images))
        # Keras's layer is the transpose of the convolution.
        assert float((halved * smaller).sum()) == pytest.approx(
            float((images * cut(transposed(smaller))).sum()), rel=1e-4
        )
        # "same" of an even side at stride 2: one pixel less is added before than after.
        total = kernel - 2
        expected = F.conv2d(F.pad(images, (total // 2, total - total // 2) * 2), convolution.weight, stride=2)
    assert torch.equal(halved, expected)


@pytest.mark.slow
def test_the_authors_program_differs_where_it_does() -> None:
    paper, program = (built(ClipDual.Config(64, D, reading=reading)) for reading in ("paper", "program"))
    assert paper.dense[0].in_features - program.dense[0].in_features == 32 - D
    norms = [[layer for layer in model.dense if isinstance(layer, RowBatchNorm)] for model in (paper, program)]
    assert list(map(len, norms)) == [3, 1]
    every = [layer for layer in program.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert {(layer.momentum, layer.eps) for layer in every} == {(0.01, 1e-3)}
    images, condition = batch(program)
    assert program.loss(images, condition, draws(3)).total.isfinite()
