"""The section ``speed``: images a second."""

import torch

from textvae.evaluation.context import EvaluationContext
from textvae.evaluation.measurement import Measurement


def speed(context: EvaluationContext) -> Measurement:
    """Reconstructed and generated images a second, the number of processes, and of threads of each."""
    return Measurement(
        {
            "reconstructed_images_per_s": context.reconstructed.per_second,
            "generated_images_per_s": context.generated.per_second,
            "threads": torch.get_num_threads(),
            "processes": context.pipeline.processes.size,
        }
    )
