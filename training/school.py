"""The lessons: steps of the student on the bank, its averaged weights, and its state on disk."""

from pathlib import Path

import numpy as np
from bank import Bank, Photos
from options import TrainingOptions
from student import build_student, warm_start
from teacher import Target, fit_target

from fruits.vision.backbone import import_tensorflow

START = 192  # photos the student sees before it is trained


def fit_bank(bank: Bank, photos: Photos, options: TrainingOptions, start: np.ndarray) -> Target:
    """Fit the target on all views whose label holds, so that light and background count as little as the angle."""
    features = np.concatenate([each[holds] for each, holds in zip(bank.features, bank.labelled, strict=True)])
    labels = np.concatenate([photos.labels[holds] for holds in bank.labelled])
    return fit_target(features, labels, options.ridge, start)


class School:
    """A student in training. Its state is whole between epochs: what is restored goes on as if never interrupted.

    Attributes:
        target: what is wanted of the student, from the teacher's features.
        averaged: the student with weights averaged over the last steps; what is measured and, at its best, shipped.
        best: weights of `averaged` at the best epoch so far.
        history: share of the teacher's variance unexplained on the labels to choose by, per epoch.
    """

    def __init__(self, photos: Photos, bank: Bank, options: TrainingOptions, weights: str) -> None:
        """Build the student; the same for the same seed."""
        self.keras, self.tf = import_tensorflow()
        self.keras.utils.set_random_seed(options.seed)
        self.tf.config.experimental.enable_op_determinism()
        self.photos, self.bank, self.options = photos, bank, options
        self.student, self.averaged = build_student(options), build_student(options)
        some = photos.pixels[:: max(len(photos.pixels) // START, 1)]
        if options.warm_start:
            warm_start(self.student, weights, some, options)
        self.target = fit_bank(bank, photos, options, np.asarray(self.student(some.astype(np.float32), training=True)))
        self.averaged.set_weights(self.student.get_weights())
        self.head = self.keras.layers.Dense(len(photos.names))
        self.head.build((None, 1280))
        self.trained = [*self.student.trainable_variables, *self.head.trainable_variables]
        self.optimizer = self._make_optimizer()
        self.step = self.tf.function(self._step)
        self.history: list[float] = []
        self.best: list[np.ndarray] = self.averaged.get_weights()

    def _make_optimizer(self):
        options, count = self.options, len(self.photos.pixels) // self.options.batch * self.options.epochs
        rise = max(int(options.warm_up * count), 1)
        rate = self.keras.optimizers.schedules.CosineDecay(
            0.0, max(count - rise, 1), warmup_target=options.learning_rate, warmup_steps=rise
        )
        optimizer = self.keras.optimizers.AdamW(rate, weight_decay=options.weight_decay)
        optimizer.build(self.trained)
        return optimizer

    def run_epoch(self) -> float:
        """Show every photo once, each in one of its views; returns the mean loss.

        An epoch takes all rounds in turn, another for every photo, so that each is as varied as the bank.
        """
        epoch, options = len(self.history), self.options
        rng = np.random.default_rng((options.seed, epoch))
        count = len(self.photos.pixels)
        rounds = (np.random.default_rng(options.seed).permutation(count) + epoch) % options.rounds
        order, losses = rng.permutation(count), []
        for start in range(0, count - options.batch + 1, options.batch):
            losses.append(self.step(*self._batch(order[start : start + options.batch], rounds)))
        return float(np.mean(losses))

    def _batch(self, chosen: np.ndarray, rounds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give pixels, targets and labels of a batch; label -1 where it does not hold."""
        places = [(rounds[index], index) for index in chosen]
        pixels = np.stack([self.bank.pixels[r][i] for r, i in places]).astype(np.float32)
        features = np.stack([self.bank.features[r][i] for r, i in places]).astype(np.float32)
        holds = np.array([self.bank.labelled[r][i] for r, i in places])
        plain = np.stack([self.bank.features[0][i] for i in chosen]).astype(np.float32)
        steady = (self.options.steady * holds)[:, None]
        wanted = self.target(steady * plain + (1 - steady) * features)
        return pixels, wanted, np.where(holds, self.photos.labels[chosen], -1)

    def _step(self, pixels, wanted, labels):
        tf, holds = self.tf, self.tf.cast(labels >= 0, "float32")
        with tf.GradientTape() as tape:
            features = self.student(pixels, training=True)
            imitation = tf.reduce_mean(tf.square(features - wanted)) / self.target.variance
            surprise = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), self.head(features))
            told = tf.reduce_sum(surprise * holds) / tf.maximum(tf.reduce_sum(holds), 1.0)
            loss = imitation + self.options.label_weight * told
        self.optimizer.apply_gradients(zip(tape.gradient(loss, self.trained), self.trained, strict=True))
        for mean, now in zip(self.averaged.weights, self.student.weights, strict=True):
            mean.assign(self.options.averaging * mean + (1 - self.options.averaging) * now)
        return loss

    def examine(self, pixels: np.ndarray, wanted: np.ndarray) -> float:
        """Give the share of variance of the wanted features (n, 1280) that the averaged student leaves unexplained."""
        parts = [
            self.averaged(pixels[i : i + 50].astype(np.float32), training=False) for i in range(0, len(pixels), 50)
        ]
        missed = np.square(np.concatenate(parts) - wanted).sum()
        result = float(missed / np.square(wanted - wanted.mean(axis=0)).sum())
        if result < min(self.history, default=np.inf):
            self.best = self.averaged.get_weights()
        self.history.append(result)
        return result

    def finish(self):
        """Give the averaged student of the best epoch."""
        self.averaged.set_weights(self.best)
        return self.averaged

    def save(self, file: Path) -> None:
        """Write the whole state; the file is there whole or not at all."""
        arrays = [np.asarray(each) for each in self._variables()] + self.best + [np.array(self.history)]
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part.npz")
        np.savez(part, *arrays)
        part.replace(file)

    def restore(self, file: Path) -> None:
        """Read what save wrote."""
        with np.load(file) as kept:
            arrays = [kept[f"arr_{number}"] for number in range(len(kept.files))]
        variables = self._variables()
        for variable, value in zip(variables, arrays[: len(variables)], strict=True):
            variable.assign(value)
        self.best, self.history = arrays[len(variables) : -1], arrays[-1].tolist()

    def _variables(self) -> list:
        return [*self.student.weights, *self.head.weights, *self.averaged.weights, *self.optimizer.variables]
