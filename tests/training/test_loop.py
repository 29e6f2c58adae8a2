import dataclasses
import math
from collections.abc import Iterator

import pytest
import torch
from helpers.keyed import draws
from torch import Tensor, nn

from textvae.data.captioned_images import CaptionedImages
from textvae.models.base import Trainable
from textvae.models.classifier import Classifier
from textvae.models.label_conv import LabelConv
from textvae.models.losses import LossTerms
from textvae.text.labels import FASHION
from textvae.training import loop
from textvae.training.config import TrainerConfig
from textvae.training.diverged import TrainingDiverged
from textvae.training.loop import Training, average
from textvae.utils.errors import UserError
from textvae.utils.random import Draws

TOY = LabelConv.Config(channels=(2, 4, 4), latent_dim=4, embedding_dim=4)


class Recorder(Trainable):
    """A model of one weight, with the gradient 1, that notes what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("steps", torch.zeros(1))
        self.seen: list[tuple[Tensor, Tensor, float]] = []

    def loss(self, images: Tensor, condition: Tensor, draws: Draws) -> LossTerms:
        """The weight itself."""
        self.seen.append((images, condition, float(self.weight.detach())))
        self.steps += 1
        return LossTerms(self.weight.sum(), {"weight": self.weight.detach().sum()})


def numbered(count: int, captions: int = 1) -> CaptionedImages:
    """Image i is a single pixel of value i; it owns the captions from i * captions on."""
    start = torch.arange(count) * captions
    return CaptionedImages(
        "numbered",
        "train",
        torch.arange(count, dtype=torch.uint8).view(count, 1, 1, 1),
        tuple(str(i) for i in range(count * captions)),
        torch.stack([start, start + captions], 1),
    )


def training_of(cpu, count: int = 10, captions: int = 1, **settings) -> Training:
    data = numbered(count, captions)
    conditions = torch.arange(float(len(data.captions))).unsqueeze(1)
    return Training(Recorder(), data, conditions, TrainerConfig(**settings), cpu)


def toy(cpu, data: CaptionedImages, **settings) -> Training:
    torch.manual_seed(0)
    return Training(TOY.build(), data, FASHION.encode(data.captions), TrainerConfig(**settings), cpu)


def flat(model: nn.Module) -> Tensor:
    """A copy of all parameters, one after another."""
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])


def test_every_epoch_passes_over_every_image_once_in_another_order(cpu):
    training = training_of(cpu, 10, epochs=3, batch_size=4)
    steps = list(training.steps())
    assert [s.number for s in steps] == list(range(1, 10))
    assert [s.epoch for s in steps] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [s.images for s in steps] == [4, 4, 2] * 3
    assert [s.ends_epoch for s in steps] == [False, False, True] * 3
    assert (training.steps_per_epoch, training.total_steps, training.images_seen) == (3, 9, 30)
    drawn = torch.cat([(images * 255).round().flatten() for images, _, _ in training.model.seen]).view(3, 10)
    assert drawn.sort(1).values.tolist() == [list(range(10))] * 3
    assert len({tuple(order) for order in drawn.tolist()}) == 3


def test_images_seen_counts_the_short_batch_as_what_it_is(cpu):
    training = training_of(cpu, 10, epochs=2, batch_size=4)
    assert [training.images_seen for _ in training.steps()] == [4, 8, 10, 14, 18, 20]


def test_captions_come_from_the_image_s_own_stretch_and_cover_it(cpu):
    training = training_of(cpu, 5, captions=3, epochs=40, batch_size=5)
    for _ in training.steps():
        pass
    pairs = {
        (round(float(image) * 255), int(caption))
        for images, condition, _ in training.model.seen
        for image, caption in zip(images.flatten(), condition.flatten(), strict=True)
    }
    assert pairs == {(i, 3 * i + k) for i in range(5) for k in range(3)}


def test_the_moving_average_is_the_closed_form(cpu):
    training = training_of(cpu, 12, epochs=2, batch_size=2, ema_decay=0.5, learning_rate=0.1)
    weights = [float(training.model.weight.detach()) for _ in training.steps()]
    assert weights == sorted(weights, reverse=True)
    expected = 0.0
    for step, weight in enumerate(weights):
        # 1/10, 2/11, 3/12, ... of what was kept, as long as that is less than the decay.
        kept = min(0.5, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * weight
    assert float(training.averaged.weight) == pytest.approx(expected, rel=1e-5)
    assert float(training.averaged.steps) == len(weights)
    assert not training.averaged.weight.requires_grad


def test_without_a_moving_average_the_weights_themselves_are_kept(cpu):
    training = training_of(cpu, ema_decay=0.0)
    assert training.averaged is training.model


def test_average_moves_parameters_a_little_and_buffers_all_the_way():
    kept, current = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    with torch.no_grad():
        current.weight.fill_(2)
        current.running_mean.fill_(5)
    average(kept, current, 0.75)
    assert kept.weight.tolist() == [1.25] * 3
    assert kept.running_mean.tolist() == [5.0] * 3


def test_the_cosine_schedule_falls_from_the_learning_rate_to_nothing(cpu):
    training = training_of(cpu, 10, epochs=2, batch_size=1, schedule="cosine", learning_rate=0.1)
    rates = [training.optimizer.param_groups[0]["lr"] for _ in training.steps()]
    assert rates == pytest.approx([0.05 * (1 + math.cos(math.pi * k / 20)) for k in range(20)], rel=1e-5)
    # Adam's first step with a constant gradient is the learning rate.
    assert training.model.seen[1][2] == pytest.approx(-0.1, rel=1e-4)


@pytest.mark.slow
def test_the_cosine_schedule_takes_muon_s_rate_and_adam_s_to_nothing_together(cpu, tiny_data):
    settings = TrainerConfig(epochs=1, batch_size=16, optimizer="muon", schedule="cosine", learning_rate=1e-3)
    wide = LabelConv.Config(channels=(4, 32, 32), latent_dim=4, embedding_dim=8).build()
    training = Training(wide, tiny_data, FASHION.encode(tiny_data.captions), settings, cpu)
    rates = [tuple(group["lr"] for group in training.optimizer.param_groups) for _ in training.steps()]
    # The noise scale follows Muon.
    assert rates[0] == pytest.approx((1e-2, 1e-3, 1e-2))
    assert {round(first / second, 3) for first, second, _ in rates} == {10}
    assert {round(first / third, 3) for first, _, third in rates} == {1}
    assert rates[-1][0] < 1e-3


def test_the_constant_schedule_is_constant(cpu):
    training = training_of(cpu, 10, epochs=2, batch_size=1, learning_rate=0.1)
    assert {training.optimizer.param_groups[0]["lr"] for _ in training.steps()} == {0.1}


def test_weight_decay_spares_the_noise_scale(cpu, tiny_data):
    training = toy(cpu, tiny_data, weight_decay=0.1)
    decay = {id(p): group["weight_decay"] for group in training.optimizer.param_groups for p in group["params"]}
    names = {name: decay[id(p)] for name, p in training.model.named_parameters()}
    assert names.pop("likelihood.log_sigma") == 0
    assert set(names.values()) == {0.1}


@pytest.mark.slow
def test_the_same_seed_trains_the_same_model_and_another_seed_another(cpu, tiny_data):
    def weights(seed: int) -> Tensor:
        training = toy(cpu, tiny_data, epochs=1, batch_size=64, seed=seed)
        for _ in training.steps():
            torch.rand(7)  # what a caller draws in between disturbs nothing
        return flat(training.model)

    first = weights(0)
    assert first.equal(weights(0))
    assert not first.equal(weights(1))


@pytest.mark.slow
def test_a_toy_learns_the_shapes_in_seconds(cpu, tiny_data):
    training = toy(cpu, tiny_data, epochs=30, batch_size=32, learning_rate=1e-2)
    losses = torch.stack([step.loss.total.detach() for step in training.steps()])
    assert float(losses[-8:].mean()) < float(losses[:8].mean()) - 700
    images = tiny_data.images.float() / 255
    condition = FASHION.encode(tiny_data.captions)[tiny_data.labels]
    training.model.eval()
    training.model.requires_grad_(False)
    error = (training.model.reconstruct(images, condition) - images).square().mean()
    mean_image = (images.mean(0) - images).square().mean()
    assert float(error) < 0.7 * float(mean_image)
    # Said otherwise, the wrong class explains the images worse.
    right = training.model.loss(images, condition, draws(256)).total
    assert float(training.model.loss(images, condition.roll(3, 1), draws(256)).total) > float(right) + 100


@pytest.mark.slow
def test_a_toy_learns_real_garments(cpu, fashion_mnist):
    data = fashion_mnist.first(1024)
    training = toy(cpu, data, epochs=6, batch_size=64, learning_rate=1e-2)
    losses = torch.stack([step.loss.total.detach() for step in training.steps()])
    assert float(losses[-16:].mean()) < float(losses[:4].mean()) - 150


@pytest.mark.slow
def test_a_tiny_judge_tells_the_shapes_apart(cpu, tiny_data):
    torch.manual_seed(0)
    judge = Classifier.Config(channels=(4, 4, 8), features=16, shift=1, dropout=0.0).build()
    settings = TrainerConfig(epochs=8, batch_size=32, learning_rate=1e-2, schedule="cosine", ema_decay=0.8)
    training = Training(judge, tiny_data, FASHION.encode(tiny_data.captions), settings, cpu)
    for _ in training.steps():
        pass
    training.averaged.eval()
    with torch.no_grad():
        verdicts = training.averaged(tiny_data.images / 255).argmax(1)
    assert float((verdicts == tiny_data.labels).float().mean()) > 0.9


def test_a_poisoned_weight_stops_the_step_before_it_does_harm(cpu, tiny_data):
    training = toy(cpu, tiny_data, epochs=2, batch_size=32)
    steps = training.steps()
    for _ in range(3):
        next(steps)
    with torch.no_grad():
        training.model.posterior_head.bias[4:] = 1e4  # log-variances whose exponential is infinite
    before = flat(training.model)
    with pytest.raises(TrainingDiverged, match=r"step 4: the term 'kl' is not finite .*log-variance") as error:
        next(steps)
    assert "learning rate below 0.001" in error.value.cure
    assert isinstance(error.value, UserError)
    assert flat(training.model).equal(before)
    assert training.step == 3


def test_a_poisoned_condition_names_the_reconstruction_too(cpu, tiny_data):
    conditions = torch.full((10, 10), torch.nan)
    training = Training(TOY.build(), tiny_data, conditions, TrainerConfig(), cpu)
    with pytest.raises(TrainingDiverged, match=r"step 1: .*reconstruction nan"):
        next(training.steps())


def spoilt(cpu, data: CaptionedImages, look_every: int) -> Training:
    """A training in which one image has a condition that is not a number."""
    conditions = FASHION.encode(data.captions)
    conditions = torch.cat([conditions, torch.full((1, conditions.shape[1]), torch.nan)])
    ranges = data.caption_range.clone()
    ranges[100] = torch.tensor([len(conditions) - 1, len(conditions)])
    torch.manual_seed(0)
    config = TrainerConfig(epochs=3, batch_size=16, ema_decay=0.5)
    training = Training(TOY.build(), data, conditions, config, cpu, ranges)
    training.look_every = look_every
    return training


@pytest.mark.parametrize(("look_every", "keep_every"), [(5, 5), (5, 500), (100, 500)])
def test_where_the_loss_is_looked_at_now_and_then_the_state_is_that_before_the_step_too(
    cpu, tiny_data, look_every, keep_every, monkeypatch
):
    monkeypatch.setattr(loop, "KEEP_EVERY", keep_every)
    found = []
    for every in (1, look_every):
        training = spoilt(cpu, tiny_data, every)
        with pytest.raises(TrainingDiverged) as error:
            list(training.steps())
        kept = [training.model.state_dict(), training.averaged.state_dict(), training.optimizer.state_dict()["state"]]
        found.append((str(error.value), training.step, kept))
    (said, step, state), (said_late, step_late, state_late) = found
    assert 3 < step == step_late
    assert said == said_late
    for now, late in zip(tensors(state), tensors(state_late), strict=True):
        assert now.equal(late)
        assert now.isfinite().all()


def tensors(state: object) -> Iterator[Tensor]:
    """All tensors in nested lists and mappings."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, list | dict):
        for value in [state[key] for key in sorted(state)] if isinstance(state, dict) else state:
            yield from tensors(value)


