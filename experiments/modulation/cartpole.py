"""Reinforcement learning: REINFORCE with a learnt baseline on Gymnasium's CartPole-v1.

An "epoch" is ten episodes, one step of the optimizer for each; size is the number of epochs. The
metric, to be raised, is the mean return of the epoch's ten episodes: it is training's own, no
further episodes are spent on validation. The test is the mean return of 50 episodes on starts of
their own, acting by the policy's likeliest action.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from experiments.modulation.task import Mode, Step, Study, StudyError, UserKnob

_EPISODES, _TEST_EPISODES, _DISCOUNT = 10, 50, 0.99
_TEST_START = 1_000_000  # training starts are seed * 10,000 and up

KNOB = UserKnob(0.0, 0.1, "weight of the policy's entropy in the loss", start=0.01)


def need_gymnasium() -> None:
    """Raise StudyError where Gymnasium is not installed."""
    try:
        import gymnasium  # noqa: F401
    except ImportError:
        raise StudyError("cartpole needs Gymnasium; cure: pip install gymnasium") from None


class ActorCritic(nn.Module):
    """Logits of the two actions and the expected return of a state."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 64), nn.Tanh())
        self.policy, self.value = nn.Linear(64, 2), nn.Linear(64, 1)

    def forward(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.body(states)
        return self.policy(hidden), self.value(hidden).squeeze(-1)


class Pole:
    """One training of the policy; a `Trainee`."""

    def __init__(self, epochs: int, seed: int) -> None:
        import gymnasium

        torch.manual_seed(seed)
        self.model, self.epochs = ActorCritic(), epochs
        self.steps_per_epoch: int | None = None
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=3e-3)
        self.knobs = {"entropy": KNOB}
        self.metric = "mean_return"
        self.mode: Mode = "max"
        self._world = gymnasium.make("CartPole-v1")
        self._next_start = seed * 10_000

    def epoch(self, step: Step, knobs: Mapping[str, float]) -> dict[str, Any]:
        """See `Trainee`; losses are means over the episodes."""
        self.model.train()
        returns, losses = [], []
        for _ in range(_EPISODES):
            states, actions, rewards = self._play(self._next_start, greedy=False)
            self._next_start += 1
            self.optimizer.zero_grad()
            loss = self._loss(states, actions, rewards, knobs["entropy"])
            loss.backward()
            step()
            returns.append(float(len(rewards)))
            losses.append(loss.item())
        return {"mean_return": sum(returns) / _EPISODES, "train_loss": sum(losses) / _EPISODES}

    def test(self) -> dict[str, float]:
        """See `Trainee`."""
        self.model.eval()
        lengths = [
            len(self._play(_TEST_START + number, greedy=True)[2])
            for number in range(_TEST_EPISODES)
        ]
        return {"test_return": sum(lengths) / _TEST_EPISODES}

    @torch.no_grad()
    def _play(self, start: int, greedy: bool) -> tuple[torch.Tensor, torch.Tensor, list[float]]:
        state, _ = self._world.reset(seed=start)
        states, actions, rewards, over = [], [], [], False
        while not over:
            seen = torch.as_tensor(state, dtype=torch.float32)
            logits, _ = self.model(seen)
            action = logits.argmax() if greedy else torch.multinomial(logits.softmax(-1), 1)[0]
            state, reward, ended, cut, _ = self._world.step(int(action))
            states.append(seen)
            actions.append(action)
            rewards.append(float(reward))
            over = ended or cut
        return torch.stack(states), torch.stack(actions), rewards

    def _loss(
        self, states: torch.Tensor, actions: torch.Tensor, rewards: list[float], entropy: float
    ) -> torch.Tensor:
        gains, ahead = [], 0.0
        for reward in reversed(rewards):
            ahead = reward + _DISCOUNT * ahead
            gains.append(ahead)
        target = torch.tensor(gains[::-1]) / 100  # 1 / (1 - discount): of the order of 1
        logits, value = self.model(states)
        policy = torch.distributions.Categorical(logits=logits)
        advantage = target - value.detach()
        actor = -(policy.log_prob(actions) * advantage).mean()
        return actor + functional.mse_loss(value, target) - entropy * policy.entropy().mean()


def build(size: int, seed: int, data_dir: Path | None) -> Pole:  # noqa: ARG001
    """Train for ``size`` epochs of ten episodes."""
    need_gymnasium()
    return Pole(size, seed)


STUDIES = (
    Study(
        "cartpole",
        "REINFORCE with baseline on CartPole-v1; size: epochs of ten episodes; knob: entropy.",
        build,
        sizes=(40,),
        measures={"test_return": "max"},
        arms=("plain", "guided", "knobs_only", "random_deltas", "cosine"),
        check=need_gymnasium,
    ),
)
