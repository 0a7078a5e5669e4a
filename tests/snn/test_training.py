"""Training on a task that has an answer, and checkpoints that are safe to read."""

from __future__ import annotations

import pytest
import torch

from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron
from snn.baselines import ConvGruSpec, Convolution
from snn.training import AffectTraining, Recipe, load_network, one_cycle

NEURON = Neuron(0.3, 0.8)
SPEC = NetworkSpec("loihi", (LayerSpec("dense", 24, NEURON),), (2, 4, 4), readout_tau_us=60_000)


def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Spike rates of the two polarities carry valence and arousal."""
    g = torch.Generator().manual_seed(seed)
    target = torch.rand(6, 2, generator=g) * 2 - 1
    rate = (target + 1)[None, :, :, None, None] * 0.2
    x = (torch.rand(40, 6, 2, 4, 4, generator=g) < rate).float()
    return x, target.expand(20, 6, 2).contiguous(), torch.ones(20, 6, dtype=torch.bool)


def test_a_few_steps_learn_what_rates_say() -> None:
    torch.manual_seed(0)
    module = AffectTraining.fresh(SPEC, Recipe(steps=60, learning_rate=0.02, warm_up=4), batch(0)[0])
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    optimizer = torch.optim.AdamW(module.parameters(), 0.02)
    losses = []
    for seed in range(60):
        loss = module.training_step(batch(seed))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) / 10 < 0.5 * losses[0]


def test_checkpoint_gives_the_network_back(tmp_path) -> None:
    module = AffectTraining(SPEC.to_dict(), {"steps": 1})
    path = tmp_path / "net.ckpt"
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}, path)
    net = load_network(path)
    assert net.spec == SPEC
    x = batch(0)[0]
    assert torch.equal(net(x), module.net(x))


class Evil:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize("content", ["missing", "garbage", "empty", "foreign", "pickle"])
def test_what_is_no_checkpoint_is_one_clear_line(content: str, tmp_path, capsys) -> None:
    path = tmp_path / "net.ckpt"
    if content == "garbage":
        path.write_bytes(b"\x80garbage")
    elif content == "empty":
        path.write_bytes(b"")
    elif content == "foreign":
        torch.save({"weights": torch.zeros(2)}, path)
    elif content == "pickle":
        torch.save({"hyper_parameters": Evil(), "state_dict": {}}, path)
    with pytest.raises(NeuvaError, match=r"net\.ckpt") as caught:
        load_network(path)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_recipes_that_cannot_be_are_refused() -> None:
    with pytest.raises(NeuvaError, match=r"recipe\.rate_floor = -1"):
        Recipe(rate_floor=-1)
    with pytest.raises(NeuvaError, match=r"recipe\.steps = 0"):
        Recipe(steps=0)
    with pytest.raises(NeuvaError, match="multiple of checkpoint_steps = 8"):
        Recipe(checkpoint_steps=8, truncate_steps=12)
    with pytest.raises(NeuvaError, match=r"recipe\.checkpoint_steps = 5 must be a multiple of network\.every = 2"):
        AffectTraining(SPEC.to_dict(), {"checkpoint_steps": 5})


@pytest.mark.parametrize("steps", [20, 101, 3000])
def test_the_learning_rate_is_torchs_one_cycle(steps: int) -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=1.0, total_steps=steps + 1, pct_start=0.05, cycle_momentum=False
    )
    rates = []
    for _ in range(steps):
        rates.append(torchs.get_last_lr()[0])
        optimiser.step()
        torchs.step()
    ours = [one_cycle(step, steps) for step in range(steps)]
    assert ours == pytest.approx(rates, abs=5e-6)  # torch's ends at 1 / 250,000, not at 0
    straight = [step / steps for step in range(steps)]
    assert straight != pytest.approx(rates, abs=0.1)


@pytest.mark.parametrize("steps", range(1, 20))
def test_the_fewest_steps_have_a_learning_rate_too(steps: int) -> None:
    assert all(0 < one_cycle(step, steps) <= 1 for step in range(steps))
    assert one_cycle(steps, steps) == pytest.approx(0, abs=1e-12)


def test_a_loss_that_is_no_number_stops_training_and_says_when() -> None:
    module = AffectTraining.fresh(SPEC, Recipe(steps=7), batch(0)[0])
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    torch.nn.init.constant_(module.net.readout.map.bias, float("nan"))  # type: ignore[union-attr, arg-type]
    with pytest.raises(NeuvaError, match=r"step 1 of 7: the loss is nan.*smaller recipe\.learning_rate"):
        module.training_step(batch(0))


@pytest.mark.parametrize(
    "spec", [SPEC, ConvGruSpec("conv_gru", (Convolution(4),), 8, 8, (2, 4, 4))], ids=lambda s: s.kind
)
def test_half_precision_is_that_of_convolutions_and_linear_maps_alone(spec) -> None:
    torch.manual_seed(0)
    x, labels, mask = batch(0)
    module = AffectTraining.fresh(spec, Recipe(steps=1), x, half_precision=True)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    seen: list[torch.dtype] = []
    for part in module.net.modules():
        if isinstance(part, torch.nn.Conv2d | torch.nn.Linear) and part is not module.net.readout:
            part.register_forward_hook(lambda *args: seen.append(args[2].dtype))
    loss = module.training_step((x, labels, mask))
    assert loss.dtype == torch.float32
    assert set(seen) == {torch.bfloat16}
    loss.backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in module.net.parameters())
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        estimates, state = module.net.stream(x, None)
        again, _ = module.net.stream(x, state)  # what a stretch leaves, the next takes
    kept = (
        [state]
        if isinstance(state, torch.Tensor)
        else [state.trace, *(part for each in state.populations for part in each)]
    )
    assert {part.dtype for part in (estimates, again, *kept)} == {torch.float32}
    module.validation_step((x, labels, mask))
    assert module._collected[0][0].dtype == "float32"


def step(**recipe: float) -> float:
    torch.manual_seed(0)
    module = AffectTraining.fresh(SPEC, Recipe(steps=1, warm_up=4, rate_weight=0, **recipe), batch(0)[0])
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    return module.training_step(batch(0)).item()


def test_penalties_are_added_with_their_weights() -> None:
    plain = step()
    assert step(checkpoint_steps=8, truncate_steps=16) == pytest.approx(plain, abs=1e-5)
    for penalty, weight in (({"rate_floor": 0.5}, "silence_weight"), ({"synops_budget": 1.0}, "synops_weight")):
        one, two = (step(**penalty, **{weight: share}) - plain for share in (0.1, 0.2))
        assert one > 0
        assert two == pytest.approx(2 * one, rel=1e-3)
