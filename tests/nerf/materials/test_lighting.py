"""Light from all around on matte, rough and metallic surfaces, against integrals done in another way."""

import math
from functools import lru_cache

import pytest
import torch

from nerf.environment import BUILT_IN, directions, environment, solid_angles
from nerf.materials.ggx import energy, energy_table
from nerf.materials.lighting import EnvironmentLight, Material, frame
from suite.geometry.trimesh_bridge import linear_from_srgb

ANGLES = (0.0, 30.0, 60.0, 75.0)
ROUGHNESSES = (0.2, 0.5, 0.8, 1.0)


@lru_cache
def hemisphere(rows: int = 400, columns: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions about +Z and their steradians, by the midpoint rule in float64."""
    theta = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows * math.pi / 2
    phi = (torch.arange(columns, dtype=torch.float64) + 0.5) / columns * 2 * math.pi
    theta, phi = torch.meshgrid(theta, phi, indexing="ij")
    towards = torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()], dim=-1)
    solid = theta.sin() * (math.pi / 2 / rows) * (2 * math.pi / columns)
    return towards.reshape(-1, 3), solid.reshape(-1)


def lobe(light: torch.Tensor, view: torch.Tensor, roughness: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(D V, v.h) about the normal +Z, written out from the glTF standard: D, G1 of each direction, 4 n.l n.v."""
    a2 = roughness**4
    h = torch.nn.functional.normalize(light + view, dim=-1)
    D = a2 / (math.pi * (h[:, 2] ** 2 * (a2 - 1) + 1) ** 2)

    def big_lambda(cosine: torch.Tensor) -> torch.Tensor:
        return ((1 + a2 * (1 / cosine**2 - 1)).sqrt() - 1) / 2

    G = 1 / (1 + big_lambda(light[:, 2]) + big_lambda(view[2]))
    return D * G / (4 * light[:, 2] * view[2]), (h * view).sum(-1)


@lru_cache
def integrals(angle: float, roughness: float) -> tuple[float, float]:
    """A and B by the midpoint rule."""
    light, solid = hemisphere()
    a = math.radians(angle)
    brdf, v_h = lobe(light, torch.tensor([math.sin(a), 0.0, math.cos(a)], dtype=torch.float64), roughness)
    weight, grazing = brdf * light[:, 2] * solid, (1 - v_h) ** 5
    return float(((1 - grazing) * weight).sum()), float((grazing * weight).sum())


@pytest.mark.parametrize("roughness", ROUGHNESSES)
def test_energy_table_against_the_midpoint_rule(roughness):
    """A and B at several angles to 0.01; the lobe loses light to second bounces only: A + B <= 1."""
    for angle in ANGLES:
        a, b = energy(
            energy_table(), torch.tensor([math.cos(math.radians(angle))]), torch.tensor([roughness])
        )
        assert (float(a), float(b)) == pytest.approx(integrals(angle, roughness), abs=0.01)
        assert 0 < float(a + b) <= 1.001


@lru_cache
def lit(**options) -> EnvironmentLight:
    """A light, made once."""
    return EnvironmentLight(**options)


def seen(
    light: EnvironmentLight, angle: float, roughness: float, metallic: float, albedo=1.0
) -> torch.Tensor:
    """Linear light from a surface that looks up, seen at an angle from +X."""
    a = math.radians(angle)
    one = torch.ones(1)
    material = Material(
        torch.full((1, 3), albedo), metallic * one, roughness * one, torch.tensor([[0.0, 0, 1]])
    )
    view = torch.tensor([[math.sin(a), 0.0, math.cos(a)]])
    return linear_from_srgb(light.shade(material, view)[0])


@pytest.mark.parametrize("method, tolerance", [("split-sum", 0.012), ("sampled", 0.02)])
def test_white_furnace(method, tolerance):
    """In light of 1 from everywhere a white dielectric shows 1, a white metal what its lobe does not lose."""
    light = lit(map="uniform", exposure=1.0, method=method, samples=2**15)
    for roughness in ROUGHNESSES:
        for angle in ANGLES:
            torch.testing.assert_close(
                seen(light, angle, roughness, 0.0), torch.ones(3), atol=tolerance, rtol=0
            )
            kept = torch.full((3,), sum(integrals(angle, roughness)))
            torch.testing.assert_close(seen(light, angle, roughness, 1.0), kept, atol=tolerance, rtol=0)


def test_a_matte_ball_under_half_a_sky_and_under_a_lamp():
    """E(n) is (1 + cos) / 2 where the upper half is 1; under a small lamp of radiance L: L max(0, cos) omega / pi."""
    light = EnvironmentLight()
    angles = torch.deg2rad(torch.tensor([0.0, 30, 60, 85, 120, 180]))
    normals = torch.stack([angles.sin(), 0 * angles, angles.cos()], dim=-1)
    above = (directions(64, 128)[..., 2] > 0).float().expand(3, -1, -1)
    light.set_radiance(above)
    torch.testing.assert_close(light.irradiance(normals)[:, 0], (1 + angles.cos()) / 2, atol=0.01, rtol=0)
    lamp, place = torch.zeros(3, 64, 128), directions(64, 128)[20, 40]
    lamp[:, 20, 40] = 100.0
    light.set_radiance(lamp)
    cosine = (normals @ place).clamp_min(0)
    exact = 100 * cosine * solid_angles(64, 128)[20, 40] / math.pi
    torch.testing.assert_close(light.irradiance(normals)[:, 0], exact, atol=0.004, rtol=0)


def brute_force(light: EnvironmentLight, angle: float, roughness: float, metallic: float, albedo: float):
    """The integral of the module's first formula over all directions, by the midpoint rule."""
    towards, solid = hemisphere(150, 300)
    a = math.radians(angle)
    view = torch.tensor([math.sin(a), 0.0, math.cos(a)], dtype=torch.float64)
    brdf, v_h = lobe(towards, view, roughness)
    f_0 = 0.04 * (1 - metallic) + albedo * metallic
    arriving = light.radiance(towards, torch.zeros(len(towards), dtype=torch.float64))
    cosine = towards[:, 2] * solid
    shine = ((f_0 + (1 - f_0) * (1 - v_h) ** 5) * brdf * cosine)[:, None] * arriving
    coat = 0.04 * integrals(angle, roughness)[0] + integrals(angle, roughness)[1]
    matte = (1 - metallic) * (1 - coat) * albedo / math.pi * cosine[:, None] * arriving
    return (shine + matte).sum(0).float()


@pytest.mark.parametrize("name", ["studio", "sky"])
@pytest.mark.parametrize("roughness, metallic", [(0.3, 0.0), (0.3, 1.0), (0.9, 1.0)])
def test_both_methods_against_brute_force(name, roughness, metallic):
    """Sampled light is right to its noise (2 % of the exposure); the split sum, which looks along the normal when it
    prefilters, to 0.15 for metals up to 60 degrees (in units of white), to 0.04 for dielectrics, which shine less."""
    sampled, split = lit(map=name, method="sampled", samples=8192), lit(map=name)
    for angle in (0.0, 60.0):
        albedo = 0.7
        exact = brute_force(
            split, angle, roughness, metallic, float(linear_from_srgb(torch.tensor([albedo])))
        )
        by_samples = seen(sampled, angle, roughness, metallic, albedo)
        torch.testing.assert_close(by_samples, exact, atol=0.02, rtol=0.02)
        tolerance = 0.15 if metallic else 0.04
        torch.testing.assert_close(
            seen(split, angle, roughness, metallic, albedo), exact, atol=tolerance, rtol=0
        )


@pytest.mark.parametrize("method", ["split-sum", "sampled"])
def test_gradients_of_the_material(method):
    """With respect to albedo, metallic, roughness and normal, in float64, against finite differences."""
    light = EnvironmentLight(map="sky", method=method, samples=3).double()
    draw = torch.Generator().manual_seed(3)
    albedo = (0.1 + 0.8 * torch.rand(3, 3, generator=draw, dtype=torch.float64)).requires_grad_()
    metallic = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64, requires_grad=True)
    roughness = torch.tensor([0.31, 0.52, 0.77], dtype=torch.float64, requires_grad=True)
    normals = torch.randn(3, 3, generator=draw, dtype=torch.float64)
    normals[:, 2] = normals[:, 2].abs() + 1
    normals.requires_grad_()
    view = torch.nn.functional.normalize(torch.tensor([[0.3, 0.2, 1.0]], dtype=torch.float64), dim=-1).expand(
        3, 3
    )

    def shown(albedo, metallic, roughness, normals):
        outward = torch.nn.functional.normalize(normals, dim=-1)
        return light.shade(Material(albedo, metallic, roughness, outward), view)

    assert torch.autograd.gradcheck(shown, (albedo, metallic, roughness, normals), eps=1e-7, atol=1e-4)


