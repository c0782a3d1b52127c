"""The networks of the coverage table, by name, with random weights of a size that makes every branch count."""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import families

TIMM_LISTED = """
botnet26t_256 cspdarknet53 cspresnet50 densenetblur121d dm_nfnet_f0 dpn68 eca_nfnet_l0 ecaresnet26t
edgenext_xx_small efficientformer_l1 fastvit_t8 mixnet_s mobilevit_xxs nf_resnet50 poolformer_s12
res2net50_26w_4s res2next50 rexnet_100 skresnet34 tresnet_m inception_next_atto ghostnet_100 ghostnetv2_100
resnest14d convnext_atto dla34 hrnet_w18_small mobilenetv4_conv_small mobileone_s0 nasnetalarge regnety_002
resnet50_gn selecsls42b seresnet50 starnet_s1 tf_efficientnet_b0 xception41
""".split()  # noqa: SIM905
TIMM_MORE = """
bat_resnext26ts coat_lite_tiny convmixer_768_32 convnextv2_atto cs3darknet_s cs3sedarknet_l csatv2 davit_tiny
dla46x_c eca_resnet33ts efficientnet_b0 efficientnetv2_rw_t efficientvit_b0 ese_vovnet19b_dw fasternet_t0
fbnetc_100 fbnetv3_b focalnet_tiny_srf gcresnext26ts gernet_s ghostnetv3_100 halonet26t hardcorenas_a
hgnet_tiny hgnetv2_b0 inception_resnet_v2 inception_v4 lambda_resnet26t lcnet_050 legacy_seresnext26_32x4d
levit_conv_128s mambaout_femto mnasnet_small mobilenetv3_small_100 mobilevitv2_050 nextvit_small pit_xs_224
pvt_v2_b0 rdnet_tiny regnetx_002 regnetz_b16 repghostnet_050 repvgg_a0 repvit_m0_9 resnet10t resnetaa50
resnetblur50 resnetrs50 resnetv2_50 sebotnet33ts_256 semnasnet_075 shvit_s1 spnasnet_100 swiftformer_xs
tf_mixnet_s tiny_vit_5m_224 tinynet_e visformer_tiny wide_resnet50_2 xception65
""".split()  # noqa: SIM905
DENSE = """
fcn_resnet50 deeplabv3_resnet50 deeplabv3_mobilenet_v3_large lraspp_mobilenet_v3_large
""".split()  # noqa: SIM905
DETECTION = [
    "ssdlite320_mobilenet_v3_large",
    "ssd300_vgg16",
    "retinanet_resnet50_fpn",
]
QUICK = """
tv:resnet18 tv:mobilenet_v3_small tv:shufflenet_v2_x0_5 tv:densenet121 tv:convnext_tiny tv:swin_t tv:vit_b_16
timm:res2net50_26w_4s timm:ghostnet_100 timm:mixnet_s timm:skresnet34 timm:resnest14d tv:lraspp_mobilenet_v3_large
""".split()  # noqa: SIM905


def torchvision() -> Any:
    """The models of torchvision, also where its compiled operators do not load beside the installed torch."""
    global _OPERATORS
    if _OPERATORS is None:
        _OPERATORS = _declared()
    import torchvision.models as models

    if _OPERATORS is not True:  # the one operator that detection needs is declared and implemented here
        import torchvision.extension

        torchvision.extension._has_ops = lambda: True
    return models


_OPERATORS: Any = None


def _declared() -> Any:
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        raise SystemExit("torchvision is not installed: pip install torchvision timm")
    for library in Path(found.origin).parent.glob("_C*.so"):
        with contextlib.suppress(OSError):
            torch.ops.load_library(str(library))
            return True
    operators = torch.library.Library("torchvision", "DEF")
    operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.impl("nms", _nms, "CPU")
    return operators


