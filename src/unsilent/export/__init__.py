"""Models in the formats of other engines."""

from unsilent.export.onnx import Exported, export_onnx
from unsilent.export.reading import Part, open_part, open_parts

__all__ = ["Exported", "Part", "export_onnx", "open_part", "open_parts"]
