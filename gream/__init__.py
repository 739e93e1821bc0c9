"""GREAM: generative reasoning recommendation as a platform (arXiv 2510.20815).

Importing this package is cheap on purpose: `torch` and its friends are imported by the submodules that need them.
"""

__version__ = "0.1.0"
