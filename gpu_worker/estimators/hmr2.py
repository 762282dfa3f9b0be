# mypy: allow-subclassing-any
"""HMR2 (4D-Humans), inference only: the crop of a person → SMPL shape, joint rotations and crop camera.

Top to bottom: sizes, backbone, head, rotations, the whole network, weights, prediction; the crop is in `hmr2_crop`.
The names of the modules are those of the released checkpoint, so that its `backbone.*` and `smpl_head.*` load strictly.
Equal to the original code within 1e-5 (tests/hmr2). Where a line looks odd it follows the trained model, not taste;
each such line says so.

Convention: pictures (B, 3, 256, 256) float32, RGB, normalised; tokens (B, N, C); rotations (B, 24, 3, 3), columns are
the rotated axes; camera (scale, x, y) of the crop. Published by its authors for research: see docs/licences.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from gpu_worker.body.arrays import Floats
from gpu_worker.estimators.hmr2_crop import CROP_PX, Crop

SIDE_PX: Final = 32
"""Columns left and right of the crop that the network does not see: it looks at 256 x 192."""
PATCH_PX: Final = 16
PATCHES: Final = (CROP_PX // PATCH_PX) * ((CROP_PX - 2 * SIDE_PX) // PATCH_PX)
JOINTS: Final = 24
BETAS: Final = 10
BACKBONE_NORM_EPS: Final = 1e-6
"""The head keeps PyTorch's 1e-5: the checkpoint was trained with both."""


@dataclass(frozen=True)
class Sizes:
    """Widths and depths; a test runs the same code in a tiny configuration."""

    width: int = 1280
    depth: int = 32
    heads: int = 16
    head_width: int = 1024
    head_depth: int = 6
    head_heads: int = 8
    head_heads_width: int = 64
    head_hidden: int = 1024


FULL: Final = Sizes()


class WeightsRefused(Exception):
    """A weights file that is not the model's; the text is one sentence."""


# --- backbone: a vision transformer ----------------------------------------------------------------------------------


class Attention(nn.Module):
    """Self-attention of the backbone."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        parts = self.qkv(tokens).view(batch, count, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, count, width))
        return projected


class Mlp(nn.Module):
    """Two layers with the exact GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return out


class Block(nn.Module):
    """Residual stream and norms stay float32; the matrices may be float16."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=BACKBONE_NORM_EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=BACKBONE_NORM_EPS)
        self.mlp = Mlp(width)

    def forward(self, tokens: Tensor) -> Tensor:
        matmul = self.attn.qkv.weight.dtype
        tokens = tokens + self.attn(self.norm1(tokens).to(matmul)).float()
        return tokens + self.mlp(self.norm2(tokens).to(matmul)).float()


class PatchEmbed(nn.Module):
    """Pixels → one token for each 16 x 16 patch, row by row."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH_PX, stride=PATCH_PX, padding=2)  # as trained; shapes are blind to it

    def forward(self, picture: Tensor) -> Tensor:
        return self.proj(picture.to(self.proj.weight.dtype)).flatten(2).transpose(1, 2).float()


