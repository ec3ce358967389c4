"""Train a small transformer on scikit-learn's digits, and put one head's data into two files.

Writes head.pt (a state dict) and inputs.npz, as `marginflow extract` wants them.  A token is a
row of an image; the layer reads them through one attention head whose query is the mean row.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

WIDTH, INNER, STEPS, KEPT = 12, 8, 300, 3


class Transformer(nn.Module):
    """Embedding, one attention head, linear read-out: is the digit even?"""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, WIDTH)
        self.position = nn.Parameter(0.1 * torch.randn(8, WIDTH))
        self.key = nn.Linear(WIDTH, INNER, bias=False)
        self.query = nn.Linear(WIDTH, INNER, bias=False)
        self.value = nn.Linear(WIDTH, WIDTH, bias=False)
        self.output = nn.Linear(WIDTH, WIDTH, bias=False)
        self.readout = nn.Linear(WIDTH, 1, bias=False)

    def inputs(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens (n, 8, WIDTH) and queries (n, WIDTH), as the attention layer gets them."""
        tokens = self.embed(images) + self.position
        return tokens, tokens.mean(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens, queries = self.inputs(images)
        scores = (self.key(tokens) * self.query(queries)[:, None, :]).sum(-1) / INNER**0.5
        mixed = (scores.softmax(-1)[:, :, None] * self.value(tokens)).sum(1)
        return self.readout(self.output(mixed))[:, 0]


def main() -> None:
    torch.manual_seed(0)
    data, digit = load_digits(return_X_y=True)
    images = torch.tensor(data.reshape(-1, 8, 8) / 16.0, dtype=torch.float32)
    labels = torch.tensor(np.where(digit % 2 == 0, 1.0, -1.0), dtype=torch.float32)
    model = Transformer()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.softplus(-labels * model(images)).mean().backward()
        optimizer.step()
    with torch.no_grad():
        right = float((model(images) * labels > 0).double().mean())
        tokens, queries = model.inputs(images[:KEPT])
    print(f"accuracy {right:.3f} on the {len(images)} images it was trained on")
    torch.save(model.state_dict(), "head.pt")
    np.savez("inputs.npz", tokens=tokens, queries=queries, labels=labels[:KEPT])


if __name__ == "__main__":
    main()