def _nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Greedy non-maximum suppression, plainly."""
    order, kept = scores.argsort(descending=True).tolist(), []
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    dead = torch.zeros(len(boxes), dtype=torch.bool)
    for i in order:
        if dead[i]:
            continue
        kept.append(i)
        low, high = torch.maximum(boxes[i, :2], boxes[:, :2]), torch.minimum(boxes[i, 2:], boxes[:, 2:])
        both = (high - low).clamp(min=0).prod(1)
        dead |= both / (area[i] + area - both) > threshold
    return torch.tensor(kept, dtype=torch.long)


def classifiers() -> list[str]:
    """All torchvision classifiers, in the order of the registry."""
    models = torchvision()
    return [f"tv:{name}" for name in models.list_models(module=models)]


def listed() -> list[str]:
    """Every network of the table."""
    return [
        *classifiers(),
        *(f"timm:{name}" for name in [*TIMM_LISTED, *TIMM_MORE]),
        *(f"tv:{name}" for name in [*DENSE, *DETECTION]),
        *families.names(),
    ]


def build(name: str) -> tuple[nn.Module, Any]:
    """A fresh network in evaluation mode and an example input for it."""
    torch.manual_seed(0)
    library, _, key = name.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if library in ("yolo", "smp", "hf"):
            torchvision()
            return families.build(library, key)
        if library == "timm":
            torchvision()
            import timm

            model = timm.create_model(key, pretrained=False).eval()
            size = model.pretrained_cfg["input_size"]
            return model, torch.randn(1, *size)
        models = torchvision()
        if key in DENSE:
            model = getattr(models.segmentation, key)(weights=None, weights_backbone=None, num_classes=21)
            return model.eval(), torch.randn(1, 3, 224, 224)
        if key in DETECTION:
            model = getattr(models.detection, key)(weights=None, weights_backbone=None, num_classes=21)
            return model.eval(), ([torch.rand(3, 320, 320)],)
        more = {"init_weights": False} if key in ("googlenet", "inception_v3") else {}
        model = models.get_model(key, weights=None, **more).eval()
        return model, torch.randn(1, 3, *([_size(key)] * 2))


def _size(key: str) -> int:
    return {"inception_v3": 299, "swin_v2_t": 256, "swin_v2_s": 256, "swin_v2_b": 256}.get(key, 224)


def settle(model: nn.Module, example: Any, seed: int = 0) -> None:
    """Random parameters everywhere, and batch-norm statistics taken from one noisy pass, then disturbed.

    Statistics that fit the data keep activations of one size through any depth, so that no branch fades and
    the proof is sensitive to all of them.
    """
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() < 2 or p.numel() == max(p.shape):
                low = 0.3 if name.endswith("bias") else 0.0
                fresh = (
                    torch.randn(p.shape, generator=draw) * 0.1
                    if low
                    else torch.rand(p.shape, generator=draw) * 0.6 + 0.7
                )
                p.copy_(fresh)
            else:
                fan = max(1, p.numel() // p.shape[0])
                p.copy_(torch.randn(p.shape, generator=draw) * (1.5 / fan) ** 0.5)
        norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        for norm in norms:
            if norm.running_mean is None:
                continue
            norm.running_mean.copy_(torch.randn(norm.running_mean.shape, generator=draw) * 0.1)
            norm.running_var.copy_(torch.rand(norm.running_var.shape, generator=draw) + 0.5)
        if isinstance(example, Tensor):
            _fit(model, norms, torch.randn((2, *example.shape[1:]), generator=draw), draw)


def _fit(model: nn.Module, norms: list[Any], batch: Tensor, draw: torch.Generator) -> None:
    def watch(norm: Any, given: tuple[Tensor, ...]) -> None:
        x = given[0]
        axes = [i for i in range(x.dim()) if i != 1]
        if norm.running_mean is not None and x.numel() > 2 * x.shape[1]:
            norm.running_mean.copy_(x.mean(axes) + x.std() * 0.1 * torch.randn(x.shape[1], generator=draw))
            norm.running_var.copy_(x.var(axes) * (0.7 + 0.6 * torch.rand(x.shape[1], generator=draw)) + 1e-3)

    handles = [norm.register_forward_pre_hook(watch) for norm in norms]
    with contextlib.suppress(Exception):
        model(batch)
    for handle in handles:
        handle.remove()