def test_a_loss_that_is_not_finite_for_one_step_alone_is_noticed_later(cpu):
    training = training_of(cpu, 10, epochs=4, batch_size=1, learning_rate=0.1)
    training.look_every = 15
    plain = training.model.loss

    def once(images: Tensor, condition: Tensor, draws: Draws) -> LossTerms:
        loss = plain(images, condition, draws)
        infinite = training.step == 6
        return LossTerms(loss.total + (torch.inf if infinite else 0.0), loss.terms)

    training.model.loss = once
    with pytest.raises(TrainingDiverged, match="step 7: the term 'total'"):
        list(training.steps())
    assert training.step == 6
    assert float(training.model.weight.detach()) == pytest.approx(-0.6, rel=1e-4)


def test_a_training_whose_loss_is_looked_at_now_and_then_has_the_same_bits(cpu, tiny_data, monkeypatch):
    monkeypatch.setattr(loop, "KEEP_EVERY", 4)
    found = []
    for look_every in (1, 3):
        training = toy(cpu, tiny_data, epochs=1, batch_size=32, ema_decay=0.5)
        training.look_every = look_every
        losses = [step.loss.total.detach() for step in training.steps()]
        found.append([*losses, *tensors(training.state_dict())])
    assert all(a.equal(b) for a, b in zip(*found, strict=True))


