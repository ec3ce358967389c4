"""The sentences S1-S6 of the abstract of arXiv 2403.08699, in the project's own words.

The paper's full text was not at hand: claims cite these sentences, never a theorem number.
"""

from __future__ import annotations

from typing import Final

from theory.claims import Citation

PAPER: Final = "arXiv 2403.08699, abstract"

SENTENCES: Final[dict[str, str]] = {
    "S1": (
        "Gradient flow on the exponential loss for classification with one-layer softmax "
        "attention, the key and query matrices being trained separately."
    ),
    "S2": (
        "On separable data, when gradient flow achieves the minimal loss value, it implicitly "
        "minimises the nuclear norm of the product of the key and query weights."
    ),
    "S3": "This bias is described by a support vector machine problem in the attention weights.",
    "S4": (
        "By contrast, when key and query are combined into one weight matrix for training, the "
        "bias is towards the Frobenius norm of that matrix (prior work)."
    ),
    "S5": (
        "For diagonal key and query matrices the analysis uses a reparameterisation and "
        "approximate KKT conditions of the support vector machine problem."
    ),
    "S6": (
        "The results extend to general weights if their singular spaces are properly aligned "
        "with the data features at initialisation."
    ),
}


def abstract(*sentences: str) -> Citation:
    """The citation of sentences of the abstract, by key; KeyError for an unknown key."""
    return Citation(PAPER, " ".join(f"{key}: {SENTENCES[key]}" for key in sentences))


def derived(proof: str) -> Citation:
    """The citation of a statement with its own short proof."""
    return Citation("derived", proof)
