"""One exact identity: two sympy expressions that the theory says are the same."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp


@dataclass(frozen=True, eq=False)
class Identity:
    """``left`` equals ``right`` for all values of their symbols (real, or positive if so
    declared) at which both are defined.

    An inequality of the theory is stated as an identity whose right side is visibly a sum of
    squares or of products of nonnegative factors; ``statement`` says which.
    """

    claim: str
    """Key of the claim it is part of."""
    name: str
    """Unique within the claim."""
    statement: str
    latex: str
    left: sp.Expr | sp.MatrixBase
    right: sp.Expr | sp.MatrixBase
    """Of the shape of ``left``."""
    steps: tuple[tuple[str, str], ...] = ()
    """The derivation, (words, LaTeX) a step; LaTeX may be empty."""

    def __post_init__(self) -> None:
        shapes = [side.shape for side in (self.left, self.right) if hasattr(side, "shape")]
        if len(shapes) == 1 or len(set(shapes)) > 1:
            raise ValueError(f"{self.claim}/{self.name}: the sides differ in shape")

    @property
    def residual(self) -> sp.Expr | sp.MatrixBase:
        """left - right, which must vanish identically; not simplified."""
        return self.left - self.right

    def entries(self) -> tuple[sp.Expr, ...]:
        """The residual entry by entry, row by row; one entry for a number."""
        residual = self.residual
        return tuple(residual) if isinstance(residual, sp.MatrixBase) else (residual,)
