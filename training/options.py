"""Every choice of the training, once. Which labels are seen, which are kept to choose by, which are held out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from fruits.errors import SettingError

HELD_OUT = 20  # labels no photo of which is trained on; the model card measures them
CHOOSING = 5  # further labels not trained on, to choose the best epoch by


def _choice(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class TrainingOptions:
    """Make a variant with `dataclasses.replace(options, epochs=2)`."""

    size: int = _choice(100, "side in pixels of what the network sees; at the photos' own side nothing is resized")
    crop: int = _choice(2, "pixels cut off at each side, inside the network")
    expansion: float = _choice(3.0, "width within blocks, in widths between them; MobileNetV2 has 6")
    int8: bool = _choice(True, "int8 arithmetic in the network that is written, float32 otherwise")
    rounds: int = _choice(4, "views of each photo in the bank; the first is the photo as it is")
    recoloured: float = _choice(0.25, "share of views that show fruit of other colours, without a label")
    mixed: float = _choice(0.15, "share of views that show two photos in one, without a label")
    steady: float = _choice(0.5, "share of the target that comes from the photo as it is, for views with a label")
    ridge: float = _choice(1.0, "added to the covariance within labels, in mean variances, before whitening by it")
    label_weight: float = _choice(0.1, "weight of the cross entropy on labels, beside the squared error of features")
    warm_start: bool = _choice(True, "begin with weights chosen from the teacher's instead of random numbers")
    epochs: int = _choice(16, "at most; one shows every photo once, in one of its views")
    patience: int = _choice(4, "epochs without improvement before stopping")
    batch: int = _choice(64, "views per step")
    learning_rate: float = _choice(1e-3, "highest of AdamW; falls to 0 over all epochs")
    weight_decay: float = _choice(1e-2, "of AdamW")
    warm_up: float = _choice(0.05, "share of all steps in which the learning rate rises")
    averaging: float = _choice(0.99, "how much of the averaged weights one step keeps")
    seed: int = _choice(0, "of everything random")

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        for name in ("size", "rounds", "epochs", "patience", "batch"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name}={getattr(self, name)} is below 1; leave it out for the default")
        if self.recoloured + self.mixed > 1:
            raise SettingError(f"recoloured={self.recoloured} and mixed={self.mixed} are more than all views")

    def describe(self) -> dict[str, object]:
        """Give every choice by name, as MLflow records it."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def held_out(labels: Sequence[str]) -> list[str]:
    """Give the labels never trained on: every sixth of the sorted labels, from the fourth on."""
    return sorted(labels)[3::6][:HELD_OUT]


def choosing(labels: Sequence[str]) -> list[str]:
    """Give the labels the best epoch is chosen by: spread evenly over those that are not held out."""
    rest = sorted(set(labels) - set(held_out(labels)))
    step = max(len(rest) // CHOOSING, 2)
    return rest[step // 2 :: step][:CHOOSING]
