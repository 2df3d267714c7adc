"""ResNet-50 with a mechanism where its paper puts it, trained as its authors trained it.

NOT RUN HERE: ImageNet takes days of a GPU, and no number of the book comes from this file. A test builds
every network and takes two steps on random images.

    accelerate launch recipes/resnet50.py squeeze_excitation /data/imagenet
    accelerate launch --mixed_precision bf16 recipes/resnet50.py cbam /data --data cifar100
    torchrun --nproc-per-node 8 recipes/resnet50.py efficient_channel /data/imagenet --without

Run again after it was stopped, it goes on; so does a finished run that is asked for more `--epochs`. `--without` trains the same network without the mechanism, by the
same recipe: what to compare with. It wants torchvision; ImageNet's folder holds train/ and val/, a folder a class.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torchvision import datasets, models
from torchvision.transforms import v2

from attn_lib import SelectiveKernel, insert
from attn_lib.data import Pictures
from attn_lib.lab import zoo
from attn_lib.lab.commands import add_folder, command
from attn_lib.lab.runs import machine
from attn_lib.lab.scoring import accuracy
from attn_lib.lab.training import classify, fit


@dataclass(frozen=True)
class Recipe:
    """How to train. The defaults are what the authors of ECA and CBAM released: `main.py` of BangguWu/ECANet
    and `train_imagenet.py`, with `scripts/train_imagenet_resnet50_cbam.sh`, of Jongchan/attention-module. Both
    cut a random part of the picture to 224 pixels, mirror half of the pictures, and test on the middle of 256.

    Attributes:
        mechanism: its name in `attn_lib`.
        place: behind which layers; "addition": at the end of every block's branch. SK replaces a convolution.
        network: of torchvision.
        batch_size: images a step, on all processes together.
        learning_rate: at the start.
        epochs: passes over the training images.
        drops: the epochs at which the learning rate is multiplied by `factor`.
        factor: see `drops`.
        weight_decay: of all parameters.
        nesterov: whether the momentum, 0.9, is Nesterov's.
        options: of the mechanism.
    """

    mechanism: str
    place: str = "addition"
    network: str = "resnet50"
    batch_size: int = 256
    learning_rate: float = 0.1
    epochs: int = 100
    drops: Sequence[int] = (30, 60, 90)
    factor: float = 0.1
    weight_decay: float = 1e-4
    nesterov: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def optimise(self, model: nn.Module, learning_rate: float, steps: int) -> tuple:
        """SGD, and a learning rate that falls in stairs."""
        optimizer = torch.optim.SGD(
            model.parameters(),
            learning_rate,
            momentum=0.9,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )
        stairs = [steps * drop // self.epochs for drop in self.drops]
        return optimizer, torch.optim.lr_scheduler.MultiStepLR(optimizer, stairs, self.factor)


RECIPES = {
    # Batch and rate: the paper's, as the README of hujie-frank/SENet says; so are the 100 epochs. Ours: the weight
    # decay. The released weights were trained longer, in smaller batches, on pictures more distorted.
    "squeeze_excitation": Recipe("squeeze_excitation", batch_size=1024, learning_rate=0.6),
    "efficient_channel": Recipe("efficient_channel"),
    "cbam": Recipe("cbam"),
    # Batch and weight decay: the paper's; its network is a ResNeXt whose grouped convolutions SK replaces.
    # Ours, as for the others: rate and epochs, and labels that are not smoothed.
    "selective_kernel": Recipe(
        "selective_kernel", place="convolution", network="resnext50_32x4d"
    ),
    # One block, right before the last of res4: the paper's table 2b. It trains on videos: all else is ours.
    "non_local": Recipe("non_local", place="layer3.4"),
}

# Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016, section 3: the usual recipe for CIFAR, theirs for other
# networks. Ours: a ResNet-50 for it, whose first convolution is 3×3 and keeps the size, without pooling.
CIFAR = {
    "batch_size": 128,
    "learning_rate": 0.1,
    "epochs": 200,
    "drops": (60, 120, 160),
    "factor": 0.2,
    "weight_decay": 5e-4,
    "nesterov": True,
}


def build(
    recipe: Recipe, classes: int, *, small: bool = False, without: bool = False
) -> nn.Module:
    """The network with the mechanism in its place.

    Args:
        recipe: names both.
        classes: how many there are.
        small: for pictures of 32×32 pixels.
        without: leave the mechanism out.
    """
    model = models.get_model(recipe.network, weights=None, num_classes=classes)
    if small:
        model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        model.maxpool = nn.Identity()
    if without:
        return model
    blocks = [name for name, part in model.named_modules() if hasattr(part, "conv3")]
    if recipe.place == "convolution":
        for name in blocks:
            _select_kernels(model.get_submodule(name), **recipe.options)
        return model
    after = [f"{name}.bn3" for name in blocks] if recipe.place == "addition" else recipe.place
    return insert(model, recipe.mechanism, after, **recipe.options)


def _select_kernels(block: nn.Module, **options) -> None:
    """Selective kernels in place of the 3×3 convolution, with the normalisation and ReLU that they hold.

    Where that convolution strides, the positions it would skip are left out afterwards: a strided branch
    gives the same numbers there. Only what is averaged for the choice differs: all positions, not a quarter.
    """
    convolution = block.conv2
    kernels = SelectiveKernel(convolution.out_channels, **options)
    block.conv2 = nn.Sequential(kernels, nn.MaxPool2d(1, convolution.stride))
    block.bn2 = nn.Identity()


def pictures(data: str, folder: Path, training: bool) -> Pictures:
    """The training or the test images of `data`: imagenet, cifar100 or random ones."""
    if data == "imagenet":
        cut = [v2.RandomResizedCrop(224)] if training else [v2.Resize(256), v2.CenterCrop(224)]
    else:
        cut = [v2.RandomCrop(32, padding=4)] if training else []
    steps = [*cut, *[v2.RandomHorizontalFlip()] * training]
    steps += [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    steps += [v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]  # ImageNet's
    change = v2.Compose(steps)
    if data == "imagenet":
        return Pictures(datasets.ImageFolder(folder / ("train" if training else "val"), change))
    if data == "cifar100":
        return Pictures(datasets.CIFAR100(folder, training, change, download=True))
    return Pictures(datasets.FakeData(16, (3, 32, 32), CLASSES["random"], change))


CLASSES = {"imagenet": 1000, "cifar100": 100, "random": 4}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = command(__doc__)
    parser.add_argument("recipe", choices=RECIPES, help="what to train")
    parser.add_argument("folder", type=Path, help="where the pictures are")
    parser.add_argument("--data", choices=CLASSES, default="imagenet", help="which pictures")
    parser.add_argument("--without", action="store_true", help="leave the mechanism out")
    parser.add_argument("--seed", type=int, default=0, help="of weights and of the order")
    parser.add_argument("--workers", type=int, default=8, help="that read, for each process")
    parser.add_argument("--every", type=int, default=500, help="steps between two checkpoints")
    add_folder(parser, "--out", default=".")
    for name in ("epochs", "batch-size"):
        parser.add_argument(f"--{name}", type=int, help="in place of the recipe's own")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train one network.

    Returns:
        what it scores, and how it was made; the same is the card beside its weights.
    """
    args, accelerator = parse(arguments), Accelerator()
    recipe = replace(RECIPES[args.recipe], **(CIFAR if args.data != "imagenet" else {}))
    own = {"epochs": args.epochs, "batch_size": args.batch_size}
    recipe = replace(recipe, **{name: value for name, value in own.items() if value})
    train, test = (pictures(args.data, args.folder, part) for part in (True, False))
    torch.manual_seed(args.seed)
    small = args.data != "imagenet"
    model = build(recipe, CLASSES[args.data], small=small, without=args.without)
    name = f"{args.data}_{'without_' * args.without}{args.recipe}_{args.seed}"
    losses = fit(
        model,
        train,
        loss=partial(classify, smoothing=0.0),
        optimise=recipe.optimise,
        steps=recipe.epochs * (len(train) // recipe.batch_size),
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        seed=args.seed,
        workers=args.workers,
        accelerator=accelerator,
        checkpoint=args.out / f"{name}.checkpoint",
        every=args.every,
    )
    made = {"recipe": asdict(recipe), "seed": args.seed, "without": args.without} | machine()
    if accelerator.is_main_process:
        made |= {"loss": losses[-1], "accuracy": accuracy(model, test, 256, args.workers)}
        zoo.save(model.cpu(), args.out / f"{name}.safetensors", made)
        print(f"{name}: {made['accuracy']:.4f} of the test images are named right")
    accelerator.end_training()
    return made


if __name__ == "__main__":
    main()
