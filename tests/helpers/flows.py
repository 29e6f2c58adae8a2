"""A run with a flow prior that nobody trained, for tests of what is measured and drawn of one."""

import dataclasses
from pathlib import Path

import torch
from torch import nn

from textvae.models.spatial_vae import SpatialVAE
from textvae.models.with_flow import FlowConfig, WithFlow
from textvae.priors import FlowPrior
from textvae.recipes.recipe import FlowStage
from textvae.recipes.resolve import resolve
from textvae.runs.run import Run, open_run, write_config, write_weights


def untrained_flow_run(folder: Path, **settings: object) -> Run:
    """A run folder of a small latent-flow-fashion with random weights and few-step sampling.

    ``settings`` of the flow prior may be others.
    """
    named = resolve("latent-flow-fashion")
    config = dataclasses.replace(FlowPrior.Config(width=16, depth=1, heads=2, steps=2), **settings)
    small = FlowStage(FlowConfig(config), named.flow.trainer)
    named = dataclasses.replace(named, model=SpatialVAE.Config(channels=(4, 8), latent_channels=2), flow=small)
    torch.manual_seed(0)
    vae = named.model.build()
    prior = small.model.build(vae)
    prior.strides.fill_(True)
    for parameter in prior.velocity.parameters():
        nn.init.normal_(parameter, std=0.2)
    write_config(folder, named, "0", {})
    write_weights(folder, WithFlow(vae, prior).state_dict())
    return open_run(folder)
