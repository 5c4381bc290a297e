"""Unwrap the proxies that napari hands to plugins."""

from typing import TypeVar

AnyKind = TypeVar("AnyKind")


def bare(proxied: AnyKind) -> AnyKind:
    """Return a viewer or layer itself: napari hands plugins a proxy, which keeps its history."""
    return getattr(proxied, "__wrapped__", proxied)
