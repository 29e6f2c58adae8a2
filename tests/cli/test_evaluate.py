import pytest

from textvae.runs.metrics import Metrics


@pytest.mark.slow
def test_metrics_of_fewer_samples_do_not_replace_others(textvae, tiny_run):
    file = tiny_run / "metrics.json"
    Metrics({"model": "label-conv", "data": "fashion-mnist", "num_samples": 64}, {"speed": {"rate": 1.0}}).write(file)
    before = file.read_bytes()
    try:
        code, out, err = textvae("evaluate", tiny_run, "--num-samples", "20")
        assert (code, out) == (2, "")
        assert "64" in err
        assert "--out" in err
        assert file.read_bytes() == before
    finally:
        file.unlink()