def test_turned_light_is_a_turned_world():
    """Turning the light is turning normal and eye the other way."""
    light = EnvironmentLight(map="sky", turns=True)
    angle = torch.tensor([0.7])
    c, s = math.cos(0.7), math.sin(0.7)
    back = torch.tensor([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
    normal = torch.nn.functional.normalize(torch.tensor([[0.3, -0.5, 0.6]]), dim=-1)
    view = torch.nn.functional.normalize(torch.tensor([[0.5, 0.1, 0.6]]), dim=-1)
    one = torch.ones(1)

    def shown(normal, view, turn=None):
        return light.shade(Material(torch.full((1, 3), 0.5), 0.5 * one, 0.3 * one, normal), view, turn=turn)

    torch.testing.assert_close(shown(normal, view, angle), shown(normal @ back.T, view @ back.T))
    draw = torch.Generator().manual_seed(0)
    assert light.draw_turns(4, None) is None and light.draw_turns(4, draw).shape == (4,)
    assert lit(map="sky").draw_turns(4, draw) is None


def test_frames_are_orthonormal_and_right_handed():
    """For normals all around, straight up and down too."""
    normals = torch.nn.functional.normalize(directions(8, 16).reshape(-1, 3), dim=-1)
    normals = torch.cat([normals, torch.tensor([[0.0, 0, 1], [0, 0, -1]])])
    side, up = frame(normals)
    torch.testing.assert_close(torch.linalg.cross(side, up), normals, atol=1e-5, rtol=0)
    torch.testing.assert_close((side * normals).sum(-1), torch.zeros(len(normals)), atol=1e-5, rtol=0)


def test_the_mean_of_every_built_in_map_is_the_exposure():
    """Over the sphere, of all colours; no seam where the azimuth wraps around."""
    for name in BUILT_IN:
        radiance = environment(name, exposure=0.5)
        mean = float((radiance * solid_angles(64, 128)).sum() / (3 * 4 * math.pi))
        assert mean == pytest.approx(0.5, rel=1e-4)
        light = lit(map=name)
        around = torch.deg2rad(torch.tensor([179.99, -179.99]))
        pair = light.radiance(torch.stack([around.cos(), around.sin(), 0 * around], -1), torch.zeros(2))
        torch.testing.assert_close(pair[0], pair[1], atol=1e-2, rtol=0)


def test_options_are_checked():
    with pytest.raises(
        ValueError, match="'path-traced' is not a way to light a surface: one of split-sum, sampled"
    ):
        EnvironmentLight(method="path-traced")
    with pytest.raises(ValueError, match="needs exposure > 0 and samples >= 1, got 0, 32"):
        EnvironmentLight(exposure=0)
