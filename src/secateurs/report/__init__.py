"""Reports read results: the record of a run, its page and its folder, and the structure of a network."""

from secateurs.report.folder import write_folder, write_page
from secateurs.report.record import Record
from secateurs.report.structure import Structure

__all__ = ["Record", "Structure", "write_folder", "write_page"]
