import pytest
import torch

from textvae.utils import device
from textvae.utils.device import choose_execution, subnormals_as_zero
from textvae.utils.errors import UserError


@pytest.mark.parametrize(
    ("features", "warned"),
    [({"avx2"}, True), ({"avx512_bf16"}, False), ({"amx_bf16"}, False), ({"asimd", "bf16"}, False), (set(), False)],
)
def test_emulated_bf16_is_announced(monkeypatch, capsys, features, warned):
    monkeypatch.setattr(device, "cpu_features", lambda: frozenset(features))
    assert choose_execution("cpu", "bf16", 1).precision == "bf16"
    err = capsys.readouterr().err
    assert ("times as long" in err) == warned
    assert err.count("\n") == warned
    assert choose_execution("cpu", "fp32", 1).precision == "fp32"
    assert capsys.readouterr().err == ""


def test_auto_says_why(monkeypatch):
    monkeypatch.setattr(device, "cpu_features", lambda: frozenset({"avx2"}))
    execution = choose_execution("auto", "auto", 1)
    assert execution.precision == "fp32"
    assert any(reason.startswith("precision fp32: ") for reason in execution.reasons)


def test_means_of_gradients_that_became_zero_are_zero_and_not_subnormal():
    """Intel's processors are many times as slow with subnormal numbers (below 1.2e-38)."""

    def least_mean() -> float:
        weight = torch.nn.Parameter(torch.ones(4))
        adam = torch.optim.Adam([weight])
        for step in range(850):
            weight.grad = torch.ones(4) if step == 0 else torch.zeros(4)
            adam.step()
        return float(adam.state[weight]["exp_avg"].double().abs().max())

    with subnormals_as_zero():
        if torch.tensor(1e-38) * 0.1 != 0:
            pytest.skip("this processor has no such setting")
        with subnormals_as_zero():
            assert least_mean() == 0
        assert torch.tensor(1e-38) * 0.1 == 0
    assert 0 < least_mean() < 1.2e-38


def test_a_device_that_is_not_there():
    with pytest.raises(UserError, match="toaster"):
        choose_execution("toaster")


def test_fp32_is_fp32_on_a_gpu(monkeypatch):
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    try:
        monkeypatch.setattr(device.torch, "empty", lambda *_, **__: None)  # as where there is one
        assert device.choose_device("cuda").type == "cuda"
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False  # torch's own
