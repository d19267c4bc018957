"""State files: exact round trips, atomic writes, damage noticed, strict comparison."""

import math
import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suite.errors import UserError
from suite.io.weights import (
    DamagedFile,
    check_same_tensors,
    load_state,
    map_tensors,
    read_metadata,
    save_state,
    write_atomically,
)
from suite.rng import generator

plain = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text()
states = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def same(a, b):
    """Equality that also compares types, and tensors bit for bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(bits(a), bits(b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def bits(tensor):
    return tensor.contiguous().flatten().view(torch.uint8)


@given(state=states)
def test_plain_values_come_back(state, tmp_path_factory):
    """load(save(x)) is x, types and integer keys included, for any nesting of plain values."""
    path = tmp_path_factory.getbasetemp() / "plain.safetensors"
    save_state(path, state)
    assert same(load_state(path), state)


@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool],
)
def test_tensors_come_back(dtype, tmp_path):
    """Any dtype, empty, scalar, transposed and shared tensors come back bit for bit."""
    base = (torch.randn(4, 6, generator=generator(0, 0, "w")) * 9).to(dtype)
    state = {
        "t": base.t(),
        "same": [base, base],
        "view": base[1:, ::2],
        "empty": base[:0],
        "scalar": base[0, 0],
    }
    save_state(tmp_path / "t.safetensors", state)
    assert same(load_state(tmp_path / "t.safetensors"), state)


def test_not_a_number_comes_back(tmp_path):
    """NaN and infinities survive, as values and in tensors."""
    state = [math.inf, -math.inf, math.nan, torch.tensor([math.nan, math.inf])]
    save_state(tmp_path / "n.safetensors", state)
    back = load_state(tmp_path / "n.safetensors")
    assert back[:2] == state[:2] and math.isnan(back[2]) and torch.equal(bits(back[3]), bits(state[3]))


def test_optimizer_and_generator_states_come_back(tmp_path):
    """An Adam and a generator that are loaded go on as those that were saved."""

    def make():
        weight = torch.nn.Parameter(torch.ones(5))
        return weight, torch.optim.Adam([weight], lr=0.1), torch.Generator().manual_seed(1)

    def step(weight, optimizer, noise):
        optimizer.zero_grad()
        (weight * torch.randn(5, generator=noise)).sum().backward()
        optimizer.step()

    weight, optimizer, noise = make()
    step(weight, optimizer, noise)
    save_state(tmp_path / "o.safetensors", [weight, optimizer.state_dict(), noise.get_state()])
    step(weight, optimizer, noise)
    other_weight, other_optimizer, other_noise = make()
    loaded_weight, loaded_optimizer, loaded_noise = load_state(tmp_path / "o.safetensors")
    other_weight.data.copy_(loaded_weight)
    other_optimizer.load_state_dict(loaded_optimizer)
    other_noise.set_state(loaded_noise)
    step(other_weight, other_optimizer, other_noise)
    assert torch.equal(weight, other_weight)


def test_metadata_is_read_alone(tmp_path):
    """Text saved beside the tensors can be read without them."""
    save_state(tmp_path / "m.safetensors", [torch.zeros(3)], {"step": "12"})
    assert read_metadata(tmp_path / "m.safetensors")["step"] == "12"


@pytest.mark.parametrize("damage", ["flipped bit", "truncated", "empty", "text"])
def test_damage_is_noticed(damage, tmp_path):
    """A flipped bit, a missing end, an empty or a foreign file raises DamagedFile that names it."""
    path = tmp_path / "d.safetensors"
    save_state(path, {"w": torch.arange(100.0)})
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(
        {"flipped bit": data, "truncated": data[:-7], "empty": b"", "text": b"hello" * 9}[damage]
    )
    with pytest.raises(DamagedFile, match=r"d.safetensors is damaged"):
        load_state(path)


def test_other_safetensors_are_not_states(tmp_path):
    """A safetensors file from elsewhere is told from a state."""
    from safetensors.torch import save_file

    save_file({"w": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(DamagedFile, match="is not a state file of this suite"):
        load_state(tmp_path / "x.safetensors")


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    """A write that fails halfway (here: no space) leaves the old contents and no litter."""
    path = tmp_path / "a.txt"
    write_atomically(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_difference_of_tensors_is_listed():
    """Strict loading names what is missing, unexpected and of another shape, abridged."""
    expected = {"a": torch.zeros(2), "b": torch.zeros(2), **{f"m{i}": torch.zeros(1) for i in range(9)}}
    found = {"a": torch.zeros(3), "c": torch.zeros(2)}
    message = r"X does not fit: 10 missing \(b, m0, m1, m2, and 6 more\); 1 unexpected \(c\); "
    with pytest.raises(UserError, match=message + r"1 of another shape \(a: \(3,\) instead of \(2,\)\)"):
        check_same_tensors(expected, found, "X")
    check_same_tensors(expected, expected, "X")


@pytest.mark.parametrize(
    ("state", "message"), [({"x": object()}, "x is a object"), ({(1, 2): 3}, "keys are text")]
)
def test_what_is_no_state(state, message, tmp_path):
    """Only tensors and plain values can be saved."""
    with pytest.raises(TypeError, match=message):
        save_state(tmp_path / "x.safetensors", state)


def test_map_tensors():
    """Every tensor is replaced, nothing else."""
    state = map_tensors({"a": [torch.ones(1), 3], 2: (torch.ones(1), "x")}, lambda t: t + 1)
    assert state["a"][0] == 2 and state[2][0] == 2 and state["a"][1] == 3 and state[2][1] == "x"
