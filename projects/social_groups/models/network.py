"""The whole network: one encoder and one decoder, two sets of queries (groups, persons), and their heads."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from projects.social_groups.config import Data, Model
from projects.social_groups.models.queries import Queries
from projects.social_groups.models.transformer import Decoder, Encoder, Move

PRIOR = 0.1  # probability that classifiers give at first, so that the many empty queries do not swamp the loss


@dataclass(frozen=True)
class GroupOutput:
    """Groups as each layer predicts them: activity logits `(l, b, g, activities)`, sizes as fractions of M `(l, b, g)`,
    members' points `(l, b, g, M, 2)` and the logits of their actions `(l, b, g, M, actions)`."""

    activities: Tensor
    sizes: Tensor
    points: Tensor
    actions: Tensor


@dataclass(frozen=True)
class PersonOutput:
    """Persons as each layer predicts them: person logits `(l, b, p)`, boxes `(l, b, p, 4)` as fractions of the frame,
    action logits `(l, b, p, actions)`."""

    persons: Tensor
    boxes: Tensor
    actions: Tensor


class Head(nn.Sequential):
    """Three linear layers (Deformable DETR's box head), the last of which begins at zero: what they add to a reference is nothing at first."""

    def __init__(self, width: int, outputs: int) -> None:
        last = nn.Linear(width, outputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        super().__init__(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.last = last


class SocialGroups(nn.Module):
    """Maps `(b, channels, rows, columns)` -> groups and persons, in the maps' dtype even under autocast.

    A group's size is read from the mean of its slots, its activity from the mean of all or of those that exist by the
    predicted size [our choice: which embeddings the paper's heads read is not known]; the activity has a hidden layer,
    because it is a relation between members, which no linear function of a mean expresses. Each slot gives its own
    member's point and action [the action is our addition, an auxiliary task of training]. With the queries "single",
    the one token of a group gives all of them.

    Args:
        data: How many channels, activities, actions and members there are.
        model: The transformer.
    """

    def __init__(self, data: Data, model: Model) -> None:
        super().__init__()
        width, self.members, self.one_token = model.width, data.members, model.queries == "single"
        self.pool = model.pool
        self.encoder, self.decoder = Encoder(model, data.channels), Decoder(model)
        self.group_queries = Queries(model.queries, groups=model.groups, members=data.members, width=width)
        self.person_queries = Queries("independent", groups=model.person_queries, members=1, width=width)
        self.reference = nn.Linear(width, 2)
        self.points = Head(width, 2 * data.members if self.one_token else 2)
        self.size = nn.Linear(width, 1)
        classifier = nn.Linear(width, width), nn.ReLU(), nn.Linear(width, data.activities)
        self.activity = nn.Sequential(*classifier)
        self.person, self.action = nn.Linear(width, 1), nn.Linear(width, data.actions)
        self.slot_action = nn.Linear(width, data.actions * (data.members if self.one_token else 1))
        self.box = Head(width, 4)
        with torch.no_grad():
            for last in (classifier[-1], self.person, self.action):
                last.bias.fill_(-math.log((1 - PRIOR) / PRIOR))
            self.box.last.bias[2:].fill_(-2.0)  # boxes begin at an eighth of the frame

    def forward(self, maps: Tensor) -> tuple[GroupOutput, PersonOutput]:
        source = self.encoder(maps)
        states, reference = self._decode(self.group_queries, source, self._next_slots)
        sizes = self.size(states.mean(3)).squeeze(-1).sigmoid()
        actions = self.slot_action(states)
        groups = GroupOutput(
            activities=self.activity(self._pooled(states, sizes)).to(maps),
            sizes=sizes.to(maps),
            points=self._points(states, reference).to(maps),
            actions=actions.reshape(*actions.shape[:3], self.members, -1).to(maps),
        )
        states, reference = self._decode(self.person_queries, source, self._next_persons)
        persons = PersonOutput(
            persons=self.person(states).squeeze(-1).squeeze(-1).to(maps),
            boxes=self._boxes(states, reference).squeeze(3).to(maps),
            actions=self.action(states).squeeze(3).to(maps),
        )
        return groups, persons

    def _decode(self, queries: Queries, source: list[Tensor], move: Move) -> tuple[Tensor, Tensor]:
        """The states and references of every layer; the first references come from the positional halves."""
        position, content = queries()
        states, references = self.decoder(content, position, self.reference(position).sigmoid(), source, move)
        return states, references

    def _pooled(self, states: Tensor, sizes: Tensor) -> Tensor:
        """(…, g, m, w), (…, g) -> (…, g, w): the mean of a group's slots, or of its first ones, as many as its predicted size."""
        if self.pool == "all" or self.one_token:
            return states.mean(-2)
        count = (sizes.detach() * self.members).clamp(min=1)[..., None]
        exists = (count - torch.arange(self.members, device=states.device)).clamp(0, 1).to(states)
        return (states * exists[..., None]).sum(-2) / exists.sum(-1, keepdim=True)

    def _points(self, states: Tensor, reference: Tensor) -> Tensor:
        """(…, g, m, w), (…, g, m, 2) -> (…, g, M, 2): offsets from the references, before the sigmoid."""
        moved: Tensor = self.points(states)
        if self.one_token:  # (… g 1 2M) -> (… g M 2)
            moved = moved.reshape(*moved.shape[:-2], self.members, 2)
        return (torch.logit(reference, eps=1e-5) + moved).sigmoid()

    def _boxes(self, states: Tensor, reference: Tensor) -> Tensor:
        """(…, p, 1, w), (…, p, 1, 2) -> (…, p, 1, 4): centres are offsets from the references, before the sigmoid."""
        start = torch.logit(reference, eps=1e-5)
        boxes: Tensor = torch.cat((start, torch.zeros_like(start)), dim=-1) + self.box(states)
        return boxes.sigmoid()

    def _next_slots(self, states: Tensor, reference: Tensor) -> Tensor:
        """Each slot looks next where its point is; a group's one token in the middle of its points."""
        points = self._points(states, reference)
        return points.mean(-2, keepdim=True) if self.one_token else points

    def _next_persons(self, states: Tensor, reference: Tensor) -> Tensor:
        return self._boxes(states, reference)[..., :2]
