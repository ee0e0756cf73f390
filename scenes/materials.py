"""What surfaces look like: a texture between two colours, drawn from what rooms are made of."""

from __future__ import annotations

import colorsys

from .dice import Dice
from .textures import texture_bank

Colour = tuple[float, float, float]
# texture, repeats per metre along u and v, offsets, fitted (the texture spans the face once), turned, gloss,
# emission, first colour, second colour, two unused: one row of numbers for the shader
MATERIAL_WIDTH = 17
Material = tuple[float, ...]


def from_hsv(hue: float, saturation: float, value: float) -> Colour:
    """Linear light from hue, saturation and value of the encoded colour."""
    red, green, blue = colorsys.hsv_to_rgb(
        hue % 1.0, min(1.0, max(0.0, saturation)), min(1.0, max(0.0, value))
    )
    return red**2.2, green**2.2, blue**2.2


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour ``share`` of the way from the first to the second."""
    return (
        first[0] + (second[0] - first[0]) * share,
        first[1] + (second[1] - first[1]) * share,
        first[2] + (second[2] - first[2]) * share,
    )


def material(
    dice: Dice,
    kind: str,
    first: Colour,
    second: Colour,
    scale: float = 1.0,
    *,
    fitted: bool = False,
    gloss: float = 0.0,
    emission: float = 0.0,
) -> Material:
    """A material of a random texture of the kind; ``scale`` in repeats a metre, a little stretched."""
    low, high = texture_bank().kinds[kind]
    squash = dice.log_uniform(0.8, 1.25)
    turned = 0.0 if fitted or dice.chance(0.7) else 1.0
    offset = (0.0, 0.0) if fitted else (dice.unit(), dice.unit())
    return (
        float(dice.integer(low, high - 1)),
        scale * squash,
        scale / squash,
        *offset,
        float(fitted),
        turned,
        gloss,
        emission,
        *first,
        *second,
        0.0,
        0.0,
    )


def wood_colour(dice: Dice) -> Colour:
    """Brown: from pale birch to dark walnut."""
    return from_hsv(dice.uniform(0.045, 0.11), dice.uniform(0.2, 0.65), dice.uniform(0.22, 0.85))


def grey_colour(dice: Dice, low: float, high: float, tint: float = 0.05) -> Colour:
    """Nearly grey of an encoded value between low and high."""
    return from_hsv(dice.unit(), abs(dice.normal(0.0, tint)), dice.uniform(low, high))


def strong_colour(dice: Dice) -> Colour:
    """Red, blue, green: things people buy."""
    return from_hsv(dice.unit(), dice.uniform(0.35, 0.95), dice.uniform(0.25, 0.9))


def wall_material(dice: Dice) -> Material:
    """Painted plaster mostly, sometimes tiles, paper, bricks or boards."""
    if dice.chance(0.65):
        colour = from_hsv(dice.normal(0.11, 0.07), abs(dice.normal(0.0, 0.12)), dice.uniform(0.6, 0.98))
    elif dice.chance(0.7):
        colour = from_hsv(dice.unit(), abs(dice.normal(0.03, 0.12)), dice.uniform(0.35, 0.95))
    else:
        colour = from_hsv(dice.unit(), dice.uniform(0.1, 0.65), dice.uniform(0.25, 0.85))
    kind = dice.weighted(
        (
            ("plaster", 7.0),
            ("speckle", 1.5),
            ("bricks", 0.4),
            ("stripes", 0.4),
            ("wood", 0.5),
            ("fabric", 0.3),
            ("planks", 0.3),
        )
    )
    contrast = dice.uniform(0.02, 0.35) if kind in ("plaster", "speckle") else dice.uniform(0.1, 0.6)
    second = mix(colour, grey_colour(dice, 0.2, 1.0), contrast)
    scale = dice.log_uniform(0.3, 1.2)
    return material(dice, kind, colour, second, scale, gloss=dice.uniform(0, 0.1))


def tile_material(dice: Dice) -> Material:
    """Bathroom or kitchen tiles."""
    colour = grey_colour(dice, 0.55, 0.98, 0.1)
    second = mix(colour, grey_colour(dice, 0.1, 0.9), dice.uniform(0.3, 1.0))
    return material(dice, "tiles", colour, second, dice.log_uniform(0.8, 3.0), gloss=dice.uniform(0.1, 0.5))


def floor_material(dice: Dice) -> Material:
    """Boards, tiles, carpet, stone or concrete."""
    kind = dice.weighted(
        (
            ("planks", 3.0),
            ("speckle", 3.0),
            ("tiles", 2.0),
            ("plaster", 1.0),
            ("stripes", 0.6),
            ("checks", 0.4),
            ("marble", 0.7),
            ("wood", 0.8),
            ("fabric", 1.5),
        )
    )
    gloss = dice.uniform(0.0, 0.25)
    if kind in ("planks", "wood"):
        colour = wood_colour(dice)
        second = mix(colour, from_hsv(0.07, 0.4, dice.uniform(0.05, 0.3)), dice.uniform(0.2, 0.8))
        gloss = dice.uniform(0.0, 0.7)
        scale = dice.log_uniform(0.5, 1.3)
    elif kind in ("tiles", "marble", "checks"):
        colour = grey_colour(dice, 0.3, 0.95, 0.12)
        second = mix(colour, grey_colour(dice, 0.1, 0.8), dice.uniform(0.1, 0.8))
        gloss = dice.uniform(0.1, 0.8)
        scale = dice.log_uniform(0.25, 0.9)
    else:
        colour = grey_colour(dice, 0.15, 0.75, 0.12)
        if dice.chance(0.15):
            colour = from_hsv(dice.unit(), dice.uniform(0.1, 0.5), dice.uniform(0.15, 0.6))
        second = mix(colour, grey_colour(dice, 0.02, 0.95), dice.uniform(0.1, 0.8))
        scale = dice.log_uniform(0.4, 2.5)
    return material(dice, kind, colour, second, scale, gloss=gloss)


def ceiling_material(dice: Dice) -> Material:
    """White, sometimes panels."""
    colour = grey_colour(dice, 0.7, 1.0, 0.03)
    kind = dice.weighted((("plaster", 6.0), ("tiles", 2.5), ("planks", 0.4)))
    second = mix(colour, grey_colour(dice, 0.3, 0.9), dice.uniform(0.05, 0.5))
    return material(dice, kind, colour, second, dice.uniform(0.3, 0.8))


def wood_material(dice: Dice) -> Material:
    """Furniture wood."""
    colour = wood_colour(dice)
    second = mix(colour, from_hsv(0.06, 0.5, dice.uniform(0.05, 0.5)), dice.uniform(0.1, 0.6))
    return material(dice, "wood", colour, second, dice.log_uniform(0.7, 3.0), gloss=dice.uniform(0, 0.4))


def plain_material(dice: Dice) -> Material:
    """Lacquer, plastic or metal: white, grey or black, seldom coloured."""
    choice = dice.unit()
    if choice < 0.38:
        colour = grey_colour(dice, 0.7, 0.98)
    elif choice < 0.7:
        colour = grey_colour(dice, 0.03, 0.3)
    elif choice < 0.8:
        colour = grey_colour(dice, 0.3, 0.7, 0.1)
    else:
        colour = strong_colour(dice)
    second = mix(colour, grey_colour(dice, 0.1, 0.9), dice.uniform(0.0, 0.2))
    return material(dice, "plaster", colour, second, dice.log_uniform(1.0, 6.0), gloss=dice.uniform(0, 0.6))


def furniture_material(dice: Dice) -> Material:
    """Wood or lacquer."""
    return wood_material(dice) if dice.chance(0.55) else plain_material(dice)


def cloth_material(dice: Dice) -> Material:
    """Upholstery, bedding and clothes."""
    colour = (
        grey_colour(dice, 0.08, 0.95, 0.12)
        if dice.chance(0.6)
        else from_hsv(dice.unit(), dice.uniform(0.2, 0.8), dice.uniform(0.15, 0.85))
    )
    kind = dice.weighted(
        (("fabric", 5.0), ("plaster", 3.0), ("stripes", 0.8), ("checks", 0.8), ("blotches", 0.6))
    )
    contrast = dice.uniform(0.1, 0.5) if kind in ("fabric", "plaster") else dice.uniform(0.2, 1.0)
    second = mix(colour, grey_colour(dice, 0.05, 0.98, 0.2), contrast)
    return material(dice, kind, colour, second, dice.log_uniform(0.8, 4.0))


def leather_material(dice: Dice) -> Material:
    """Dark or tan, a little glossy."""
    colour = from_hsv(dice.uniform(0.03, 0.1), dice.uniform(0.1, 0.6), dice.uniform(0.08, 0.5))
    return material(
        dice, "plaster", colour, mix(colour, (0.5, 0.5, 0.5), 0.15), dice.log_uniform(1.0, 4.0), gloss=0.3
    )


def thing_material(dice: Dice) -> Material:
    """Any small object."""
    choice = dice.unit()
    if choice < 0.25:
        return fitted_picture(dice, dice.choice(("poster", "rectangles", "page")))
    if choice < 0.45:
        return plain_material(dice)
    if choice < 0.6:
        return cloth_material(dice)
    if choice < 0.7:
        return wood_material(dice)
    colour = strong_colour(dice) if dice.chance(0.5) else grey_colour(dice, 0.05, 0.98, 0.1)
    second = mix(colour, grey_colour(dice, 0.05, 0.98, 0.2), dice.unit())
    kind = dice.choice(("plaster", "stripes", "checks", "blotches", "speckle", "marble"))
    return material(dice, kind, colour, second, dice.log_uniform(2.0, 10.0), gloss=dice.uniform(0, 0.5))


def fitted_picture(dice: Dice, kind: str, emission: float = 0.0, gloss: float = 0.0) -> Material:
    """A texture once over the face in its own colours: posters, pages, screens, windows, book backs."""
    dim = dice.uniform(0.6, 1.0)
    return material(
        dice, kind, (0.01, 0.01, 0.01), (dim, dim, dim), fitted=True, emission=emission, gloss=gloss
    )


def front_material(dice: Dice, base: Colour) -> Material:
    """Cupboard fronts in the colour."""
    return material(
        dice, "doors", base, mix(base, (0.01, 0.01, 0.01), dice.uniform(0.4, 0.95)), fitted=True, gloss=0.2
    )


def lamp_material(dice: Dice, power: float) -> Material:
    """Something that shines."""
    colour = from_hsv(dice.uniform(0.08, 0.16), dice.uniform(0.0, 0.3), 1.0)
    return material(dice, "plaster", colour, colour, emission=power)
