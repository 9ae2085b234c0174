"""From a verified conversion to a smaller or faster one, measured against the source again before it is taken."""

from packager.transform.step import check_form, transform
from packager.transform.wanted import DEFAULT_MIN_AGREEMENT, QUANTIZATIONS, Wanted, wanted

__all__ = ["DEFAULT_MIN_AGREEMENT", "QUANTIZATIONS", "Wanted", "check_form", "transform", "wanted"]
