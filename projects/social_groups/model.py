"""The whole network: one encoder and one decoder, two sets of queries (groups, persons), and their heads."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from projects.social_groups.project import Data, Model
from projects.social_groups.queries import Queries
from projects.social_groups.transformer import Decoder, Encoder

PRIOR = 0.1  # what classifiers believe at first, so that the many empty queries do not swamp the loss


@dataclass(frozen=True)
class GroupOutput:
    """Of every layer: activity logits (l, b, g, activities), size in parts of M (l, b, g), member points (l, b, g, M, 2)."""

    activities: Tensor
    sizes: Tensor
    points: Tensor


@dataclass(frozen=True)
class PersonOutput:
    """Of every layer: person logits (l, b, p), boxes (l, b, p, 4) in parts of the frame, action logits (l, b, p, actions)."""

    persons: Tensor
    boxes: Tensor
    actions: Tensor


class Head(nn.Sequential):
    """A map of three layers (Deformable DETR's box head) whose last begins at zero: what it adds to a reference begins at the reference."""

    def __init__(self, width: int, outputs: int) -> None:
        last = nn.Linear(width, outputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        super().__init__(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), last)


class SocialGroups(nn.Module):
    """Maps (b, channels, rows, columns) -> groups and persons.

    Heads of a group read the mean of its slots [our choice: which embeddings the paper's heads read is not known]; that of the activity has a
    hidden layer, because an activity is a relation between members, so that the mean alone is no linear measure of it. Each slot
    gives its own member's point. With the queries `single`, the one token of a group gives all points.
    """

    def __init__(self, data: Data, model: Model) -> None:
        super().__init__()
        width, self.members = model.width, data.members
        self.encoder, self.decoder = Encoder(model, data.channels), Decoder(model)
        self.group_queries = Queries(model.queries, groups=model.groups, members=data.members, width=width)
        self.person_queries = Queries("independent", groups=model.person_queries, members=1, width=width)
        self.reference = nn.Linear(width, 2)
        self.points = Head(width, 2 * data.members if model.queries == "single" else 2)
        self.size = nn.Linear(width, 1)
        self.activity = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, data.activities))
        self.person, self.action = nn.Linear(width, 1), nn.Linear(width, data.actions)
        self.box = Head(width, 4)
        with torch.no_grad():
            for classifier in (self.activity[-1], self.person, self.action):
                classifier.bias.fill_(-math.log((1 - PRIOR) / PRIOR))
            self.box[-1].bias[2:].fill_(-2.0)  # boxes begin at an eighth of the frame

    def forward(self, maps: Tensor) -> tuple[GroupOutput, PersonOutput]:
        source = self.encoder(maps)
        states, reference = self._decode(self.group_queries, source)
        pooled = states.mean(3)
        moved = self.points(states)
        if self.points[-1].out_features > 2:  # one token: (l b g 1 2M) -> (l b g M 2)
            moved = moved.unflatten(-1, (self.members, 2)).squeeze(3)
        groups = GroupOutput(
            activities=self.activity(pooled),
            sizes=self.size(pooled).squeeze(-1).sigmoid(),
            points=(torch.logit(reference, eps=1e-5) + moved).sigmoid(),
        )
        states, reference = self._decode(self.person_queries, source)
        moved = self.box(states)
        begin = torch.cat((torch.logit(reference, eps=1e-5), torch.zeros_like(reference)), dim=-1)
        persons = PersonOutput(
            persons=self.person(states).squeeze(-1).squeeze(-1),
            boxes=(begin + moved).sigmoid().squeeze(3),
            actions=self.action(states).squeeze(3),
        )
        return groups, persons

    def _decode(self, queries: Queries, source: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The states of every layer and the reference points (g, m, 2), which the positional half gives."""
        position, content = queries()
        reference = self.reference(position).sigmoid()
        return self.decoder(content, position, reference, source), reference

    def self_attention_parameters(self) -> int:
        """Parameters of the decoder's self attention, all layers together."""
        return sum(p.numel() for own, _, _ in self.decoder.layers for p in own.parameters())