class Backbone(nn.Module):
    """ViT without a class token."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(sizes.width)
        self.pos_embed = nn.Parameter(torch.zeros(1, PATCHES + 1, sizes.width))
        self.blocks = nn.ModuleList(Block(sizes.width, sizes.heads) for _ in range(sizes.depth))
        self.last_norm = nn.LayerNorm(sizes.width, eps=BACKBONE_NORM_EPS)

    def forward(self, picture: Tensor) -> Tensor:
        # as trained: the position of the absent class token is added to every token
        tokens = self.patch_embed(picture) + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks:
            tokens = block(tokens)
        normed: Tensor = self.last_norm(tokens)
        return normed


# --- head: a decoder with one query token ----------------------------------------------------------------------------


def _to_out(inner: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inner, width), nn.Identity())  # the keys say `to_out.0`


class PreNorm(nn.Module):
    """Norm and layer under the checkpoint's names `norm` and `fn`."""

    def __init__(self, width: int, layer: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fn = layer


class SelfAttention(nn.Module):
    """Over a single token the softmax is 1, so the answer is the value; query and key are loaded and never used."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.to_qkv = nn.Linear(width, 3 * inner, bias=False)
        self.to_out = _to_out(inner, width)

    def forward(self, token: Tensor) -> Tensor:
        value = self.to_qkv(token).chunk(3, dim=-1)[2]
        out: Tensor = self.to_out(value)
        return out


class CrossAttention(nn.Module):
    """The query token looks at the picture's tokens, which are not normed."""

    def __init__(self, width: int, context_width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_kv = nn.Linear(context_width, 2 * inner, bias=False)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_out = _to_out(inner, width)

    def forward(self, token: Tensor, context: Tensor) -> Tensor:
        key, value = self.to_kv(context).chunk(2, dim=-1)
        query = self.to_q(token)
        mixed = functional.scaled_dot_product_attention(self._split(query), self._split(key), self._split(value))
        out: Tensor = self.to_out(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two layers; the identities keep the checkpoint's numbering `net.0`, `net.3`."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Identity(), nn.Linear(hidden, width), nn.Identity()
        )

    def forward(self, token: Tensor) -> Tensor:
        out: Tensor = self.net(token)
        return out


class Layers(nn.Module):
    """Self-attention, cross-attention and feed-forward, repeated."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, inner = sizes.head_width, sizes.head_heads * sizes.head_heads_width
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    PreNorm(width, SelfAttention(width, inner)),
                    PreNorm(width, CrossAttention(width, sizes.width, sizes.head_heads, inner)),
                    PreNorm(width, FeedForward(width, sizes.head_hidden)),
                ]
            )
            for _ in range(sizes.head_depth)
        )

    def forward(self, token: Tensor, context: Tensor) -> Tensor:
        for own, cross, feed in self.layers:
            token = token + own.fn(own.norm(token))
            token = token + cross.fn(cross.norm(token), context)
            token = token + feed.fn(feed.norm(token))
        return token


class Decoder(nn.Module):
    """The query token's input is the number 0, so only the bias and its position remain of the embedding."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.to_token_embedding = nn.Linear(1, sizes.head_width)
        self.pos_embedding = nn.Parameter(torch.zeros(1, 1, sizes.head_width))
        self.transformer = Layers(sizes)

    def forward(self, context: Tensor) -> Tensor:
        token = self.to_token_embedding.bias + self.pos_embedding
        out: Tensor = self.transformer(token.expand(len(context), 1, -1), context)
        return out[:, 0]


class SmplHead(nn.Module):
    """Tokens → pose as 6D rotations (B, 144), betas (B, 10), camera (B, 3); each is a step from a stored mean."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.transformer = Decoder(sizes)
        self.decpose = nn.Linear(sizes.head_width, 6 * JOINTS)
        self.decshape = nn.Linear(sizes.head_width, BETAS)
        self.deccam = nn.Linear(sizes.head_width, 3)
        self.register_buffer("init_body_pose", torch.zeros(1, 6 * JOINTS))
        self.register_buffer("init_betas", torch.zeros(1, BETAS))
        self.register_buffer("init_cam", torch.zeros(1, 3))

    def forward(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        token = self.transformer(context)
        pose = self.decpose(token) + self.init_body_pose
        return pose, self.decshape(token) + self.init_betas, self.deccam(token) + self.init_cam


def rotations_of(pose: Tensor) -> Tensor:
    """(B, 144) → (B, 24, 3, 3). Of each six numbers the first three and the last three span the first two columns."""
    first, second = pose.unflatten(-1, (JOINTS, 2, 3)).unbind(-2)
    x = functional.normalize(first, dim=-1)
    y = functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack((x, y, torch.linalg.cross(x, y, dim=-1)), dim=-1)


class Hmr2(nn.Module):
    """The whole network."""

    def __init__(self, sizes: Sizes = FULL) -> None:
        super().__init__()
        self.backbone = Backbone(sizes)
        self.smpl_head = SmplHead(sizes)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, 256, 256) → rotations (B, 24, 3, 3), betas (B, 10), camera (B, 3)."""
        tokens = self.backbone(picture[..., SIDE_PX:-SIDE_PX])
        pose, betas, camera = self.smpl_head(tokens)
        return rotations_of(pose), betas, camera


# --- weights ---------------------------------------------------------------------------------------------------------


def expected_shapes(sizes: Sizes = FULL) -> dict[str, tuple[int, ...]]:
    """Key → shape of every weight, without allocating one."""
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in Hmr2(sizes).state_dict().items()}


def differences(found: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]]) -> list[str]:
    """What is missing, unknown or of another shape, one line each."""
    missing = [f"missing {key}" for key in wanted if key not in found]
    unknown = [f"unknown {key}" for key in found if key not in wanted]
    other = [f"{key} is {found[key]}, not {shape}" for key, shape in wanted.items() if found.get(key, shape) != shape]
    return missing + unknown + other


