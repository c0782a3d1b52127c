"""Further networks of the coverage table: YOLO, segmentation_models_pytorch, transformers; all from configurations.

Nothing is downloaded. `ultralytics` is a dependency of this benchmark alone, because of its licence.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

YOLO = """
yolov3-tiny yolov3 yolov5n yolov6n yolov8n yolov8n-seg yolov8n-pose yolov8n-obb yolov8n-cls yolov8n-ghost yolov9t
yolov9c-seg yolov10n yolo11n yolo11n-seg yolo11n-pose yolo12n yolov8n-p2
""".split()  # noqa: SIM905
SEGMENTATION = """
Unet UnetPlusPlus Linknet FPN PSPNet PAN DeepLabV3 DeepLabV3Plus MAnet UPerNet Segformer
""".split()  # noqa: SIM905
_SIZES: dict[str, dict[str, Any]] = {
    "vit": {
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "image_size": 64,
        "patch_size": 16,
    },
    "deit": {
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "image_size": 64,
        "patch_size": 16,
    },
    "beit": {
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "image_size": 64,
        "patch_size": 16,
    },
    "dinov2": {
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 56,
        "patch_size": 14,
    },
    "swin": {"embed_dim": 24, "depths": [1, 2], "num_heads": [2, 4], "window_size": 4, "image_size": 64},
    "swinv2": {"embed_dim": 24, "depths": [1, 2], "num_heads": [2, 4], "window_size": 4, "image_size": 64},
    "convnext": {"hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 2, 1]},
    "convnextv2": {"hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 2, 1]},
    "resnet": {"embedding_size": 16, "hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 2, 1]},
    "regnet": {
        "embedding_size": 16,
        "hidden_sizes": [16, 32, 48, 64],
        "depths": [1, 1, 2, 1],
        "groups_width": 8,
    },
    "mobilenet_v1": {"depth_multiplier": 0.25},
    "mobilenet_v2": {"depth_multiplier": 0.35},
    "segformer": {
        "hidden_sizes": [16, 32, 40, 64],
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 2, 4, 8],
        "decoder_hidden_size": 32,
    },
    "mobilevit": {
        "hidden_sizes": [24, 32, 40],
        "neck_hidden_sizes": [16, 16, 24, 32, 40, 48, 96],
        "image_size": 64,
    },
    "poolformer": {"hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 2, 1]},
    "focalnet": {
        "embed_dim": 16,
        "depths": [1, 1, 2, 1],
        "image_size": 64,
        "hidden_sizes": [32, 64, 128, 128],
    },
    "levit": {
        "hidden_sizes": [32, 48, 64],
        "num_attention_heads": [2, 3, 4],
        "depths": [1, 1, 1],
        "key_dim": [8, 8, 8],
        "image_size": 64,
    },
    "cvt": {"embed_dim": [16, 32, 48], "num_heads": [1, 2, 3]},
    "efficientnet": {
        "width_coefficient": 0.25,
        "depth_coefficient": 0.5,
        "image_size": 64,
        "hidden_dim": 320,
    },
    "pvt": {"hidden_sizes": [16, 32, 40, 64], "depths": [1, 1, 1, 1], "image_size": 64},
    "dpt": {
        "hidden_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "image_size": 64,
        "patch_size": 16,
        "backbone_out_indices": [0, 1, 2, 3],
        "neck_hidden_sizes": [16, 24, 32, 48],
        "fusion_hidden_size": 32,
    },
    "rt_detr": {
        "d_model": 32,
        "encoder_hidden_dim": 32,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "decoder_layers": 2,
        "num_queries": 20,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "num_denoising": 0,
        "decoder_in_channels": [32, 32, 32],
    },
    "detr": {
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "num_queries": 10,
    },
}
_HEADS = {
    "deit": "DeiTForImageClassification",
    "levit": "LevitForImageClassification",
    "segformer": "SegformerForSemanticSegmentation",
    "dpt": "DPTForSemanticSegmentation",
    "detr": "DetrForObjectDetection",
    "rt_detr": "RTDetrForObjectDetection",
}
TRANSFORMERS = list(_SIZES)


def names() -> list[str]:
    """All networks of this file."""
    return [
        *(f"yolo:{name}" for name in YOLO),
        *(f"smp:{name}" for name in SEGMENTATION),
        *(f"hf:{name}" for name in TRANSFORMERS),
    ]


def build(library: str, key: str) -> tuple[nn.Module, Any]:
    """A fresh network in evaluation mode with random weights, and an example."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", YOLO_OFFLINE="true")
    makers: dict[str, Callable[[str], tuple[nn.Module, Any]]] = {"yolo": _yolo, "smp": _smp, "hf": _hf}
    with contextlib.redirect_stdout(io.StringIO()):
        model, example = makers[library](key)
    return model.eval(), example


def _yolo(key: str) -> tuple[nn.Module, Any]:
    from ultralytics.nn import tasks

    kinds = {
        "seg": tasks.SegmentationModel,
        "pose": tasks.PoseModel,
        "obb": tasks.OBBModel,
        "cls": tasks.ClassificationModel,
    }
    kind = kinds.get(key.rpartition("-")[2], tasks.DetectionModel)
    return kind(f"{key}.yaml", verbose=False), torch.rand(1, 3, 128, 128)


def _smp(key: str) -> tuple[nn.Module, Any]:
    import segmentation_models_pytorch as smp

    encoder = "mit_b0" if key == "Segformer" else "resnet18"
    return getattr(smp, key)(encoder, encoder_weights=None, classes=3), torch.randn(1, 3, 128, 128)


def _hf(key: str) -> tuple[nn.Module, Any]:
    import transformers

    config = transformers.AutoConfig.for_model(key, **_SIZES[key], **_backbone(key))
    config.num_labels = 5
    kind = (
        getattr(transformers, _HEADS[key]) if key in _HEADS else transformers.AutoModelForImageClassification
    )
    model = kind(config) if key in _HEADS else kind.from_config(config)
    side = config.image_size if isinstance(getattr(config, "image_size", None), int) else 64
    return model, torch.randn(1, 3, side, side)


def _backbone(key: str) -> dict[str, Any]:
    """Small backbones for detectors: from a configuration, so that nothing is fetched."""
    import transformers

    if key == "detr":
        small = transformers.ResNetConfig(**_SIZES["resnet"], out_features=["stage4"])
        return {"use_timm_backbone": False, "backbone_config": small, "backbone": None}
    if key == "rt_detr":
        small = transformers.RTDetrResNetConfig(
            embedding_size=16,
            hidden_sizes=[16, 32, 48, 64],
            depths=[1, 1, 1, 1],
            layer_type="basic",
            out_features=["stage2", "stage3", "stage4"],
        )
        return {"backbone_config": small, "encoder_in_channels": [32, 48, 64], "anchor_image_size": None}
    return {}
