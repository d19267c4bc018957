"""Motion modules and LoRAs on disk: layouts, round trips, and what is refused."""

import json

import pytest
import torch
from diffusers import MotionAdapter
from safetensors.torch import load_file, save_file

from suite.errors import UserError
from tests.video.motion.originals import random_motion_lora, random_original
from video.motion.files import load, load_lora, save, save_lora
from video.motion.modules import Motion

LAYOUTS = {
    "v1": dict(positions=24), "v2": dict(mid=True), "v3": dict(), "sdxl": dict(widths=(16, 32, 32)),
    "words": dict(words=24),
    "places": dict(places=24),
}  # fmt: skip
TABLE = "pos_encoder.pe"


def same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_originals_round_trip(layout, suffix, tmp_path):
    """Read and written again: the very tensors. v1 alone has norms over frames."""
    tensors, path = random_original(**LAYOUTS[layout]), tmp_path / f"mm{suffix}"
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    motion = load(str(path))
    assert motion.across_frames == (layout == "v1") and motion.positions == LAYOUTS[layout].get(
        "positions", 32
    )
    save(motion, tmp_path / f"again{suffix}")
    again = tmp_path / f"again{suffix}"
    same(load_file(again) if suffix == ".safetensors" else torch.load(again)["state_dict"], tensors)


def test_wrappers_and_prefixes(tmp_path):
    """What AnimateDiff's training writes: state_dict, `module.`, a configuration, the whole U-Net around."""
    tensors = random_original()
    wrapped = {f"module.{key}": value for key, value in tensors.items()}
    wrapped |= {
        "module.time_embedding.linear_1.weight": torch.zeros(3),
        "module.conv_in.weight": torch.zeros(16, 4, 3, 3),
    }
    torch.save({"state_dict": wrapped, "animatediff_config": {"a": 1}, "epoch": 3}, tmp_path / "mm.ckpt")
    save(load(str(tmp_path / "mm.ckpt")), tmp_path / "again.safetensors")
    same(load_file(tmp_path / "again.safetensors"), tensors)


def test_diffusers_folders_round_trip(tmp_path):
    """diffusers reads what is written for it, and what it writes is read; nothing changes on the way."""
    save_file(random_original(mid=True), tmp_path / "mm.safetensors")
    motion = load(str(tmp_path / "mm.safetensors"))
    save(motion, tmp_path / "folder")
    theirs = MotionAdapter.from_pretrained(tmp_path / "folder")
    same(theirs.state_dict(), motion.adapter.state_dict())
    theirs.save_pretrained(tmp_path / "theirs")
    save(load(str(tmp_path / "theirs")), tmp_path / "again.safetensors")
    same(load_file(tmp_path / "again.safetensors"), load_file(tmp_path / "mm.safetensors"))


def test_shared_noise_is_kept_or_refused(tmp_path):
    """A .safetensors file tells of it; .ckpt and diffusers' folder cannot, nor the folder of words."""
    save_file(random_original(words=24), tmp_path / "mm.safetensors")
    motion = load(str(tmp_path / "mm.safetensors"))
    assert motion.shared_noise == 0
    shared = Motion(motion.adapter, shared_noise=0.25, name="these modules")
    save(shared, tmp_path / "again.safetensors")
    again = load(str(tmp_path / "again.safetensors"))
    assert again.shared_noise == again.sampled_noise == 0.25
    with pytest.raises(UserError, match="these modules shares noise, which a .ckpt cannot tell"):
        save(shared, tmp_path / "again.ckpt")
    for own in (shared, motion):
        with pytest.raises(
            UserError, match="reads words, knows places or shares noise, which diffusers' do not"
        ):
            save(own, tmp_path / "folder")
    save(motion.sharing(0.25, 0.75), tmp_path / "again.safetensors")
    again = load(str(tmp_path / "again.safetensors"))
    assert (again.shared_noise, again.sampled_noise) == (0.25, 0.75)
    with pytest.raises(UserError, match="shared_noise is a part of the noise, from 0 to below 1, got 1"):
        Motion(motion.adapter, shared_noise=1)


