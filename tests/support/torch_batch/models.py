"""Small modules of many kinds, as their users write them; imported where PyTorch is."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it


class Block(nn.Module):
    def __init__(self, width, stride=1):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width),
        )  # fmt: skip
        self.short = nn.Identity() if stride == 1 else nn.Conv2d(width, width, 1, stride)

    def forward(self, x):
        return F.relu(self.body(x) + self.short(x))


class ResNet(nn.Module):
    def __init__(self, width=8, classes=5):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 7, 2, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.blocks = nn.Sequential(Block(width), Block(width, 2))
        self.head = nn.Linear(width, classes)

    def forward(self, image):
        return self.head(F.adaptive_avg_pool2d(self.blocks(self.stem(image)), 1).flatten(1))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, padding=1)
        self.deep = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.last = nn.Conv2d(16, 2, 1)

    def forward(self, x):
        high = F.relu(self.down(x))
        return self.last(torch.cat([high, self.up(F.relu(self.deep(high)))], 1))


class Recurrent(nn.Module):
    def __init__(self, kind="LSTM"):
        super().__init__()
        self.layer = getattr(nn, kind)(6, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, 3)

    def forward(self, x):
        steps, _ = self.layer(x)
        return {"steps": steps, "last": self.head(steps[:, -1])}


class TinyTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(200, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, dropout=0.0)
        self.t = nn.TransformerEncoder(layer, 2)
        self.o = nn.Linear(32, 2)

    def forward(self, ids, mask):
        hidden = self.t(self.e(ids), src_key_padding_mask=~mask) * mask[..., None]
        return self.o(hidden.sum(1) / mask.sum(1, keepdim=True))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, query, memory):
        return self.attention(query, memory, memory)


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag = nn.EmbeddingBag(30, 6, mode="mean")
        self.head = nn.Linear(6, 2)

    def forward(self, words):
        return self.head(self.bag(words))


class MultiIO(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(200, 16)
        self.l = nn.LSTM(16, 24, batch_first=True)
        self.c = nn.Linear(28, 1)
        self.r = nn.Linear(28, 1)

    def forward(self, tokens, num):
        _, (hidden, _) = self.l(self.e(tokens))
        both = torch.cat([hidden[-1], num], 1)
        return {"cls": torch.sigmoid(self.c(both)).squeeze(-1), "reg": self.r(both).squeeze(-1)}


class Resize(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.mode = mode

    def forward(self, x):
        corners = None if self.mode == "nearest" else False
        return F.interpolate(x, scale_factor=2, mode=self.mode, align_corners=corners)


class Algebra(nn.Module):
    def forward(self, a, b):
        product = torch.einsum("nij,njk->nik", a, b)
        return torch.where(product > 0, product, product.exp() - 1), product.topk(2, dim=-1), a.cumsum(1).argmax(-1)


class Pair(NamedTuple):
    mean: torch.Tensor
    spread: torch.Tensor


@dataclass
class Answer:
    logits: torch.Tensor
    hidden: torch.Tensor | None = None


class Returns(nn.Module):
    def __init__(self, form="tuple"):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.form = form

    def forward(self, x):
        y = self.layer(x)
        forms = {
            "tuple": (y, (x, y * 2)),
            "single": (y,),
            "named": Pair(y, y * y),
            "dataclass": Answer(y),
            "nested": {"a": y, "b": {"c": y + 1, "d": [y - 1]}},
            "collision": {"x": y, "linear": y + 1, "layer.weight": y + 2, "val_0": y + 3},
            "number": (y, 3),
        }
        return forms[self.form]


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 3)
        self.b = nn.Linear(4, 3)

    def forward(self, x):
        if x.sum() > 0:
            return self.a(x)
        return self.b(x)


class RowBranch(nn.Module):
    """As ``Branch``, for one row at a time."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 3)
        self.b = nn.Linear(4, 3)

    def forward(self, x):
        if bool(x[0, 0] > 0):
            return self.a(x)
        return self.b(x)


class Frozen(nn.Module):
    def forward(self, x):
        return x.view(5, 4) * 2


class FrozenSequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.position = nn.Parameter(torch.randn(1, 20, 8))
        self.layer = nn.Linear(8, 2)

    def forward(self, x):
        return self.layer(x + self.position)


class Noise(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5) + torch.randn_like(x)


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls += 1
        return x + self.calls


class Conditional(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 3)
        self.b = nn.Linear(4, 3)

    def forward(self, x):
        return torch.cond(x[0, 0] > 0, self.a.forward, self.b.forward, (x,))


class StatesFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.GRU(4, 3, num_layers=2, batch_first=True)

    def forward(self, x):
        return self.layer(x)


class Eigen(nn.Module):
    def forward(self, x):
        return torch.linalg.eigvalsh(x)


class Spectrum(nn.Module):
    def forward(self, x):
        return torch.fft.rfft(x)


class Sizes(nn.Module):
    def forward(self, x):
        return torch.nonzero(x > 0)[:, :1].float()


class Positional(nn.Module):
    def forward(self, *parts):
        return torch.cat(parts, 1)


class Optional(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x, scale=None, return_both: bool = False):
        y = self.layer(x)
        return y if scale is None else y * scale


def every_layer():
    """A Sequential of all common layers for images, then for rows."""
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.PReLU(), nn.InstanceNorm2d(8, affine=True), nn.ELU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=4), nn.LeakyReLU(), nn.PixelShuffle(2), nn.BatchNorm2d(2), nn.SiLU(),
        nn.AvgPool2d(2), nn.Conv2d(2, 8, 3, dilation=2, padding=2), nn.Hardswish(), nn.PixelUnshuffle(2), nn.GELU(),
        nn.ReflectionPad2d(1), nn.Conv2d(32, 4, 1), nn.Softplus(), nn.Upsample(scale_factor=2), nn.Mish(),
        nn.AdaptiveAvgPool2d(2), nn.Dropout(0.2), nn.Flatten(), nn.Linear(16, 8), nn.LayerNorm(8), nn.Tanh(),
        nn.BatchNorm1d(8), nn.Sigmoid(), nn.Linear(8, 5), nn.Hardtanh(), nn.LogSoftmax(1),
    )  # fmt: skip


class Words(nn.Module):
    """Filters over words, the longest of three: shorter texts are not taken."""

    def __init__(self):
        super().__init__()
        self.e, self.c = nn.Embedding(60, 6), nn.Conv1d(6, 4, 3)

    def forward(self, tokens):
        return self.c(self.e(tokens).transpose(1, 2)).relu().amax(-1)


class Squeezed(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x):
        return self.layer(x).squeeze()


class OneStep(nn.Module):
    """Another answer to sequences of one step, which torch.export takes for a constant."""

    def forward(self, x):
        return x.sum(1) * 2 if x.shape[1] == 1 else x.sum(1)


class Nearest(nn.Module):
    def __init__(self):
        super().__init__()
        self.points = nn.Parameter(torch.randn(5, 4))

    def forward(self, x):
        return torch.cdist(x, self.points)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.o = nn.Embedding(25, 8), nn.Linear(8, 25, bias=False)
        self.o.weight = self.e.weight

    def forward(self, ids):
        return self.o(self.e(ids).mean(1))


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x, scale: float = 2.0, shifted: bool = True):
        return self.layer(x) * scale + 1 if shifted else self.layer(x) * scale
