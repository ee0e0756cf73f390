"""What ``--loss`` chooses from: the loss of each system by name, or any sum of textbook terms.

``mask=bce+2dice,depth=2rmse`` is such a sum: a weight may stand before a term, numbers for it after colons
(``tversky:0.3:0.7``), and ``weights=learnt`` at the end learns how much each head counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .. import MdeasError
from .base import Heads
from .loss_presets import LOSSES, Labels, LossTerms, Terms
from .loss_terms import (
    bce_loss,
    berhu_loss,
    dice_loss,
    gradient_loss,
    l1_loss,
    mse_loss,
    rmse_loss,
    scale_shift_invariant_loss,
    tversky_loss,
)
from .ssim import rmse_ssim_loss, several_ssim_loss, ssim_loss

# Terms of ``mask=`` and ``depth=``; ``bce`` also gets the logit where there is one.
TERMS: dict[str, Callable[..., Tensor]] = {
    "bce": bce_loss,
    "dice": dice_loss,
    "tversky": tversky_loss,
    "mse": mse_loss,
    "l1": l1_loss,
    "rmse": rmse_loss,
    "berhu": berhu_loss,
    "gradient": gradient_loss,
    "ssim": ssim_loss,
    "ssim-several": several_ssim_loss,
    "rmse-ssim": rmse_ssim_loss,
    "invariant": scale_shift_invariant_loss,
}
NUMBERS = {"tversky": 2}  # how many a term takes after colons; they may be left out
LEARNT = "weights=learnt"
CLASSIFIES, MEASURES = ("mask", 1.0), ("depth", 0.5)  # see ``LearntWeights``

_TERM = re.compile(r"(?P<weight>\d*\.?\d*)(?P<name>[a-z][a-z0-9-]*)(?P<numbers>(:\d*\.?\d+)*)")


class Loss(nn.Module):
    """``loss(prediction, batch)`` gives the scalar to minimise and the terms by name that it is the sum of.

    Always float32, outside of any autocast. Parameters, where it has some, are trained with the network's.
    """

    def __init__(self, terms: Terms, learnt: bool = False) -> None:
        super().__init__()
        self.terms = terms
        self.weigh = LearntWeights() if learnt else nn.Identity()

    def forward(self, pred: Heads, target: Labels) -> tuple[Tensor, LossTerms]:
        """The loss, and its terms."""
        with torch.autocast(pred.mask.device.type, enabled=False):
            terms: LossTerms = self.weigh(self.terms(pred, target))
            return total(terms), terms


class LearntWeights(nn.Module):
    """Weighs the terms of each head by an uncertainty learnt for it (Kendall et al. 2018, arXiv:1705.07115).

    With s the logarithm of the variance: mask exp(-s) L + s / 2, depth exp(-s) L / 2 + s / 2. The loss may
    become negative.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_variance = nn.ParameterDict(
            {head: nn.Parameter(torch.zeros(())) for head, _ in (CLASSIFIES, MEASURES)}
        )

    def forward(self, terms: LossTerms) -> LossTerms:
        """Weighed terms, and one a head for its uncertainty."""
        weighed: LossTerms = {}
        for head, factor in (CLASSIFIES, MEASURES):
            mine = {name: term for name, term in terms.items() if name.startswith(f"{head}_")}
            if mine:
                log_variance = self.log_variance[head]
                weight = factor * torch.exp(-log_variance)
                weighed |= {name: weight * term for name, term in mine.items()}
                weighed[f"{head}_uncertainty"] = log_variance / 2
        return weighed


def create_loss(name: str) -> Loss:
    """A loss by the name of a preset or by its terms, see the top of this file.

    Raises:
        MdeasError: If there is none of this name.
    """
    parts = name.split(",")
    learnt = parts[-1] == LEARNT
    wanted = ",".join(parts[:-1] if learnt else parts)
    terms = LOSSES.get(wanted, wanted)
    return Loss(sum_of_terms(terms) if isinstance(terms, str) else terms, learnt)


@dataclass(frozen=True)
class Part:
    """``2dice`` of ``mask=``."""

    head: str
    name: str
    weight: float
    numbers: tuple[float, ...]

    def __call__(self, pred: Heads, target: Labels) -> Tensor | None:
        """The weighted term; None where the network has no such head."""
        value, label = getattr(pred, self.head), getattr(target, self.head)
        if value is None or label is None:
            return None
        extra = (getattr(pred, f"{self.head}_logit"),) if self.name == "bce" else self.numbers
        return self.weight * TERMS[self.name](value, label, *extra)


def sum_of_terms(text: str) -> Terms:
    """``mask=bce+2dice,depth=2rmse`` as a loss.

    Raises:
        MdeasError: If it does not have this form.
    """
    parts: dict[str, Part] = {}
    for side in text.split(","):
        head, _, terms = side.partition("=")
        for match in map(_TERM.fullmatch, terms.split("+")):
            if head not in ("mask", "depth") or match is None or not _makes_sense(match):
                raise _unknown(text)
            numbers = tuple(float(number) for number in match["numbers"].split(":")[1:])
            key = f"{head}_{match['name']}"
            if key in parts:
                raise _unknown(text)
            parts[key] = Part(head, match["name"], float(match["weight"] or 1), numbers)

    def terms_of(pred: Heads, target: Labels) -> LossTerms:
        found = {key: term for key, part in parts.items() if (term := part(pred, target)) is not None}
        if not found:
            raise MdeasError(f"the network has no head for the loss {text!r}; add mask= terms (--loss)")
        return found

    return terms_of


def _makes_sense(match: re.Match[str]) -> bool:
    name, numbers = match["name"], match["numbers"].count(":")
    return name in TERMS and match["weight"] != "." and numbers in (0, NUMBERS.get(name, 0))


def _unknown(text: str) -> MdeasError:
    return MdeasError(
        f"no loss is called {text!r}; there are: {', '.join(LOSSES)}; or sums such as "
        f"mask=bce+2dice,depth=2rmse of {', '.join(TERMS)}; choose with --loss"
    )


def total(terms: LossTerms) -> Tensor:
    """The scalar to minimise."""
    return torch.stack(list(terms.values())).sum()
