"""The version of textvae."""

__version__ = "0.1.0"
