"""One trainer for every recipe: resumes where it stopped, averages the weights, runs on CPU or GPUs."""

from __future__ import annotations

from pathlib import Path

import lightning
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, IterableDataset

_AVERAGE_DECAY = 0.998
"""Decay of the running average of the weights: about the last 500 steps."""


def fit(
    recipe: lightning.LightningModule, stream: IterableDataset[object], run: Path, *, steps: int, workers: int = 0
) -> None:
    """Train to `steps`, from the last checkpoint in `run` where there is one.

    Args:
        recipe: what is learnt and how.
        stream: yields whole batches, endlessly.
        run: folder of checkpoints and the loss curve; made if it is missing.
        steps: optimiser steps in all, those of earlier sessions included.
        workers: processes that draw batches.
    """
    last = run / "last.ckpt"
    trainer = lightning.Trainer(
        max_steps=steps,
        precision="bf16-mixed",
        logger=CSVLogger(run, name="", version=""),
        callbacks=[
            ModelCheckpoint(run, filename="last", every_n_train_steps=100, enable_version_counter=False),
            EMAWeightAveraging(decay=_AVERAGE_DECAY),
        ],
        log_every_n_steps=10,
        gradient_clip_val=1.0,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    loader = DataLoader(stream, batch_size=None, num_workers=workers)
    trainer.fit(recipe, loader, ckpt_path=last if last.exists() else None)