def test_half_precision_keeps_the_positions(tmp_path):
    """half: weights to float16, tables as they are, both ways of writing."""
    save_file(random_original(), tmp_path / "mm.safetensors")
    motion = load(str(tmp_path / "mm.safetensors"))
    for name in ("half.safetensors", "half"):
        save(motion, tmp_path / name, half=True)
        for key, value in load(str(tmp_path / name)).adapter.state_dict().items():
            exact = motion.adapter.state_dict()[key]
            assert torch.equal(value, exact if key.endswith(".pe") else exact.half().float())


def test_a_file_without_positions_gets_sinusoids(tmp_path):
    """AnimateLCM's have no tables: they are the formula, for 64 frames."""
    tensors = random_original(positions=64)
    save_file({k: v for k, v in tensors.items() if TABLE not in k}, tmp_path / "lcm.safetensors")
    motion = load(str(tmp_path / "lcm.safetensors"))
    assert motion.positions == 64 and not motion.across_frames
    save(motion, tmp_path / "again.safetensors")
    again = load_file(tmp_path / "again.safetensors")
    assert again.keys() == tensors.keys()
    assert all(torch.allclose(again[key], tensors[key], atol=1e-5) for key in tensors)


def changed(changes) -> dict:
    tensors = random_original(widths=(16, 32), layers=1)
    changes(tensors)
    return tensors


BLOCK = "down_blocks.1.motion_modules.0.temporal_transformer"
ATTENTION = f"{BLOCK}.transformer_blocks.0.attention_blocks.1"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda t: t.pop(f"{BLOCK}.proj_out.bias"), r"does not fit: 1 missing \(down_blocks.1.motion_modules.0.proj"),
        (lambda t: t.update({f"{BLOCK}.extra": torch.zeros(1)}), r"does not fit: 1 unexpected \(.*extra"),
        (lambda t: t.update({f"{BLOCK}.norm.weight": torch.zeros(5)}), r"1 of another shape \(.*norm.weight: \(5,\)"),
        (lambda t: t.pop(f"{BLOCK}.proj_in.weight"), "lacks the motion modules of level 1"),
        (lambda t: t[f"{ATTENTION}.{TABLE}"].add_(1), "has two different tables of positions in one block"),
        (lambda t: t.update({"conv_in.weight": torch.zeros(16, 9, 3, 3)}), r"does not fit: 1 missing \(conv_in.bias"),
        (lambda t: t.update({"controlnet_cond_embedding.weight": torch.zeros(1)}), "is a SparseCtrl"),
        (lambda t: t.update({f"{ATTENTION}.pos_encoder.positional_encoding": torch.zeros(1)}), "is a HotshotXL"),
        (lambda t: t.update({f"{BLOCK}.pos_embed": torch.zeros(1)}), "is a HelloMeme"),
        (lambda t: (t.clear(), t.update(a=torch.zeros(1))), "has no motion modules: its tensors are named a"),
    ],
)  # fmt: skip
def test_other_files_are_refused_in_one_line(changes, message, tmp_path):
    """Strict: a tensor too few, too many or of another kind of module says so."""
    save_file(changed(changes), tmp_path / "mm.safetensors")
    with pytest.raises(UserError, match=message) as error:
        load(str(tmp_path / "mm.safetensors"))
    assert "\n" not in str(error.value)


