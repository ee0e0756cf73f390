"""A DenseDepth model of Keras's own layers: `KERAS_BACKEND=torch python make_keras_model.py FOLDER`.

Writes FOLDER/model.h5 (by Keras, in its legacy format) and FOLDER/answer.npz: pictures and what it answers.
Weights are random; BatchNorm statistics are those of the layers' own outputs, so that every layer matters.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
from keras import layers


def build(width: int) -> keras.Model:
    """Encoder and decoder under the names that the published weights carry."""
    encoder = keras.applications.DenseNet169(include_top=False, weights=None, input_shape=(None, None, 3))
    taps = ("pool3_pool", "pool2_pool", "pool1", "conv1_relu")
    x = layers.Conv2D(width, 1, padding="same", name="conv2")(encoder.output)
    for step, tap in enumerate(taps, 1):
        x = layers.UpSampling2D(2, interpolation="bilinear", name=f"up{step}_upsampling2d")(x)
        x = layers.Concatenate(name=f"up{step}_concat")([x, encoder.get_layer(tap).output])
        for letter in "AB":
            x = layers.Conv2D(width >> step, 3, padding="same", name=f"up{step}_conv{letter}")(x)
            x = layers.LeakyReLU(negative_slope=0.2)(x)
    x = layers.Conv2D(1, 3, padding="same", name="conv3")(x)
    return keras.Model(encoder.input, x)


def calibrate(model: keras.Model, pictures: np.ndarray, rng: np.random.Generator) -> None:
    """Random scales and shifts, then statistics as training finds them, by one pass in training mode."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
            gamma, beta, mean, variance = layer.get_weights()
            gamma, beta = rng.uniform(0.5, 1.5, gamma.shape), rng.normal(0, 0.3, beta.shape)
            layer.set_weights([gamma, beta, mean, variance])
    model(pictures, training=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, nargs=2, default=(64, 96))
    parser.add_argument("--width", type=int, default=256)
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    pictures = rng.uniform(0, 1, (2, *options.size, 3)).astype(np.float32)
    model = build(options.width)
    calibrate(model, pictures, rng)
    model.save(options.folder / "model.h5")
    answer = np.asarray(model.predict(pictures, verbose=0))
    np.savez(options.folder / "answer.npz", pictures=pictures, answer=answer)


if __name__ == "__main__":
    main()