def test_weights_that_an_update_ruined_are_not_kept(cpu, tiny_data):
    training = toy(cpu, tiny_data, epochs=1, batch_size=32)
    next(training.steps())
    with torch.no_grad():
        training.model.to_grid.weight[0, 0] = torch.nan
    with pytest.raises(TrainingDiverged, match="step 1: the term 'weights'"):
        training.state_dict()


@pytest.mark.parametrize("part", ["moments", "averaged weights"])
def test_neither_an_average_nor_moments_that_are_not_finite_are_kept(cpu, tiny_data, part):
    training = toy(cpu, tiny_data, epochs=1, batch_size=32, ema_decay=0.5)
    next(training.steps())
    weight = training.model.to_grid.weight
    ruined = training.averaged.to_grid.weight if part != "moments" else training.optimizer.state[weight]["exp_avg_sq"]
    with torch.no_grad():
        ruined.flatten()[0] = torch.inf
    with pytest.raises(TrainingDiverged, match=f"step 1: the term '{part}'"):
        training.state_dict()


def test_validation_is_deterministic_and_on_held_out_images_only(cpu, tiny_data):
    training = toy(cpu, tiny_data, epochs=1, batch_size=32, validation_images=64, ema_decay=0.5)
    assert training.steps_per_epoch == 6
    before = training.validate()
    assert set(before) == {"loss", "reconstruction", "kl"}
    assert before["loss"] == pytest.approx(before["reconstruction"] + before["kl"], rel=1e-5)
    torch.rand(3)
    assert training.validate() == before
    for _ in training.steps():
        pass
    after = training.validate()
    assert after["loss"] < before["loss"]
    # It is the kept model that is validated, and not on the images it was trained on.
    training.rows.images[:192] = 0
    with torch.no_grad():
        training.model.to_grid.bias += 1
    assert training.validate() == after
    training.rows.images[192:] = 0
    assert training.validate() != after


