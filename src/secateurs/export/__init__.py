"""Files for other programs, written whole or not at all."""

from secateurs.export.files import check_free, new_file, new_files, new_folder
from secateurs.export.int8 import Int8File, Int8Options, int8_scorer, quantise_onnx
from secateurs.export.onnx import OnnxFile, export_onnx, require_onnx
from secateurs.export.running import OnnxNetwork, agreement
from secateurs.export.widths import about_widths

__all__ = [
    "Int8File",
    "Int8Options",
    "OnnxFile",
    "OnnxNetwork",
    "about_widths",
    "agreement",
    "check_free",
    "export_onnx",
    "int8_scorer",
    "new_file",
    "new_files",
    "new_folder",
    "quantise_onnx",
    "require_onnx",
]