def test_damaged_and_dangerous_files(tmp_path):
    """No file, an empty checkpoint, a pickle that would run something, a folder of something else."""
    with pytest.raises(UserError, match="There is no checkpoint at"):
        load(str(tmp_path / "none.ckpt"))
    torch.save({"state_dict": {}}, tmp_path / "empty.ckpt")
    with pytest.raises(UserError, match="holds no tensors"):
        load(str(tmp_path / "empty.ckpt"))
    torch.save({"state_dict": {"a": print}}, tmp_path / "print.ckpt")
    with pytest.raises(UserError, match="cannot be read as tensors alone"):
        load(str(tmp_path / "print.ckpt"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="is no folder of a MotionAdapter .* It holds: nothing"):
        load(str(tmp_path / "folder"))
    (tmp_path / "folder" / "config.json").write_text(json.dumps({"_class_name": "UNet"}))
    (tmp_path / "folder" / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="holds a UNet, not a MotionAdapter"):
        load(str(tmp_path / "folder"))
    config = {"_class_name": "MotionAdapter", "motion_num_attention_heads": [8, 4]}
    (tmp_path / "folder" / "config.json").write_text(json.dumps(config))
    save_file({"a": torch.zeros(1)}, tmp_path / "folder" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(UserError, match="has other heads at each level"):
        load(str(tmp_path / "folder"))


def test_loras_round_trip(tmp_path):
    """A MotionLoRA in the original's names: the very tensors; in peft's: the same matrices."""
    tensors = random_motion_lora(random_original())
    save_file(tensors, tmp_path / "lora.safetensors")
    lora = load_lora(str(tmp_path / "lora.safetensors"))
    assert lora.of_motion and lora.rank == 2 and len(lora.targets) == 20 * 2 * 4
    save_lora(lora, tmp_path / "again.ckpt")
    same(torch.load(tmp_path / "again.ckpt")["state_dict"], tensors)
    save_lora(lora, tmp_path / "peft.safetensors", strength=0.5, peft=True)
    names = load_file(tmp_path / "peft.safetensors")
    assert "unet.down_blocks.0.motion_modules.0.transformer_blocks.0.attn1.to_out.0.lora_B.weight" in names
    half = load_lora(str(tmp_path / "peft.safetensors")).pairs()
    for target, (down, up) in lora.pairs().items():
        assert torch.equal(half[target][0], down) and torch.equal(half[target][1], 0.5 * up)
    save_lora(lora, tmp_path / "small.safetensors", half=True)
    for name, tensor in load_file(tmp_path / "small.safetensors").items():
        assert torch.equal(tensor, tensors[name].half())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda t, k: t.pop(k), "lacks the down matrix of"),
        (lambda t, k: t.update({k: torch.zeros(3, 16)}), "has matrices of different ranks"),
        (
            lambda t, k: t.update({"conv_in.weight": torch.zeros(1)}),
            "no LoRA of attention's projections: .* conv_in",
        ),
        (
            lambda t, k: t.update(
                {"mid_block.attentions.0.attn1.processor.to_q_lora.up.weight": torch.zeros(1)}
            ),
            "changes both image layers and motion modules",
        ),
    ],
)
def test_other_loras_are_refused(changes, message, tmp_path):
    """Pairs are complete, of one rank and of one kind."""
    tensors = random_motion_lora(random_original(widths=(16,), layers=1))
    changes(tensors, next(iter(tensors)))
    save_file(tensors, tmp_path / "lora.safetensors")
    with pytest.raises(UserError, match=message):
        load_lora(str(tmp_path / "lora.safetensors"))


def test_a_lora_is_no_motion_module(tmp_path):
    """Each is told where the other goes."""
    module = random_original(widths=(16,), layers=1)
    save_file(random_motion_lora(module), tmp_path / "lora.safetensors")
    with pytest.raises(UserError, match="is a LoRA: give it as a MotionLoRA, beside a motion module"):
        load(str(tmp_path / "lora.safetensors"))
    save_file({"a.attn1.processor.to_q_lora.up.weight": torch.zeros(1)}, tmp_path / "adapter.safetensors")
    with pytest.raises(UserError, match="is a LoRA: give it as domain adapter"):
        load(str(tmp_path / "adapter.safetensors"))