def test_held_out_images_are_never_trained_on(cpu):
    training = training_of(cpu, 10, epochs=3, batch_size=4, validation_images=3)
    for _ in training.steps():
        pass
    seen = {round(float(x) * 255) for images, _, _ in training.model.seen for x in images.flatten()}
    assert seen == set(range(7))


@pytest.mark.slow
def test_a_checkpoint_is_the_whole_position(cpu, tiny_data):
    settings = {"epochs": 2, "batch_size": 48, "ema_decay": 0.7, "schedule": "cosine"}
    whole = toy(cpu, tiny_data, **settings)
    for _ in whole.steps():
        pass
    for cut in (1, 6, 7):
        first, second = toy(cpu, tiny_data, **settings), toy(cpu, tiny_data, **settings)
        for step in first.steps():
            if step.number == cut:
                break
        second.load_state_dict(first.state_dict())
        for _ in second.steps():
            torch.manual_seed(9)
        for ours, theirs in ((second.model, whole.model), (second.averaged, whole.averaged)):
            assert flat(ours).equal(flat(theirs)), cut


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"weight_decay": -1.0},
        {"ema_decay": 1.0},
        {"validation_images": -1},
        {"patience": -1},
        {"patience": 3},
    ],
)
def test_settings_that_could_only_fail_later_are_refused(wrong):
    with pytest.raises(UserError):
        dataclasses.replace(TrainerConfig(), **wrong)


def test_holding_out_everything_is_refused(cpu, tiny_data):
    with pytest.raises(UserError, match="256 validation images leave nothing of 256"):
        toy(cpu, tiny_data, validation_images=256)


def test_images_are_mirrored_half_of_the_time_and_never_held_out_ones(cpu):
    sides = torch.tensor([10, 20], dtype=torch.uint8).expand(400, 1, 1, 2).contiguous()
    ranges = torch.tensor([[0, 1]]).expand(400, 2).contiguous()
    data = CaptionedImages("sides", "train", sides, ("a",), ranges)
    for flip in (False, True):
        config = TrainerConfig(epochs=1, batch_size=200, validation_images=200, flip=flip)
        training = Training(Recorder(), data, torch.zeros(1, 1), config, cpu)
        list(training.steps())
        training.validate()
        shown, held_out = (images.flatten(1)[:, 0] * 255 for images, *_ in training.model.seen)
        assert (held_out == 10).all()
        mirrored = float((shown == 20).float().mean())
        assert (0.35 < mirrored < 0.65) if flip else mirrored == 0


def test_a_validation_loss_that_is_not_finite_is_refused(cpu):
    training = training_of(cpu, validation_images=2)
    training.check_validated({"loss": 1.0, "kl": 2.0})
    with pytest.raises(TrainingDiverged, match="validation kl"):
        training.check_validated({"loss": 1.0, "kl": math.nan})
