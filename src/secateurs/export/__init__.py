"""Files for other programs, written whole or not at all."""

from secateurs.export.files import check_free, new_file, new_folder
from secateurs.export.onnx import OnnxFile, export_onnx, require_onnx

__all__ = ["OnnxFile", "check_free", "export_onnx", "new_file", "new_folder", "require_onnx"]
