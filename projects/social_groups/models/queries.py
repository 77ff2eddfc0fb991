"""How the decoder's queries are made. A token (g, m) is slot m of group g; it has a positional and a content half, each w numbers.

    id  name           positional, content half of token (g, m)      parameters
    Q0  single         one token per group, which emits every member  2 w G           the ECCV paper's design
    Q1  independent    free for each (g, m)                           2 w G M
    Q2  location_only  location[g]; all slots are the same: a control 2 w G
    Q3  layout_only    layout[m]; all groups are the same             2 w M
    Q4  sum            location[g] + layout[m]                        2 w (G + M)
    Q5  split          location[g], layout[m]                         w (G + M)
    Q6  mlp            MLP([location[g]; layout[m]])                  2 w (G + M) and the MLP's

The IJCV paper builds group queries from location and layout queries; how it composes them is not known to us. Q1 to Q6
are our reading of what could be meant.
"""

import torch
from torch import Tensor, nn

from projects.social_groups.config import QueryDesign


class Queries(nn.Module):
    """Queries of `groups` × `slots` tokens; `forward()` gives the positional and the content half, each `(groups, slots, width)`.

    Args:
        design: One of the names above.
        groups: G.
        members: M, the most members of a group; as many slots, except that "single" has one.
        width: Model width w.
    """

    def __init__(self, design: QueryDesign, *, groups: int, members: int, width: int) -> None:
        super().__init__()
        self.design, self.groups, self.slots = design, groups, 1 if design == "single" else members
        numbers = width if design == "split" else 2 * width
        if design == "independent":
            self.token = nn.Parameter(torch.empty(groups, members, 2 * width))
        if design not in ("independent", "layout_only"):
            self.location = nn.Parameter(torch.empty(groups, numbers))
        if design not in ("single", "independent", "location_only"):
            self.layout = nn.Parameter(torch.empty(members, numbers))
        if design == "mlp":
            self.map = nn.Sequential(nn.Linear(4 * width, 2 * width), nn.ReLU(), nn.Linear(2 * width, 2 * width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Standard normal, as torch's embeddings; half the variance where two are summed, so that all designs start at one scale."""
        for parameter in self.parameters(recurse=False):
            nn.init.normal_(parameter, std=2**-0.5 if self.design == "sum" else 1.0)

    def forward(self) -> tuple[Tensor, Tensor]:
        whole: Tensor
        match self.design:
            case "independent":
                whole = self.token
            case "single" | "location_only":
                whole = self._locations()
            case "layout_only":
                whole = self._layouts()
            case "sum":
                whole = self.location[:, None] + self.layout[None]
            case "split":
                return self._locations(), self._layouts()
            case "mlp":
                whole = self.map(torch.cat((self._locations(), self._layouts()), dim=-1))
        position, content = whole.chunk(2, dim=-1)
        return position, content

    def _locations(self) -> Tensor:
        """A group's location at each of its slots (groups, slots, numbers)."""
        return self.location[:, None].expand(-1, self.slots, -1)

    def _layouts(self) -> Tensor:
        """A slot's layout in each group (groups, slots, numbers)."""
        return self.layout[None].expand(self.groups, -1, -1)
