"""TreeEncoder: a recursive network that reads calculations in postfix order."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn


class TreeEncoder(nn.Module):
    """Applies one network to every operation of a caption: from the vectors of both operands to that of the result.

    Source: recursive networks (Socher et al. 2011, "Parsing Natural Scenes and Natural Language with Recursive Neural
    Networks") with the stack of Bowman et al. 2016 ("A Fast Unified Model for Parsing and Sentence Understanding"):
    digits are pushed, an operator replaces the two topmost vectors by one. Nothing in it is about numbers: what an
    operator does is learned, and since results and digits are vectors of one kind, calculations may be nested deeper
    than in training.
    """

    def __init__(self, num_tokens: int, operators: int, width: int = 64, hidden: int = 256) -> None:
        """Tokens are padding (0), then what is pushed, then ``operators`` operators."""
        super().__init__()
        self.first_operator = num_tokens - operators
        self.num_features = width
        self.embedding = nn.Embedding(num_tokens, width)
        self.operator = nn.Embedding(num_tokens, hidden)
        self.sides = nn.Linear(2 * width, hidden)
        self.result = nn.Sequential(nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, width))
        self.normalise = nn.LayerNorm(width)

    def forward(self, tokens: Int64[Tensor, "n length"]) -> Float[Tensor, "n features"]:
        """The vector of each caption; zeros for the empty caption."""
        tokens = tokens[:, : max(1, int((tokens != 0).sum(1).max()))]
        count = tokens.shape[0]
        levels = torch.arange(tokens.shape[1] // 2 + 1, device=tokens.device)
        stack = self.embedding.weight.new_zeros(count, len(levels), self.num_features)
        height = tokens.new_zeros(count)
        leaves = self.normalise(self.embedding(tokens))
        for place in range(tokens.shape[1]):
            token = tokens[:, place]
            operates, read = token >= self.first_operator, token != 0
            left, right = (_at(stack, (height - back).clamp_min(0)) for back in (2, 1))
            sides = self.sides(torch.cat([left, right], dim=1)) + self.operator(token)
            pushed = torch.where(operates[:, None], self.normalise(self.result(sides)), leaves[:, place])
            level = torch.where(operates, height - 2, height)
            stack = torch.where(((levels == level[:, None]) & read[:, None])[:, :, None], pushed[:, None], stack)
            height = torch.where(read, level + 1, height)
        return stack[:, 0]


def _at(stack: Float[Tensor, "n levels width"], level: Int64[Tensor, "n"]) -> Float[Tensor, "n width"]:
    return stack.gather(1, level[:, None, None].expand(-1, 1, stack.shape[2]))[:, 0]