def load(weights: Path, device: str, *, sizes: Sizes = FULL, is_half: bool | None = None) -> Hmr2:
    """Build on `meta`, map the file, and take each tensor from the map straight to the device.

    is_half : matrices of the backbone in float16; by default on CUDA. Norms, residuals and the head are float32.
    """
    is_half = device != "cpu" if is_half is None else is_half
    with torch.device("meta"):
        network = Hmr2(sizes)
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    try:
        with safe_open(weights, framework="pt", device="cpu") as file:
            found = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118  not a dict
            if wrong := differences(found, wanted):
                raise WeightsRefused(f"{weights.name} is not HMR2: {'; '.join(wrong[:5])} ({len(wrong)} in all).")
            state = {key: file.get_tensor(key).to(device, _dtype(key, is_half=is_half)) for key in wanted}
    except (SafetensorError, OSError) as error:
        raise WeightsRefused(f"{weights.name} cannot be read as safetensors: {error}.") from error
    network.load_state_dict(state, strict=True, assign=True)
    network.requires_grad_(requires_grad=False)
    network.eval()
    return network


def _dtype(key: str, *, is_half: bool) -> torch.dtype:
    is_matrix = key.startswith("backbone.") and "norm" not in key and "pos_embed" not in key
    return torch.float16 if is_half and is_matrix else torch.float32


# --- prediction ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the network answers, float64.

    rotations : (24, 3, 3), betas : (10,), camera : (3,)
    """

    rotations: Floats
    betas: Floats
    camera: Floats


class NetworkFailed(Exception):
    """The network gave numbers that are none, in full precision too."""


class LoadedNetwork:
    """A network on its device."""

    def __init__(self, network: Hmr2, device: str) -> None:
        self._network = network
        self._device = device

    def warm_up(self) -> None:
        """One pass of the only shape there is: kernels are chosen and memory is taken now."""
        self._answers(torch.zeros(1, 3, CROP_PX, CROP_PX))

    def predict(self, seen: Crop, /) -> Prediction:
        """Float16 may overflow on weights it was never tried on: then everything is done in float32 from here on."""
        picture = torch.from_numpy(seen.picture)[None]
        answers = self._answers(picture)
        if not all(bool(answer.isfinite().all()) for answer in answers):
            self._network.float()
            answers = self._answers(picture)
            if not all(bool(answer.isfinite().all()) for answer in answers):
                raise NetworkFailed("HMR2 gave NaN or infinity.")
        rotations, betas, camera = (answer[0].double().numpy() for answer in answers)
        return Prediction(rotations, betas, camera)

    def _answers(self, picture: Tensor) -> list[Tensor]:
        try:
            with torch.inference_mode():
                return [answer.cpu() for answer in self._network(picture.to(self._device))]
        except torch.OutOfMemoryError as error:
            raise MemoryError("the GPU's memory is full") from error
