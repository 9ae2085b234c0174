"""Models from strangers: what a pickle would import and call is read before anything loads it.

Pure standard library: no framework is imported, and nothing of the file is run. The file is copied (decompressed) into
a folder of the conversion's own, and what was read is what is loaded.
"""

from packager.convert.safety.clearance import Cleared, Trust, cleared, holds_pickle
from packager.convert.safety.folders import cleared_folder
from packager.convert.safety.judged import cleared_by
from packager.convert.safety.lists import KNOWN as KNOWN_FRAMEWORKS
from packager.convert.safety.lists import allowed

__all__ = [
    "KNOWN_FRAMEWORKS",
    "Cleared",
    "Trust",
    "allowed",
    "cleared",
    "cleared_by",
    "cleared_folder",
    "holds_pickle",
]
