"""Every choice of the training, once. Which labels are seen, which are kept to choose by, which are held out."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from fruits.errors import SettingError

HELD_OUT = 20  # labels no photo of which is trained on; the model card measures them
CHOOSING = 5  # further labels not trained on, to choose the best epoch by


@dataclass(frozen=True)
class TrainingOptions:
    """Make a variant with `dataclasses.replace(options, epochs=2)`.

    Attributes:
        size: side in pixels of what the network sees; the photos' own side needs no resize at all.
        crop: pixels cut off at each side, inside the network.
        expansion: width within blocks, in widths between them; MobileNetV2 has 6.
        int8: arithmetic of the network that is written; float32 otherwise.
        rounds: views of each photo in the bank; the first is the photo as it is.
        recoloured, mixed: shares of views that show fruit of other colours, and two photos in one; without a label.
        steady: share of the target taken from the photo as it is instead of its view, for views with a label.
        ridge: added to the covariance within labels before whitening by it, as a share of its mean variance.
        label_weight: weight of the cross entropy on labels, beside the squared error of 1280 standardised numbers.
        warm_start: begin with weights chosen from the teacher's instead of random numbers.
        epochs: at most; one shows every photo once, in one of its views. The learning rate falls to nothing on the way.
        patience: epochs without improvement before stopping.
        batch: views per step.
        learning_rate, weight_decay: of AdamW.
        warm_up: share of all steps in which the learning rate rises.
        averaging: how much of the averaged weights one step keeps.
        seed: of everything random.
    """

    size: int = 100
    crop: int = 2
    expansion: float = 3.0
    int8: bool = True
    rounds: int = 4
    recoloured: float = 0.25
    mixed: float = 0.15
    steady: float = 0.5
    ridge: float = 1.0
    label_weight: float = 0.1
    warm_start: bool = True
    epochs: int = 16
    patience: int = 4
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warm_up: float = 0.05
    averaging: float = 0.99
    seed: int = 0

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
